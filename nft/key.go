package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
)

// keyType is the type of one field of a set's key.
type keyType uint8

const (
	typeIfname keyType = iota
	typeIPv4
	typeIPv6
	typeProto
	typeService
	typeICMPv6
	typeMAC
	typeFrame // what a frame carries: its EtherType
)

func keyTypes() []keyType {
	return []keyType{typeIfname, typeIPv4, typeIPv6, typeProto, typeService, typeICMPv6, typeMAC, typeFrame}
}

// size is the width of a field in bytes, unpadded.
func (t keyType) size() int {
	return [...]int{typeIfname: 16, typeIPv4: 4, typeIPv6: 16, typeProto: 1, typeService: 2, typeICMPv6: 1,
		typeMAC: 6, typeFrame: 2}[t]
}

func (t keyType) String() string {
	return [...]string{typeIfname: "ifname", typeIPv4: "ipv4_addr", typeIPv6: "ipv6_addr",
		typeProto: "inet_proto", typeService: "inet_service", typeICMPv6: "icmpv6_type",
		typeMAC: "ether_addr", typeFrame: "ether_type"}[t]
}

func (t keyType) netlink() nftables.SetDatatype {
	return [...]nftables.SetDatatype{typeIfname: nftables.TypeIFName, typeIPv4: nftables.TypeIPAddr, typeIPv6: nftables.TypeIP6Addr,
		typeProto: nftables.TypeInetProto, typeService: nftables.TypeInetService, typeICMPv6: nftables.TypeICMP6Type,
		typeMAC: nftables.TypeEtherAddr, typeFrame: nftables.TypeEtherType}[t]
}

// format prints one field as nft does.
func (t keyType) format(b string) string {
	switch t {
	case typeIfname:
		return `"` + strings.TrimRight(b, "\x00") + `"`
	case typeIPv4, typeIPv6:
		return addrFrom(b).String()
	case typeProto:
		return protoName(b[0])
	case typeICMPv6:
		return icmpv6Name(b[0])
	case typeMAC:
		return MAC([]byte(b)).String()
	case typeFrame:
		return frameName(binary.BigEndian.Uint16([]byte(b)))
	default:
		return fmt.Sprint(binary.BigEndian.Uint16([]byte(b)))
	}
}

func addrType(f family) keyType {
	if f == v4 {
		return typeIPv4
	}
	return typeIPv6
}

// keyOf joins fields into a key: in a concatenation each is padded to four bytes (nft_payload and
// nft_meta write whole 32-bit registers).
func keyOf(fields ...string) string {
	if len(fields) == 1 {
		return fields[0]
	}
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f)
		b.WriteString(strings.Repeat("\x00", -len(f)&3))
	}
	return b.String()
}

// fieldsOf parts a key again.
func fieldsOf(types []keyType, key string) []string {
	fields := make([]string, 0, len(types))
	for _, t := range types {
		n := t.size()
		if len(key) < n {
			return nil
		}
		fields = append(fields, key[:n])
		if len(types) > 1 {
			n += -n & 3
		}
		key = key[min(n, len(key)):]
	}
	return fields
}

func ifname(s string) string               { return (s + strings.Repeat("\x00", 16))[:16] }
func addrBytes(a netip.Addr) string        { return string(a.AsSlice()) }
func protoBytes(p uint8) string            { return string([]byte{p}) }
func portBytes(p uint16) string            { return string(binary.BigEndian.AppendUint16(nil, p)) }
func portFrom(key string) uint16           { return binary.BigEndian.Uint16([]byte(key)) }
func isFamily(a netip.Addr, f family) bool { return a.Is4() == (f == v4) }

// protoName is the name nft prints for a protocol number.
func protoName(p uint8) string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "ipv6-icmp"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprint(p)
}

// ICMPv6 types of RFC 4861, RFC 2710 and RFC 3810.
const (
	mldReport        uint8 = 131
	mldDone          uint8 = 132
	routerSolicit    uint8 = 133
	routerAdvert     uint8 = 134
	neighbourSolicit uint8 = 135
	neighbourAdvert  uint8 = 136
	routerRedirect   uint8 = 137
	mldv2Report      uint8 = 143
)

// neighbourTypes are those without which IPv6 on a bridge breaks, sent by a container to its gateway. Router
// advertisements are not among them: a container is no router.
func neighbourTypes() []uint8 {
	return []uint8{mldReport, mldDone, routerSolicit, neighbourSolicit, neighbourAdvert, mldv2Report}
}

func icmpv6Name(t uint8) string {
	switch t {
	case mldReport:
		return "mld-listener-report"
	case mldDone:
		return "mld-listener-done"
	case routerSolicit:
		return "nd-router-solicit"
	case routerAdvert:
		return "nd-router-advert"
	case neighbourSolicit:
		return "nd-neighbor-solicit"
	case neighbourAdvert:
		return "nd-neighbor-advert"
	case routerRedirect:
		return "nd-redirect"
	case mldv2Report:
		return "mld2-listener-report"
	}
	return fmt.Sprint(t)
}

// addrFrom reads an address field.
func addrFrom(b string) netip.Addr {
	a, _ := netip.AddrFromSlice([]byte(b))
	return a
}
