package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// readSets lists the sets of the table with their elements, but for those that the packet path adds.
func (k *Kernel) readSets(table *nftables.Table, into fragments) error {
	messages, err := k.raw.Execute(dumpRequest(byte(table.Family), unix.NFT_MSG_GETSET, TableName))
	if err != nil {
		return fmt.Errorf("list sets: %w", err)
	}
	for _, m := range messages {
		set, named := setIn(m)
		if !named {
			continue
		}
		if !set.Dynamic && (set.Types != nil || set.Verdicts) {
			elements, err := k.readElements(table, set)
			if err != nil {
				return fmt.Errorf("list elements of %s: %w", set.Name, err)
			}
			own := slices.DeleteFunc(slices.Clone(elements), set.strange)
			set.Elements = set.fromElements(own)
			if len(own) < len(elements) {
				set.Types = nil // it is replaced whole
			}
		}
		f := into.of(set.Name)
		f.Sets = append(f.Sets, set)
	}
	return nil
}

// strange says whether an element has no key of the set's own: a catch-all ("*"), which only strangers
// add and which cannot be deleted by key.
func (s Set) strange(e nftables.SetElement) bool {
	size := 0
	for _, t := range s.Types {
		size += t.size()
		if len(s.Types) > 1 {
			size += -t.size() & 3
		}
	}
	return s.Types != nil && len(e.Key) != size
}

// unresized is how many elements a hash set takes before the kernel makes its table larger (rhashtable:
// three quarters of 64 buckets). It does so after the commit and without a new generation, and a dump
// meanwhile misses elements or repeats them: a larger set counts as read when it reads alike twice.
const unresized = 48

func (k *Kernel) readElements(table *nftables.Table, set Set) ([]nftables.SetElement, error) {
	var elements []nftables.SetElement
	var last []Element
	for range readAttempts {
		var err error
		if elements, err = k.conn.GetSetElements(&nftables.Set{Table: table, Name: set.Name}); err != nil {
			return nil, err
		}
		read := set.fromElements(elements)
		if len(read) <= unresized || slices.Equal(read, last) {
			break
		}
		last = read
	}
	return elements, nil
}

// dumpRequest asks for all objects of a kind in tables of a family (NFPROTO_*); the names are attributes 1, 2 and so on
// of the request.
func dumpRequest(family byte, kind uint16, names ...string) netlink.Message {
	attributes := make([]netlink.Attribute, 0, len(names))
	for i, name := range names {
		attributes = append(attributes, netlink.Attribute{Type: uint16(i + 1), Data: []byte(name + "\x00")})
	}
	data, _ := netlink.MarshalAttributes(attributes)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{family, unix.NFNETLINK_V0, 0, 0}, data...),
	}
}

// Attributes of sets in nf_tables.h that package unix does not name.
const (
	setAttrObjType     = 15
	setAttrExpr        = 17
	setAttrExpressions = 18
)

// ownSetFlags are the flags that sets of ours can have.
const ownSetFlags = unix.NFT_SET_INTERVAL | unix.NFT_SET_MAP | unix.NFT_SET_TIMEOUT | unix.NFT_SET_EVAL | nftables.NFT_SET_CONCAT

// setIn decodes a set's definition, false for an anonymous one. The library decodes sets too, but not
// whether elements count, and it fails on types it does not know, which a stranger can add. The types
// of a set that cannot be ours stay empty, so that it goes or is replaced.
func setIn(m netlink.Message) (Set, bool) {
	out, magic, flags, foreign := Set{}, uint32(0), uint32(0), false
	if len(m.Data) < 4 {
		return out, false
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.NFTA_SET_NAME:
			out.Name = a.String()
		case unix.NFTA_SET_FLAGS:
			flags = a.Uint32()
		case unix.NFTA_SET_KEY_TYPE:
			magic = a.Uint32()
		case unix.NFTA_SET_DATA_TYPE:
			out.Verdicts = a.Uint32() == unix.NFT_DATA_VERDICT
		case unix.NFTA_SET_TIMEOUT:
			out.Timeout = time.Duration(a.Uint64()) * time.Millisecond
		case unix.NFTA_SET_DESC:
			out.Size = sizeIn(a.Bytes())
		case unix.NFTA_SET_POLICY, unix.NFTA_SET_GC_INTERVAL, setAttrObjType, setAttrExpressions:
			foreign = true
		case setAttrExpr:
			out.Counter = expressionName(a.Bytes()) == "counter"
			foreign = foreign || !out.Counter
		}
	})
	out.Interval, out.Dynamic = flags&unix.NFT_SET_INTERVAL != 0, flags&unix.NFT_SET_EVAL != 0
	foreign = foreign || flags&^uint32(ownSetFlags) != 0 || out.Verdicts != (flags&unix.NFT_SET_MAP != 0) ||
		(out.Timeout > 0) != (flags&unix.NFT_SET_TIMEOUT != 0)
	if !foreign {
		out.Types = typesOf(magic)
	}
	return out, flags&unix.NFT_SET_ANONYMOUS == 0
}

