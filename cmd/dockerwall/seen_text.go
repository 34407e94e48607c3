package main

import (
	"net/netip"
	"strconv"
)

// destinationText is a destination as the grammar has it: "192.0.2.7:443/tcp", "[2001:db8::7]:443/tcp", "192.0.2.7/icmp".
func destinationText(a netip.Addr, port uint16, protocol string) string {
	switch {
	case port != 0:
		return netip.AddrPortFrom(a, port).String() + "/" + protocol
	case protocol == "icmpv6":
		protocol = "icmp"
	}
	if _, err := strconv.Atoi(protocol); err == nil {
		return a.String() + ", protocol " + protocol
	}
	return a.String() + "/" + protocol
}
