package nft

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Op is one operation of a batch on a table: printed as an nft command, written as netlink messages.
type Op interface {
	text(table string) string // "inet dockerwall"
	write(c *nftables.Conn, table *nftables.Table) error
	// rank orders what a batch does: rules go before the sets they look up, maps before the chains they
	// jump to.
	rank() int
}

type (
	addCounter  struct{ name string }
	delCounter  struct{ name string }
	addSet      struct{ set Set }
	delSet      struct{ set Set }
	addElements struct {
		set      Set
		elements []Element
	}
	delElements struct {
		set      Set
		elements []Element
	}
	addChain   struct{ chain Chain }
	delChain   struct{ chain Chain }
	flushChain struct{ name string }
	addRule    struct {
		chain string
		rule  Rule
	}
)

func (flushChain) rank() int  { return 0 }
func (delElements) rank() int { return 1 }
func (delSet) rank() int      { return 2 }
func (delChain) rank() int    { return 3 }
func (delCounter) rank() int  { return 4 }
func (addCounter) rank() int  { return 5 }
func (addSet) rank() int      { return 6 }
func (addChain) rank() int    { return 7 }
func (addRule) rank() int     { return 8 }
func (addElements) rank() int { return 9 }

func (o addCounter) text(table string) string { return "add counter " + table + " " + o.name }
func (o delCounter) text(table string) string { return "delete counter " + table + " " + o.name }
func (o delSet) text(table string) string {
	return "delete " + o.set.kind() + " " + table + " " + o.set.Name
}
func (o delChain) text(table string) string   { return "delete chain " + table + " " + o.chain.Name }
func (o flushChain) text(table string) string { return "flush chain " + table + " " + o.name }
func (o addRule) text(table string) string {
	return "add rule " + table + " " + o.chain + " " + o.rule.String()
}
func (o addElements) text(table string) string {
	return elementCommand("add", table, o.set, o.elements)
}
func (o delElements) text(table string) string {
	keys := make([]Element, len(o.elements))
	for i, e := range o.elements {
		keys[i] = Element{Key: e.Key, End: e.End, Verdict: e.Verdict}
	}
	return elementCommand("delete", table, o.set, keys)
}

func (o addChain) text(table string) string {
	text := "add chain " + table + " " + o.chain.Name
	if o.chain.Hook != NoHook {
		text += " { " + o.chain.hookText() + " }"
	}
	return text
}

func (o addSet) text(table string) string {
	definition := strings.Join(strings.Split(strings.TrimSpace(o.set.definition()), "\n"), "; ")
	text := fmt.Sprintf("add %s %s %s { %s; }", o.set.kind(), table, o.set.Name, definition)
	if len(o.set.Elements) > 0 {
		text += "\n" + elementCommand("add", table, o.set, o.set.Elements)
	}
	return text
}

func elementCommand(verb, table string, s Set, elements []Element) string {
	texts := make([]string, 0, len(elements))
	for _, e := range elements {
		texts = append(texts, s.formatElement(e))
	}
	return fmt.Sprintf("%s element %s %s { %s }", verb, table, s.Name, strings.Join(texts, ", "))
}

func (s Set) kind() string {
	if s.Verdicts {
		return "map"
	}
	return "set"
}

// ours is the table as the library wants it named in every object.
func ours() *nftables.Table {
	return &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet}
}

