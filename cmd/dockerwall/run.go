package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/boot"
	"github.com/dockerwall/dockerwall/claim"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

func newRun(env environment) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "run", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: `Run builds one nftables table from Docker's state and keeps it true. The table stays when the daemon
ends: what was allowed goes on, what was denied stays denied. "dockerwall nft flush" removes it.`,
		RunE: func(c *cobra.Command, _ []string) error {
			hup := catchHangup()
			d, err := newDaemon(c.Context(), s, env)
			if err != nil && c.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // told to end while it waited for another daemon's end
			}
			if err != nil {
				return err
			}
			d.confine(s, env)
			return d.run(c.Context(), hup)
		},
	}
	declare(c, env, append(append(s.common(), s.policy()...), s.daemon()...))
	return c
}

// errFlushed ends the daemon after its table was removed by request.
var errFlushed = errors.New("the table was removed by request")

// fence is the daemon: every part, made but not yet running.
type fence struct {
	logger    *slog.Logger
	kernel    *nft.Kernel
	claims    *claim.Claims
	engine    *docker.Client
	ports     *hostnet.Ports
	resolver  *resolver.Resolver
	loop      *reconcile.Loop
	cutter    *reconcile.Cutter
	metrics   *metrics.Metrics
	scrapes   *metrics.Server
	drops     *droplog.Reader
	dropLog   *droplog.Log
	observer  *observe.Observer
	contacts  *observe.Contacts
	feed      *observe.Feed
	decisions *observe.Decisions // nil without --decision-log
	api       *api.Server
	answers   *answers
	noted     remembered
	leftovers leftovers
	changes   changes
	store     *observe.Store
	policies  *operator.Store
	overlay   *overlay.Store
	changedAt atomic.Int64 // when something was changed at run time last, in ns
	boot      *boot.Keeper
	hearing   hearing
	flushed   chan struct{}
	told      told
	unkept    bool         // nothing is kept for a boot, though systemd starts us before Docker
	commits   atomic.Int64 // that changed something
	foreign   atomic.Bool  // somebody else changed the table, and it is not repaired yet

	keptSettings boot.Settings
	keptSaid     overlay.Overlay // what was said at run time when policies were last kept, and by files
	keptFiles    operator.Policies
	written      settings                     // as they were given
	policiesOf   map[string]reconcile.Earlier // policies of containers while they ran, by 12-digit ID; of boot only
	joinedIDs    []string                     // of containers, in the last ruleset
}

