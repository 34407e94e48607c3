package nft

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// decoder turns the kernel's expressions back into nft(8) text. It follows what each one does to the
// registers (nf_tables.h, enum nft_registers): a load leaves an operand there, a test or a statement
// takes it out and becomes a phrase of the text. What is not understood is named in brackets, and from
// there on the rule is a comment: the text never says more than the rule does.
type decoder struct {
	sets    map[string]*liveSet
	regs    [16]operand // by 32-bit register
	phrases []phrase
	// lowPhrase is the number of phrases after the last lower bound.
	lowPhrase int
	// What the tests so far say of the packet: the meaning of its headers depends on it.
	family family
	proto  uint8
	arp    bool
}

// phrase is one clause of the text.
type phrase struct {
	text   string
	opaque bool
	test   dependency // what the phrase tests, if nft writes such a test by itself before other clauses
}

// dependency is a test that nft puts before a clause without being told: "ip daddr" needs IPv4.
type dependency struct {
	family family
	proto  uint8
	ether  bool // the link is Ethernet
}

// decodeRule returns the text of a rule's expressions. Sets are those of its table, by name.
func decodeRule(expressions []expression, sets map[string]*liveSet) string {
	d := &decoder{sets: sets}
	for _, e := range expressions {
		d.step(e)
	}
	d.unused(0, len(d.regs))
	return d.text()
}

func (d *decoder) text() string {
	texts := make([]string, 0, len(d.phrases))
	for _, p := range d.phrases {
		texts = append(texts, p.text)
	}
	if i := slices.IndexFunc(d.phrases, func(p phrase) bool { return p.opaque }); i >= 0 {
		texts[i] = "# " + texts[i]
	}
	return strings.Join(texts, " ")
}

// step takes one expression; see nf_tables.h for the attributes of each.
func (d *decoder) step(e expression) {
	handle, highest := d.handler(e.name)
	if handle == nil || e.highest() > highest || !handle(e.attributes) {
		d.unknown(e)
	}
}

// handler returns what decodes an expression, and the highest attribute it knows: a newer kernel
// gives new meanings by new attributes.
func (d *decoder) handler(name string) (handle func(attributes) bool, highest uint16) {
	switch name {
	case "meta":
		return d.meta, unix.NFTA_META_SREG
	case "ct":
		return d.ct, unix.NFTA_CT_SREG
	case "payload":
		return d.payload, unix.NFTA_PAYLOAD_LEN
	case "immediate":
		return d.immediate, unix.NFTA_IMMEDIATE_DATA
	case "bitwise":
		return d.bitwise, bitwiseOp
	case "byteorder":
		return d.byteorder, unix.NFTA_BYTEORDER_SIZE
	case "cmp":
		return d.compare, unix.NFTA_CMP_DATA
	case "range":
		return d.within, unix.NFTA_RANGE_TO_DATA
	case "lookup":
		return d.lookup, unix.NFTA_LOOKUP_FLAGS
	case "dynset":
		return d.dynset, dynsetExpressions
	case "objref":
		return d.object, unix.NFTA_OBJREF_SET_ID
	}
	return d.statement(name)
}

// statement handles what needs no register.
func (d *decoder) statement(name string) (handle func(attributes) bool, highest uint16) {
	format, highest := statementFormat(name)
	if format == nil {
		return nil, 0
	}
	return func(a attributes) bool {
		text, ok := format(a)
		if ok {
			d.emit(phrase{text: text})
		}
		return ok
	}, highest
}

// emit adds a phrase; the tests that nft writes by itself before it are left out again.
func (d *decoder) emit(p phrase, needs ...dependency) {
	for n := len(d.phrases); n > 0; n-- {
		test := d.phrases[n-1].test
		if test == (dependency{}) || !slices.Contains(needs, test) {
			break
		}
		d.phrases = d.phrases[:n-1]
	}
	d.phrases = append(d.phrases, p)
}

// unknown marks an expression that is not understood. It may have written any register.
func (d *decoder) unknown(e expression) {
	text := e.name
	if text == "match" || text == "target" { // of xtables; both have the name first (nf_tables_compat.h)
		text = "xt " + text + " " + e.text(unix.NFTA_MATCH_NAME)
	}
	for i := range d.regs {
		if o := &d.regs[i]; o.size > 0 && !o.used {
			text += " " + o.String()
		}
		d.regs[i] = operand{text: bracketed(e.name), size: 4, opaque: true, used: true}
	}
	d.emit(phrase{text: bracketed(text), opaque: true})
}

// bracketed marks what is no nft text.
func bracketed(text string) string { return "[" + comment(text) + "]" }

// slot is the 32-bit register behind a register number: 1 to 4 are 16 bytes wide and lie on the
// same storage. It is -1 for the verdict register.
func slot(register uint64) int {
	switch {
	case register >= unix.NFT_REG_1 && register <= unix.NFT_REG_4:
		return int(register-unix.NFT_REG_1) * 4
	case register >= reg32 && register < reg32+16:
		return int(register - reg32)
	}
	return -1
}

// put loads an operand into a register.
func (d *decoder) put(register uint64, o operand) bool {
	i := slot(register)
	if i < 0 || o.size < 1 || i+o.words() > len(d.regs) {
		return false
	}
	d.unused(i, i+o.words())
	d.regs[i] = o
	return true
}

// unused clears registers. What was loaded but never looked at is said too: a load of a header that is
// not there ends the rule (NFT_BREAK).
func (d *decoder) unused(from, to int) {
	for i := range d.regs {
		o := &d.regs[i]
		if o.size == 0 || i >= to || i+o.words() <= from {
			continue
		}
		if !o.used {
			d.emit(phrase{text: bracketed("unused " + o.String()), opaque: true})
		}
		*o = operand{}
	}
}

// take returns the operand in a register.
func (d *decoder) take(register uint64) operand {
	i := slot(register)
	if i < 0 || d.regs[i].size == 0 {
		return operand{text: bracketed(fmt.Sprint("register ", register)), size: 4, opaque: true}
	}
	d.regs[i].used = true
	return d.regs[i]
}

// key returns the operands that make up a set's key, which is as long as the set says.
func (d *decoder) key(register uint64, set *liveSet) operand {
	var out operand
	var texts []string
	for n, length := 0, 0; length < set.keyLength; n++ {
		o := d.take(register)
		if o.data != nil && n < len(set.types) {
			o.typ = set.types[n]
		}
		texts = append(texts, o.String())
		out.needs = append(out.needs, o.needs...)
		out.opaque = out.opaque || o.opaque
		length += o.words() * 4
		register = uint64(reg32 + slot(register) + o.words())
	}
	out.text = strings.Join(texts, " . ")
	return out
}

// set returns what is known of a set; of one that is not there, a key of one register.
func (d *decoder) set(name string) *liveSet {
	if s := d.sets[name]; s != nil {
		return s
	}
	return &liveSet{name: name, keyLength: 1}
}
