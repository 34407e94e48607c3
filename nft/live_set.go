package nft

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// liveSet is a set or map as the kernel lists it, ours or not.
type liveSet struct {
	name        string
	types       []datatype
	keyLength   int
	data        datatype // of a data map
	dataLength  int
	verdicts    bool
	objects     uint64 // of an object map: the kind
	flags       uint64
	timeout     time.Duration
	size        uint32
	expressions []expression // that each element keeps for itself
	odd         bool         // it has settings that no set of ours has, and that change no packet's way
	elements    []liveElement
}

// liveElement is an element; end is "" for a single key.
type liveElement struct {
	key, end   string
	closes     bool // the end of a range, in interval sets of one field
	catchall   bool
	verdict    attributes
	data       []byte
	object     string
	comment    string
	timeout    time.Duration
	statements []expression
}

func newLiveSet(a attributes) *liveSet {
	s := &liveSet{
		name: a.text(unix.NFTA_SET_NAME), keyLength: int(a.number(unix.NFTA_SET_KEY_LEN)), flags: a.number(unix.NFTA_SET_FLAGS),
		timeout: milliseconds(a.number(unix.NFTA_SET_TIMEOUT)), objects: a.number(unix.NFTA_SET_OBJ_TYPE),
		size:       uint32(attributesOf(a.at(unix.NFTA_SET_DESC)).number(unix.NFTA_SET_DESC_SIZE)),
		dataLength: int(a.number(unix.NFTA_SET_DATA_LEN)), verdicts: a.number(unix.NFTA_SET_DATA_TYPE) == unix.NFT_DATA_VERDICT,
		expressions: expressionsOf(a.at(setAttrExpressions)), types: datatypesOf(a.number(unix.NFTA_SET_KEY_TYPE)),
	}
	s.odd = a.has(unix.NFTA_SET_POLICY) || a.has(unix.NFTA_SET_GC_INTERVAL)
	if types := datatypesOf(a.number(unix.NFTA_SET_DATA_TYPE)); len(types) == 1 {
		s.data = types[0]
	}
	if a.has(setAttrExpr) {
		s.expressions = append(s.expressions, expressionOf(a.at(setAttrExpr)))
	}
	return s
}

func milliseconds(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }

// typesOf parts the type of a key: six bits for each field, the last one lowest (nftables,
// TYPE_BITS).
func datatypesOf(key uint64) []datatype {
	var out []datatype
	for ; key != 0; key >>= 6 {
		out = slices.Insert(out, 0, datatype(key&0x3f))
	}
	return out
}

// read takes the elements of a dump. A range of one field has come in two elements, its first key and
// the key after its last one; a range that nothing closes reaches up to the next, or to the end.
func (s *liveSet) read(lists []attributes) {
	for _, a := range lists {
		for _, b := range listOf(a.at(unix.NFTA_SET_ELEM_LIST_ELEMENTS)) {
			s.elements = append(s.elements, newLiveElement(attributesOf(b)))
		}
	}
	slices.SortStableFunc(s.elements, func(a, b liveElement) int {
		return cmp.Or(strings.Compare(a.key, b.key), boolRank(b.closes)-boolRank(a.closes))
	})
	if s.flags&unix.NFT_SET_INTERVAL == 0 || len(s.types) != 1 {
		return
	}
	for i := range s.elements {
		e := &s.elements[i]
		last := strings.Repeat("\xff", len(e.key))
		if i+1 < len(s.elements) {
			last = keyBefore(s.elements[i+1].key)
		}
		if last != e.key {
			e.end = last
		}
	}
	s.elements = slices.DeleteFunc(s.elements, func(e liveElement) bool { return e.closes })
}

// keyBefore is the key before another.
func keyBefore(key string) string {
	out := []byte(key)
	for i := len(out) - 1; i >= 0; i-- {
		out[i]--
		if out[i] != 0xff {
			break
		}
	}
	return string(out)
}

