package nft

import (
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	textNFProto = "meta nfproto"
	textIIFType = "iiftype"
)

// header is a field of the packet as nft names it.
type header struct {
	text  string
	typ   datatype
	size  int
	needs []dependency
}

func (h header) operand(size int) operand {
	return operand{text: h.text, typ: h.typ, size: size, full: h.size, needs: h.needs}
}

// load puts a field into a register, or says that a statement sets it from one.
func (d *decoder) load(h header, from, to uint64, set bool) bool {
	if !set {
		return d.put(to, h.operand(h.size))
	}
	o := d.take(from)
	if o.data != nil {
		o.typ = h.typ
	}
	d.emit(o.phrase(h.text+" set "+o.String()), o.needs...)
	return true
}

func (d *decoder) meta(a attributes) bool {
	h, ok := metaHeader(expr.MetaKey(a.number(unix.NFTA_META_KEY)))
	return ok && d.load(h, a.number(unix.NFTA_META_SREG), a.number(unix.NFTA_META_DREG), a.has(unix.NFTA_META_SREG))
}

// metaHeader is a key of enum nft_meta_keys; interface names and addresses are 16 bytes wide.
func metaHeader(key expr.MetaKey) (header, bool) {
	fields := map[expr.MetaKey]header{
		expr.MetaKeyLEN:        {text: "meta length", typ: typeHostNumber, size: 4},
		expr.MetaKeyPROTOCOL:   {text: "meta protocol", typ: typeEther, size: 2},
		expr.MetaKeyPRIORITY:   {text: "meta priority", typ: typeMark, size: 4},
		expr.MetaKeyMARK:       {text: "meta mark", typ: typeMark, size: 4},
		expr.MetaKeyIIF:        {text: "iif", typ: typeIndex, size: 4},
		expr.MetaKeyOIF:        {text: "oif", typ: typeIndex, size: 4},
		expr.MetaKeyIIFNAME:    {text: iifname().text, typ: typeString, size: 16},
		expr.MetaKeyOIFNAME:    {text: oifname().text, typ: typeString, size: 16},
		expr.MetaKeyIIFTYPE:    {text: textIIFType, typ: typeHardware, size: 2},
		expr.MetaKeyOIFTYPE:    {text: "oiftype", typ: typeHardware, size: 2},
		expr.MetaKeySKUID:      {text: "meta skuid", typ: typeUser, size: 4},
		expr.MetaKeySKGID:      {text: "meta skgid", typ: typeGroup, size: 4},
		expr.MetaKeyNFTRACE:    {text: "meta nftrace", typ: typeNumber, size: 1},
		expr.MetaKeyNFPROTO:    {text: textNFProto, typ: typeFamily, size: 1},
		expr.MetaKeyL4PROTO:    {text: l4proto().text, typ: typeProtocol, size: 1},
		expr.MetaKeyBRIIIFNAME: {text: "meta ibrname", typ: typeString, size: 16},
		expr.MetaKeyBRIOIFNAME: {text: "meta obrname", typ: typeString, size: 16},
		expr.MetaKeyPKTTYPE:    {text: "meta pkttype", typ: typePacket, size: 1},
		expr.MetaKeyCPU:        {text: "meta cpu", typ: typeHostNumber, size: 4},
		expr.MetaKeyIIFGROUP:   {text: "iifgroup", typ: typeHostNumber, size: 4},
		expr.MetaKeyOIFGROUP:   {text: "oifgroup", typ: typeHostNumber, size: 4},
		expr.MetaKeyCGROUP:     {text: "meta cgroup", typ: typeHostNumber, size: 4},
		metaIIFKind:            {text: "meta iifkind", typ: typeString, size: 16},
		metaOIFKind:            {text: "meta oifkind", typ: typeString, size: 16},
	}
	h, ok := fields[key]
	return h, ok
}

func (d *decoder) ct(a attributes) bool {
	h, directed, ok := ctHeader(expr.CtKey(a.number(unix.NFTA_CT_KEY)))
	if !ok || directed != a.has(unix.NFTA_CT_DIRECTION) || a.number(unix.NFTA_CT_DIRECTION) > 1 {
		return false
	}
	direction := ""
	if directed {
		direction = [...]string{"original ", "reply "}[a.number(unix.NFTA_CT_DIRECTION)]
	}
	h.text = "ct " + direction + h.text
	return d.load(h, a.number(unix.NFTA_CT_SREG), a.number(unix.NFTA_CT_DREG), a.has(unix.NFTA_CT_SREG))
}

// ctHeader is a key of enum nft_ct_keys, and whether it goes with a direction.
func ctHeader(key expr.CtKey) (h header, directed, ok bool) {
	fields := map[expr.CtKey]header{
		expr.CtKeySTATE:      {text: "state", typ: typeState, size: 4},
		expr.CtKeyDIRECTION:  {text: "direction", typ: typeDirection, size: 1},
		expr.CtKeySTATUS:     {text: "status", typ: typeStatus, size: 4},
		expr.CtKeyMARK:       {text: "mark", typ: typeMark, size: 4},
		expr.CtKeyEXPIRATION: {text: "expiration", typ: typeHostNumber, size: 4},
		expr.CtKeyHELPER:     {text: "helper", typ: typeString, size: 16},
	}
	if h, ok = fields[key]; ok {
		return h, false, true
	}
	fields = map[expr.CtKey]header{
		expr.CtKeyPROTOCOL: {text: "protocol", typ: typeProtocol, size: 1},
		expr.CtKeyPROTOSRC: {text: "proto-src", typ: typePort, size: 2},
		expr.CtKeyPROTODST: {text: "proto-dst", typ: typePort, size: 2},
		expr.CtKeySRCIP:    {text: "ip saddr", typ: typeAddr4, size: 4},
		expr.CtKeyDSTIP:    {text: "ip daddr", typ: typeAddr4, size: 4},
		expr.CtKeySRCIP6:   {text: "ip6 saddr", typ: typeAddr6, size: 16},
		expr.CtKeyDSTIP6:   {text: "ip6 daddr", typ: typeAddr6, size: 16},
	}
	h, ok = fields[key]
	return h, true, ok
}

