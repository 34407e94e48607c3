package nft

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// clause is one clause of a rule: its nft(8) text and the expressions nft makes of that text. Each
// helper below makes one; its comment is the text.
type clause struct {
	text  string
	exprs func() []expr.Any
}

// reg32 is the first 32-bit register; reg 1 is the same storage (nf_tables.h, enum nft_registers).
const reg32 = unix.NFT_REG32_00

// These are NFT_META_IIFKIND and NFT_META_OIFKIND of nf_tables.h, which the library does not name.
const (
	metaIIFKind expr.MetaKey = 26
	metaOIFKind expr.MetaKey = 27
)

// field is one value a rule can load from a packet.
type field struct {
	text   string
	typ    keyType
	family family // whose packets have it, 0 for all
	load   func(reg uint32) expr.Any
}

func meta(text string, typ keyType, key expr.MetaKey) field {
	return field{text: text, typ: typ, load: func(reg uint32) expr.Any { return &expr.Meta{Key: key, Register: reg} }}
}

func iifname() field { return meta("iifname", typeIfname, expr.MetaKeyIIFNAME) }
func oifname() field { return meta("oifname", typeIfname, expr.MetaKeyOIFNAME) }
func l4proto() field { return meta("meta l4proto", typeProto, expr.MetaKeyL4PROTO) }

func payload(text string, typ keyType, base expr.PayloadBase, offset uint32) field {
	return field{text: text, typ: typ, load: func(reg uint32) expr.Any {
		return &expr.Payload{DestRegister: reg, Base: base, Offset: offset, Len: uint32(typ.size())}
	}}
}

// address is "ip saddr", "ip daddr", "ip6 saddr" or "ip6 daddr".
func address(f family, source bool) field {
	out := payload("ip daddr", typeIPv4, expr.PayloadBaseNetworkHeader, 16)
	switch {
	case f == v4 && source:
		out = payload("ip saddr", typeIPv4, expr.PayloadBaseNetworkHeader, 12)
	case f == v6 && source:
		out = payload("ip6 saddr", typeIPv6, expr.PayloadBaseNetworkHeader, 8)
	case f == v6:
		out = payload("ip6 daddr", typeIPv6, expr.PayloadBaseNetworkHeader, 24)
	}
	out.family = f
	return out
}

func saddr(f family) field { return address(f, true) }
func daddr(f family) field { return address(f, false) }

// icmpv6Type is "icmpv6 type"; it needs a test of the protocol before it.
func icmpv6Type() field {
	return payload("icmpv6 type", typeICMPv6, expr.PayloadBaseTransportHeader, 0)
}

func thDport() field { return payload("th dport", typeService, expr.PayloadBaseTransportHeader, 2) }

// zeroPort is a constant 0 in place of "th dport", for protocols without ports: the bytes there are
// something else (ICMP: its checksum).
func zeroPort() field {
	return field{text: "0", typ: typeService, load: func(reg uint32) expr.Any {
		return &expr.Immediate{Register: reg, Data: []byte{0, 0}}
	}}
}

// originalDaddr is "ct original ip daddr": the destination before DNAT.
func originalDaddr(f family) field {
	key, text := expr.CtKeyDSTIP, "ct original ip daddr"
	if f == v6 {
		key, text = expr.CtKeyDSTIP6, "ct original ip6 daddr"
	}
	return field{text: text, typ: addrType(f), load: func(reg uint32) expr.Any {
		return &expr.Ct{Key: key, Register: reg, Direction: 0}
	}}
}

// flowSource is "ct original ip saddr" or "ct reply ip saddr": who opened a flow, and who answers.
func flowSource(f family, reply bool) field {
	key, text := expr.CtKeySRCIP, "ip saddr"
	if f == v6 {
		key, text = expr.CtKeySRCIP6, "ip6 saddr"
	}
	direction, word := uint32(0), "ct original "
	if reply {
		direction, word = 1, "ct reply "
	}
	return field{text: word + text, typ: addrType(f), load: func(reg uint32) expr.Any {
		return &expr.Ct{Key: key, Register: reg, Direction: direction}
	}}
}

