package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// fresh makes every name "n<i>" below suffix mean an address of its own in 198.18.0.0/16 and one in 2001:db8:1:f::/64.
func fresh(d *lab.DNS, suffix string) {
	d.SetBelow(suffix, func(name string) lab.Answer {
		n, _ := strconv.Atoi(strings.TrimPrefix(strings.SplitN(name, ".", 2)[0], "n"))
		return lab.Answer{TTL: 60, Addrs: []netip.Addr{freshAddr(n), netip.MustParseAddr(fmt.Sprintf("2001:db8:1:f::%x", n+1))}}
	})
}

func freshAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}) }

// contacts has a container connect to n names below suffix that nobody asked for before, at addresses that no name had
// before, 50 at once, and fails if one first packet of them was lost.
func (b *box) contacts(t *testing.T, suffix string, n int, more ...string) {
	t.Helper()
	before := b.w.scrape(t)
	first := b.w.contacted + 10000
	b.w.contacted += n
	args := []string{"contacts", suffix, "-count", strconv.Itoa(n), "-start", strconv.Itoa(first), "-parallel", "50"}
	r, err := b.Probe(t.Context(), append(args, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	scrape := b.w.scrape(t)
	rise := func(family string, labels ...string) float64 {
		return scrape.sum(family, labels...) - before.sum(family, labels...)
	}
	learned := rise("dockerwall_dns_responses_total", "result=learned")
	t.Logf("%d of %d connected, %d SYN retransmissions, %d unresolved; DNS p50 %.2f ms p99 %.2f ms; %.0f answers learned from",
		r.Received, r.Sent, r.Retransmits, r.Unresolved, r.DNSP50, r.DNSP99, learned)
	if r.Outcome != result.OK || r.Received != n || r.Retransmits != 0 {
		t.Errorf("%+v", r)
	}
	if learned < float64(n) || learned > 2*float64(n) { // an answer is held once; the probe may ask again
		t.Errorf("%d contacts, %.0f answers learned from", n, learned)
	}
	if late := rise("dockerwall_dns_hold_timeouts_total"); late > 0 {
		t.Errorf("%.0f answers went on before they were committed", late)
	}
}

func TestFirstContactsLoseNoPacket(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	d := w.start(t, "DOCKERWALL_DEFAULT_OUTBOUND=*.default.fresh.example")
	d.says(t, "DNS answers are learned from", "mode=")
	label := map[string]string{"dockerwall.outbound": "*.fresh.example:80/tcp"}
	t.Run("user-defined network", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web, Labels: label}).contacts(t, "user.fresh.example", 2000)
	})
	t.Run("default bridge", func(t *testing.T) {
		w.run(t, lab.RunSpec{Labels: label}).contacts(t, "bridge.fresh.example", 2000)
	})
	t.Run("--dns", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web, Labels: label, Args: []string{"--dns=" + lab.DNSAddr}}).contacts(t, "own.fresh.example", 2000)
	})
	t.Run("IPv6", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web, Labels: label}).contacts(t, "six.fresh.example", 300, "-family", "6")
	})
	t.Run("DEFAULT_OUTBOUND", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web}).contacts(t, "default.fresh.example", 300)
	})
	t.Run("a name asked of the resolver over tcp", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label})
		for i, pieces := range []int{0, 1, 7} { // of each write; 0 is the message whole
			name := fmt.Sprintf("n%d.tcp.fresh.example", 3000+i)
			w.DNS.SetAnswer(name, lab.Answer{Addrs: []netip.Addr{freshAddr(3000 + i)}, TTL: 60, Pieces: pieces})
			b.asks(t, name, "-proto", "tcp")
			b.connectsAtOnce(t, freshAddr(3000+i))
		}
	})
	t.Run("an answer of 4 KiB, in fragments", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label})
		addrs := make([]netip.Addr, 60) // of one family 64 are taken
		for i := range addrs {
			addrs[i] = freshAddr(4000 + i)
		}
		w.DNS.SetAnswer("big.fresh.example", lab.Answer{Addrs: addrs, CNAMEs: []string{strings.Repeat("a.", 110) + "fresh.example"}, TTL: 60})
		b.asks(t, "big.fresh.example", "-size", "4096")
		b.connectsAtOnce(t, addrs[0], addrs[59])
	})
	t.Run("the hints of an HTTPS record", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label})
		w.DNS.SetAnswer("hint.fresh.example", lab.Answer{HTTPS: []netip.Addr{freshAddr(5000)}, TTL: 60})
		b.asks(t, "hint.fresh.example", "-type", "HTTPS")
		b.connectsAtOnce(t, freshAddr(5000))
	})
	t.Run("a name behind an alias of another zone", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label})
		w.DNS.SetAnswer("www.shop.example", lab.Answer{CNAMEs: []string{"shop.fresh.example", "pop.cdn.example"}, Addrs: []netip.Addr{freshAddr(5001)}, TTL: 60})
		b.asks(t, "www.shop.example")
		b.connectsAtOnce(t, freshAddr(5001))
		w.DNS.SetAnswer("www.tcp.example", lab.Answer{CNAMEs: []string{"tcp.fresh.example"}, Addrs: []netip.Addr{freshAddr(5002)}, TTL: 60})
		w.DNS.Set("tcp.fresh.example", freshAddr(5002)) // for the question that the daemon asks itself
		b.asks(t, "www.tcp.example", "-proto", "tcp")
		b.connectsAtOnce(t, freshAddr(5002))
	})
	w.drained(t)
}

