package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Clauses of the rules that judge frames. What a frame carries is asked of "meta protocol", never of its bytes: with a
// VLAN tag of ID 0, which the stack takes off again, these say 8021q (nft_payload.c, nft_payload_copy_vlan).

func etherSaddr() field { return payload("ether saddr", typeMAC, expr.PayloadBaseLLHeader, 6) }
func arpSaddrMAC() field {
	return payload("arp saddr ether", typeMAC, expr.PayloadBaseNetworkHeader, 8)
}
func arpSaddrIP() field {
	return payload("arp saddr ip", typeIPv4, expr.PayloadBaseNetworkHeader, 14)
}

// metaProtocol is "meta protocol".
func metaProtocol() field { return meta("meta protocol", typeFrame, expr.MetaKeyPROTOCOL) }

// frameSaddr is "ip saddr" or "ip6 saddr" in family bridge; see carrying.
func frameSaddr(f family) field { return anyFamily(saddr(f)) }

// carrying puts the "meta protocol ip" before a clause that nft puts before every "ip …" of a bridge table.
func carrying(f family, c clause) clause {
	return clause{c.text, func() []expr.Any {
		return append(isFrame(map[family]uint16{v4: unix.ETH_P_IP, v6: unix.ETH_P_IPV6}[f]), c.exprs()...)
	}}
}

func isFrame(protocol uint16) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: reg32}, equal(binary.BigEndian.AppendUint16(nil, protocol))}
}

// isARP is "meta protocol arp". Without it nft would look into the frame for that.
func isARP() clause {
	return clause{"meta protocol arp", func() []expr.Any { return isFrame(unix.ETH_P_ARP) }}
}

// fromNobody is "ip6 saddr ::": the source of who is about to take an address (RFC 4862, section 5.4.2).
func fromNobody() clause {
	return carrying(v6, clause{"ip6 saddr ::", func() []expr.Any {
		return append(loads([]field{frameSaddr(v6)}), equal(make([]byte, 16)))
	}})
}

// kind is `meta iifkind "veth"`. To a rule that looks up a bridge's name it is a cheap way out: an interface of another kind
// ends it, and so does one of none, as network cards are (nft_meta.c, nft_meta_get_eval_kind).
func kind(text string, key expr.MetaKey, of string) clause {
	return clause{"meta " + text + ` "` + of + `"`, func() []expr.Any {
		return []expr.Any{&expr.Meta{Key: key, Register: reg32}, equal([]byte(ifname(of)))}
	}}
}

// fromBridge is `meta iifkind "bridge"`.
func fromBridge() clause { return kind("iifkind", metaIIFKind, "bridge") }

// toBridge is `meta oifkind "bridge"`.
func toBridge() clause { return kind("oifkind", metaOIFKind, "bridge") }

// fromVeth is `meta iifkind "veth"`.
func fromVeth() clause { return kind("iifkind", metaIIFKind, "veth") }

// isICMPv6 is "icmpv6 type nd-neighbor-advert" behind the test of the protocol that nft wants.
func isICMPv6(t uint8) clause {
	return clause{"meta l4proto ipv6-icmp icmpv6 type " + icmpv6Name(t), func() []expr.Any {
		return append(isProto(ICMPv6), icmpv6Type().load(reg32), equal([]byte{t}))
	}}
}

// ndTarget is "@th,64,128 0xfe80…": the address that a neighbour solicitation or advertisement is about (RFC 4861,
// sections 4.3 and 4.4). nft 1.0.6 has no name for it, and looks no such bytes up in a set of addresses.
func ndTarget(a netip.Addr) clause {
	return clause{fmt.Sprintf("@th,64,128 0x%x", a.AsSlice()), func() []expr.Any {
		return []expr.Any{
			&expr.Payload{DestRegister: reg32, Base: expr.PayloadBaseTransportHeader, Offset: 8, Len: 16},
			equal(a.AsSlice()),
		}
	}}
}

// goBack is "return": what called this chain goes on.
func goBack() clause { return verdict("return", expr.Verdict{Kind: expr.VerdictReturn}) }

// toReserved is "ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00": the groups that no bridge forwards (IEEE
// 802.1Q, table 8-1). Such a frame goes up on the port itself and not on its bridge (br_input.c, br_handle_frame).
func toReserved() clause {
	return clause{"ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00", func() []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: reg32}, equal(binaryutil.NativeEndian.PutUint16(unix.ARPHRD_ETHER)),
			&expr.Payload{DestRegister: reg32, Base: expr.PayloadBaseLLHeader, Len: 6},
			&expr.Bitwise{SourceRegister: reg32, DestRegister: reg32, Len: 6, Mask: []byte{255, 255, 255, 255, 255, 0xf0}, Xor: make([]byte, 6)},
			equal([]byte{1, 0x80, 0xc2, 0, 0, 0}),
		}
	}}
}

// frameName is what nft prints for an EtherType of the sets here.
func frameName(protocol uint16) string {
	switch protocol {
	case unix.ETH_P_8021Q:
		return "8021q"
	case unix.ETH_P_8021AD:
		return "8021ad"
	}
	return fmt.Sprintf("0x%04x", protocol)
}

func frameBytes(protocol uint16) string { return string(binary.BigEndian.AppendUint16(nil, protocol)) }
