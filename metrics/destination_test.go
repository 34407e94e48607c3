package metrics

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTargets(t *testing.T) {
	named := func(names ...string) Denied {
		return Denied{Dst: netip.MustParseAddr("198.51.100.9"), Proto: protoTCP, Port: 443, Names: names}
	}
	v6 := Denied{Dst: netip.MustParseAddr("2001:db8:1:2:3::9"), Proto: protoUDP, Port: 1025}
	tests := map[string]struct {
		by      Destination
		denied  Denied
		want    target
		domains string
	}{
		"address":              {ByIP, named(), target{"198.51.100.9", "443", "tcp"}, ""},
		"names sorted":         {ByIP, named("b.example.com", "a.example.com"), target{"198.51.100.9", "443", "tcp"}, "a.example.com,b.example.com"},
		"three names":          {ByIP, named("d", "b", "a", "c", "a"), target{"198.51.100.9", "443", "tcp"}, "a,b,c"},
		"hostile name":         {ByIP, named("a\n\xff\x1b[1m\"\\.example.com"), target{"198.51.100.9", "443", "tcp"}, `a[1m"\.example.com`},
		"high port":            {ByIP, v6, target{"2001:db8:1:2:3::9", ">1024", "udp"}, ""},
		"port 1024":            {ByIP, Denied{Dst: v6.Dst, Proto: protoSCTP, Port: 1024}, target{"2001:db8:1:2:3::9", "1024", "sctp"}, ""},
		"mapped":               {ByIP, Denied{Dst: netip.MustParseAddr("::ffff:192.0.2.1"), Proto: protoICMP}, target{"192.0.2.1", "0", "icmp"}, ""},
		"icmpv6":               {ByIP, Denied{Dst: v6.Dst, Proto: protoICMPv6, Port: 77}, target{"2001:db8:1:2:3::9", "0", "icmpv6"}, ""},
		"a number":             {ByIP, Denied{Dst: v6.Dst, Proto: 47, Port: 9}, target{"2001:db8:1:2:3::9", "0", "47"}, ""},
		"prefix of v4":         {ByPrefix, named("a.example.com"), target{"198.51.100.0/24", "443", "tcp"}, ""},
		"prefix of v6":         {ByPrefix, v6, target{"2001:db8:1:2::/64", ">1024", "udp"}, ""},
		"domain":               {ByDomain, named("x.y.example.co.uk"), target{"example.co.uk", "443", "tcp"}, ""},
		"no name":              {ByDomain, v6, target{"unknown", ">1024", "udp"}, ""},
		"a public suffix only": {ByDomain, named("co.uk"), target{"unknown", "443", "tcp"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := tt.by.targetOf(tt.denied)
			if domains := tt.by.domains(tt.denied); !ok || got != tt.want || domains != tt.domains {
				t.Errorf("got %v %q, %v; want %v %q", got, domains, ok, tt.want, tt.domains)
			}
		})
	}
	if _, ok := ByNone.targetOf(v6); ok {
		t.Error("none has a series")
	}
	if _, ok := ByIP.targetOf(Denied{}); ok {
		t.Error("no address has a series")
	}
}

func TestParseDestination(t *testing.T) {
	for _, s := range []string{"ip", "domain", "prefix", "none"} {
		if d, err := ParseDestination(s); err != nil || string(d) != s {
			t.Errorf("%q: %q, %v", s, d, err)
		}
	}
	if d, err := ParseDestination(""); err != nil || d != ByIP {
		t.Errorf("empty: %q, %v", d, err)
	}
	if _, err := ParseDestination("IP"); err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("IP: %v", err)
	}
}

// FuzzLabel: whatever a name is, it is a valid and bounded label value.
func FuzzLabel(f *testing.F) {
	f.Add("example.com")
	f.Add("\x00\xff" + strings.Repeat("ä", 200))
	f.Fuzz(func(t *testing.T, s string) {
		if got := label(s); !utf8.ValidString(got) || len(got) > maxLabel || strings.ContainsAny(got, "\n\x00\x1b") {
			t.Errorf("%q became %q", s, got)
		}
	})
}
