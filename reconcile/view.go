package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// Where a token stands, besides rules of files ("10-shop.yaml:12") and groups ("@pypi in 10-shop.yaml:12", "@pypi, added at run time").
const (
	OriginLabel   = policy.LabelOutbound
	OriginDefault = "DEFAULT_OUTBOUND"
	OriginOverlay = "added at run time"
	OriginImplied = "implied"
)

// Policy is what counts for a container, before anybody asks what names mean.
type Policy struct {
	Mode       policy.Mode
	ModeOrigin string // where the mode is said: dockerwall.mode, a rule of a file, OriginOverlay or OriginImplied
	Reject     bool
	// Tokens of the label come first, then of DEFAULT_OUTBOUND, of files and of the overlay, then what is implied. Those of a
	// group follow the one that names it.
	Tokens []Sourced
}

// Sourced is a token and where it stands.
type Sourced struct {
	policy.Token
	Origin string
	Group  policy.Group // it is of; "" if it stands there itself
	File   string       // of the operator, that has it; "" if none has
}

// Policy returns what counts for c by its own labels, or would if it were one of the state's: whoever shares another's
// network has that one's policy.
func (s State) Policy(c docker.Container) Policy {
	if s = s.ready(); s.library.labels[c.ID] == nil {
		s.Docker.Containers, s.library = []docker.Container{c}, nil
		s = s.ready()
	}
	mode, reject, origin := s.modeOf(c)
	out := Policy{Mode: mode, ModeOrigin: origin, Reject: reject}
	dns := false
	list := s.library.asked[c.ID]
	for _, a := range list {
		for _, t := range a.tokens {
			one := Sourced{Token: t, Origin: a.from(t), File: a.file}
			if a.within >= 0 {
				one.Origin, one.Group = a.namedBy(list), policy.Group(a.origin[1:])
			}
			out.Tokens = append(out.Tokens, one)
			dns = dns || t.Dest == policy.Destination(policy.DNS)
		}
	}
	if !dns {
		out.Tokens = append(out.Tokens, Sourced{Token: policy.Token{Dest: policy.DNS}, Origin: OriginImplied})
	}
	return out
}

// Denies says whether a denial of d counts, without a clause.
func (p Policy) Denies(d policy.Destination) bool {
	return slices.ContainsFunc(p.Tokens, func(t Sourced) bool { return t.Deny && t.Dest == d })
}
