package metrics

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/publicsuffix"
)

// Destination says what the destination label of dockerwall_dropped_packets tells.
type Destination string

// The ways to tell a destination, from the finest to none.
const (
	ByIP     Destination = "ip"     // the address, and the names known for it
	ByDomain Destination = "domain" // the registered domain of a name known for it, else "unknown"
	ByPrefix Destination = "prefix" // its /24 or /64
	ByNone   Destination = "none"   // everything is "other"
)

// ParseDestination reads a setting; empty is [ByIP].
func ParseDestination(s string) (Destination, error) {
	switch d := Destination(s); d {
	case "":
		return ByIP, nil
	case ByIP, ByDomain, ByPrefix, ByNone:
		return d, nil
	}
	return "", fmt.Errorf("metrics destination %q: want ip, domain, prefix or none", s)
}

const (
	otherDestination   = "other"   // all that has no series of its own
	unknownDestination = "unknown" // ByDomain, and no name is known
	highPort           = ">1024"   // as the older dockerwall folded ports
	maxDomains         = 3
	maxLabel           = 256 // bytes of a label value that others chose
)

// target is what distinguishes one series of a container.
type target struct{ destination, port, protocol string }

// other is the series of all that has none of its own.
func other() target { return target{destination: otherDestination} }

// targetOf names the series that d belongs to; false if it has none but "other".
func (m Destination) targetOf(d Denied) (target, bool) {
	if !d.Dst.IsValid() || m == ByNone {
		return target{}, false
	}
	t := target{port: port(d), protocol: protocol(d.Proto)}
	switch m {
	case ByDomain:
		t.destination = domain(d.Names)
	case ByPrefix:
		t.destination = prefix(d.Dst.Unmap())
	default:
		t.destination = d.Dst.Unmap().WithZone("").String()
	}
	return t, true
}

// domains is the domains label of a new series: the first few names, sorted, comma-joined. Only an
// address has names; a series keeps those it began with, for a changed label is another series.
func (m Destination) domains(d Denied) string {
	if m != ByIP {
		return ""
	}
	names := make([]string, 0, len(d.Names))
	for _, name := range d.Names {
		names = append(names, label(name))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return strings.Join(names[:min(len(names), maxDomains)], ",")
}

func port(d Denied) string {
	switch {
	case d.Proto != protoTCP && d.Proto != protoUDP && d.Proto != protoSCTP:
		return "0"
	case d.Port > 1024:
		return highPort
	default:
		return strconv.Itoa(int(d.Port))
	}
}

// IP protocol numbers with a name (IANA "Assigned Internet Protocol Numbers").
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)

func protocol(p uint8) string {
	switch p {
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMP:
		return "icmp"
	case protoICMPv6:
		return "icmpv6"
	case protoSCTP:
		return "sctp"
	}
	return strconv.Itoa(int(p))
}

func prefix(a netip.Addr) string {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return unknownDestination
	}
	return p.String()
}

// domain is the registered domain (public suffix and one label) of the first name that has one.
func domain(names []string) string {
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimSuffix(name, ".")); err == nil {
			return label(d)
		}
	}
	return unknownDestination
}

// label makes a text that others chose fit for a label value: valid UTF-8, printable, bounded.
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s[:min(len(s), maxLabel)])
}
