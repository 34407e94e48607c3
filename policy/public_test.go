package policy

import (
	"net/netip"
	"slices"
	"testing"
)

func TestNotPublic(t *testing.T) {
	tests := map[string]bool{ // address: opened by _internet_
		"8.8.8.8": true, "1.1.1.1": true, "100.128.0.1": true, "172.32.0.1": true, "2606:4700::1111": true, "2a00:1450::1": true,
		"192.0.2.7": true, "198.51.100.7": true, "203.0.113.7": true, "2001:db8::1": true, // documentation
		"64:ff9b::8.8.8.8": true, "2002:808:808::1": true, "2001:200::1": true,
		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "169.254.169.254": false, "172.31.255.255": false,
		"192.0.0.8": false, "192.168.1.1": false, "198.19.0.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "::7f00:1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fec0::1": false, "ff02::1": false,
		"100::1": false, "200::1": false, "5f00::1": false, "8000::1": false, "fe00::1": false, "2001::1": false,
		"::ffff:10.0.0.1": false, "::ffff:0:10.0.0.1": false,
		"64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b:1::1": false, "2002:7f00:1::1": false, "2002:c0a8:101::1": false,
	}
	for text, want := range tests {
		a := netip.MustParseAddr(text)
		if got := !slices.ContainsFunc(NotPublic(), func(p netip.Prefix) bool { return p.Contains(a) }); got != want {
			t.Errorf("%s is public: %v", text, got)
		}
	}
}

func TestNotPublicIsDisjoint(t *testing.T) {
	all := NotPublic()
	for i, p := range all {
		if p != p.Masked() {
			t.Errorf("%v has host bits", p)
		}
		for _, q := range all[i+1:] {
			if p.Overlaps(q) {
				t.Errorf("%v and %v overlap", p, q)
			}
		}
	}
}
