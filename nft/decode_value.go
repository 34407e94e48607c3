package nft

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// datatype is the type of a field or of part of a set's key, by the number nft gives it (nftables,
// enum datatypes). The kernel keeps the number without a meaning.
type datatype uint8

const (
	typeFamily       datatype = 2
	typeAddr4        datatype = 7
	typeAddr6        datatype = 8
	typeLinkAddr     datatype = 9
	typeEther        datatype = 10
	typeProtocol     datatype = 12
	typePort         datatype = 13
	typeICMPNumber   datatype = 14
	typeTCPFlags     datatype = 15
	typeMark         datatype = 19
	typeIndex        datatype = 20
	typeHardware     datatype = 21
	typeUser         datatype = 24
	typeGroup        datatype = 25
	typeState        datatype = 26
	typeDirection    datatype = 27
	typeStatus       datatype = 28
	typeICMPv6Number datatype = 29
	typePacket       datatype = 31
	typeString       datatype = 41

	// Numbers that nft has no name for.
	typeNumber     datatype = 254
	typeHostNumber datatype = 255
)

func (t datatype) name() string {
	names := map[datatype]string{
		1: "verdict", typeFamily: "nf_proto", 3: "bitmask", 4: "integer", 5: "string", 6: "ll_addr", typeAddr4: "ipv4_addr",
		typeAddr6: "ipv6_addr", typeLinkAddr: "ether_addr", typeEther: "ether_type", typeProtocol: "inet_proto",
		typePort: "inet_service", typeICMPNumber: "icmp_type", typeTCPFlags: "tcp_flag", typeMark: "mark",
		typeIndex: "iface_index", typeHardware: "iface_type", typeUser: "uid", typeGroup: "gid", typeState: "ct_state",
		typeDirection: "ct_dir", typeStatus: "ct_status", typeICMPv6Number: "icmpv6_type", typePacket: "pkt_type", typeString: "ifname",
	}
	if name, ok := names[t]; ok {
		return name
	}
	return bracketed(fmt.Sprint("type ", t))
}

// size is the width of a type in bytes, 0 if not known.
func (t datatype) size() int {
	switch t {
	case typeFamily, typeProtocol, typeICMPNumber, typeTCPFlags, typeDirection, typeICMPv6Number, typePacket:
		return 1
	case typeEther, typePort, typeHardware:
		return 2
	case typeAddr4, typeMark, typeIndex, typeUser, typeGroup, typeState, typeStatus:
		return 4
	case typeLinkAddr:
		return 6
	case typeAddr6, typeString:
		return 16
	default:
		return 0
	}
}

// ofHost says whether the values are in the host's byte order.
func (t datatype) ofHost() bool {
	switch t {
	case typeMark, typeIndex, typeHardware, typeUser, typeGroup, typeState, typeStatus, typeHostNumber:
		return true
	default:
		return false
	}
}

func (t datatype) isFlags() bool { return t == typeState || t == typeStatus || t == typeTCPFlags }

// number reads a value; swapped is one of the host's order that a rule made network order.
func (t datatype) number(b []byte, swapped bool) uint64 {
	var out uint64
	wide := make([]byte, 8)
	if t.ofHost() && !swapped && binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		copy(wide, b)
		return binary.LittleEndian.Uint64(wide)
	}
	for _, c := range b {
		out = out<<8 | uint64(c)
	}
	return out
}

// format prints a value as nft does; of a type or width that is not known, in hexadecimal.
func (t datatype) format(b []byte, swapped bool) string {
	if size := t.size(); len(b) > 8 && size == 0 || size != 0 && len(b) != size && t != typeString {
		return "0x" + hex.EncodeToString(b)
	}
	n := t.number(b, swapped)
	switch t {
	case typeString:
		return formatString(string(b))
	case typeAddr4, typeAddr6:
		return addrFrom(string(b)).String()
	case typeLinkAddr:
		return net.HardwareAddr(b).String()
	case typeProtocol:
		return protoName(b[0])
	case typeICMPv6Number:
		return icmpv6Name(b[0])
	case typeState, typeStatus, typeTCPFlags:
		return t.flags(b, " | ")
	case typeMark:
		return fmt.Sprintf("0x%08x", n)
	case typeFamily, typePacket, typeDirection, typeEther:
		return t.symbol(n)
	case typePort, typeICMPNumber, typeIndex, typeHardware, typeUser, typeGroup, typeNumber, typeHostNumber:
		return fmt.Sprint(n)
	default:
		return "0x" + hex.EncodeToString(b)
	}
}

func (t datatype) formatMask(b []byte, swapped bool) string {
	text := t.format(b, swapped)
	if strings.Contains(text, " | ") {
		return "(" + text + ")"
	}
	return text
}

// formatString prints a name; one that does not fill its field is a prefix.
func formatString(s string) string {
	if name, _, whole := strings.Cut(s, "\x00"); whole || len(s) >= 16 {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%q", s+"*")
}

// symbol is the name of a value of an enumeration, or its number.
func (t datatype) symbol(n uint64) string {
	names := map[datatype]map[uint64]string{
		typeFamily:    {unix.NFPROTO_IPV4: "ipv4", unix.NFPROTO_IPV6: "ipv6"},
		typePacket:    {unix.PACKET_HOST: "host", unix.PACKET_BROADCAST: "broadcast", unix.PACKET_MULTICAST: "multicast", unix.PACKET_OTHERHOST: "other"},
		typeDirection: {0: "original", 1: "reply"},
		typeEther:     {unix.ETH_P_IP: "ip", unix.ETH_P_IPV6: "ip6", unix.ETH_P_ARP: "arp", unix.ETH_P_8021Q: "8021q"},
	}
	if name, ok := names[t][n]; ok {
		return name
	}
	return fmt.Sprint(n)
}

// flags are the names of the bits that are set, lowest first (nf_conntrack_common.h, RFC 9293).
func (t datatype) flags(b []byte, separator string) string {
	names := map[datatype][]string{
		typeState:    {"invalid", "established", "related", "new", "", "", "untracked"},
		typeStatus:   {"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "", "", "", "dying"},
		typeTCPFlags: {"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"},
	}[t]
	n := t.number(b, false)
	var out []string
	for rest := n; rest != 0; rest &= rest - 1 {
		bit := bits.TrailingZeros64(rest)
		if bit >= len(names) || names[bit] == "" {
			return fmt.Sprintf("%#x", n)
		}
		out = append(out, names[bit])
	}
	if len(out) == 0 {
		return "0"
	}
	return strings.Join(out, separator)
}
