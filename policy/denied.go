package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// denials answers whether a denial of the same text covers all of an allow, so that it never counts.
type denials struct {
	tokens   map[Token]bool       // every denial
	literals map[Clause][]Literal // merged
}

func newDenials(tokens []Token) denials {
	d := denials{tokens: map[Token]bool{}, literals: map[Clause][]Literal{}}
	for _, t := range tokens {
		if !t.Deny {
			continue
		}
		d.tokens[t] = true
		if l, ok := t.Dest.(Literal); ok {
			d.literals[t.Clause] = append(d.literals[t.Clause], l)
		}
	}
	for c, literals := range d.literals {
		d.literals[c] = Merge(literals)
	}
	return d
}

// covers says whether everything that t allows is denied.
func (d denials) covers(t Token) bool {
	for _, c := range widerClauses(t.Clause) {
		if d.has(t.Dest, c) || d.has(All, c) {
			return true
		}
		if l, ok := t.Dest.(Literal); ok && contains(d.literals[c], l) {
			return true
		}
		if p, ok := t.Dest.(Pattern); ok && d.hasWildcardOver(p, c) {
			return true
		}
	}
	return false
}

func (d denials) has(dest Destination, c Clause) bool {
	return d.tokens[Token{Deny: true, Dest: dest, Clause: c}]
}

func (d denials) hasWildcardOver(p Pattern, c Clause) bool {
	for _, name, ok := strings.Cut(p.name, "."); ok; _, name, ok = strings.Cut(name, ".") {
		if d.has(Pattern{name: name, wild: true}, c) {
			return true
		}
	}
	return false
}

// widerClauses are c and the clauses that leave out parts of it.
func widerClauses(c Clause) []Clause {
	return []Clause{c, {Ports: c.Ports}, {Proto: c.Proto}, {}}
}

// contains says whether one of the merged literals contains l.
func contains(merged []Literal, l Literal) bool {
	i, found := slices.BinarySearchFunc(merged, l.First, func(m Literal, a netip.Addr) int { return m.First.Compare(a) })
	if !found {
		i--
	}
	return i >= 0 && merged[i].Last.BitLen() == l.Last.BitLen() && l.Last.Compare(merged[i].Last) <= 0
}

// warnDenied reports allows that a denial of the same text takes back entirely.
func (p *parser) warnDenied(tokens []Token) {
	d := newDenials(tokens)
	if len(d.tokens) == 0 {
		return
	}
	for _, e := range p.entries {
		if !e.Deny && d.covers(e.Token) {
			p.report(Warning, e, mistake{rule: RuleBoth, what: "this is both allowed and denied, and a denial beats every allow", remedy: "remove one of the two"})
		}
	}
}
