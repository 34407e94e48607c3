package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// overlay is what was added to a container at run time, nil if nothing was.
func (r *textReader) overlay(c docker.Container) *text {
	grants := r.state.Overlay.Containers[c.ID].Grants
	if len(grants) == 0 {
		return nil
	}
	t := text{origin: OriginOverlay, title: "added at run time", label: OriginOverlay}
	void := false // as a label is that denies such a group
	for _, g := range grants {
		if group, ok := g.Dest.(policy.Group); ok && !r.grammar.Known(group) {
			void = void || g.Deny
			continue
		}
		t.tokens = append(t.tokens, g.Token)
	}
	if void {
		t.tokens = slices.DeleteFunc(t.tokens, func(t policy.Token) bool { return !t.Deny })
	}
	slices.SortFunc(t.tokens, policy.Token.Compare)
	t.tokens = slices.Compact(t.tokens)
	return r.share(sourceOverlay, c.ID, func() text { return t })
}

// groupless reports what was added at run time by groups that are not there any more.
func (b *builder) groupless(c docker.Container) {
	known := b.state.Operator.Grammar()
	for _, g := range b.state.Overlay.Containers[c.ID].Grants {
		group, ok := g.Dest.(policy.Group)
		if !ok || known.Known(group) {
			continue
		}
		p := policy.Problem{
			Severity: policy.Error, Rule: policy.RuleGroup, Label: "what was " + OriginOverlay, Token: g.String(),
			Message: "the group is not there any more, so that this does not count",
			Remedy:  `define it under "groups" in a policy file, or take it back: dockerwall revoke ` + c.Name + " @" + string(group),
		}
		if g.Deny {
			p.Message = "the group is not there any more, and a denial is lost with it: no allow that was added at run time counts until it is defined"
		}
		b.reportOn(c, p)
	}
}

// Under is c with what was changed at run time.
func (c Config) Under(o overlay.Overlay) Config {
	if o.Enforce != nil {
		c.DryRun = o.Enforce.Mode != policy.ModeEnforce
	}
	return c
}
