package nft

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// operand is what a register holds: a field of the packet, or a constant.
type operand struct {
	text    string
	typ     datatype
	size    int    // in the register, in bytes
	full    int    // of the whole field; a load of its first bytes is less
	data    []byte // of a constant
	mask    []byte // when only some bits are left
	swapped bool   // host byte order made network byte order
	needs   []dependency
	opaque  bool
	used    bool
	low     []byte // it was found to be this or more, by the last phrase of the text
}

func (o operand) words() int { return (o.size + 3) / 4 }

func (o operand) String() string {
	switch {
	case o.data != nil:
		return o.typ.format(o.data, o.swapped)
	case o.mask != nil:
		return o.text + " & " + o.typ.formatMask(o.mask, o.swapped)
	}
	return o.text
}

func (o operand) phrase(text string) phrase { return phrase{text: text, opaque: o.opaque} }

func operator(op expr.CmpOp) string {
	switch op {
	case expr.CmpOpEq:
		return ""
	case expr.CmpOpNeq:
		return "!= "
	case expr.CmpOpLt:
		return "< "
	case expr.CmpOpLte:
		return "<= "
	case expr.CmpOpGt:
		return "> "
	case expr.CmpOpGte:
		return ">= "
	}
	return bracketed(fmt.Sprint("operator ", op)) + " "
}

// compare is cmp: a test against a constant.
func (d *decoder) compare(a attributes) bool {
	o, op := d.take(a.number(unix.NFTA_CMP_SREG)), expr.CmpOp(a.number(unix.NFTA_CMP_OP))
	data := a.value(unix.NFTA_CMP_DATA)
	if d.upTo(o, op, data) {
		return true
	}
	text, ok := o.test(op, data)
	p := o.phrase(text)
	if !ok {
		p = phrase{text: bracketed(fmt.Sprintf("%s %s%#x", o, operator(op), data)), opaque: true}
	}
	if op == expr.CmpOpEq && len(o.mask) == 0 {
		p.test = d.learn(o, data)
	}
	d.emit(p, o.needs...)
	if i := slot(a.number(unix.NFTA_CMP_SREG)); ok && i >= 0 && op == expr.CmpOpGte {
		d.regs[i].low, d.lowPhrase = data, len(d.phrases)
	}
	return true
}

// upTo makes a range of a second bound: nft writes two comparisons for it.
func (d *decoder) upTo(o operand, op expr.CmpOp, high []byte) bool {
	if op != expr.CmpOpLte || len(o.low) != len(high) || len(high) == 0 || d.lowPhrase != len(d.phrases) {
		return false
	}
	d.phrases[len(d.phrases)-1].text = o.between(expr.CmpOpEq, o.low, high)
	return true
}

func (o operand) between(op expr.CmpOp, from, to []byte) string {
	return o.String() + " " + operator(op) + o.typ.format(from, o.swapped) + "-" + o.typ.format(to, o.swapped)
}

// learn remembers which headers the packet has from here on.
func (d *decoder) learn(o operand, data []byte) dependency {
	value := o.typ.number(data, o.swapped)
	switch {
	case len(data) != o.full:
	case o.text == textNFProto && value == unix.NFPROTO_IPV4, o.text == metaProtocol().text && value == unix.ETH_P_IP:
		d.family = v4
		return dependency{family: v4}
	case o.text == textNFProto && value == unix.NFPROTO_IPV6, o.text == metaProtocol().text && value == unix.ETH_P_IPV6:
		d.family = v6
		return dependency{family: v6}
	case o.text == metaProtocol().text && value == unix.ETH_P_ARP:
		d.arp = true
	case o.text == l4proto().text:
		d.proto = uint8(value)
		return dependency{proto: d.proto}
	case o.text == textIIFType && value == unix.ARPHRD_ETHER:
		return dependency{ether: true}
	}
	return dependency{}
}

