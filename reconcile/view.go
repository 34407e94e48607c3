package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// Where a token stands.
const (
	OriginLabel   = policy.LabelOutbound
	OriginDefault = "DEFAULT_OUTBOUND"
	OriginImplied = "implied"
)

// Policy is what counts for a container, before anybody asks what names mean.
type Policy struct {
	Mode   policy.Mode
	Reject bool
	Tokens []Sourced // of the label, then of DEFAULT_OUTBOUND, then what is implied
}

// Sourced is a token and where it stands.
type Sourced struct {
	policy.Token
	Origin string
}

// Policy returns what counts for c, which is one of the state's, by its own labels: whoever shares another's network has
// that one's policy.
func (s State) Policy(c docker.Container) Policy {
	l := s.labels(c)
	out := Policy{Mode: l.mode, Reject: l.reject, Tokens: make([]Sourced, 0, len(l.tokens)+len(s.Config.Default.Tokens)+1)}
	dns := false
	add := func(tokens []policy.Token, origin string) {
		for _, t := range tokens {
			out.Tokens = append(out.Tokens, Sourced{t, origin})
			dns = dns || t.Dest == policy.Destination(policy.DNS)
		}
	}
	add(l.tokens, OriginLabel)
	add(s.Config.Default.Tokens, OriginDefault)
	if !dns {
		add([]policy.Token{{Dest: policy.DNS}}, OriginImplied)
	}
	return out
}

// Denies says whether a denial of d counts, without a clause.
func (p Policy) Denies(d policy.Destination) bool {
	return slices.ContainsFunc(p.Tokens, func(t Sourced) bool { return t.Deny && t.Dest == d })
}