// loads puts fields side by side into registers, after the check that the packet is of their family.
func loads(fields []field) []expr.Any {
	var out []expr.Any
	for _, f := range fields {
		if f.family != 0 {
			out = append(out, nfproto(f.family)...)
			break
		}
	}
	reg := uint32(reg32)
	for _, f := range fields {
		out = append(out, f.load(reg))
		reg += uint32(f.typ.size()+3) / 4
	}
	return out
}

// nfproto is the "meta nfproto ipv4" that nft puts before every "ip …" of an inet table.
func nfproto(f family) []expr.Any {
	proto := byte(unix.NFPROTO_IPV4)
	if f == v6 {
		proto = unix.NFPROTO_IPV6
	}
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg32}, equal([]byte{proto})}
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: reg32, Data: data}
}

func joined(fields []field) string {
	text := ""
	for i, f := range fields {
		if i > 0 {
			text += " . "
		}
		text += f.text
	}
	return text
}

// in is "ip daddr @set"; several fields make "iifname . ip saddr @set".
func in(set string, fields ...field) clause {
	return lookup(set, "", expr.Lookup{SetName: set}, fields)
}

// notIn is "ip daddr != @set".
func notIn(set string, fields ...field) clause {
	return lookup(set, "!= ", expr.Lookup{SetName: set, Invert: true}, fields)
}

// vmap is "iifname . ip saddr vmap @map".
func vmap(set string, fields ...field) clause {
	return lookup(set, "vmap ", expr.Lookup{SetName: set, IsDestRegSet: true, DestRegister: unix.NFT_REG_VERDICT}, fields)
}

func lookup(set, operator string, l expr.Lookup, fields []field) clause {
	return clause{joined(fields) + " " + operator + "@" + set, func() []expr.Any {
		found := l
		found.SourceRegister = reg32
		return append(loads(fields), &found)
	}}
}

// inRange is "ip daddr 10.0.0.0/8", one address, or "ct original ip daddr 10.0.0.1-10.0.0.9".
func inRange(r Range, f field) clause {
	return clause{f.text + " " + r.String(), func() []expr.Any {
		return append(loads([]field{f}), between(r.First.AsSlice(), r.Last.AsSlice())...)
	}}
}

// between compares as nft does: equality, a mask for a prefix, else a range.
func between(first, last []byte) []expr.Any {
	if string(first) == string(last) {
		return []expr.Any{equal(first)}
	}
	if p, ok := prefixOf(first, last); ok {
		return masked(first, p)
	}
	return []expr.Any{&expr.Range{Op: expr.CmpOpEq, Register: reg32, FromData: first, ToData: last}}
}

func prefixOf(first, last []byte) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(first)
	b, _ := netip.AddrFromSlice(last)
	if !ok {
		return netip.Prefix{}, false
	}
	return Range{a, b}.Prefix()
}

// masked compares under a prefix; on a byte boundary nft compares the leading bytes alone.
func masked(first []byte, p netip.Prefix) []expr.Any {
	if p.Bits()%8 == 0 && p.Bits() > 0 {
		cmp := equal(first[:p.Bits()/8])
		return []expr.Any{cmp}
	}
	n := uint32(len(first))
	mask := make([]byte, n)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Bitwise{SourceRegister: reg32, DestRegister: reg32, Len: n, Mask: mask, Xor: make([]byte, n)},
		equal(first),
	}
}

// flagged is a test of a bit mask: "ct state new", "ct status dnat".
func flagged(text string, key expr.CtKey, mask uint32) clause {
	return clause{text, func() []expr.Any {
		zero := []byte{0, 0, 0, 0}
		return []expr.Any{
			&expr.Ct{Key: key, Register: reg32},
			&expr.Bitwise{SourceRegister: reg32, DestRegister: reg32, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: zero},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg32, Data: zero},
		}
	}}
}

// ipsDstNAT is IPS_DST_NAT of nf_conntrack_common.h.
const ipsDstNAT = 1 << 5

