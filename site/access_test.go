package site

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func prefixes(list ...string) []netip.Prefix {
	out := []netip.Prefix{}
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestWhoMaySeeTheStatus(t *testing.T) {
	docker := prefixes("172.16.0.0/12", "2001:db8:c::/48", "192.0.2.7/32")
	tests := map[string]struct {
		peer, local, host string
		allow             []netip.Prefix
		unknown           bool // nobody knows where containers are
		want              Verdict
	}{
		"the host itself":                            {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost:50000", want: Welcome},
		"by address":                                 {peer: "127.0.0.1", local: "127.0.0.1", host: "127.0.0.1:50000", want: Welcome},
		"by IPv6":                                    {peer: "::1", local: "::1", host: "[::1]:50000", want: Welcome},
		"without a port":                             {peer: "::1", local: "::1", host: "[::1]", want: Welcome},
		"in capitals":                                {peer: "127.0.0.1", local: "127.0.0.1", host: "LocalHost", want: Welcome},
		"through a tunnel on another port":           {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost:8080", want: Welcome},
		"mapped, as a dual-stack socket has it":      {peer: "::ffff:127.0.0.1", local: "::ffff:127.0.0.1", host: "127.0.0.1", want: Welcome},
		"while nobody knows where containers are":    {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost", unknown: true, want: Welcome},
		"a name that resolves to 127.0.0.1":          {peer: "127.0.0.1", local: "127.0.0.1", host: "evil.example:50000", want: WrongHost},
		"a name that begins like it":                 {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost.evil.example", want: WrongHost},
		"a name below it":                            {peer: "127.0.0.1", local: "127.0.0.1", host: "x.localhost", want: WrongHost},
		"a rooted name":                              {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost.", want: WrongHost},
		"no host":                                    {peer: "127.0.0.1", local: "127.0.0.1", host: "", want: WrongHost},
		"another's address":                          {peer: "127.0.0.1", local: "127.0.0.1", host: "198.51.100.1", want: WrongHost},
		"an address spelled otherwise":               {peer: "127.0.0.1", local: "127.0.0.1", host: "0x7f000001", want: WrongHost},
		"two hosts":                                  {peer: "127.0.0.1", local: "127.0.0.1", host: "localhost, evil.example", want: WrongHost},
		"somebody on the LAN":                        {peer: "198.51.100.9", local: "198.51.100.1", host: "198.51.100.1:50000", want: Stranger},
		"who is allowed":                             {peer: "198.51.100.9", local: "198.51.100.1", host: "198.51.100.1:50000", allow: prefixes("198.51.100.0/24"), want: Welcome},
		"who is allowed, mapped":                     {peer: "::ffff:198.51.100.9", local: "::ffff:198.51.100.1", host: "198.51.100.1", allow: prefixes("198.51.100.0/24"), want: Welcome},
		"who is allowed, by IPv6":                    {peer: "2001:db8::9", local: "2001:db8::1", host: "[2001:db8::1]:50000", allow: prefixes("2001:db8::/64"), want: Welcome},
		"who is allowed, by a name":                  {peer: "198.51.100.9", local: "198.51.100.1", host: "nas.example", allow: prefixes("198.51.100.0/24"), want: WrongHost},
		"who is allowed, by localhost":               {peer: "198.51.100.9", local: "198.51.100.1", host: "localhost", allow: prefixes("198.51.100.0/24"), want: WrongHost},
		"who is allowed, by another address":         {peer: "198.51.100.9", local: "198.51.100.1", host: "127.0.0.1", allow: prefixes("198.51.100.0/24"), want: WrongHost},
		"who is beside what is allowed":              {peer: "198.51.101.9", local: "198.51.100.1", host: "198.51.100.1", allow: prefixes("198.51.100.0/24"), want: Stranger},
		"who is allowed, while nobody knows":         {peer: "198.51.100.9", local: "198.51.100.1", host: "198.51.100.1", allow: prefixes("0.0.0.0/0"), unknown: true, want: Stranger},
		"a container":                                {peer: "172.17.0.2", local: "172.17.0.1", host: "172.17.0.1:50000", want: Refused},
		"a container, though all are allowed":        {peer: "172.17.0.2", local: "172.17.0.1", host: "172.17.0.1:50000", allow: prefixes("0.0.0.0/0", "::/0"), want: Refused},
		"a container, mapped":                        {peer: "::ffff:172.17.0.2", local: "172.17.0.1", host: "172.17.0.1", allow: prefixes("0.0.0.0/0", "::/0"), want: Refused},
		"a container by IPv6":                        {peer: "2001:db8:c::2", local: "2001:db8:c::1", host: "[2001:db8:c::1]", allow: prefixes("::/0"), want: Refused},
		"a container outside its subnet":             {peer: "192.0.2.7", local: "192.0.2.1", host: "192.0.2.1", allow: prefixes("192.0.2.0/24"), want: Refused},
		"a link-local address":                       {peer: "fe80::42%docker0", local: "fe80::1%docker0", host: "[fe80::1]", allow: prefixes("::/0"), want: Refused},
		"a link-local address, while nobody knows":   {peer: "fe80::42%docker0", local: "fe80::1%docker0", host: "[fe80::1]", unknown: true, want: Refused},
		"a container that says it asks the loopback": {peer: "172.17.0.2", local: "172.17.0.1", host: "localhost", want: Refused},
		"nobody": {host: "localhost", want: Refused},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := Access{tt.allow, docker}
			if tt.unknown {
				a.Managed = nil
			}
			if got := a.Decide(Visit{addr(tt.peer), addr(tt.local), tt.host}); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestContainersNeverSeeTheStatus draws peers inside of what is managed, in every spelling, and Hosts as they like.
func TestContainersNeverSeeTheStatus(t *testing.T) {
	anAddr := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))).Unmap()
	})
	aPrefix := rapid.Custom(func(t *rapid.T) netip.Prefix {
		a := anAddr.Draw(t, "address")
		return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits")).Masked()
	})
	rapid.Check(t, func(t *rapid.T) {
		peer, local := anAddr.Draw(t, "peer"), anAddr.Draw(t, "local")
		own := netip.PrefixFrom(peer, rapid.IntRange(0, peer.BitLen()).Draw(t, "bits")).Masked()
		access := Access{
			Allow:   append(rapid.SliceOf(aPrefix).Draw(t, "allow"), prefixes("0.0.0.0/0", "::/0")...),
			Managed: append(rapid.SliceOf(aPrefix).Draw(t, "managed"), own),
		}
		host := rapid.OneOf(rapid.Just("localhost"), rapid.Just(local.String()), rapid.Just("["+local.String()+"]:50000"), rapid.String()).Draw(t, "host")
		spelled := peer
		switch {
		case peer.Is4() && rapid.Bool().Draw(t, "mapped"):
			spelled = netip.AddrFrom16(peer.As16())
		case peer.Is6() && rapid.Bool().Draw(t, "zoned"):
			spelled = peer.WithZone("eth0")
		}
		if got := access.Decide(Visit{spelled, local, host}); got != Refused {
			t.Fatalf("%v", got)
		}
	})
}

func TestParseAllow(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []netip.Prefix
		bad  bool
	}{
		"nothing":                    {text: " , "},
		"prefixes and addresses":     {text: "192.0.2.0/24, 2001:db8::/32 ,198.51.100.7,2001:db8::7", want: prefixes("192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "2001:db8::7/128")},
		"everybody":                  {text: "0.0.0.0/0", want: prefixes("0.0.0.0/0")},
		"an address in a prefix":     {text: "192.0.2.7/24", bad: true},
		"a mapped prefix":            {text: "::ffff:192.0.2.0/120", bad: true},
		"a mapped address":           {text: "::ffff:192.0.2.1", bad: true},
		"a zone":                     {text: "fe80::1%eth0", bad: true},
		"a name":                     {text: "nas.example", bad: true},
		"one of two is not readable": {text: "192.0.2.0/24,x", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseAllow(tt.text)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" || tt.bad != (err != nil) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
