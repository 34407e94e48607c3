package observe

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/sortby"
)

// maxTokens is how many tokens are suggested for one container: who needs more wants another policy, or scans.
const maxTokens = 500

// Case is what a suggestion is made from.
type Case struct {
	Observed Observed
	Until    time.Time // of the observation
	Mode     string    // as in [api.Container]; "" when it is gone
	// Existing is the label as it counts, or Observed.Outbound when the container is gone.
	Existing string
	Grammar  policy.Grammar // in which the label is written
	// Others are the tokens that count besides the label: of DEFAULT_OUTBOUND, of files, and all of groups.
	Others []policy.Token
	// Token says which token would allow a destination that goes by some names, the likeliest first; see [reconcile.Opener].
	Token func(reconcile.Destination, []string) (policy.Token, bool)
}

// Suggest says what to add to a label so that all that was denied, or would have been, passes, and nothing else that this
// could be said without. It is pure. What should be looked at first is in notes and not suggested.
func Suggest(c Case) api.Suggestion {
	j := newJudge(c)
	for _, r := range c.Observed.Records {
		j.record(r)
	}
	subject := c.Observed.Subject
	out := api.Suggestion{
		Container: subject.Name, Image: subject.Image, Project: subject.Project, Service: subject.Service,
		From: c.Observed.Since, Until: c.Until, Mode: c.Mode, Existing: c.Existing,
	}
	tokens := j.tokens()
	added := make([]policy.Token, 0, len(tokens))
	for _, t := range tokens {
		added = append(added, t.Token)
	}
	label, kept := Extended(c.Existing, added, c.Grammar)
	out.Outbound = label
	if kept < len(tokens) {
		j.note(fmt.Sprintf("%d more destinations are not suggested: a label cannot have so many, or should not; think of ranges or wildcards", len(tokens)-kept))
	}
	out.Tokens = make([]api.SuggestedToken, 0, kept)
	for _, t := range tokens[:kept] {
		out.Tokens = append(out.Tokens, t.suggested())
	}
	j.wildcards(tokens[:kept])
	out.Notes = j.notes
	return out
}

// Extended is an existing label and as many tokens, from the first, as a label can have without making it worse, and how
// many these are. The tokens must not be in it yet.
func Extended(existing string, tokens []policy.Token, g policy.Grammar) (label string, kept int) {
	line := oneLine(existing)
	before, was := g.Parse(line)
	n := min(len(tokens), maxTokens)
	for ; n > 0; n = n * 9 / 10 {
		label := joined(line, tokens[:n])
		after, problems := g.Parse(label)
		if len(problems) == len(was) && len(after.Tokens) == len(before.Tokens)+n || before.Void {
			return label, n
		}
	}
	return line, 0
}

func joined(line string, tokens []policy.Token) string {
	parts := make([]string, 0, len(tokens)+1)
	if line != "" {
		parts = append(parts, line)
	}
	for _, t := range tokens {
		parts = append(parts, t.String())
	}
	return strings.Join(parts, ", ")
}

// oneLine is a label with its tokens parted by commas only.
func oneLine(label string) string {
	var parts []string
	for part := range strings.FieldsFuncSeq(label, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// token is one to be suggested and what asks for it.
type token struct {
	policy.Token
	addrs       []netip.Addr
	asked       bool
	names       int // that there were to choose from
	packets     uint64
	first, last time.Time
}

func (t *token) see(r Record, asked bool) {
	if !slices.Contains(t.addrs, r.Dst) {
		t.addrs = append(t.addrs, r.Dst)
	}
	t.asked = t.asked || asked
	t.names = max(t.names, len(r.Names))
	t.packets += r.Packets
	if t.first.IsZero() || r.First.Before(t.first) {
		t.first = r.First
	}
	t.last = later(t.last, r.Last)
}

// join takes in another token of the same destination, whose ports follow.
func (t *token) join(u token) {
	t.Clause.Ports.Last = u.Clause.Ports.Last
	for _, a := range u.addrs {
		if !slices.Contains(t.addrs, a) {
			t.addrs = append(t.addrs, a)
		}
	}
	t.packets += u.packets
	if u.first.Before(t.first) {
		t.first = u.first
	}
	t.last = later(t.last, u.last)
}

func (t *token) suggested() api.SuggestedToken {
	return api.SuggestedToken{Token: t.String(), Why: t.why(), Packets: t.packets, First: t.first, Last: t.last}
}

// also says that there was a choice.
func (t *token) also() string {
	if t.names < 2 {
		return ""
	}
	return fmt.Sprintf(" (one of %d names)", t.names)
}

// why is a few words for people.
func (t *token) why() string {
	where := t.addrs[0].String()
	if n := len(t.addrs) - 1; n > 0 {
		where = fmt.Sprintf("%s and %d more", where, n)
	}
	switch t.Dest.(type) {
	case policy.Pattern:
		if t.asked {
			return "asked for; " + where
		}
		return fmt.Sprintf("%s was called so, whoever asked", where) + t.also()
	case policy.Special:
		return "this host's own " + where
	default:
		return "no name of its own is known that opens it"
	}
}

// tokens are those that the records ask for, in order: names, addresses, the host; ports that follow each other are one.
func (j *judge) tokens() []token {
	all := sortby.Collect(maps.Values(j.wanted), func(a, b *token) int {
		return cmp.Or(cmp.Compare(rank(a.Dest), rank(b.Dest)), a.Compare(b.Token))
	})
	var out []token
	for _, t := range all {
		if n := len(out); n > 0 && follows(out[n-1].Token, t.Token) {
			out[n-1].join(*t)
			continue
		}
		out = append(out, *t)
	}
	return out
}

func rank(d policy.Destination) int {
	switch d.(type) {
	case policy.Pattern:
		return 0
	case policy.Literal:
		return 1
	}
	return 2
}

func follows(a, b policy.Token) bool {
	return a.Dest == b.Dest && a.Clause.Proto == b.Clause.Proto && a.Clause.Ports.Last != 0 &&
		uint32(a.Clause.Ports.Last)+1 == uint32(b.Clause.Ports.First)
}

// destination is a record's, as package reconcile has it.
func (r Record) destination() reconcile.Destination {
	return reconcile.Destination{Addr: r.Dst, Port: r.Port, Proto: r.Proto}
}

// String is a record's target for people.
func (r Record) String() string {
	where := r.Dst.String()
	if len(r.Names) > 0 {
		where = plain.Text(r.Names[0], maxText) + " (" + where + ")"
	}
	if r.Proto == nft.TCP || r.Proto == nft.UDP || r.Proto == nft.SCTP {
		return fmt.Sprintf("%s, port %d/%s", where, r.Port, packet.ProtocolName(r.Proto))
	}
	return where + ", " + packet.ProtocolName(r.Proto)
}