func (o addCounter) write(c *nftables.Conn, table *nftables.Table) error {
	c.AddObj(&nftables.NamedObj{Table: table, Name: o.name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	return nil
}

func (o delCounter) write(c *nftables.Conn, table *nftables.Table) error {
	c.DeleteObject(&nftables.NamedObj{Table: table, Name: o.name, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	return nil
}

func (o addSet) write(c *nftables.Conn, table *nftables.Table) error {
	return c.AddSet(o.set.netlink(table), o.set.netlinkElements(o.set.Elements))
}

func (o delSet) write(c *nftables.Conn, table *nftables.Table) error {
	c.DelSet(o.set.netlink(table))
	return nil
}

func (o addElements) write(c *nftables.Conn, table *nftables.Table) error {
	return c.SetAddElements(o.set.netlink(table), o.set.netlinkElements(o.elements))
}

func (o delElements) write(c *nftables.Conn, table *nftables.Table) error {
	plain := o.set
	plain.Verdicts, plain.Counter = false, false // a key is enough to delete by
	keys := make([]Element, len(o.elements))
	for i, e := range o.elements {
		keys[i] = Element{Key: e.Key, End: e.End}
	}
	return c.SetDeleteElements(o.set.netlink(table), plain.netlinkElements(keys))
}

func (o addChain) write(c *nftables.Conn, table *nftables.Table) error {
	chain := &nftables.Chain{Table: table, Name: o.chain.Name}
	if o.chain.Hook != NoHook {
		chain.Type = nftables.ChainTypeFilter
		chain.Hooknum = o.chain.Hook.netlink()
		chain.Priority = nftables.ChainPriorityRef(nftables.ChainPriority(o.chain.Priority))
		policy := nftables.ChainPolicyAccept
		chain.Policy = &policy
	}
	c.AddChain(chain)
	return nil
}

func (h Hook) netlink() *nftables.ChainHook {
	switch h {
	case Input:
		return nftables.ChainHookInput
	case Output:
		return nftables.ChainHookOutput
	case Prerouting:
		return nftables.ChainHookPrerouting
	default:
		return nftables.ChainHookForward
	}
}

func (o delChain) write(c *nftables.Conn, table *nftables.Table) error {
	c.DelChain(&nftables.Chain{Table: table, Name: o.chain.Name})
	return nil
}

func (o flushChain) write(c *nftables.Conn, table *nftables.Table) error {
	c.FlushChain(&nftables.Chain{Table: table, Name: o.name})
	return nil
}

func (o addRule) write(c *nftables.Conn, table *nftables.Table) error {
	var exprs []expr.Any
	for _, clause := range o.rule.clauses {
		exprs = append(exprs, clause.exprs()...)
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: o.chain}, Exprs: exprs})
	return nil
}

// netlink is the set's definition as the library wants it.
func (s Set) netlink(table *nftables.Table) *nftables.Set {
	types := make([]nftables.SetDatatype, 0, len(s.Types))
	for _, t := range s.Types {
		types = append(types, t.netlink())
	}
	if len(types) == 0 { // a stranger's, good for removing it only
		return &nftables.Set{Table: table, Name: s.Name}
	}
	out := &nftables.Set{
		Table: table, Name: s.Name, KeyType: types[0], KeyByteOrder: binaryutil.BigEndian,
		Interval: s.Interval, Dynamic: s.Dynamic, Counter: s.Counter, Size: s.Size,
		HasTimeout: s.Timeout > 0, Timeout: s.Timeout,
	}
	if s.Types[0] == typeIfname {
		out.KeyByteOrder = binaryutil.NativeEndian // as nft has strings; it prints by that
	}
	if len(types) > 1 {
		out.KeyType = nftables.MustConcatSetType(types...)
		out.Concatenation = s.Interval
	}
	if s.Verdicts {
		out.IsMap, out.DataType = true, nftables.TypeVerdict
	}
	return out
}

func (s Set) netlinkElements(elements []Element) []nftables.SetElement {
	out := make([]nftables.SetElement, 0, len(elements))
	for _, e := range elements {
		n := nftables.SetElement{Key: []byte(e.Key), Comment: e.Comment}
		if s.Verdicts {
			n.VerdictData = e.Verdict.netlink()
		}
		if s.Counter {
			n.Counter = &expr.Counter{}
		}
		if s.Interval && len(s.Types) > 1 {
			n.KeyEnd = []byte(cmp.Or(e.End, e.Key)) // nft lists an element without it as one with its neighbour
		}
		out = append(out, n)
		if s.Interval && len(s.Types) == 1 {
			out = append(out, intervalEnd(e)...)
		}
	}
	return out
}

// intervalEnd is the element that closes a range: the key after its last one. A range up to the last
// address has none.
func intervalEnd(e Element) []nftables.SetElement {
	next := addrFrom(cmp.Or(e.End, e.Key)).Next()
	if !next.IsValid() {
		return nil
	}
	return []nftables.SetElement{{Key: next.AsSlice(), IntervalEnd: true}}
}

func (v Verdict) netlink() *expr.Verdict {
	switch {
	case v.Jump != "":
		return &expr.Verdict{Kind: expr.VerdictJump, Chain: v.Jump}
	case v.Drop:
		return &expr.Verdict{Kind: expr.VerdictDrop}
	}
	return &expr.Verdict{Kind: expr.VerdictAccept}
}
