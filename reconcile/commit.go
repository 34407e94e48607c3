package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// commit builds a state with what names mean now, and makes the kernel equal to it.
func (l *Loop) commit(state State) Outcome {
	l.learning.Lock()
	defer l.learning.Unlock()
	defer l.release()
	wanted := l.options.Gather.recall(&state)
	outcome := Outcome{State: state, At: time.Now()}
	outcome.Ruleset, outcome.Problems = Build(state)
	l.announce(outcome.Ruleset)
	var err error
	if outcome.Report, err = l.options.Kernel.Apply(outcome.Ruleset); err != nil {
		outcome = l.failed(err)
		outcome.Refused = true
		return outcome
	}
	l.index.update(state, wanted.Guard)
	l.committed = state
	l.stands()
	if _, good := l.Last(); good && outcome.Report.Adopted { // also if a stranger has undone himself what he did
		l.options.Repaired()
	}
	outcome.TapErr = l.options.Kernel.ApplyTap(BuildTap(state, outcome.Ruleset, l.tapSetting()))
	return outcome
}

// Now returns the state that is committed, and its ruleset with what names mean at this moment: nothing that is allowed
// at the time of the call is missing from it. It waits for a commit that is under way; nothing waits for it to build.
func (l *Loop) Now() (State, nft.Ruleset) {
	state := l.now()
	r, _ := Build(state)
	return state, r
}

func (l *Loop) now() State {
	l.learning.Lock()
	defer l.learning.Unlock()
	state := l.committed
	l.options.Gather.recall(&state)
	return state
}

// firstAnswer is how long the first run waits for an Engine that accepts but does not answer: under
// systemd it may itself be waiting for us.
const firstAnswer = 3 * time.Second

// soon is within which an Engine that answers is heard before it counts as silent: a container is not started in less.
const soon = 200 * time.Millisecond

// look takes the state. What a stranger damages meanwhile is repaired at once, however long the Engine takes.
func (l *Loop) look(ctx context.Context) (state State, err error) {
	if _, good := l.Last(); !good {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, firstAnswer)
		defer cancel()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		state, err = l.options.Gather.look(ctx)
	}()
	beat := time.NewTicker(l.options.Beat)
	defer beat.Stop()
	late := time.NewTimer(soon)
	defer late.Stop()
	changed := false
	for {
		select {
		case <-done:
			return state, err
		case <-late.C:
			l.silent = true
			if l.emptied {
				l.unseat()
			}
			if changed {
				l.overlay()
			}
		case <-l.changed:
			if changed = true; l.silent {
				l.overlay()
			}
		case <-l.damaged:
			l.repair()
		case <-l.moved:
			l.unseat()
		case <-beat.C:
			l.options.Alive()
		}
	}
}

// stands tells, once, that a table stands.
func (l *Loop) stands() {
	if !l.standing {
		l.standing = true
		l.options.Standing()
	}
}

// announce tells of containers, and of their endpoints, that the next ruleset no longer has.
func (l *Loop) announce(next nft.Ruleset) {
	last, _ := l.Last()
	var leaving, losing []nft.Container
	for _, c := range last.Ruleset.Containers {
		i, stays := slices.BinarySearchFunc(next.Containers, c.ID, func(c nft.Container, id string) int { return strings.Compare(c.ID, id) })
		if !stays {
			leaving = append(leaving, c)
			continue
		}
		if slices.Equal(c.Endpoints, next.Containers[i].Endpoints) { // as nearly all of them are
			continue
		}
		stay := func(e nft.Endpoint) bool { return slices.Contains(next.Containers[i].Endpoints, e) }
		if c.Endpoints = slices.DeleteFunc(slices.Clone(c.Endpoints), stay); len(c.Endpoints) > 0 {
			losing = append(losing, c)
		}
	}
	if len(leaving) > 0 {
		l.options.Leaving(leaving)
	}
	if len(losing) > 0 {
		l.options.Losing(losing)
	}
}

