package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// maxToken is how many bytes a token has at most: a name of 253 characters of four bytes, with
// room for its clause.
const maxToken = 1100

// reader reads one token and collects what is clear but odd.
type reader struct {
	Grammar
	warnings []mistake
}

func (r *reader) warn(rule, what, remedy string) {
	r.warnings = append(r.warnings, mistake{rule: rule, what: what, remedy: remedy})
}

// token reads a trimmed token that is not empty.
func (r *reader) token(text string) (Token, *mistake) {
	var t Token
	s, deny := strings.CutPrefix(text, "!")
	t.Deny, s = deny, strings.TrimSpace(s)
	if bad := neverToken(s); bad != nil {
		return t, bad
	}
	if name, ok := strings.CutPrefix(s, "@"); ok {
		group, bad := r.group(name)
		t.Dest = group
		return t, bad
	}
	dest, clause, bad := r.split(s)
	if bad != nil {
		return t, bad
	}
	if t.Clause, bad = parseClause(clause); bad != nil {
		bad.at = len(text) - len(clause)
		return t, bad
	}
	if t.Dest, bad = r.destination(dest, s[0] == '['); bad != nil {
		return t, bad
	}
	if t.Dest == DNS && t.Clause != (Clause{}) {
		return t, &mistake{rule: RuleClause, at: len(text) - len(clause), what: "_dns_ takes no clause", remedy: "write _dns_ alone, it is port 53 of udp and tcp"}
	}
	r.caution(t)
	return t, nil
}

// neverToken finds mistakes that concern the token as a whole.
func neverToken(s string) *mistake {
	switch {
	case s == "":
		return &mistake{rule: RuleToken, what: `nothing follows the "!"`, remedy: "write what to deny right after it"}
	case len(s) > maxToken:
		return &mistake{rule: RuleLimit, what: fmt.Sprintf("%d bytes are too many for any destination", len(s)), remedy: "separate tokens with commas"}
	case strings.ContainsFunc(s, isUnprintable): // invalid UTF-8 too, which package idna lets pass
		return &mistake{rule: RuleUnprintable, what: quote(s) + " has characters that are not printable", remedy: "type it anew, in plain letters"}
	case strings.Contains(s, "://"):
		return isURL(s)
	case strings.ContainsRune(quotes, firstRune(s)):
		return &mistake{rule: RuleQuotes, what: "the quotation mark is part of the value", remedy: "write it without; in a list of labels quote the whole entry, as in \"dockerwall.outbound=example.com\""}
	case s[0] == '!':
		return &mistake{rule: RuleToken, what: `"!" stands twice`, remedy: `write it once to deny, not at all to allow`}
	case strings.ContainsFunc(s, unicode.IsSpace):
		return &mistake{rule: RuleSpace, what: "a token has no spaces inside", remedy: "separate tokens with commas or newlines"}
	}
	return nil
}

// quotes are the marks that a value may have kept from a file or a shell.
const quotes = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func isUnprintable(c rune) bool {
	return c == utf8.RuneError || !unicode.IsSpace(c) && !strconv.IsPrint(c)
}

func isURL(s string) *mistake {
	scheme, rest, _ := strings.Cut(s, "://")
	host := rest
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	ports := map[string]string{"http": ":80/tcp", "https": ":443/tcp"}
	if !strings.Contains(host, ":") {
		host += ports[strings.ToLower(scheme)]
	}
	return &mistake{rule: RuleURL, what: "a URL is not a destination, paths and schemes are not looked at", remedy: "write the host, " + quote(host)}
}

// split takes the clause off, and the brackets of an IPv6 destination.
func (r *reader) split(s string) (dest, clause string, bad *mistake) {
	if s[0] != '[' {
		dest, clause = cutClause(s)
		return dest, clause, nil
	}
	dest, clause, ok := strings.Cut(s[1:], "]")
	switch {
	case !ok:
		return "", "", &mistake{rule: RuleAddress, what: `"[" without "]"`, remedy: `write IPv6 with a port as in "[2001:db8::1]:443"`}
	case !strings.Contains(dest, ":"):
		return "", "", &mistake{rule: RuleAddress, what: "brackets are for IPv6 only", remedy: "write " + quote(dest+clause)}
	}
	return dest, clause, nil
}

func (r *reader) destination(s string, bracketed bool) (Destination, *mistake) {
	if special := word(s); special != 0 {
		return special, nil
	}
	switch {
	case s == "":
		return nil, &mistake{rule: RuleToken, what: "a clause without a destination", remedy: `write what it belongs to in front, as in "*:443" or "example.com:443"`}
	case looksLikeAddress(s):
		if !bracketed && endsLikePort(s) {
			i := strings.LastIndexByte(s, ':')
			r.warn(RulePort6, s[i:]+" is taken as part of the IPv6 address, not as a port",
				"write "+quote("["+s[:i]+"]"+s[i:])+" if a port is meant, else "+quote("["+s+"]"))
		}
		return r.literal(s)
	case strings.Contains(s, "/"):
		return nil, &mistake{rule: RuleToken, what: "a name takes no number after a \"/\"", remedy: `write a port as in "example.com:443"`}
	}
	return parsePattern(s)
}

func word(s string) Special {
	switch strings.ToLower(s) {
	case "_dns_":
		return DNS
	case "_host_":
		return Host
	case "_internet_":
		return Internet
	case "*":
		return All
	}
	return 0
}

// caution warns of allows that are wider than they look.
func (r *reader) caution(t Token) {
	if t.Deny {
		return
	}
	if t.Dest == All && t.Clause == (Clause{}) {
		r.warn(RuleEverything, "everything is allowed, this host's services included", "write _internet_, or the destinations that are needed")
	}
	p, ok := t.Dest.(Pattern)
	if !ok || !p.wild {
		return
	}
	// A top-level domain that is not in the list, such as internal, is nobody's to sell.
	suffix, icann := publicsuffix.PublicSuffix(p.name)
	if suffix == p.name && (icann || strings.Contains(suffix, ".")) {
		r.warn(RulePublicSuffix, "names below "+quote(p.name)+" belong to anybody who registers one (public suffix)", "write the domains that are needed")
	}
}
