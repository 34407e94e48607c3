package packet

import (
	"maps"
	"slices"
	"strconv"
)

// ProtocolName is "tcp", "udp", "icmp", "icmpv6" or "sctp", else the number.
func ProtocolName(p uint8) string {
	for name, number := range protocols() {
		if number == p {
			return name
		}
	}
	return strconv.Itoa(int(p))
}

// ParseProtocol reads what [ProtocolName] writes.
func ParseProtocol(s string) (p uint8, ok bool) {
	if p, ok = protocols()[s]; ok {
		return p, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil
}

// ProtocolNames are the names there are, sorted.
func ProtocolNames() []string { return slices.Sorted(maps.Keys(protocols())) }

func protocols() map[string]uint8 {
	return map[string]uint8{"tcp": ProtoTCP, "udp": ProtoUDP, "icmp": ProtoICMP, "icmpv6": ProtoICMPv6, "sctp": ProtoSCTP}
}
