package main

import (
	"fmt"
	"slices"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

const paused = "paused"

// changed says what a change has come to, from what is committed now.
func (f *fence) changed(o order) api.Changed {
	outcome, _ := f.loop.Last()
	out := api.Changed{
		Verb: o.Verb, Container: o.wish.Name, ContainerID: o.wish.ID, Tokens: []api.ChangedToken{}, Mode: modeOfHost(outcome.Ruleset.DryRun),
		Notes: append([]string{}, o.warnings...),
	}
	said := f.overlay.Now()
	turn, before := said.Enforce, f.overlay.Before(o.wish.ID)
	if before == nil && o.wish.ID == "" {
		out.Before = modeOfHost(outcome.State.Config.DryRun)
	}
	var sourced []reconcile.Sourced
	if o.wish.ID != "" {
		turn = said.Containers[o.wish.ID].Mode
		c, _ := containerIn(outcome.State.Docker, o.wish.ID)
		p := outcome.State.Policy(c)
		sourced, out.Mode = p.Tokens, p.Mode.String()
		if turn != nil && turn.Paused {
			out.Mode = paused
		}
	}
	switch {
	case before != nil:
		out.Before = before.Mode.String()
	case turn == nil || turn.Until.IsZero():
		out.Before = ""
	}
	for _, t := range o.tokens {
		out.Tokens = append(out.Tokens, api.ChangedToken{Token: t.String(), Beaten: beaten(t, sourced)})
	}
	switch o.Verb {
	case api.Allow, api.Deny:
		for _, g := range said.Containers[o.wish.ID].Grants {
			if slices.Contains(o.tokens, g.Token) {
				out.Until = g.Until
			}
		}
	case api.Pause, api.Enforce, api.Audit:
		if turn != nil {
			out.Until = turn.Until
		}
	case api.Revoke, api.AsConfigured:
	}
	out.Notes = append(out.Notes, f.notesOn(o, out, outcome.Ruleset)...)
	return out
}

func modeOfHost(dryRun bool) string {
	if dryRun {
		return policy.ModeAudit.String()
	}
	return policy.ModeEnforce.String()
}

// beaten is where denials stand that take something from an allow.
func beaten(t policy.Token, all []reconcile.Sourced) (out []string) {
	if t.Deny {
		return nil
	}
	for _, s := range all {
		if s.Deny && (s.Covers(t) || t.Covers(s.Token)) && len(out) < 5 {
			out = append(out, fmt.Sprintf("%s (%s)", s.Token, s.Origin))
		}
	}
	return out
}

// notesOn are what a person should know besides.
func (f *fence) notesOn(o order, c api.Changed, r nft.Ruleset) (out []string) {
	if o.wish.ID != "" && r.DryRun && o.Verb != api.Revoke {
		out = append(out, "the whole host is in audit: nothing is denied to anybody, only recorded")
	}
	switch {
	case o.Verb == api.Allow && c.Mode != policy.ModeEnforce.String():
		out = append(out, fmt.Sprintf("the container's mode is %s: nothing is denied to it anyway", c.Mode))
	case o.Verb == api.Deny && c.Mode != policy.ModeEnforce.String():
		out = append(out, fmt.Sprintf("the container's mode is %s: what is denied passes all the same", c.Mode))
	}
	if o.wish.ID != "" && !o.runs && o.Verb != api.Revoke {
		out = append(out, "the container does not run; it counts when it does")
	}
	out = append(out, notesOnMode(o, c, r)...)
	if !f.overlay.Kept() && o.Verb != api.Revoke {
		out = append(out, "it is kept in memory only, and ends with the daemon: there is no file for it (--state-dir)")
	}
	return out
}

// notesOnMode are what a mode that was set does not do.
func notesOnMode(o order, c api.Changed, r nft.Ruleset) (out []string) {
	if o.Verb != api.Enforce && o.Verb != api.Audit {
		return nil
	}
	if o.wish.For != 0 && c.Until.IsZero() {
		out = append(out, "that is what the settings say, so there is nothing to confirm")
	}
	if n := notEnforced(r); o.wish.ID == "" && o.Verb == api.Enforce && n > 0 {
		out = append(out, fmt.Sprintf("%d %s in audit or off by their own mode; `dockerwall status` shows which", n, plural(n, "container")))
	}
	return out
}

func notEnforced(r nft.Ruleset) (n int) {
	for _, c := range r.Containers {
		if c.Mode != nft.Enforce {
			n++
		}
	}
	return n
}

// changesIn counts what was changed at run time.
func changesIn(o overlay.Overlay) (n metrics.Changes) {
	if o.Enforce != nil {
		n.Modes++
	}
	for _, c := range o.Containers {
		if c.Mode != nil {
			n.Modes++
		}
		for _, g := range c.Grants {
			if g.Deny {
				n.Denials++
			} else {
				n.Allows++
			}
		}
	}
	return n
}
