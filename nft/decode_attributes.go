package nft

import (
	"encoding/binary"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// attributes are those of one netlink message or nest. There are few, so a list is quicker to make and to read than a map:
// a table of a thousand containers has half a million.
type attributes []attribute

// attribute shares the memory of the message.
type attribute struct {
	kind uint16
	data []byte
}

func attributesOf(b []byte) attributes {
	decoder, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return nil
	}
	out := make(attributes, 0, decoder.Len())
	for decoder.Next() {
		one := attribute{kind: decoder.Type()}
		decoder.Do(func(b []byte) error { // Bytes would copy it
			one.data = b
			return nil
		})
		out = append(out, one)
	}
	return out
}

// listOf returns the contents of a list's entries, in order.
func listOf(b []byte) [][]byte {
	entries := attributesOf(b)
	out := make([][]byte, len(entries))
	for i, e := range entries {
		out[i] = e.data
	}
	return out
}

// find returns the last attribute of a type, nil if there is none.
func (a attributes) find(t uint16) *attribute {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i].kind == t {
			return &a[i]
		}
	}
	return nil
}

func (a attributes) has(t uint16) bool { return a.find(t) != nil }

// at returns the contents of an attribute, nil if there is none.
func (a attributes) at(t uint16) []byte {
	if found := a.find(t); found != nil {
		return found.data
	}
	return nil
}

// number reads an integer of any width; nf_tables has them in network byte order. One that is not
// there is 0.
func (a attributes) number(t uint16) uint64 {
	switch b := a.at(t); len(b) {
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

func (a attributes) text(t uint16) string { return strings.TrimRight(string(a.at(t)), "\x00") }

// value reads NFTA_DATA_VALUE out of a nest.
func (a attributes) value(t uint16) []byte { return attributesOf(a.at(t)).at(unix.NFTA_DATA_VALUE) }

// highest is the highest type there is.
func (a attributes) highest() uint16 {
	var out uint16
	for i := range a {
		out = max(out, a[i].kind)
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
	return expression{a.text(unix.NFTA_EXPR_NAME), attributesOf(a.at(unix.NFTA_EXPR_DATA))}
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

// Attributes of sets in nf_tables.h that package unix does not name.
const (
	setAttrObjType     = 15
	setAttrExpr        = 17
	setAttrExpressions = 18
)

// setConcat is NFT_SET_CONCAT of nf_tables.h.
const setConcat = 0x80

// ownSetFlags are the flags that sets of ours can have.
const ownSetFlags = unix.NFT_SET_INTERVAL | unix.NFT_SET_MAP | unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL | setConcat

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}