func sizeIn(description []byte) (size uint32) {
	each(description, func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NFTA_SET_DESC_SIZE {
			size = a.Uint32()
		}
	})
	return size
}

func expressionName(expression []byte) (name string) {
	each(expression, func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NFTA_EXPR_NAME {
			name = a.String()
		}
	})
	return name
}

// typesOf parts a concatenation into its types, which nft packs six bits each; nil if one is none of
// ours.
func typesOf(magic uint32) []keyType {
	var out []keyType
	for ; magic != 0; magic >>= nftables.SetConcatTypeBits {
		i := slices.IndexFunc(keyTypes(), func(t keyType) bool {
			datatype := t.netlink()
			return datatype.GetNFTMagic() == magic&nftables.SetConcatTypeMask
		})
		if i < 0 {
			return nil
		}
		out = append(out, keyTypes()[i])
	}
	slices.Reverse(out)
	return out
}

func (s Set) fromElements(elements []nftables.SetElement) []Element {
	if s.Interval && len(s.Types) == 1 {
		return fromEnds(elements)
	}
	out := make([]Element, 0, len(elements))
	for _, e := range elements {
		element := Element{Key: string(e.Key), Comment: e.Comment}
		if len(e.KeyEnd) > 0 && string(e.KeyEnd) != element.Key {
			element.End = string(e.KeyEnd)
		}
		if s.Verdicts {
			element.Verdict = readVerdict(e)
		}
		out = append(out, element)
	}
	sortElements(out)
	return slices.Compact(out)
}

// fromEnds pairs the starts and ends of which the kernel's interval sets are made. A start without an
// end reaches to the last address.
func fromEnds(elements []nftables.SetElement) []Element {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if n := strings.Compare(string(a.Key), string(b.Key)); n != 0 {
			return n
		}
		return boolRank(b.IntervalEnd) - boolRank(a.IntervalEnd)
	})
	var out []Element
	for i, e := range elements {
		if e.IntervalEnd {
			continue
		}
		last := strings.Repeat("\xff", len(e.Key))
		if i+1 < len(elements) && elements[i+1].IntervalEnd {
			last = addrBytes(addrFrom(string(elements[i+1].Key)).Prev())
		}
		element := interval(string(e.Key), last)
		element.Comment = e.Comment
		out = append(out, element)
	}
	return out
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// readVerdict decodes an element's verdict: the library leaves the attributes of NFTA_DATA_VERDICT in
// Val (nf_tables.h, enum nft_verdict_attributes).
func readVerdict(e nftables.SetElement) Verdict {
	attributes, err := netlink.UnmarshalAttributes(e.Val)
	if err != nil {
		return Verdict{Jump: "?"}
	}
	var out Verdict
	for _, a := range attributes {
		switch a.Type {
		case unix.NFTA_VERDICT_CODE:
			kind := expr.VerdictKind(int32(binary.BigEndian.Uint32(a.Data)))
			if kind != expr.VerdictAccept && kind != expr.VerdictDrop && kind != expr.VerdictJump {
				return Verdict{Jump: "?"}
			}
			out.Drop = kind == expr.VerdictDrop
		case unix.NFTA_VERDICT_CHAIN:
			out.Jump = strings.TrimRight(string(a.Data), "\x00")
		}
	}
	return out
}
