package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

const restoreHelp = `Restore commits the table that fences a host between its boot and the daemon's first word with Docker. Run
it before docker.service: an Engine starts containers before it answers anybody. Settings count as for "run".

FILE is what a daemon wrote, ruleset.json in --state-dir unless given. Addresses may be other containers'
after a boot, so each may do only what all containers may that it can be of. DRY_RUN is what it is now; if
GATEWAY_NETWORKS, DEFAULT_OUTBOUND, another setting of policies or a file of them differs from when the file was
written, it opens nothing, and under another GATEWAY_NETWORKS every bridge of Docker's is fenced. Without a file, and
with one of this same boot or more than a week old (unless given as FILE), all that comes from what may be
Docker's bridges is denied.

A table that fences already stays as it is, and so it does while a daemon runs. A file or setting that
cannot be used is an error, exit 1 or 2; the host is fenced all the same, as without a file.`

func newRestore(env environment) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "restore [FILE]", Short: "Fence the host before Docker starts, as the daemon left it", Long: restoreHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			logger := newLogger(env, s.logLevel, s.logFormat)
			if _, err := api.Dial(s.socket).Health(c.Context()); err == nil {
				fmt.Fprintln(env.err, "a daemon runs and fences this host: nothing to restore")
				return nil
			}
			k, err := nft.Open(nft.Options{Logger: logger})
			if err != nil {
				return err
			}
			defer func() { _ = k.Close() }()
			return s.restore(env.err, logger, k, args)
		},
	}
	declare(c, env, slices.Concat(s.common(), s.policy(), s.state()))
	return c
}

// restore commits a ruleset in any case, unless a table stands that fences; what else went wrong is the error.
func (s *settings) restore(told io.Writer, logger *slog.Logger, k *nft.Kernel, args []string) error {
	stands, err := k.Fences()
	if err == nil && stands {
		fmt.Fprintln(told, "a table stands that fences already: it stays as it is")
		return nil
	}
	config, wrong := s.config(logger)
	if wrong != nil { // the settings are not known: fence all there is
		config = reconcile.Config{LogGroup: defaultNflogGroup}
	}
	said := config.DryRun
	config = features(config, k.Features()).Under(s.changedBefore(config.DryRun, logger))
	saved, why := s.saved(args)
	if why == nil && wrong == nil {
		_, err := k.Apply(s.resume(saved, config, s.operator(logger)()))
		if err == nil {
			fmt.Fprintf(told, "restored: %d networks fenced, policies at %d addresses\n", len(saved.Bridges), placesIn(saved.Ruleset))
			return nil
		}
		why = err
	}
	interfaces, err := hostnet.Read()
	if err != nil {
		logger.Warn("bridges that are not Docker's may be fenced, too", "err", err)
	}
	if _, err := k.Apply(reconcile.Boot(config, interfaces)); err != nil {
		return errors.Join(err, why, wrong)
	}
	switch {
	case config.DryRun && !said:
		fmt.Fprintln(told, "a table stands that denies nothing: the host was set to audit at run time")
	case config.DryRun:
		fmt.Fprintln(told, "a table stands that denies nothing: DRY_RUN is set")
	default:
		fmt.Fprintln(told, "all that comes from what may be Docker's bridges is denied until the daemon has spoken with Docker")
	}
	if wrong == nil && (boot.Missing(why) && len(args) == 0 || errors.Is(why, errNotKept)) {
		fmt.Fprintln(told, "nothing was remembered: "+why.Error())
		return nil
	}
	return errors.Join(wrong, why)
}

// errNotKept is why there is nothing to read.
var errNotKept = errors.New("there is nothing from before this boot")

// saved reads the file that is named, else the daemon's, if that is not old and was written before this boot: in this one, containers
// may have come since that it says nothing of. It holds for one boot, and is gone then: if no daemon comes to write it
// again, nobody knows who there is at the next.
func (s *settings) saved(args []string) (boot.Saved, error) {
	if len(args) > 0 {
		return boot.Read(args[0])
	}
	if s.directory() == "" {
		return boot.Saved{}, fmt.Errorf("%w: --state-dir is off", errNotKept)
	}
	path := boot.Path(s.directory())
	old := boot.Old(path, time.Now())
	saved, err := boot.Read(path)
	switch {
	case err != nil:
	case old:
		err = fmt.Errorf("%w that still holds: %s is more than a week old", errNotKept, path)
	case saved.Boot == observe.BootID():
		err = fmt.Errorf("%w: %s was written during it", errNotKept, path)
	default:
		err = boot.Remove(path)
	}
	return saved, err
}

// resume is what of a file holds under the settings and policies of now.
func (s *settings) resume(saved boot.Saved, c reconcile.Config, p operator.Policies) nft.Ruleset {
	now := withPolicies(s.remembered(c), p)
	return reconcile.Resume(saved.Ruleset, c, reconcile.Before{
		SameNetworks: saved.Settings.Networks == now.Networks, SamePolicy: saved.Settings.Policy == now.Policy, Excluded: saved.Excluded,
	})
}