func (l *Loop) failed(err error) Outcome {
	outcome, _ := l.Last()
	outcome.Err, outcome.At, outcome.Report, outcome.Refused = err, time.Now(), nft.Report{}, false
	return outcome
}

// hold keeps the fence up while there is no state to build from: the last one is built and committed again,
// which costs little unless a stranger changed the table. Before there was one, a table that stands is
// better informed than we are and stays; on a host without one, nobody is to reach anything before we
// know who may.
func (l *Loop) hold() (nft.Report, error) {
	if _, good := l.Last(); good {
		outcome := l.keep()
		return outcome.Report, outcome.Err
	}
	l.learning.Lock()
	defer l.learning.Unlock()
	defer l.release()
	fences, err := l.options.Kernel.Fences()
	if err != nil {
		return nft.Report{}, err
	}
	if fences {
		l.stands()
		return l.freeLate()
	}
	report, err := l.boot()
	if err == nil {
		l.stands()
	}
	return report, err
}

// boot commits what is known from before the boot, else the boot ruleset.
func (l *Loop) boot() (nft.Report, error) {
	if r, ok := l.options.Remembered(); ok {
		report, err := l.options.Kernel.Apply(r)
		if err == nil {
			l.options.Logger.Info("ruleset from before the boot committed: until the Engine answers, addresses may do what all containers may that they can be of",
				"containers", len(r.Containers))
			return report, nil
		}
		l.options.Logger.Error("the ruleset from before the boot cannot be committed; nobody reaches anything until the Engine answers", "err", err)
	}
	interfaces, err := l.options.Gather.Interfaces()
	if err != nil {
		return nft.Report{}, err
	}
	if l.booted != nil { // a stranger has removed it since
		interfaces = l.booted.interfaces
	}
	rules := Boot(l.options.Gather.config(), interfaces)
	report, err := l.options.Kernel.Apply(rules)
	if err != nil {
		return report, fmt.Errorf("boot ruleset: %w", err)
	}
	l.booted = &booted{interfaces, rules}
	if rules.DryRun {
		l.options.Logger.Info("boot ruleset committed: nothing is denied, DRY_RUN is set")
		return report, nil
	}
	l.options.Logger.Info("boot ruleset committed: what comes from Docker's bridges is denied until the Engine answers")
	return report, nil
}

// keep commits the last state again, less the endpoints whose ports are gone since: nobody can say to whom Docker gives
// their addresses next. What files and people say counts without the Engine, too.
func (l *Loop) keep() Outcome {
	last, _ := l.Last()
	state, left := last.State.seated(l.options.Gather.ports(), l.silent)
	changed := l.options.Gather.overlaid(&state)
	outcome := l.commit(state)
	if !left && !changed || outcome.Err != nil {
		return outcome
	}
	l.mu.Lock()
	l.last.State, l.last.Ruleset = outcome.State, outcome.Ruleset
	l.mu.Unlock()
	if left {
		l.options.Logger.Info("addresses whose ports are gone are nobody's until Docker says whose they are", "containers", len(outcome.Ruleset.Containers))
	}
	l.options.Unseated(outcome)
	return outcome
}

// overlay commits what files and people say now, and lets go who waits for that. An error comes again with the next run.
func (l *Loop) overlay() {
	if _, good := l.Last(); !good {
		return
	}
	asked := l.begin()
	outcome := l.keep()
	l.repaired = l.repaired.Plus(outcome.Report)
	if outcome.Err == nil {
		tell(asked, nil)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(asked, l.asked...)
}

// unseat takes from the table what has lost its port, if anything has. An error comes again with the next run.
func (l *Loop) unseat() {
	l.emptied = true
	last, good := l.Last()
	if !good {
		return
	}
	if _, left := last.State.seated(l.options.Gather.ports(), l.silent); left {
		l.repaired = l.repaired.Plus(l.keep().Report)
	}
}
