package nft

import (
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// statementFormat returns what prints a statement that looks at no register, and the highest
// attribute it knows.
func statementFormat(name string) (format func(attributes) (string, bool), highest uint16) {
	switch name {
	case "counter":
		return constant("counter"), unix.NFTA_COUNTER_PAD
	case "limit":
		return limitText, unix.NFTA_LIMIT_FLAGS + 1 // NFTA_LIMIT_PAD
	case "quota":
		return quotaText, unix.NFTA_QUOTA_CONSUMED
	case "connlimit":
		return connlimitText, connlimitFlags
	case "log":
		return logText, unix.NFTA_LOG_FLAGS
	case "reject":
		return rejectText, unix.NFTA_REJECT_ICMP_CODE
	case "masq":
		return constant("masquerade"), 0
	case "redir":
		return constant("redirect"), 0
	case "notrack":
		return constant("notrack"), 0
	}
	return nil, 0
}

func constant(text string) func(attributes) (string, bool) {
	return func(attributes) (string, bool) { return text, true }
}

// over is the word for a statement that matches above its bound. The bit is the same in
// NFT_LIMIT_F_INV, NFT_QUOTA_F_INV and NFT_CONNLIMIT_F_INV.
func over(flags uint64) string {
	if flags&1 != 0 {
		return "over "
	}
	return ""
}

func limitText(a attributes) (string, bool) {
	units := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
	unit, known := units[a.number(unix.NFTA_LIMIT_UNIT)]
	rate, burst := a.number(unix.NFTA_LIMIT_RATE), a.number(unix.NFTA_LIMIT_BURST)
	text, bytes, size := "limit rate "+over(a.number(unix.NFTA_LIMIT_FLAGS)), "", "packets"
	if a.number(unix.NFTA_LIMIT_TYPE) == unix.NFT_LIMIT_PKT_BYTES {
		bytes, size = " bytes", "bytes"
	}
	text += fmt.Sprintf("%d%s/%s", rate, bytes, unit)
	if burst > 0 {
		text += fmt.Sprintf(" burst %d %s", burst, size)
	}
	return text, known && a.number(unix.NFTA_LIMIT_TYPE) <= unix.NFT_LIMIT_PKT_BYTES
}

func quotaText(a attributes) (string, bool) {
	return fmt.Sprintf("quota %s%d bytes", over(a.number(unix.NFTA_QUOTA_FLAGS)), a.number(unix.NFTA_QUOTA_BYTES)), true
}

// The attributes of connlimit (nf_tables.h, enum nft_connlimit_attributes).
const (
	connlimitCount = 1
	connlimitFlags = 2
)

func connlimitText(a attributes) (string, bool) {
	return fmt.Sprintf("ct count %s%d", over(a.number(connlimitFlags)), a.number(connlimitCount)), true
}

func logText(a attributes) (string, bool) {
	text := "log"
	if a.has(unix.NFTA_LOG_PREFIX) {
		text += fmt.Sprintf(" prefix %q", a.text(unix.NFTA_LOG_PREFIX))
	}
	for _, option := range []struct {
		attribute uint16
		text      string
	}{{unix.NFTA_LOG_GROUP, "group"}, {unix.NFTA_LOG_SNAPLEN, "snaplen"}, {unix.NFTA_LOG_QTHRESHOLD, "queue-threshold"}} {
		if a.has(option.attribute) {
			text += fmt.Sprintf(" %s %d", option.text, a.number(option.attribute))
		}
	}
	levels := []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"}
	level := a.number(unix.NFTA_LOG_LEVEL)
	if warn := uint64(expr.LogLevelWarning); a.has(unix.NFTA_LOG_LEVEL) && level != warn && level < uint64(len(levels)) {
		text += " level " + levels[level]
	}
	return text, a.number(unix.NFTA_LOG_FLAGS) == 0 && level < uint64(len(levels))
}

// rejectText knows the codes that go for both families (nf_tables.h, enum nft_reject_inet_code).
func rejectText(a attributes) (string, bool) {
	code := a.number(unix.NFTA_REJECT_ICMP_CODE)
	codes := [...]string{"no-route", "port-unreachable", "host-unreachable", "admin-prohibited"}
	switch kind := a.number(unix.NFTA_REJECT_TYPE); {
	case kind == unix.NFT_REJECT_TCP_RST:
		return "reject with tcp reset", true
	case kind == unix.NFT_REJECT_ICMPX_UNREACH && code < uint64(len(codes)):
		return "reject with icmpx " + codes[code], true
	}
	return "", false
}

// immediate is a verdict, or a constant in a register.
func (d *decoder) immediate(a attributes) bool {
	if verdict := attributesOf(a.at(unix.NFTA_IMMEDIATE_DATA)).at(unix.NFTA_DATA_VERDICT); verdict != nil {
		text, ok := verdictText(attributesOf(verdict))
		d.emit(phrase{text: text, opaque: !ok})
		return true
	}
	data := a.value(unix.NFTA_IMMEDIATE_DATA)
	return d.put(a.number(unix.NFTA_IMMEDIATE_DREG), operand{data: data, size: len(data), full: len(data)})
}

// verdictText prints a verdict of a rule or of an element.
func verdictText(a attributes) (string, bool) {
	chain := quoted(a.text(unix.NFTA_VERDICT_CHAIN))
	switch kind := expr.VerdictKind(int32(a.number(unix.NFTA_VERDICT_CODE))); kind {
	case expr.VerdictAccept:
		return "accept", true
	case expr.VerdictDrop:
		return "drop", true
	case expr.VerdictContinue:
		return "continue", true
	case expr.VerdictReturn:
		return "return", true
	case expr.VerdictJump:
		return "jump " + chain, true
	case expr.VerdictGoto:
		return "goto " + chain, true
	default:
		return bracketed(fmt.Sprint("verdict ", int64(kind))), false
	}
}

// quoted is a name as it is, or quoted if it holds what no name of nft's does.
func quoted(name string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-./", r)
	}
	if name == "" || strings.ContainsFunc(name, odd) {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// lookup is a test of membership, a jump through a verdict map, or a load out of a data map.
func (d *decoder) lookup(a attributes) bool {
	set := d.set(a.text(unix.NFTA_LOOKUP_SET))
	key := d.key(a.number(unix.NFTA_LOOKUP_SREG), set)
	operator := " "
	switch to := a.number(unix.NFTA_LOOKUP_DREG); {
	case a.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0:
		operator = " != "
	case a.has(unix.NFTA_LOOKUP_DREG) && to == unix.NFT_REG_VERDICT:
		operator = " vmap "
	case a.has(unix.NFTA_LOOKUP_DREG):
		text := key.text + " map " + set.reference()
		return d.put(to, operand{text: text, typ: set.data, size: set.dataLength, full: set.dataLength, needs: key.needs, opaque: key.opaque})
	}
	d.emit(key.phrase(key.text+operator+set.reference()), key.needs...)
	return true
}

// dynset adds the packet's key to a set, with statements that each element keeps for itself.
func (d *decoder) dynset(a attributes) bool {
	set, op := d.set(a.text(unix.NFTA_DYNSET_SET_NAME)), a.number(unix.NFTA_DYNSET_OP)
	words := [...]string{unix.NFT_DYNSET_OP_ADD: "add", unix.NFT_DYNSET_OP_UPDATE: "update", 2: "delete"}
	if op >= uint64(len(words)) || a.number(unix.NFTA_DYNSET_FLAGS)&unix.NFT_DYNSET_F_INV != 0 {
		return false
	}
	key := d.key(a.number(unix.NFTA_DYNSET_SREG_KEY), set)
	text := fmt.Sprintf("%s %s { %s", words[op], set.reference(), key.text)
	if timeout := a.number(unix.NFTA_DYNSET_TIMEOUT); timeout > 0 {
		text += " timeout " + millisecondsText(timeout)
	}
	each := expressionsOf(a.at(dynsetExpressions))
	if a.has(unix.NFTA_DYNSET_EXPR) {
		each = append(each, expressionOf(a.at(unix.NFTA_DYNSET_EXPR)))
	}
	for _, e := range each {
		statement, ok := elementStatement(e)
		text += " " + statement
		key.opaque = key.opaque || !ok
	}
	if a.has(unix.NFTA_DYNSET_SREG_DATA) {
		o := d.take(a.number(unix.NFTA_DYNSET_SREG_DATA))
		text += " : " + o.String()
		key.opaque = key.opaque || o.opaque
	}
	d.emit(key.phrase(text+" }"), key.needs...)
	return true
}

// elementStatement prints a statement that belongs to an element.
func elementStatement(e expression) (string, bool) {
	if format, highest := statementFormat(e.name); format != nil && e.highest() <= highest {
		if text, ok := format(e.attributes); ok {
			return text, true
		}
	}
	return bracketed(e.name), false
}

func millisecondsText(ms uint64) string {
	if ms%1000 == 0 {
		return nftDuration(float64(ms / 1000))
	}
	return fmt.Sprintf("%dms", ms)
}

// object is a reference to a named counter, quota or limit, by name or through a map.
func (d *decoder) object(a attributes) bool {
	if a.has(unix.NFTA_OBJREF_SET_SREG) {
		set := d.set(a.text(unix.NFTA_OBJREF_SET_NAME))
		key := d.key(a.number(unix.NFTA_OBJREF_SET_SREG), set)
		d.emit(key.phrase(objectKind(set.objects)+" name "+key.text+" map "+set.reference()), key.needs...)
		return true
	}
	kind := a.number(unix.NFTA_OBJREF_IMM_TYPE)
	text := fmt.Sprintf("%s name %q", objectKind(kind), a.text(unix.NFTA_OBJREF_IMM_NAME))
	d.emit(phrase{text: text, opaque: kind > unix.NFT_OBJECT_LIMIT || kind == unix.NFT_OBJECT_CT_HELPER})
	return true
}

// objectKind names a kind of stateful object (nf_tables.h, NFT_OBJECT_*).
func objectKind(kind uint64) string {
	names := [...]string{1: "counter", "quota", "ct helper", "limit", "ct count", "tunnel", "ct timeout", "secmark", "ct expectation", "synproxy"}
	if kind == 0 || kind >= uint64(len(names)) {
		return bracketed(fmt.Sprint("object ", kind))
	}
	return names[kind]
}