// newDaemon makes the parts. What it opens is closed by run.
func newDaemon(ctx context.Context, s settings, env environment) (*fence, error) {
	logger := newLogger(env, s.logLevel, s.logFormat)
	config, err := s.config(logger)
	if err != nil {
		return nil, err
	}
	trust, err := s.boolean("trust-image-labels", s.trustImages)
	if err != nil {
		return nil, err
	}
	f := &fence{logger: logger, written: s, flushed: make(chan struct{}, 1), hearing: hearing{heard: time.Now()}, noted: remembered{since: time.Now(), settings: s.problems}, policiesOf: map[string]reconcile.Earlier{}}
	if f.engine, err = docker.New(docker.Options{Logger: logger}); err != nil {
		return nil, err
	}
	if f.kernel, err = nft.Open(nft.Options{Logger: logger}); err != nil {
		return nil, err
	}
	if f.claims, err = f.claim(ctx, s); err != nil {
		return nil, err
	}
	f.policies = f.newPolicies(s)
	config = features(config, f.kernel.Features())
	f.kernel.Survey()
	left, err := nft.ReadNames(nft.Options{})
	fresh := err == nil && !left.Exists
	if err != nil {
		logger.Warn("addresses of names in the table that stands are not taken over", "err", err)
	}
	f.resolver, err = resolver.New(resolver.Options{
		Extra: s.resolvers, ContainerDNS: f.containerDNS, Known: left.Names, Mark: dnsMark, Logger: logger,
		InUse: func(addrs []netip.Addr) (map[netip.Addr]bool, error) { return flows.To(addrs, flows.Options{}) },
	})
	if err != nil {
		return nil, err
	}
	if err := f.newOverlay(s.directory(), config.DryRun); err != nil {
		return nil, err
	}
	f.ports = hostnet.NewPorts(hostnet.PortsOptions{Changed: func() { f.loop.Kick() }, Gone: func() { f.loop.Moved() }, Logger: logger})
	f.loop, err = reconcile.New(reconcile.Options{
		Gather: reconcile.Gather{
			Config: config, Engine: f.engine, Resolver: f.resolver, Interfaces: hostnet.Read, Ports: f.ports.List, TrustImage: trust,
			Operator: f.policies.Policies,
			Overlay:  f.overlay.Now,
		},
		Kernel: f.kernel, Logger: logger, Leaving: f.leaving, Losing: f.losing, Done: f.done, Unseated: f.unseated, Denied: func() { f.cutter.Suspect() },
		Repaired: f.breached, StandFirst: standFirst(env, left.Exists), Standing: f.ready, Alive: alive, Beat: watchdogBeat(),
		Remembered: func() (nft.Ruleset, bool) { return f.fromBefore(s, config) },
	})
	if err != nil {
		return nil, err
	}
	f.cutter, err = reconcile.NewCutter(reconcile.CutterOptions{
		Flows: func(choose func([]flows.Flow) []int) (int, error) { return flows.Cut(choose, flows.Options{}) },
		Keep:  f.kernel.Cut, Now: f.loop.Now, Fresh: !left.Exists, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	modes, number, err := s.dnsHolding(f.kernel.Features().Taps)
	if err != nil {
		return nil, err
	}
	f.store = f.newStore(s.directory())
	f.boot, f.keptSettings = boot.NewKeeper(boot.KeeperOptions{Dir: s.directory(), Logger: logger}), s.remembered(config)
	f.unkept = s.directory() == "" && underSystemd(env)
	f.answers = newAnswers(f, modes, s.dnsHold != "off", number)
	if err := errors.Join(f.observe(fresh), f.contact()); err != nil {
		return nil, err
	}
	return f, f.outside(s, config)
}

// outside makes the parts that people and Prometheus see.
func (f *fence) outside(s settings, config reconcile.Config) error {
	told, err := s.metrics()
	if err != nil {
		return err
	}
	told.Source = f.snapshot
	if f.metrics, err = metrics.New(told); err != nil {
		return usageError{err}
	}
	if err := f.decisionLog(s.decisionLog); err != nil {
		return err
	}
	f.dropLog = droplog.NewLog(droplog.LogOptions{Logger: f.logger, Container: f.containerName, Names: f.resolver.NamesOf})
	f.drops, err = droplog.New(droplog.Options{Group: config.LogGroup, Handle: f.dropped, Lost: f.metrics.NflogLost, Logger: f.logger})
	if err != nil {
		return err
	}
	socket := api.Options{
		Path: s.socket, Locked: f.claims.Socket(), Logger: f.logger, Health: f.health, Flush: f.flush,
		Status: f.status, Denials: f.denials, Explain: f.explain, Suggest: f.suggest, Change: f.change,
		Observations: f.observations,
	}
	if f.api, err = api.New(socket); err != nil {
		return err
	}
	return f.listen(s, socket)
}

// run is the whole picture of concurrency: every goroutine of the daemon starts here or is owned by
// what starts here.
func (f *fence) run(ctx context.Context, hup chan os.Signal) error {
	defer f.claims.Close() // at the very end: then another daemon may begin
	defer func() { _ = f.kernel.Close() }()
	defer func() { _ = f.kernel.ApplyTap(nft.Tap{}) }() // where the kernel does not end it with us
	defer func() { _ = f.engine.Close() }()
	f.reportStart()
	ctx, ended := f.untilLeft(ctx)
	defer ended()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.serveAPI(ctx) })
	g.Go(func() error { return f.loop.Run(ctx) })
	g.Go(func() error { return f.cutter.Run(ctx) })
	g.Go(func() error { return f.engine.Run(ctx, f.loop.Kick) })
	g.Go(func() error { return f.policies.Run(ctx) })
	g.Go(func() error { return f.resolver.Run(ctx, f.loop.Kick) })
	g.Go(func() error { return f.answers.run(ctx) })
	g.Go(func() error { return f.store.Run(ctx) })
	g.Go(func() error { return f.overlay.Run(ctx) })
	g.Go(func() error { return f.boot.Run(ctx) })
	g.Go(func() error { return f.kernel.Watch(ctx, f.foreignChange) })
	g.Go(func() error { return f.watchBridges(ctx) })
	g.Go(func() error { return f.watchPorts(ctx) })
	g.Go(func() error { return f.beat(ctx) })
	g.Go(func() error { return rest(ctx, f.restOptions()) })
	g.Go(func() error { return f.readDrops(ctx) })
	g.Go(func() error { return f.dropLog.Run(ctx) })
	g.Go(func() error { return f.observer.Run(ctx) })
	g.Go(func() error { return f.contacts.Run(ctx) })
	g.Go(func() error { return f.scrapes.Run(ctx) })
	g.Go(func() error { return f.watchFlush(ctx) })
	g.Go(func() error { return f.reload(ctx, hup) })
	err := g.Wait()
	stopping()
	if errors.Is(err, errFlushed) || errors.Is(err, nft.ErrRemoved) {
		f.logger.Info("ended: the table was removed by request, nothing is fenced")
		return nil
	}
	if err == nil {
		f.logger.Info("ended; the table stays and goes on fencing")
	}
	return err
}

// serveAPI answers on the socket. Another daemon there ends this one; a socket that cannot be made does
// not: the fence is worth more than its commands.
func (f *fence) serveAPI(ctx context.Context) error {
	err := f.api.Run(ctx)
	if err != nil && !errors.Is(err, api.ErrDaemonRunning) {
		f.logger.Error("no API: `dockerwall health` and `nft flush` will not reach this daemon", "err", err)
		return nil
	}
	return err
}

// reportStart says what the host is like, once.
func (f *fence) reportStart() {
	f.logger.Info("starting", "version", buildInfo().Version, "docker", f.engine.Host(),
		"owner", f.kernel.Features().Owner)
	left, err := nft.FindLeftovers()
	if err != nil {
		f.logger.Warn("could not look for rules of the old dockerwall", "err", err)
	}
	if !left.Empty() {
		f.logger.Warn("rules of the old iptables dockerwall are still there and still filter; remove them with these commands",
			"chains", left.Chains, "ipsets", left.IPSets, "commands", strings.Join(left.Commands(), "; "))
	}
}

// done follows each reconciliation.
func (f *fence) done(o reconcile.Outcome) {
	if o.Report.Changed {
		f.commits.Add(1)
	}
	f.noted.committed(o)
	f.metrics.Committed(o.Err == nil)
	if o.Err == nil {
		f.reportRepair(o.Report)
		f.reportOwner(o.Report)
		f.cutter.Follow(o.State, o.Ruleset)
		f.hasten()
		f.observer.Committed()
		f.joined(o.Ruleset)
		f.remember(o)
		f.reportChanges(o.State)
		f.forget(o.State.Docker)
	} else {
		f.observer.Refused()
	}
	if f.hearing.ran(o.Err == nil, f.engine.Connected(), o.At) {
		f.boot.Doubt()
	}
	if o.Report.Changed || o.Refused {
		f.metrics.Applied(o.Report.Took, o.Err)
	}
	f.ran(o)
}