// asks puts one question to the lab's resolver, straight.
func (b *box) asks(t *testing.T, name string, more ...string) lab.Result {
	t.Helper()
	r, err := b.Probe(t.Context(), append([]string{"ask", lab.DNSAddr + ":53", name}, more...)...)
	if err != nil || r.Outcome != result.OK || len(r.Addrs) == 0 {
		t.Errorf("ask for %s: %+v, %v", name, r, err)
	}
	return r
}

// connectsAtOnce fails if the first packet to any of the addresses is lost.
func (b *box) connectsAtOnce(t *testing.T, addrs ...netip.Addr) {
	t.Helper()
	for _, a := range addrs {
		if r := b.try(t.Context(), act("tcp "+netip.AddrPortFrom(a, 80).String())); r.Outcome != result.OK || r.Retransmits != 0 {
			t.Errorf("%s: %+v", a, r)
		}
	}
}

// drained fails unless no packet is left in the queue.
func (w *world) drained(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if n := w.scrape(t).sum("dockerwall_dns_queue_packets"); n != 0 {
			return fmt.Errorf("%.0f packets wait in the queue", n)
		}
		return nil
	})
}

func TestFirstContactsThroughAResolverOnTheHost(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	if err := w.SetResolvConf("nameserver 127.0.0.1\n"); err != nil {
		t.Fatal(err)
	}
	d, err := w.NewHostDNS(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(otherGate))
	if err != nil {
		t.Fatal(err)
	}
	fresh(d, "fresh.example")
	w.start(t)
	label := map[string]string{"dockerwall.outbound": "*.fresh.example"}
	t.Run("on loopback", func(t *testing.T) {
		w.run(t, lab.RunSpec{Network: web, Labels: label}).contacts(t, "lo.fresh.example", 2000)
	})
	t.Run("on the gateway of its network", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: other, Labels: label, Args: []string{"--dns=" + otherGate}})
		b.reaches(t, act("udp "+otherGate+":53")) // once it is known that the container asks there
		b.contacts(t, "gate.fresh.example", 2000)
	})
}

// TestFirstContactsThroughAStub has the host's resolver ask another in turn: only the answer that goes to Docker is held.
func TestFirstContactsThroughAStub(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.stub(t)
	if err := w.WriteFile("/run/systemd/resolve/resolv.conf", "nameserver "+lab.DNSAddr+"\n"); err != nil {
		t.Fatal(err)
	}
	fresh(w.DNS, "fresh.example")
	w.start(t)
	b := w.labelled(t, "*.fresh.example")
	before := w.scrape(t).held()
	b.contacts(t, "stub.fresh.example", 200)
	asked := len(w.DNS.Queries())
	if held := w.scrape(t).held() - before; held > uint64(asked) {
		t.Errorf("%d answers held for %d questions that the upstream server got", held, asked)
	}
}

