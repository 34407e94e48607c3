package lab_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// fresh answers for n0, n1, ... with an address of its own for each.
func fresh(name string) lab.Answer {
	var i int
	if _, err := fmt.Sscanf(name, "n%d.", &i); err != nil {
		return lab.Answer{Rcode: dns.RcodeServerFailure}
	}
	v4 := netip.MustParsePrefix(lab.FarNetC).Addr().As4()
	v4[2], v4[3] = byte(i/200), byte(1+i%200)
	v6 := netip.MustParsePrefix(lab.FarNet6).Addr().As16()
	v6[14], v6[15] = v4[2], v4[3]
	return lab.Answer{TTL: 60, Addrs: []netip.Addr{netip.AddrFrom4(v4), netip.AddrFrom16(v6)}}
}

// reached is how many addresses of a prefix something arrived at.
func reached(t *testing.T, l *lab.Lab, prefix string) int {
	t.Helper()
	flows, err := l.Flows()
	if err != nil {
		t.Fatal(err)
	}
	found := map[netip.Addr]bool{}
	for _, f := range flows {
		if netip.MustParsePrefix(prefix).Contains(f.Destination) {
			found[f.Destination] = true
		}
	}
	return len(found)
}

func TestContactsReachFreshNames(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.SetBelow("fresh.example", fresh)
	if err := l.SetResolvConf("search example\noptions ndots:9\nnameserver " + lab.DNSAddr + "\n"); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for act, c := range map[string]struct {
		count   int
		network string
	}{
		"-count 200 -parallel 20":                                 {200, lab.FarNetC},
		"-start 12000 -port 443":                                  {1, lab.FarNetC},
		"-count 300 -parallel 300 -start 20000 -port 7":           {300, lab.FarNetC},
		"-count 50 -parallel 9 -family 6 -start 300 -timeout 1ms": {50, lab.FarNet6},
	} {
		want[c.network] += c.count
		r := host(t, l, append([]string{"contacts", "fresh.example"}, strings.Fields(act)...)...)
		t.Logf("%s: %+v", act, r)
		if r.Outcome != result.OK || r.Sent != c.count || r.Received != c.count || r.Unresolved != 0 {
			t.Errorf("%s: %+v", act, r)
		}
		if r.DNSP50 <= 0 || r.DNSP99 < r.DNSP50 || r.ConnectP50 <= 0 || r.ConnectP99 < r.ConnectP50 {
			t.Errorf("%s: times %+v", act, r.Contacts)
		}
	}
	for network, count := range want {
		if got := reached(t, l, network); got != count {
			t.Errorf("%d addresses of %s were reached, want %d", got, network, count)
		}
	}
	asked := map[lab.Query]int{}
	for _, q := range l.DNS.Queries() {
		asked[lab.Query{Name: q.Name, Type: q.Type}]++
		if !strings.HasSuffix(q.Name, ".fresh.example") || strings.Count(q.Name, ".") != 2 {
			t.Errorf("asked for %s", q)
		}
	}
	if len(asked) != want[lab.FarNetC]+want[lab.FarNet6] {
		t.Errorf("%d questions, want one for each name: %v", len(asked), asked)
	}
}

func TestContactsSayWhatWentWrong(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.SetBelow("fresh.example", fresh)
	l.DNS.SetBelow("half.example", func(name string) lab.Answer {
		if strings.HasPrefix(name, "n1.") {
			return lab.Answer{}
		}
		return fresh(name)
	})
	for act, want := range map[string]lab.Result{
		"nobody.example -count 3 -parallel 2":   {Outcome: result.NoName, Sent: 3, Contacts: result.Contacts{Unresolved: 3}},
		"half.example -count 3":                 {Outcome: result.NoName, Sent: 3, Received: 2, Contacts: result.Contacts{Unresolved: 1}},
		"fresh.example -count 3 -port 81":       {Outcome: result.Refused, Sent: 3},
		"fresh.example -count 3 -family 5":      {Outcome: result.Failed},
		"fresh.example -count 3 -parallel 0":    {Outcome: result.Failed},
		"fresh.example -count -3":               {Outcome: result.Failed},
		"fresh.example -count 0 -parallel 1000": {Outcome: result.OK},
	} {
		got := host(t, l, append([]string{"contacts"}, strings.Fields(act)...)...)
		if got.Outcome != want.Outcome || got.Sent != want.Sent || got.Received != want.Received || got.Unresolved != want.Unresolved {
			t.Errorf("%s: got %+v, want %+v", act, got, want)
		}
	}
}

// The host's own firewall loses the first packet to each address, then the address is known.
func TestContactsCountThoseThatAreLate(t *testing.T) {
	l := lab.ForTest(t)
	l.DNS.SetBelow("fresh.example", fresh)
	lab.Nft(t, l.Host, `table ip loss {
		set known { type ipv4_addr; flags dynamic; size 1000; }
		chain out {
			type filter hook output priority 0;
			ip daddr != 198.18.1.0/24 accept
			ip daddr @known accept
			add @known { ip daddr } drop
		}
	}`, "-f", "-")
	r := host(t, l, "contacts", "fresh.example", "-count", "12", "-start", "195", "-parallel", "12")
	if r.Outcome != result.OK || r.Received != 12 || r.Late != 7 || r.Retransmits != 7 || r.ConnectP99 < 900 || r.ConnectP50 < 900 {
		t.Errorf("%+v", r)
	}
}
