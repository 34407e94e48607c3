package policy

import (
	"errors"
	"strings"
)

// ParseQuestion reads a destination that somebody asks about: a name, an address, _host_ or _dns_, with a clause, in the
// grammar of tokens; or a clause alone, which is about any address and has the destination [All]. Denials, wildcards,
// prefixes, ranges and lists are no questions. The error says what is wrong and what to write.
func ParseQuestion(text string) (Token, error) {
	text = strings.TrimSpace(text)
	wrong := func(what, remedy string) (Token, error) {
		return Token{}, &mistake{what: quote(text) + " " + what, remedy: remedy}
	}
	switch {
	case text == "":
		return Token{}, errors.New(`no destination; write one as in "www.example.com:443"`)
	case strings.ContainsAny(text, ",\n"):
		return wrong("is more than one destination", "ask about one at a time")
	}
	var r reader
	clauseOnly := text[0] == ':' || text[0] == '/'
	written := text
	if clauseOnly {
		written = "*" + text
	}
	t, bad := r.token(written)
	if bad != nil {
		return Token{}, bad
	}
	l, p, s := parts(t.Dest)
	switch {
	case t.Deny:
		return wrong("is a denial, not a destination", `leave the "!" out`)
	case p.wild:
		return wrong("is many names", "ask about one, such as "+quote("www."+p.name+t.Clause.String()))
	case l != Literal{} && !l.Single():
		return wrong("is many addresses", "ask about one, such as "+quote(Token{Dest: Literal{l.First, l.First}, Clause: t.Clause}.String()))
	case s == All && !clauseOnly, s == Internet:
		return wrong("is many addresses", `ask about a name or an address, or about a clause alone, as in ":443/tcp"`)
	}
	return t, nil
}
