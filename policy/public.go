package policy

import (
	"net/netip"
	"slices"
)

// NotPublic returns every prefix that _internet_ never opens, whatever the host: masked, sorted,
// none inside another. The caller adds the host's own addresses and Docker's subnets.
//
// It follows the IANA special-purpose registries (RFC 6890 and its updates), the reserved blocks of
// the IANA IPv6 address space, and the spellings of non-public IPv4 addresses under NAT64's
// well-known prefix (RFC 6052) and 6to4 (RFC 3056). Documentation prefixes (RFC 5737, 3849, 9637)
// are not in it: nobody answers there on the internet, and in a laboratory they are the internet.
func NotPublic() []netip.Prefix {
	v4 := notPublic4()
	out := slices.Concat(v4, notPublic6())
	for _, p := range v4 {
		a := p.Addr().As4()
		nat64 := [16]byte{0, 0x64, 0xff, 0x9b, 12: a[0], a[1], a[2], a[3]}
		sixToFour := [16]byte{0x20, 0x02, a[0], a[1], a[2], a[3]}
		out = append(out,
			netip.PrefixFrom(netip.AddrFrom16(nat64), 96+p.Bits()),
			netip.PrefixFrom(netip.AddrFrom16(sixToFour), 16+p.Bits()))
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

func notPublic4() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8",      // this network, RFC 791
		"10.0.0.0/8",     // private, RFC 1918
		"100.64.0.0/10",  // shared by carriers (CGNAT), RFC 6598
		"127.0.0.0/8",    // loopback
		"169.254.0.0/16", // link-local and metadata services, RFC 3927
		"172.16.0.0/12",  // private, RFC 1918
		"192.0.0.0/24",   // IETF protocol assignments, RFC 6890
		"192.88.99.0/24", // 6to4 relays, withdrawn by RFC 7526
		"192.168.0.0/16", // private, RFC 1918
		"198.18.0.0/15",  // benchmarking, RFC 2544
		"224.0.0.0/4",    // multicast
		"240.0.0.0/4",    // reserved, and the limited broadcast
	)
}

// notPublic6 names ::/16 whole because a prefix of mapped addresses alone is none for netip's Contains,
// nor for a ruleset.
func notPublic6() []netip.Prefix {
	return prefixes(
		"::/16",          // reserved; in it unspecified, loopback, IPv4-compatible, -mapped and -translated (RFC 4291, 2765)
		"64:ff9b:1::/48", // NAT64 inside one network, RFC 8215
		"100::/8",        // discard-only and dummy (RFC 6666, RFC 9780); the rest reserved
		"200::/7",        // reserved; overlay networks such as Yggdrasil live there
		"400::/6",        // reserved, as are the others up to 2000::/3
		"800::/5",
		"1000::/4",
		"2001::/23", // IETF protocol assignments, Teredo among them, RFC 2928
		"4000::/2",  // reserved; in it segment routing, 5f00::/16, RFC 9602
		"8000::/2",  // reserved, as are the others up to fc00::/7
		"c000::/3",
		"e000::/4",
		"f000::/5",
		"f800::/6",
		"fc00::/7",  // unique local, RFC 4193
		"fe00::/9",  // reserved
		"fe80::/10", // link-local
		"fec0::/10", // site-local, withdrawn by RFC 3879
		"ff00::/8",  // multicast
	)
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
