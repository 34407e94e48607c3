package nft

import (
	"fmt"
	"strings"
)

// origin is what of a policy asks for a rule.
type origin struct {
	deny   bool
	word   string // of the grammar: "*", "_host_", "_internet_", "_dns_"; "" for what set has
	clause Clause
	set    string // name
}

// maxNoted is how many tokens are noted behind one rule.
const maxNoted = 3

// notes say behind each rule of a container's chains which token asks for it, for people.
type notes struct {
	who   string // the container
	table Table  // that has the sets which the rules look up: its own, or a shared source's
}

// note is a comment at the end of a rule: the tokens in the words of the label. Of names it has those that there are
// addresses of, and of literals what is left of them once overlaps are merged.
func (n notes) note(r Rule) string {
	if r.why == nil {
		return " # " + n.who
	}
	tokens, more := []string{r.why.word + r.why.clause.String()}, 0
	if r.why.word == "" {
		tokens, more = r.why.tokens(n.table.set(r.why.set))
	}
	text := strings.Join(tokens, ", ")
	if r.why.deny {
		text = "!" + strings.Join(tokens, ", !")
	}
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return " # " + n.who + ": " + text
}

// tokens are the first few that a set's elements stand for, each once.
func (o *origin) tokens(s *Set) (tokens []string, more int) {
	seen := map[string]bool{}
	for _, e := range s.Elements {
		text := s.token(e, o.clause)
		if seen[text] {
			continue
		}
		seen[text] = true
		if len(tokens) < maxNoted {
			tokens = append(tokens, text)
		} else {
			more++
		}
	}
	if len(tokens) == 0 { // sets of names fill and empty
		return []string{"names" + o.clause.String() + " without an address"}, 0
	}
	return tokens, more
}

// token is what an element stands for: a name, or an address with the protocol and ports beside it.
func (s *Set) token(e Element, c Clause) string {
	if e.Comment != "" {
		return e.Comment + c.String()
	}
	first, last := fieldsOf(s.Types, e.Key), fieldsOf(s.Types, e.Key)
	if e.End != "" {
		last = fieldsOf(s.Types, e.End)
	}
	if len(s.Types) == 3 {
		c = Clause{first[1][0], Ports{portFrom(first[2]), portFrom(last[2])}}
		if c.Ports == (Ports{0, 65535}) {
			c.Ports = Ports{}
		}
	}
	addr := Range{addrFrom(first[0]), addrFrom(last[0])}.String()
	if c != (Clause{}) && strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return addr + c.String()
}

// String is the clause as it follows a destination in a label, such as ":443/tcp"; empty for the zero value.
func (c Clause) String() string {
	var b strings.Builder
	if c.Ports != (Ports{}) {
		b.WriteString(":" + c.Ports.String())
	}
	if c.Proto != 0 {
		b.WriteString("/" + protoName(c.Proto))
	}
	return b.String()
}

// origin is why a set is looked up.
func (m matchSet) origin(deny bool) *origin {
	switch m.kind {
	case resolvers:
		return &origin{deny: deny, word: "_dns_"}
	case addrICMP, netICMP:
		return &origin{deny: deny, clause: Clause{Proto: ICMP}, set: m.Name}
	default:
		return &origin{deny: deny, clause: m.clause, set: m.Name}
	}
}
