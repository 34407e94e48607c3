package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/status"
)

// hung is how long after its last run the loop is taken for hung: it lists everything each minute, and waits some seconds
// for an Engine that does not answer.
const hung = 3 * time.Minute

// remembered is what the daemon notes for its status as it goes on.
type remembered struct {
	since    time.Time
	settings []policy.Problem // mistakes in them
	history  observe.History
	// ownerless says that the table has no owner though it could: asking the kernel would wait for a commit.
	ownerless atomic.Bool
	hidden    atomic.Bool // it was said that services of a swarm are
	runs      atomic.Int64

	mu      sync.Mutex
	applied time.Time // when the table was last committed
	gone    nft.Count // denied to containers that are gone
	leaving nft.Count // the same of those that go with the coming commit
	drops   error     // why denied packets are not logged
}

// committed notes when the table changed, and that who was to go is gone; a commit that fails is tried again.
func (r *remembered) committed(o reconcile.Outcome) {
	r.runs.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	leaving := r.leaving
	r.leaving = nft.Count{}
	if o.Err != nil {
		return
	}
	r.gone = nft.Count{Packets: r.gone.Packets + leaving.Packets, Bytes: r.gone.Bytes + leaving.Bytes}
	if o.Report.Changed {
		r.applied = o.At
	}
}

// left notes what was denied to a container that goes. What was invalid of it goes on being counted under that reason.
func (r *remembered) left(t nft.Traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaving.Packets += t.Denied.Packets - min(t.Denied.Packets, t.Invalid.Packets)
	r.leaving.Bytes += t.Denied.Bytes - min(t.Denied.Bytes, t.Invalid.Bytes)
}

// unlogged notes why denied packets are not logged, nil if they are.
func (r *remembered) unlogged(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops = err
}

// status is what `dockerwall status` and the status page show.
func (f *fence) status(ctx context.Context) (api.Status, error) {
	outcome, good := f.loop.Last()
	reasons := append(f.reasons(outcome, good), f.shortcomings(outcome)...)
	counters, err := f.kernel.Counters()
	if err != nil { // there may be no table: that is what a status is for
		reasons = append(reasons, "nothing is known of what was sent and denied: "+err.Error())
	}
	in := status.Input{
		Now: time.Now(), Since: f.noted.since, Version: buildInfo().Version, Outcome: outcome, Good: f.healthy() && !errors.Is(err, unix.ENOENT),
		Engine: api.Engine{Host: f.engine.Host(), Up: f.engine.Connected()}, EngineAPI: f.engine.APIVersion(), DNSMode: f.answers.modeName(), Reasons: reasons,
		Leases: f.resolver.Leases(), Names: f.resolver.Status(), Counters: counters,
		Host: append(f.settingsAndHost(), f.resolverProblems()...),
	}
	if status.TasksRun(outcome.State) && in.Engine.Up {
		if in.Services, err = f.engine.ServiceLabels(ctx); err != nil {
			f.unread(err)
		}
	}
	in.History = func(id string) []uint64 { return f.noted.history.Of(id, in.Now) }
	f.noted.mu.Lock()
	defer f.noted.mu.Unlock()
	in.Applied, in.Gone = f.noted.applied, f.noted.gone
	return status.Take(in), nil
}

// unread says once that a proxy hides the services of a swarm.
func (f *fence) unread(err error) {
	if docker.Refused(err) && !f.noted.hidden.Swap(true) {
		f.logger.Warn("labels of services not read", "err", err)
		return
	}
	f.logger.Debug("labels of services not read", "err", err)
}

// reasons say what is wrong with the fence, or degraded while it stands.
func (f *fence) reasons(outcome reconcile.Outcome, good bool) (out []string) {
	switch {
	case outcome.Err != nil:
		out = append(out, outcome.Err.Error())
	case !good:
		out = append(out, "the Engine has not answered yet")
	}
	for _, degraded := range []string{
		overdue(outcome.At, f.noted.since, time.Now()), f.resolver.Servers().Degraded, f.answers.degraded(), portsDegraded(f.kernel.Features()),
	} {
		if degraded != "" {
			out = append(out, degraded)
		}
	}
	return out
}

// overdue says that the loop has not ended a run for too long, "" when it has; last is zero before its first.
func overdue(last, since, now time.Time) string {
	if last.IsZero() {
		last = since
	}
	if age := now.Sub(last); age > hung {
		return fmt.Sprintf("the loop has not ended a run for %v: restart the daemon, the table stays; please report it with the log", age.Round(time.Second))
	}
	return ""
}

// shortcomings say what else does not work; the fence is none the worse for it.
func (f *fence) shortcomings(outcome reconcile.Outcome) (out []string) {
	if outcome.Err == nil && !f.engine.Connected() {
		then := "is denied all it sends"
		if outcome.Ruleset.DryRun {
			then = "is not known"
		}
		out = append(out, "no connection to Docker at "+f.engine.Host()+": what starts now "+then+" until there is one")
	}
	if outcome.TapErr != nil {
		out = append(out, "DNS answers are not stopped, so first packets to new addresses of names may be denied: "+outcome.TapErr.Error())
	}
	f.noted.mu.Lock()
	drops := f.noted.drops
	f.noted.mu.Unlock()
	if drops != nil {
		out = append(out, "denied packets are counted but not logged: "+drops.Error())
	}
	if err := f.boot.Err(); err != nil {
		out = append(out, "after a boot, containers will be denied all they send until the daemon has spoken with Docker: "+err.Error())
	}
	if err := f.scrapes.Err(); err != nil {
		out = append(out, "metrics are not served: "+err.Error()+"; free the port, or set --metrics-addr or DOCKERWALL_METRICS_ADDR")
	}
	return out
}

// settingsAndHost are mistakes in settings and policy files, and what of the host a person should change.
func (f *fence) settingsAndHost() []policy.Problem {
	out := slices.Concat(f.noted.settings, f.policyProblems(), bootProblem(!f.unkept), f.unkeptChanges())
	if f.noted.ownerless.Load() {
		out = append(out, policy.Problem{Severity: policy.Warning, Message: "the table was made without an owner: other programs can change it, which is repaired", Remedy: ownerRemedy})
	}
	left, err := f.leftovers.at(time.Now(), nft.FindLeftovers)
	if err != nil {
		f.logger.Debug("could not look for rules of the old dockerwall", "err", err)
	}
	if !left.Empty() {
		out = append(out, policy.Problem{
			Severity: policy.Warning, Message: "rules of the old iptables dockerwall are still there and still filter",
			Remedy: "remove them: " + strings.Join(left.Commands(), "; "),
		})
	}
	return out
}

// resolverProblems are entries of the lists of resolvers that cannot be used.
func (f *fence) resolverProblems() (out []policy.Problem) {
	for _, p := range f.resolver.Servers().Problems {
		out = append(out, policy.Problem{Severity: policy.Warning, Message: "an entry of the list of resolvers cannot be used: " + p.String(), Remedy: "correct the file or setting"})
	}
	return out
}
