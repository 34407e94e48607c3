package nft

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// MAC is an Ethernet address; the zero value is none.
type MAC [6]byte

// ParseMAC reads "02:42:ac:11:00:02"; the zero value and an error for anything else.
func ParseMAC(text string) (MAC, error) {
	hw, err := net.ParseMAC(text)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("MAC address %q: want six bytes, 02:42:ac:11:00:02", text)
	}
	return MAC(hw), nil
}

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText is the address as nft spells it.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *MAC) UnmarshalText(text []byte) error {
	parsed, err := ParseMAC(string(text))
	*m = parsed
	return err
}

// LinkLocal is the link-local address that an interface with this MAC gives itself (RFC 4291, appendix A), unless its
// addr_gen_mode says otherwise.
func (m MAC) LinkLocal() netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// Port is a port of a fenced bridge: the host's end of the interface of a container that is known. Nobody else on the
// host's bridges may use its MAC and its addresses, and it may use no other port's.
type Port struct {
	Name  string       `json:"name"`            // "veth1a2b3c4"
	MAC   MAC          `json:"mac"`             // of the container's end
	Addrs []netip.Addr `json:"addrs,omitempty"` // of both families, link-local ones included, sorted, each once
	// Also are addresses that its container has on other networks, and may send from here too: replies take the way of
	// routes, which need not be that of the question. Sorted, each once, none of Addrs.
	Also []netip.Addr `json:"also,omitempty"`
}

// mayUse says whether an address is the container's, here or on another network.
func (p Port) mayUse(a netip.Addr) bool {
	return slices.Contains(p.Addrs, a) || slices.Contains(p.Also, a)
}