func ctInvalid() clause { return flagged("ct state invalid", expr.CtKeySTATE, expr.CtStateBitINVALID) }
func ctEstablished() clause {
	return flagged("ct state established", expr.CtKeySTATE, expr.CtStateBitESTABLISHED)
}
func ctRelated() clause { return flagged("ct state related", expr.CtKeySTATE, expr.CtStateBitRELATED) }
func ctNew() clause     { return flagged("ct state new", expr.CtKeySTATE, expr.CtStateBitNEW) }
func dnatted() clause   { return flagged("ct status dnat", expr.CtKeySTATUS, ipsDstNAT) }

// straySegment is "tcp flags & (fin | syn | rst | ack) != syn": TCP that does not open a connection.
func straySegment() clause {
	return clause{"tcp flags & (fin | syn | rst | ack) != syn", func() []expr.Any {
		return append(isProto(TCP),
			&expr.Payload{DestRegister: reg32, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
			&expr.Bitwise{SourceRegister: reg32, DestRegister: reg32, Len: 1, Mask: []byte{0x17}, Xor: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg32, Data: []byte{0x02}})
	}}
}

func isProto(p uint8) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg32}, equal([]byte{p})}
}

// proto is "meta l4proto tcp".
func proto(p uint8) clause {
	return clause{"meta l4proto " + protoName(p), func() []expr.Any { return isProto(p) }}
}

// dport is "tcp dport 443", or "th dport 443" for p = 0 behind a test of the protocol.
func dport(p uint8, ports Ports) clause {
	if p == 0 {
		return clause{"th dport " + ports.String(), func() []expr.Any {
			return append([]expr.Any{thDport().load(reg32)}, portsBetween(ports)...)
		}}
	}
	return clause{protoName(p) + " dport " + ports.String(), func() []expr.Any {
		return append(append(isProto(p), thDport().load(reg32)), portsBetween(ports)...)
	}}
}

// originalDport is "meta l4proto tcp ct original proto-dst 443": the port before DNAT. nft needs the
// protocol named before it reads a number there.
func originalDport(p uint8, ports Ports) clause {
	text := fmt.Sprintf("meta l4proto %s ct original proto-dst %s", protoName(p), ports)
	return clause{text, func() []expr.Any {
		load := &expr.Ct{Key: expr.CtKeyPROTODST, Register: reg32, Direction: 0}
		return append(append(isProto(p), load), portsBetween(ports)...)
	}}
}

func portsBetween(p Ports) []expr.Any {
	first, last := []byte(portBytes(p.First)), []byte(portBytes(p.Last))
	if p.First == p.Last {
		return []expr.Any{equal(first)}
	}
	return []expr.Any{&expr.Range{Op: expr.CmpOpEq, Register: reg32, FromData: first, ToData: last}}
}

// toHost is "oif 0" (input: no interface to leave by) or, for false, "oif != 0" (forward).
func toHost(yes bool) clause {
	text, op := "oif 0", expr.CmpOpEq
	if !yes {
		text, op = "oif != 0", expr.CmpOpNeq
	}
	return clause{text, func() []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIF, Register: reg32},
			&expr.Cmp{Op: op, Register: reg32, Data: []byte{0, 0, 0, 0}},
		}
	}}
}

// unknownBridge is `meta iifkind "bridge" iifname "br-*"`.
func unknownBridge() clause {
	return clause{`meta iifkind "bridge" iifname "br-*"`, func() []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: metaIIFKind, Register: reg32}, equal([]byte(ifname("bridge"))),
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32}, equal([]byte("br-")),
		}
	}}
}

// pktBroadcast is "meta pkttype broadcast".
func pktBroadcast() clause {
	return clause{"meta pkttype broadcast", func() []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: reg32}, equal([]byte{unix.PACKET_BROADCAST})}
	}}
}

// notToHost is "meta pkttype != host": not by a frame to one receiver.
func notToHost() clause {
	return clause{"meta pkttype != host", func() []expr.Any {
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyPKTTYPE, Register: reg32},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: reg32, Data: []byte{unix.PACKET_HOST}},
		}
	}}
}
