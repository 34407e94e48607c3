package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

const (
	askNowTimeout = 3 * time.Second // for a name that no policy asks for
	// A commit may be under way while policy and kernel are asked.
	explainAttempts = 4
	explainPause    = 100 * time.Millisecond
)

// explain answers a question of the API.
func (f *fence) explain(ctx context.Context, container, destination string) (api.Explanation, error) {
	token, err := policy.ParseQuestion(destination)
	if err != nil {
		return api.Explanation{}, err
	}
	if _, good := f.loop.Last(); !good {
		return api.Explanation{}, errors.New("the Engine has not answered yet, so no container is known; see `dockerwall health`")
	}
	var e reconcile.Explanation
	for attempt := range explainAttempts {
		if e, err = f.explainOnce(ctx, reconcile.Question{Container: container, Asks: token, At: time.Now()}); err != nil || !e.Differs || attempt == explainAttempts-1 {
			break
		}
		pause := time.NewTimer(explainPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return api.Explanation{}, ctx.Err()
		case <-pause.C:
		}
	}
	if errors.Is(err, reconcile.ErrNoContainer) {
		err = fmt.Errorf("%w%s", api.ErrNoContainer, strings.TrimPrefix(err.Error(), reconcile.ErrNoContainer.Error()))
	}
	if err != nil {
		return api.Explanation{}, err
	}
	return explanationOf(e, token, destination), nil
}

// explainOnce judges by the policy that is committed now, and then asks the kernel.
func (f *fence) explainOnce(ctx context.Context, q reconcile.Question) (reconcile.Explanation, error) {
	state, rules := f.loop.Now()
	switch d := q.Asks.Dest.(type) {
	case policy.Pattern:
		all := f.resolver.Status()
		if n := slices.IndexFunc(all, func(s resolver.NameStatus) bool { return s.Name == d.Name() }); n >= 0 {
			q.Name = all[n]
		}
		q.Until = f.knownUntil(d.Name())
	case policy.Literal:
		q.Called = f.resolver.NamesOf(d.First)
	case policy.Special:
	}
	i, err := reconcile.Inquire(state, rules, q)
	if err != nil {
		return reconcile.Explanation{}, err
	}
	if name := i.Asks(); name != "" {
		q.Now, q.Failure = f.askNow(ctx, name)
		if i, err = reconcile.Inquire(state, rules, q); err != nil {
			return reconcile.Explanation{}, err
		}
	}
	c, packets := i.Container()
	if c.ID == "" {
		return i.Answer(), nil
	}
	held, err := f.kernel.Lookup(rules, c, packets)
	if err != nil {
		return reconcile.Explanation{}, err
	}
	return i.Explain(held), nil
}

// knownUntil is when the first of a name's addresses may go, zero if it has none.
func (f *fence) knownUntil(name string) (until time.Time) {
	leases := f.resolver.Leases()
	all := slices.Clone(leases.Names[name])
	for _, below := range leases.Below {
		all = append(all, below[name]...)
	}
	for _, l := range all {
		if until.IsZero() || l.Expires.Before(until) {
			until = l.Expires
		}
	}
	return until
}

// askNow asks for a name beside the cache: nothing is learned.
func (f *fence) askNow(ctx context.Context, name string) (addrs []netip.Addr, failure string) {
	ctx, cancel := context.WithTimeout(ctx, askNowTimeout)
	defer cancel()
	all, err := f.resolver.Resolve(ctx, []string{name})
	if addrs = all[name]; len(addrs) > 0 {
		return addrs, ""
	}
	if err == nil {
		return nil, "no resolver knows one"
	}
	return nil, strings.ReplaceAll(err.Error(), "\n", "; ")
}

// explanationOf is an answer as the API has it.
func explanationOf(e reconcile.Explanation, asks policy.Token, question string) api.Explanation {
	out := api.Explanation{
		Container: e.Container.Name, ContainerID: e.Container.ID, Question: question, Addrs: append([]netip.Addr{}, e.Addrs...),
		Verdict: api.Undecidable, Failed: e.Failed, Token: e.Token, Remedy: e.Remedy, Depends: e.Depends, Steps: []api.Step{},
	}
	switch e.Verdict {
	case reconcile.Allowed:
		out.Verdict = api.Allowed
	case reconcile.Denied:
		out.Verdict = api.Refused
	case reconcile.Undecidable:
	}
	if name, ok := asks.Dest.(policy.Pattern); ok {
		out.Name = name.Name()
	}
	if c := asks.Clause; c.Ports.First == c.Ports.Last {
		out.Port = c.Ports.First
	}
	if asks.Clause.Proto != policy.ProtoAny {
		out.Protocol = asks.Clause.Proto.String()
	}
	for _, s := range e.Steps {
		out.Steps = append(out.Steps, api.Step{Name: s.Name, Result: api.StepResult(s.Result), Text: s.Text})
	}
	return out
}
