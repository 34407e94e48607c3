package resolver

import (
	"net/netip"
	"slices"
	"strings"
)

// Why an address is one that no answer may open; also the values of a metric's label.
const (
	reasonLoopback    = "loopback"
	reasonLinkLocal   = "link-local"
	reasonMetadata    = "metadata"
	reasonMulticast   = "multicast"
	reasonUnspecified = "unspecified"
	reasonReserved    = "reserved"
	reasonHost        = "host"
	reasonDocker      = "docker"
	reasonPrivate     = "private"
)

// Guard knows the addresses that no DNS answer may open, whatever name it is for: an answer is the word
// of whoever runs the zone. Literal addresses in a policy are consent and never come here.
type Guard struct {
	Host   []netip.Addr   // every address of this host
	Docker []netip.Prefix // the subnets of Docker's networks
	// Private are zones, as names: for them and what is below, wildcards may open private ranges.
	Private []string
}

// Refuse says why addr must not be opened by an answer about name, "" when it may. wild means that only a wildcard
// asks for it: private ranges (RFC 1918, RFC 6598, RFC 4193) are fine for an exact name only, or in zones of Private.
// Addresses that embed an IPv4 address are judged by both: IPv4-mapped and -compatible (RFC 4291), SIIT (RFC 7915), NAT64
// (RFC 6052, RFC 8215), 6to4 (RFC 3056).
func (g Guard) Refuse(addr netip.Addr, name string, wild bool) (reason string) {
	addr = addr.WithZone("").Unmap()
	wild = wild && !g.private(name)
	if !addr.IsValid() {
		return reasonReserved
	}
	if reason := g.refuse(addr, wild); reason != "" || addr.Is4() {
		return reason
	}
	for _, v4 := range embedded(addr) {
		if reason := g.refuse(v4, wild); reason != "" {
			return reason
		}
	}
	return ""
}

// private says whether name is in a zone of Private.
func (g Guard) private(name string) bool {
	return slices.ContainsFunc(g.Private, func(zone string) bool {
		return name == zone || strings.HasSuffix(name, "."+zone)
	})
}

// refuse judges one spelling.
func (g Guard) refuse(addr netip.Addr, wild bool) string {
	switch {
	case addr.IsLoopback():
		return reasonLoopback
	case isMetadata(addr):
		return reasonMetadata
	case addr.IsLinkLocalUnicast():
		return reasonLinkLocal
	case addr.IsMulticast():
		return reasonMulticast
	case addr.IsUnspecified(), addr.Is4() && addr.As4()[0] == 0:
		return reasonUnspecified
	case addr.Is4() && addr.As4()[0] >= 240:
		return reasonReserved
	case slices.ContainsFunc(g.Host, func(h netip.Addr) bool { return h.WithZone("").Unmap() == addr }):
		return reasonHost
	case slices.ContainsFunc(g.Docker, func(p netip.Prefix) bool { return p.Contains(addr) }):
		return reasonDocker
	case wild && (addr.IsPrivate() || isShared(addr)):
		return reasonPrivate
	}
	return ""
}

// isMetadata knows the clouds' instance metadata services: 169.254.169.254 and, at EC2, fd00:ec2::254.
func isMetadata(addr netip.Addr) bool {
	return addr == netip.AddrFrom4([4]byte{169, 254, 169, 254}) ||
		addr == netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54})
}

// isShared is 100.64.0.0/10, the carriers' own (RFC 6598).
func isShared(addr netip.Addr) bool {
	return addr.Is4() && addr.As4()[0] == 100 && addr.As4()[1]&0xc0 == 64
}

// embedded is the IPv4 addresses that an IPv6 address may stand for.
func embedded(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	switch {
	case b[0] == 0x20 && b[1] == 0x02: // 2002::/16
		return []netip.Addr{netip.AddrFrom4([4]byte(b[2:6]))}
	case startsWith(b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), // ::/96
		startsWith(b, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0),    // ::ffff:0:0:0/96
		startsWith(b, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0): // 64:ff9b::/96
		return []netip.Addr{netip.AddrFrom4([4]byte(b[12:]))}
	case startsWith(b, 0, 0x64, 0xff, 0x9b, 0, 1): // 64:ff9b:1::/48
		return local(b)
	}
	return nil
}

func startsWith(b [16]byte, prefix ...byte) bool { return slices.Equal(b[:len(prefix)], prefix) }

// local is every reading of an address under 64:ff9b:1::/48: the translator's prefix may be 48, 56, 64 or 96 bits long,
// and only its operator knows (RFC 6052 section 2.2, octet 8 is zero). Readings in 0.0.0.0/8 come from
// the zero padding of a shorter prefix and count only when there is no other.
func local(b [16]byte) []netip.Addr {
	readings := [][4]byte{[4]byte(b[12:])}
	if b[8] == 0 {
		readings = append(readings,
			[4]byte{b[6], b[7], b[9], b[10]}, [4]byte{b[7], b[9], b[10], b[11]}, [4]byte(b[9:13]))
	}
	var addrs []netip.Addr
	for _, r := range readings {
		if r[0] != 0 {
			addrs = append(addrs, netip.AddrFrom4(r))
		}
	}
	if len(addrs) == 0 {
		return []netip.Addr{netip.AddrFrom4(readings[0])}
	}
	return addrs
}
