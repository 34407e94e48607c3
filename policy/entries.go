package policy

// Entry is a token of a text and where it stands.
type Entry struct {
	Token
	Pos    int    // 1-based, in characters
	Text   string // as written; not cleaned
	Number int    // among all that is not empty, from 1
}

// Entries are the tokens of a text that [Parse] understands, in the order of the text and with repetitions. What beats
// or voids another is not looked at. It knows no group.
func Entries(text string) []Entry { return Grammar{}.Entries(text) }

// Entries is the function [Entries] where some groups are known.
func (g Grammar) Entries(text string) []Entry {
	var out []Entry
	s := scanner{text: text}
	for n := range MaxTokens {
		token, pos := s.next()
		if token == "" || s.off-1 > MaxText {
			break
		}
		r := reader{Grammar: g}
		if t, bad := r.token(token); bad == nil {
			out = append(out, Entry{t, pos, token, n + 1})
		}
	}
	return out
}

// Covers says whether t, alone, stands for all that u stands for; denials and allows are not told apart. A prefix stands
// for its addresses and a wildcard for the names below it, though a single address can also be the host's own and a
// name in full is also asked for.
func (t Token) Covers(u Token) bool {
	if !t.Clause.covers(u.Clause) {
		return false
	}
	if t.Dest == u.Dest || t.Dest == All {
		return true
	}
	tl, tp, _ := parts(t.Dest)
	ul, up, _ := parts(u.Dest)
	switch {
	case tl != Literal{} && ul != Literal{}:
		return contains([]Literal{tl}, ul)
	case tp.wild && up != Pattern{}:
		return tp.Match(up.name)
	}
	return false
}

// covers says whether c leaves nothing out that d has. Ports without a protocol are of tcp and udp.
func (c Clause) covers(d Clause) bool {
	if c == d || c == (Clause{}) {
		return true
	}
	if d == (Clause{}) || c.Proto != ProtoAny && c.Proto != d.Proto || d.Proto == ProtoICMP {
		return false
	}
	ports := c.Ports
	return ports == PortRange{} || d.Ports != PortRange{} && ports.First <= d.Ports.First && d.Ports.Last <= ports.Last
}
