package main

import (
	"slices"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/reconcile"
)

// What the daemon remembers of what was allowed.

// contact makes the part that sees connections.
func (f *fence) contact() (err error) {
	f.contacts, err = observe.NewContacts(observe.ContactsOptions{
		Flows: func(do func(flows.Seen)) error { return flows.Each(do, flows.Options{}) },
		View:  f.whose, Known: f.store.Reached, Sink: f.store.AddContacts, Logger: f.logger,
	})
	return err
}

// whose says who opened flows. Where something passes by its mode, what is allowed at this moment has to be known: it would
// be taken for denied.
func (f *fence) whose() (observe.Whose, bool) {
	outcome, good := f.loop.Last()
	if !good {
		return nil, false
	}
	state, rules := outcome.State, outcome.Ruleset
	if rules.DryRun || slices.ContainsFunc(rules.Containers, func(c nft.Container) bool { return c.Mode == nft.Audit }) {
		state, rules = f.loop.Now()
	}
	openers, byID := reconcile.NewOpeners(state, rules), containersByID(state.Docker)
	subjects := map[string]observe.Subject{}
	return func(flow flows.Flow) (observe.Owned, bool) {
		c, ok := openers.Of(flow)
		if !ok {
			return observe.Owned{}, false
		}
		subject, known := subjects[c.ID]
		if !known {
			subject = subjectOf(state, byID[c.ID])
			subjects[c.ID] = subject
		}
		out := observe.Owned{ID: c.ID, Opened: observe.Opened{Subject: subject}}
		out.Target = observe.Target{Dst: flow.To.Addr(), Proto: flow.Proto}
		if flow.Proto == nft.TCP || flow.Proto == nft.UDP || flow.Proto == nft.SCTP {
			out.Port = flow.To.Port()
		}
		if flow.Dst != flow.To {
			out.Via = flow.Dst
		}
		out.Host, out.Names = openers.Host(flow), f.resolver.CalledOf(flow.To.Addr())
		return out, subject != (observe.Subject{})
	}, true
}

// vacated tells who had addresses that are about to be somebody else's.
func (f *fence) vacated(containers []nft.Container) {
	outcome, _ := f.loop.Last()
	leave := make(map[string][]nft.Endpoint, len(containers))
	for _, c := range containers {
		leave[c.ID] = c.Endpoints
	}
	for i := range outcome.State.Docker.Containers {
		c := &outcome.State.Docker.Containers[i]
		for _, e := range leave[c.ID[:min(len(c.ID), 12)]] {
			f.contacts.Left(e.Addr, subjectOf(outcome.State, *c))
		}
	}
}

// joined tells of containers that are new since the commit before.
func (f *fence) joined(r nft.Ruleset) {
	ids := make([]string, 0, len(r.Containers))
	for i := range r.Containers {
		ids = append(ids, r.Containers[i].ID)
	}
	if !slices.Equal(ids, f.joinedIDs) {
		f.contacts.Joined()
	}
	f.joinedIDs = ids
}