func (d *decoder) payload(a attributes) bool {
	base, offset := expr.PayloadBase(a.number(unix.NFTA_PAYLOAD_BASE)), a.number(unix.NFTA_PAYLOAD_OFFSET)
	size := int(a.number(unix.NFTA_PAYLOAD_LEN))
	if base > expr.PayloadBaseTransportHeader || size > 64 {
		return false
	}
	h := d.packetHeader(base, offset, size)
	return d.put(a.number(unix.NFTA_PAYLOAD_DREG), h.operand(size))
}

// packetHeader names bytes of the packet, by what the rule's tests say of it. The first bytes of an
// address are the address: nft loads no more for a prefix of whole bytes.
func (d *decoder) packetHeader(base expr.PayloadBase, offset uint64, size int) header {
	var fields map[uint64]header
	switch {
	case base == expr.PayloadBaseLLHeader:
		fields = linkHeaders()
	case base == expr.PayloadBaseNetworkHeader && d.arp:
		fields = arpHeaders()
	case base == expr.PayloadBaseNetworkHeader:
		fields = networkHeaders(d.family)
	case base == expr.PayloadBaseTransportHeader:
		fields = transportHeaders(d.family, d.proto)
	}
	h, ok := fields[offset]
	if isAddress := h.typ == typeAddr4 || h.typ == typeAddr6; ok && (size == h.size || isAddress && size < h.size) {
		return h
	}
	name := [...]string{expr.PayloadBaseLLHeader: "ll", expr.PayloadBaseNetworkHeader: "nh", expr.PayloadBaseTransportHeader: "th"}[base]
	return header{text: fmt.Sprintf("@%s,%d,%d", name, offset*8, size*8), size: size}
}

// linkHeaders are fields of Ethernet, by offset. In a table that is not of family bridge nft tests the link before them.
func linkHeaders() map[uint64]header {
	needs := []dependency{{ether: true}}
	return map[uint64]header{
		0:  {"ether daddr", typeLinkAddr, 6, needs},
		6:  {etherSaddr().text, typeLinkAddr, 6, needs},
		12: {"ether type", typeEther, 2, needs},
	}
}

// arpHeaders are the sender's fields of RFC 826 for Ethernet and IPv4, by offset.
func arpHeaders() map[uint64]header {
	return map[uint64]header{
		8:  {arpSaddrMAC().text, typeLinkAddr, 6, nil},
		14: {arpSaddrIP().text, typeAddr4, 4, nil},
	}
}

// networkHeaders are fields of RFC 791 and RFC 8200, by offset.
func networkHeaders(f family) map[uint64]header {
	needs := []dependency{{family: f}}
	switch f {
	case v4:
		return map[uint64]header{
			2:  {"ip length", typePort, 2, needs},
			4:  {"ip id", typePort, 2, needs},
			8:  {"ip ttl", typeNumber, 1, needs},
			9:  {"ip protocol", typeProtocol, 1, needs},
			12: {saddr(v4).text, typeAddr4, 4, needs},
			16: {daddr(v4).text, typeAddr4, 4, needs},
		}
	case v6:
		return map[uint64]header{
			4:  {"ip6 length", typePort, 2, needs},
			6:  {"ip6 nexthdr", typeProtocol, 1, needs},
			7:  {"ip6 hoplimit", typeNumber, 1, needs},
			8:  {saddr(v6).text, typeAddr6, 16, needs},
			24: {daddr(v6).text, typeAddr6, 16, needs},
		}
	}
	return nil
}

// transportHeaders are fields of RFC 9293, RFC 768, RFC 9260, RFC 792 and RFC 4443, by offset. The
// clause "icmpv6 type" has its test of the protocol spelled out; for "icmp type" nft tests the family
// too.
func transportHeaders(f family, proto uint8) map[uint64]header {
	name, needs := protoName(proto), []dependency{{proto: proto}}
	switch proto {
	case ICMP:
		if f != v4 {
			return nil
		}
		return map[uint64]header{0: {"icmp type", typeNumber, 1, nil}, 1: {"icmp code", typeNumber, 1, nil}}
	case ICMPv6:
		return map[uint64]header{0: {icmpv6Type().text, typeICMPv6Number, 1, nil}, 1: {"icmpv6 code", typeNumber, 1, nil}}
	case TCP, UDP, SCTP:
	default:
		name, needs = "th", nil
	}
	out := map[uint64]header{0: {name + " sport", typePort, 2, needs}, 2: {name + " dport", typePort, 2, needs}}
	if proto == TCP {
		out[13] = header{"tcp flags", typeTCPFlags, 1, needs}
	}
	return out
}
