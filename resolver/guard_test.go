package resolver

import (
	"net/netip"
	"testing"
)

func TestGuard(t *testing.T) {
	g := Guard{
		Host:   []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10"), netip.MustParseAddr("::ffff:198.51.100.7")},
		Docker: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("2001:db8:d0::/64")},
	}
	tests := map[string]struct{ exact, wild string }{
		"192.0.2.1":            {},
		"203.0.113.5":          {},
		"2001:db8::1":          {},
		"0.0.0.0":              {"unspecified", "unspecified"},
		"0.1.2.3":              {"unspecified", "unspecified"},
		"::":                   {"unspecified", "unspecified"},
		"127.0.0.1":            {"loopback", "loopback"},
		"127.255.0.53":         {"loopback", "loopback"},
		"::1":                  {"loopback", "loopback"},
		"169.254.1.1":          {"link-local", "link-local"},
		"fe80::1":              {"link-local", "link-local"},
		"fe80::1%eth0":         {"link-local", "link-local"},
		"febf::1":              {"link-local", "link-local"},
		"169.254.169.254":      {"metadata", "metadata"},
		"fd00:ec2::254":        {"metadata", "metadata"},
		"224.0.0.1":            {"multicast", "multicast"},
		"239.255.255.250":      {"multicast", "multicast"},
		"ff02::1":              {"multicast", "multicast"},
		"240.0.0.1":            {"reserved", "reserved"},
		"255.255.255.255":      {"reserved", "reserved"},
		"192.0.2.10":           {"host", "host"},
		"198.51.100.7":         {"host", "host"},
		"2001:db8::10":         {"host", "host"},
		"2001:db8::10%eth0":    {"host", "host"},
		"172.17.3.4":           {"docker", "docker"},
		"172.18.3.4":           {"", "private"},
		"2001:db8:d0::5":       {"docker", "docker"},
		"10.1.2.3":             {"", "private"},
		"192.168.1.1":          {"", "private"},
		"100.64.0.1":           {"", "private"},
		"100.127.255.255":      {"", "private"},
		"100.128.0.1":          {},
		"fd12::1":              {"", "private"},
		"fc00::1":              {"", "private"},
		"::ffff:127.0.0.1":     {"loopback", "loopback"},
		"::ffff:a9fe:a9fe":     {"metadata", "metadata"},
		"::ffff:192.0.2.10":    {"host", "host"},
		"::ffff:172.17.0.2":    {"docker", "docker"},
		"::ffff:10.0.0.1":      {"", "private"},
		"::ffff:203.0.113.5":   {},
		"::7f00:1":             {"loopback", "loopback"},
		"::2":                  {"unspecified", "unspecified"},
		"::ffff:0:127.0.0.1":   {"loopback", "loopback"},
		"64:ff9b::127.0.0.1":   {"loopback", "loopback"},
		"64:ff9b::a9fe:a9fe":   {"metadata", "metadata"},
		"64:ff9b::224.0.0.1":   {"multicast", "multicast"},
		"64:ff9b::192.0.2.10":  {"host", "host"},
		"64:ff9b::172.17.0.2":  {"docker", "docker"},
		"64:ff9b::10.0.0.1":    {"", "private"},
		"64:ff9b::0.0.0.0":     {"unspecified", "unspecified"},
		"64:ff9b::203.0.113.5": {},
		"2002:7f00:1::":        {"loopback", "loopback"},
		"2002:a9fe:a9fe::1":    {"metadata", "metadata"},
		"2002:c000:20a::1":     {"host", "host"},
		"2002:ac11:2::1":       {"docker", "docker"},
		"2002:c0a8:101::1":     {"", "private"},
		"2002:cb00:7105::1":    {},
		// RFC 8215, with translation prefixes of 96, 64, 56 and 48 bits (RFC 6052 section 2.2)
		"64:ff9b:1::127.0.0.1":      {"loopback", "loopback"},
		"64:ff9b:1:2:3:4:127.0.0.1": {"loopback", "loopback"},
		"64:ff9b:1:0:7f:0:100:0":    {"loopback", "loopback"},
		"64:ff9b:1:7f:0:1::":        {"loopback", "loopback"},
		"64:ff9b:1:7f00:0:100::":    {"loopback", "loopback"},
		"64:ff9b:1:7f00:0:100::5":   {"loopback", "loopback"},
		"64:ff9b:1:a9fe:a9:fe00::":  {"metadata", "metadata"},
		"64:ff9b:1::10.0.0.1":       {"", "private"},
		"64:ff9b:1::203.0.113.5":    {},
		"64:ff9b:1:0:cb:71:500:0":   {},
		"64:ff9b:1:cb00:71:500::":   {},
		"64:ff9b:1::":               {"unspecified", "unspecified"},
		"64:ff9b:2::127.0.0.1":      {}, // not a translator's
		"2001:db8::127.0.0.1":       {},
		"2606:4700::7f00:1":         {},
		"64:ff9b:0:0:0:1:127.0.0.1": {},
		"fd00:ec2::255":             {"", "private"},
		"fec0::1":                   {},
		"169.253.255.255":           {},
		"1.0.0.1":                   {},
		"223.255.255.255":           {},
		"2001:db8:d0:1::5":          {},
		"::ffff:0:203.0.113.5":      {},
		"::203.0.113.5":             {},
	}
	for text, want := range tests {
		addr := netip.MustParseAddr(text)
		if got := g.Refuse(addr, "", false); got != want.exact {
			t.Errorf("%s for an exact name: %q, want %q", text, got, want.exact)
		}
		if got := g.Refuse(addr, "", true); got != want.wild {
			t.Errorf("%s for a wildcard: %q, want %q", text, got, want.wild)
		}
	}
	if got := g.Refuse(netip.Addr{}, "", false); got != "reserved" {
		t.Errorf("no address: %q", got)
	}
}

func FuzzGuard(f *testing.F) {
	f.Add([]byte{0, 0x64, 0xff, 0x9b, 0, 1, 127, 0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		exact, wild := Guard{}.Refuse(addr, "", false), Guard{}.Refuse(addr, "", true)
		if exact != "" && wild == "" {
			t.Errorf("%s: refused for an exact name (%s), not for a wildcard", addr, exact)
		}
	})
}

func TestPrivateZonesOpenPrivateRangesToWildcardsOnly(t *testing.T) {
	g := Guard{Private: []string{"corp.example"}, Docker: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}}
	for name, test := range map[string]struct{ name, addr, want string }{
		"below the zone":                  {"db.corp.example", "10.0.0.1", ""},
		"the zone itself":                 {"corp.example", "10.0.0.1", ""},
		"shared addresses":                {"db.corp.example", "100.64.0.1", ""},
		"local addresses of IPv6":         {"db.corp.example", "fd12::1", ""},
		"a name that only ends like it":   {"evilcorp.example", "10.0.0.1", reasonPrivate},
		"another zone":                    {"www.example.org", "10.0.0.1", reasonPrivate},
		"what is Docker's stays closed":   {"db.corp.example", "172.17.0.9", reasonDocker},
		"link-local addresses stay so":    {"db.corp.example", "169.254.1.1", reasonLinkLocal},
		"the metadata service stays so":   {"db.corp.example", "169.254.169.254", reasonMetadata},
		"loopback addresses stay so, too": {"db.corp.example", "127.0.0.1", reasonLoopback},
	} {
		if got := g.Refuse(netip.MustParseAddr(test.addr), test.name, true); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