// test is the text of a comparison.
func (o operand) test(op expr.CmpOp, data []byte) (string, bool) {
	equality := op == expr.CmpOpEq || op == expr.CmpOpNeq
	prefix, isPrefix := o.prefix(data)
	switch {
	case op > expr.CmpOpGte || len(data) == 0 || len(data) > o.size && !o.opaque || o.mask != nil && len(data) != len(o.mask):
		return "", false
	case o.typ.isFlags() && op == expr.CmpOpNeq && o.mask != nil && isZero(data):
		return o.text + " " + o.typ.flags(o.mask, ","), true
	case equality && isPrefix:
		return o.text + " " + operator(op) + prefix.String(), true
	case o.mask == nil && len(data) < o.full && o.typ != typeString:
		return "", false
	}
	sign := operator(op)
	if sign == "" && (o.mask != nil || o.typ.isFlags()) {
		sign = "== "
	}
	return o.String() + " " + sign + o.typ.formatMask(data, o.swapped), true
}

// prefix reads a comparison of an address's first bits: by a mask, or of its first bytes alone.
func (o operand) prefix(data []byte) (netip.Prefix, bool) {
	if o.typ != typeAddr4 && o.typ != typeAddr6 || o.full < len(data) {
		return netip.Prefix{}, false
	}
	bits := len(data) * 8
	if o.mask != nil {
		bits = leadingOnes(o.mask)
	}
	if bits < 0 || bits == o.full*8 {
		return netip.Prefix{}, false
	}
	address := append(bytes.Clone(data), make([]byte, o.full-len(data))...)
	p := netip.PrefixFrom(addrFrom(string(address)), bits)
	return p, p == p.Masked()
}

// leadingOnes is the length of the prefix that a mask is, -1 if it is none.
func leadingOnes(mask []byte) int {
	n := 0
	for n < len(mask)*8 && mask[n/8]&(0x80>>(n%8)) != 0 {
		n++
	}
	for i := n; i < len(mask)*8; i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			return -1
		}
	}
	return n
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// within is range: a test against two constants.
func (d *decoder) within(a attributes) bool {
	o, op := d.take(a.number(unix.NFTA_RANGE_SREG)), expr.CmpOp(a.number(unix.NFTA_RANGE_OP))
	if op != expr.CmpOpEq && op != expr.CmpOpNeq {
		return false
	}
	from, to := a.value(unix.NFTA_RANGE_FROM_DATA), a.value(unix.NFTA_RANGE_TO_DATA)
	if !o.opaque && (len(from) != o.size || len(to) != o.size) {
		o = o.altered("part")
	}
	d.emit(o.phrase(o.between(op, from, to)), o.needs...)
	return true
}

// bitwise masks an operand. Other operations, and bits that are set or flipped, are not read.
func (d *decoder) bitwise(a attributes) bool {
	o := d.take(a.number(unix.NFTA_BITWISE_SREG))
	mask := a.value(unix.NFTA_BITWISE_MASK)
	if a.number(bitwiseOp) != 0 || !isZero(a.value(unix.NFTA_BITWISE_XOR)) || o.mask != nil || o.data != nil || len(mask) != o.size {
		return d.put(a.number(unix.NFTA_BITWISE_DREG), o.altered("bitwise"))
	}
	o.mask, o.used = mask, false
	return d.put(a.number(unix.NFTA_BITWISE_DREG), o)
}

// byteorder turns a number of the host's byte order; nft does so before it compares ranges.
func (d *decoder) byteorder(a attributes) bool {
	o := d.take(a.number(unix.NFTA_BYTEORDER_SREG))
	length, size := a.number(unix.NFTA_BYTEORDER_LEN), a.number(unix.NFTA_BYTEORDER_SIZE)
	switch {
	case length < size: // nft does so with single bytes; the kernel then turns nothing (nft_byteorder_eval)
	case length == size && o.typ.ofHost() && o.mask == nil:
		o.swapped = !o.swapped
	default:
		o = o.altered("byteorder")
	}
	o.used = false
	return d.put(a.number(unix.NFTA_BYTEORDER_DREG), o)
}

// altered is an operand after something was done to it that has no text.
func (o operand) altered(by string) operand {
	return operand{text: bracketed(by + " of " + o.String()), size: o.size, full: o.size, needs: o.needs, opaque: true}
}
