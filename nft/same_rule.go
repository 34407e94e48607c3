package nft

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// same says whether two rules do the same. Of one that the kernel lists, the expressions have to be those of the other,
// too: its text may leave out what nft writes by itself, and an older build may have meant something else by it.
func (r Rule) same(s Rule) bool {
	if r.text != s.text {
		return false
	}
	if r.listed == nil {
		r, s = s, r
	}
	return r.listed == nil || s.listed != nil || s.isListed(r.listed)
}

// isListed says whether the expressions of a rule are those that the kernel lists.
func (r Rule) isListed(listed []byte) bool {
	entries := listOf(listed)
	for _, c := range r.clauses {
		if c.exprs == nil {
			continue
		}
		for _, e := range c.exprs() {
			wanted, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
			if err != nil || len(entries) == 0 || !expressionOf(entries[0]).covers(expressionOf(wanted)) {
				return false
			}
			entries = entries[1:]
		}
	}
	return len(entries) == 0
}

// covers says whether a listed expression is the one that was asked for. That an element has expressions (NFT_DYNSET_F_EXPR)
// is not listed as a flag (nft_dynset.c, nft_dynset_dump).
func (e expression) covers(wanted expression) bool {
	if e.name != wanted.name {
		return false
	}
	asked := wanted.attributes
	if e.name == "dynset" && asked.number(unix.NFTA_DYNSET_FLAGS) == dynsetExpr {
		asked = slices.DeleteFunc(asked, func(a attribute) bool { return a.kind == unix.NFTA_DYNSET_FLAGS })
	}
	return covers(e.attributes, asked)
}

// dynsetExpr is NFT_DYNSET_F_EXPR of nf_tables.h.
const dynsetExpr = 2

// covers says whether the kernel lists all that was asked of it. It may list more, such as flags that are 0, and leaves out
// numbers that only tell objects of one batch apart, and what is 0.
func covers(listed, wanted attributes) bool {
	if wanted.list() && len(listed) != len(wanted) {
		return false
	}
	for i, w := range wanted {
		l := listed.find(w.kind)
		if wanted.list() {
			l = &listed[i]
		}
		switch {
		case l == nil:
			if !zero(w.data) && w.kind != unix.NFTA_LOOKUP_SET_ID && w.kind != unix.NFTA_DYNSET_SET_ID {
				return false
			}
		case bytes.Equal(l.data, w.data), bytes.Equal(l.data, append(w.data[:len(w.data):len(w.data)], 0)), len(w.data) == 4 && sameRegister(l.data, w.data):
		default:
			inner, in := attributesOf(w.data), attributesOf(l.data)
			if len(inner) == 0 || len(in) == 0 || !covers(in, inner) {
				return false
			}
		}
	}
	return true
}

// list says whether all attributes are entries of a list.
func (a attributes) list() bool {
	return len(a) > 1 && !slices.ContainsFunc(a, func(b attribute) bool { return b.kind != unix.NFTA_LIST_ELEM })
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

// sameRegister compares numbers, which may be of registers: the kernel lists the 16-byte one where a 4-byte one begins it
// (nf_tables_api.c, nft_dump_register). Which attributes are such is not known here; other numbers are in the rule's text.
func sameRegister(a, b []byte) bool {
	if len(a) != 4 {
		return false
	}
	whole := func(b []byte) uint32 {
		n := binary.BigEndian.Uint32(b)
		if n >= unix.NFT_REG32_00 && n <= unix.NFT_REG32_15 && (n-unix.NFT_REG32_00)%4 == 0 {
			return unix.NFT_REG_1 + (n-unix.NFT_REG32_00)/4
		}
		return n
	}
	return whole(a) == whole(b)
}
