package lab_test

import (
	"bufio"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// start runs an endless act of the probe on the host, until the test's end.
func start(t *testing.T, l *lab.Lab, args ...string) {
	t.Helper()
	path, err := lab.BuildProbe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := l.HostCommand(t.Context(), path, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, _ := bufio.NewReader(out).ReadString('\n')
	if said, err := lab.Results(line); err != nil || len(said) != 1 || said[0].Outcome != result.OK {
		t.Fatalf("start %q: %q, %v", args, line, err)
	}
}

func TestTheResolverAnswersAndForwards(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.Set("www.example", addrs("203.0.113.9")...)
	many := addrs("203.0.113.1")
	for addr := many[0]; len(many) < 70; many = append(many, addr) {
		addr = addr.Next()
	}
	l.DNS.Set("many.example", many...)
	start(t, l, "resolver", "127.0.0.1", "-upstream", lab.DNSAddr+":53")
	start(t, l, "resolver", "127.0.0.1:5353")
	start(t, l, "resolver", "[::1]:5354", "-upstream", "203.0.113.53", "-timeout", "100ms")
	for act, want := range map[string]lab.Result{
		"127.0.0.1 a-203-0-113-7.any.example":                         {Addrs: addrs("203.0.113.7")},
		"127.0.0.1 A-203-0-113-7 -proto tcp":                          {Addrs: addrs("203.0.113.7")},
		"127.0.0.1 a-203-0-113-7 -type AAAA":                          {},
		"127.0.0.1 aaaa-2001-db8-1--7.example -type AAAA":             {Addrs: addrs("2001:db8:1::7")},
		"127.0.0.1 aaaa-2001-db8-1-2-3-4-5-6 -type AAAA":              {Addrs: addrs("2001:db8:1:2:3:4:5:6")},
		"127.0.0.1 www.example":                                       {Addrs: addrs("203.0.113.9")},
		"127.0.0.1 www.example -proto tcp -type AAAA":                 {},
		"127.0.0.1 nobody.example":                                    {Status: dns.RcodeNameError},
		"127.0.0.1 a-203-0-113-700.example":                           {Status: dns.RcodeNameError},
		"127.0.0.1 many.example -size 1232":                           {Addrs: many},
		"127.0.0.1:5353 www.example":                                  {Status: dns.RcodeNameError},
		"127.0.0.1:5353 a-203-0-113-7":                                {Addrs: addrs("203.0.113.7")},
		"[::1]:5354 www.example":                                      {Status: dns.RcodeServerFailure},
		"[::1]:5354 www.example -proto tcp":                           {Status: dns.RcodeServerFailure},
		"[::1]:5354 aaaa---1.example -proto tcp -type AAAA -size 512": {Addrs: addrs("::1")},
	} {
		got := host(t, l, append([]string{"ask"}, strings.Fields(act)...)...)
		if got.Outcome != result.OK || got.Status != want.Status || !slices.Equal(got.Addrs, want.Addrs) {
			t.Errorf("%s: got %+v, want %+v", act, got, want)
		}
	}
	var networks []string
	for _, q := range l.DNS.Queries() {
		networks = append(networks, q.Network)
	}
	slices.Sort(networks)
	if !slices.Equal(networks, []string{"tcp", "udp", "udp", "udp", "udp"}) {
		t.Errorf("forwarded: %v", l.DNS.Queries())
	}
}

func TestForgedRepliesArrive(t *testing.T) {
	l := lab.ForTest(t)
	to := netip.MustParseAddrPort("203.0.113.66:5353")
	source := netip.MustParseAddrPort("198.51.100.77:53") // nobody's: the internet would not take a packet from itself
	conn, err := l.Internet.ListenPacket("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	host(t, l, "forge", source.String(), to.String(), "www.example", "203.0.113.9", "-id", "4711", "-count", "3", "-qname", "other.example")
	if got := l.ArrivedFrom(source.Addr()); got != 3 {
		t.Errorf("%d packets arrived from the forged source, want 3", got)
	}
	if got := l.ArrivedAt("udp", to); got != 3 {
		t.Errorf("%d packets arrived, want 3", got)
	}
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	buf := make([]byte, dns.MinMsgSize)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	var reply dns.Msg
	if err := reply.Unpack(buf[:n]); err != nil {
		t.Fatal(err)
	}
	if from.String() != source.String() || reply.Id != 4711 || !reply.Response || !reply.RecursionAvailable {
		t.Errorf("from %s: %v", from, reply.MsgHdr)
	}
	if len(reply.Question) != 1 || reply.Question[0] != (dns.Question{Name: "other.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}) {
		t.Errorf("question %v", reply.Question)
	}
	if len(reply.Answer) != 1 || reply.Answer[0].String() != "www.example.\t60\tIN\tA\t203.0.113.9" {
		t.Errorf("answer %v", reply.Answer)
	}
}