func newLiveElement(a attributes) liveElement {
	flags, data := a.number(unix.NFTA_SET_ELEM_FLAGS), attributesOf(a.at(unix.NFTA_SET_ELEM_DATA))
	e := liveElement{
		key: string(a.value(unix.NFTA_SET_ELEM_KEY)), closes: flags&unix.NFT_SET_ELEM_INTERVAL_END != 0, catchall: flags&setElemCatchall != 0,
		data: data.at(unix.NFTA_DATA_VALUE), object: a.text(unix.NFTA_SET_ELEM_OBJREF), comment: userComment(a.at(unix.NFTA_SET_ELEM_USERDATA)),
		timeout: milliseconds(a.number(unix.NFTA_SET_ELEM_TIMEOUT)), statements: expressionsOf(a.at(setElemExpressions)),
	}
	if end := string(a.value(setElemKeyEnd)); end != e.key {
		e.end = end
	}
	if data.at(unix.NFTA_DATA_VERDICT) != nil {
		e.verdict = attributesOf(data.at(unix.NFTA_DATA_VERDICT))
	}
	if a.has(unix.NFTA_SET_ELEM_EXPR) {
		e.statements = append(e.statements, expressionOf(a.at(unix.NFTA_SET_ELEM_EXPR)))
	}
	return e
}

// ours returns s as a set of our kind, if it is one in all it says.
func (s *liveSet) ours() (Set, bool) {
	out := Set{
		Name: s.name, Verdicts: s.verdicts, Interval: s.flags&unix.NFT_SET_INTERVAL != 0, Dynamic: s.flags&unix.NFT_SET_EVAL != 0,
		Timeout: s.timeout, Size: s.size, Counter: len(s.expressions) > 0,
	}
	isMap, times := s.flags&unix.NFT_SET_MAP != 0, s.flags&unix.NFT_SET_TIMEOUT != 0
	if s.odd || isMap != s.verdicts || s.objects != 0 || times != (s.timeout > 0) || s.flags&^ownSetFlags != 0 || !onlyCounter(s.expressions) {
		return Set{}, false
	}
	for _, t := range s.types {
		key, ok := t.keyType()
		if !ok || out.Interval && len(s.types) == 1 && key != typeIPv4 && key != typeIPv6 {
			return Set{}, false
		}
		out.Types = append(out.Types, key)
	}
	for _, e := range s.elements {
		element, ok := e.ours(out)
		if !ok {
			return Set{}, false
		}
		out.Elements = append(out.Elements, element)
	}
	sortElements(out.Elements)
	return out, len(out.Types) > 0
}

func onlyCounter(list []expression) bool {
	return len(list) == 0 || len(list) == 1 && list[0].name == "counter"
}

func (t datatype) keyType() (keyType, bool) {
	for _, k := range keyTypes() {
		if n := k.netlink(); n.GetNFTMagic() == uint32(t) {
			return k, true
		}
	}
	return 0, false
}

// ours returns e as an element of a set of ours.
func (e liveElement) ours(s Set) (Element, bool) {
	out := Element{Key: e.key, End: e.end, Comment: e.comment}
	if e.catchall || e.timeout > 0 || e.object != "" || e.data != nil || !onlyCounter(e.statements) || len(fieldsOf(s.Types, e.key)) != len(s.Types) {
		return Element{}, false
	}
	if e.end != "" && len(e.end) != len(e.key) || oddNames(s.Types, e.key) || oddNames(s.Types, e.end) || s.Verdicts != (e.verdict != nil) {
		return Element{}, false
	}
	if s.Verdicts {
		text, _ := verdictText(e.verdict)
		out.Verdict = Verdict{Jump: e.verdict.text(unix.NFTA_VERDICT_CHAIN), Drop: text == "drop"}
		return out, out.Verdict.String() == text
	}
	return out, true
}

// oddNames says whether a key has an interface's name that must not be printed as it is.
func oddNames(types []keyType, key string) bool {
	for i, f := range fieldsOf(types, key) {
		if name := strings.TrimRight(f, "\x00"); types[i] == typeIfname && comment(name) != name {
			return true
		}
	}
	return false
}

// text prints a set that is not ours.
func (s *liveSet) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\t%s %s {\n\t\ttype %s\n", s.kind(), quoted(s.name), s.typeText())
	if s.size > 0 {
		fmt.Fprintf(&b, "\t\tsize %d\n", s.size)
	}
	if flags := s.flagsText(); flags != "" {
		fmt.Fprintf(&b, "\t\tflags %s\n", flags)
	}
	if s.timeout > 0 {
		fmt.Fprintf(&b, "\t\ttimeout %s\n", durationText(s.timeout))
	}
	for _, e := range s.expressions {
		fmt.Fprintf(&b, "\t\t%s\n", statementText(e))
	}
	if len(s.elements) > 0 {
		fmt.Fprintf(&b, "\t\telements = { %s }\n", strings.Join(s.elementTexts(), ",\n\t\t\t     "))
	}
	b.WriteString("\t}\n")
	return b.String()
}
