package nft

import (
	"encoding/binary"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// attributes are those of one netlink message or nest, by type.
type attributes map[uint16][]byte

func attributesOf(b []byte) attributes {
	out := attributes{}
	each(b, func(a *netlink.AttributeDecoder) { out[a.Type()] = a.Bytes() })
	return out
}

// listOf returns the contents of a list's entries, in order.
func listOf(b []byte) [][]byte {
	var out [][]byte
	each(b, func(a *netlink.AttributeDecoder) { out = append(out, a.Bytes()) })
	return out
}

func (a attributes) has(t uint16) bool {
	_, ok := a[t]
	return ok
}

// number reads an integer of any width; nf_tables has them in network byte order. One that is not
// there is 0.
func (a attributes) number(t uint16) uint64 {
	switch b := a[t]; len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (a attributes) text(t uint16) string { return strings.TrimRight(string(a[t]), "\x00") }

// value reads NFTA_DATA_VALUE out of a nest.
func (a attributes) value(t uint16) []byte { return attributesOf(a[t])[unix.NFTA_DATA_VALUE] }

// highest is the highest type there is.
func (a attributes) highest() uint16 {
	var out uint16
	for t := range a {
		out = max(out, t)
	}
	return out
}

// expression is one expression of a rule or of an element, as the kernel names it.
type expression struct {
	name string
	attributes
}

func expressionOf(b []byte) expression {
	a := attributesOf(b)
	return expression{a.text(unix.NFTA_EXPR_NAME), attributesOf(a[unix.NFTA_EXPR_DATA])}
}

func expressionsOf(list []byte) []expression {
	var out []expression
	for _, b := range listOf(list) {
		out = append(out, expressionOf(b))
	}
	return out
}

// Attributes of nf_tables.h that golang.org/x/sys/unix does not have.
const (
	bitwiseOp         = 6
	dynsetExpressions = 10
	setElemKeyEnd     = 10
	hookDevs          = 4
	flowtableTable    = 1
	flowtableName     = 2

	setElemCatchall = 2 // NFT_SET_ELEM_CATCHALL
)

// userComment reads the comment that nft keeps in an object's user data: entries of one byte type, one
// byte length and the value (libnftnl, udata.h). Others may keep there what they like.
func userComment(data []byte) string {
	const ofComment = 0 // NFTNL_UDATA_RULE_COMMENT and NFTNL_UDATA_SET_ELEM_COMMENT
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		value := data[2 : 2+int(data[1])]
		if data[0] == ofComment {
			return strings.TrimRight(string(value), "\x00")
		}
		data = data[2+len(value):]
	}
	return ""
}