// remembered are the settings that a ruleset does not tell.
func (s *settings) remembered(c reconcile.Config) boot.Settings {
	only, except := c.Networks.Names()
	var policies []string
	for _, one := range []string{s.outbound, s.trustImages, s.resolvers, strings.Join(c.PrivateNames, ",")} {
		policies = append(policies, strconv.Quote(one))
	}
	return boot.Settings{Networks: strings.Join(only, ",") + "!" + strings.Join(except, ",!"), Policy: strings.Join(policies, " ")}
}

// withPolicies adds what files say, so that a change of theirs counts as one of the settings.
func withPolicies(s boot.Settings, p operator.Policies) boot.Settings {
	if digest := p.Digest(); digest != "" {
		s.Policy += " " + digest
	}
	return s
}

func placesIn(r nft.Ruleset) (n int) {
	for _, c := range r.Containers {
		n += len(c.Endpoints)
	}
	return n
}

// remember has what may fence after a boot kept.
func (f *fence) remember(o reconcile.Outcome) {
	f.keptSaid, f.keptFiles = o.State.Overlay, o.State.Operator
	f.boot.Keep(func() boot.Saved {
		there := make(map[string]bool, len(o.State.Docker.Containers))
		for _, c := range o.State.Docker.Containers {
			there[c.ID[:min(12, len(c.ID))]] = true
		}
		for id := range f.policiesOf {
			if !there[id] {
				delete(f.policiesOf, id)
			}
		}
		maps.Copy(f.policiesOf, reconcile.Remember(o.State, o.Ruleset))
		return boot.Saved{
			Ruleset: reconcile.Reboot(o.State, o.Ruleset, f.policiesOf), Settings: withPolicies(f.keptSettings, o.State.Operator), Excluded: reconcile.Excluded(o.State), Boot: observe.BootID(),
		}
	})
}

// unseated follows a commit that was made without the Engine, because ports are gone: the flows of who had them end, too. Or
// files or people say something else, which counts after a boot as well.
func (f *fence) unseated(o reconcile.Outcome) {
	f.commits.Add(1)
	f.noted.committed(o)
	f.cutter.Follow(o.State, o.Ruleset)
	f.hasten()
	f.observer.Committed()
	f.rememberSaid(o)
}

// rememberSaid does so of a commit without the Engine, if files or people say something else, and unless nobody knows any more
// who there is.
func (f *fence) rememberSaid(o reconcile.Outcome) {
	same := reflect.DeepEqual(o.State.Overlay, f.keptSaid) && reflect.DeepEqual(o.State.Operator, f.keptFiles)
	if !same && !f.hearing.ran(false, false, o.At) {
		f.remember(o)
	}
}

// bootProblem is that nothing is kept for a boot where somebody counts on it.
func bootProblem(kept bool) []policy.Problem {
	if kept {
		return nil
	}
	return []policy.Problem{{
		Severity: policy.Warning, Message: "nothing is remembered for a boot of the host: after one, containers are denied all they send until the daemon has spoken with Docker",
		Remedy: "--state-dir=PATH",
	}}
}

// fromBefore is what was kept before this boot, for a host without a table.
func (f *fence) fromBefore(s settings, c reconcile.Config) (nft.Ruleset, bool) {
	saved, err := s.saved(nil)
	switch {
	case err == nil:
		return s.resume(saved, c.Under(f.overlay.Now()), f.policies.Policies()), true
	case boot.Missing(err), errors.Is(err, errNotKept):
		f.logger.Debug("nothing is known from before the boot", "why", err)
	default:
		f.logger.Error("what was kept for this boot cannot be used", "err", err)
	}
	return nft.Ruleset{}, false
}

// unheard is how long nothing may have been heard of the Engine, or committed, until what is kept for a boot opens nothing.
// It is longer than Docker takes to end at a shutdown.
const unheard = 5 * time.Minute

// hearing is when the Engine was heard last: it may go on though its proxy or our rights do not.
type hearing struct {
	mu       sync.Mutex
	heard    time.Time // a run succeeded; before the first one, the start
	followed time.Time // one did while the event stream stood; zero is never
}

// ran notes a run, and says whether nobody knows who there is by now.
func (h *hearing) ran(good, connected bool, now time.Time) (doubt bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if good {
		h.heard = now
		if connected {
			h.followed = now
		}
	}
	return now.Sub(h.heard) > unheard
}

// left says whether an Engine to which there is no connection has ended, as far as that is to be told: it was there just now.
func (h *hearing) left(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.followed.IsZero() && now.Sub(h.followed) <= unheard
}

// parting is how long after the end of an Engine it may be noticed: at a shutdown our end follows at once.
const parting = 500 * time.Millisecond

// untilLeft is done when parent is. At a shutdown of the host Docker has ended before; if it goes on, nobody follows which
// containers come.
func (f *fence) untilLeft(parent context.Context) (ctx context.Context, ended func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		for end := time.Now().Add(parting); f.boot.Keeps() && f.engine.Connected() && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		if !f.engine.Connected() && f.hearing.left(time.Now()) {
			f.boot.Trust()
		}
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}