// held is how many answers waited so far.
func (s scrape) held() uint64 {
	return s["dockerwall_dns_hold_duration_seconds"].GetMetric()[0].GetHistogram().GetSampleCount()
}

// TestFirstContactsThroughAResolverInAContainer is Pi-hole's way: a container that answers on a port of the host.
func TestFirstContactsThroughAResolverInAContainer(t *testing.T) {
	t.Run("this machine's Engine", func(t *testing.T) { resolverInAContainer(t, lab.DockerOptions{}) })
	t.Run("the newest Engine", func(t *testing.T) { resolverInAContainer(t, lab.DockerOptions{Newest: true}) })
}

func resolverInAContainer(t *testing.T, options lab.DockerOptions) {
	w := newWorld(t, options)
	fresh(w.DNS, "fresh.example")
	const server = "172.30.2.53"
	w.run(t, lab.RunSpec{
		Network: other, Args: []string{"--ip=" + server, "-p", lab.HostAddr + ":53:53/udp", "-p", lab.HostAddr + ":53:53/tcp"},
		Cmd: []string{"resolver", ":53", "-upstream", lab.DNSAddr + ":53"},
	})
	label := map[string]string{"dockerwall.outbound": "*.fresh.example"}
	spec := lab.RunSpec{Network: web, Labels: label, Args: []string{"--dns=" + lab.HostAddr}}
	// The resolver's own network is free: what is learned is learned from its answers, not from those it gets.
	w.start(t, "GATEWAY_NETWORKS=!"+other, "DOCKERWALL_RESOLVERS="+server)
	b := w.run(t, spec)
	b.reaches(t, act("udp "+lab.HostAddr+":53"))
	r, err := b.Probe(t.Context(), "contacts", "named.fresh.example", "-count", "2000", "-parallel", "50")
	if err != nil || r.Outcome != result.OK || r.Retransmits != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFirstContactsOnTheNewestEngine(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{Newest: true})
	version, err := w.engine.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Docker %s", version)
	fresh(w.DNS, "fresh.example")
	w.start(t)
	label := map[string]string{"dockerwall.outbound": "*.fresh.example"}
	t.Run("user-defined network, asked from the host's namespace", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label})
		b.isToldOf(t, "host("+lab.DNSAddr+")")
		b.contacts(t, "user.fresh.example", 2000)
	})
	t.Run("--dns, asked from the container's", func(t *testing.T) {
		b := w.run(t, lab.RunSpec{Network: web, Labels: label, Args: []string{"--dns=" + lab.DNSAddr}})
		b.isToldOf(t, "["+lab.DNSAddr+"]")
		b.contacts(t, "own.fresh.example", 2000)
	})
	t.Run("default bridge", func(t *testing.T) {
		w.run(t, lab.RunSpec{Labels: label}).contacts(t, "bridge.fresh.example", 2000)
	})
	w.drained(t)
}

// isToldOf fails unless the Engine's note in the container's resolv.conf names the server so.
func (b *box) isToldOf(t *testing.T, server string) {
	t.Helper()
	path, err := b.Inspect(t.Context(), "{{.ResolvConfPath}}")
	if err != nil {
		t.Fatal(err)
	}
	if text := b.w.read(t, path); !strings.Contains(text, "ExtServers") || !strings.Contains(text, server) {
		t.Errorf("the Engine does not ask %s:\n%s", server, text)
	}
}

// read is a file of the host.
func (w *world) read(t *testing.T, path string) string {
	t.Helper()
	out, err := w.HostCommand(context.WithoutCancel(t.Context()), "cat", path).Output()
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return string(out)
}
