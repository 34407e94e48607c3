package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/hold"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

// dnsMark is what the daemon's own questions carry, so that their answers are not held: "dw".
const dnsMark = 0x6477

// modeAsk is what the mode is called in which answers to others are not looked at.
const modeAsk = "ask"

// Bounds of asking for what a reply could not be read for, while it waits.
const (
	askedAtOnce = 16
	askTimeout  = time.Second
)

// rebind is how long after a failure the queue is tried again: an earlier daemon may be about to end.
const rebind = 2 * time.Second

// answers is how DNS answers on their way to containers get into the table before them.
type answers struct {
	logger   *slog.Logger
	resolver *resolver.Resolver
	learn    func([]resolver.Found) <-chan struct{}
	tap      func(reconcile.TapSetting)
	alive    func() error // tells the kernel
	kick     func()
	asked    func(to netip.Addr, name string) // who asks for what; nil tells nobody
	modes    []nft.TapMode                    // to try, in order
	wanted   bool                             // somebody wants any of them: the setting is not off
	number   uint16                           // of the queue or nflog group

	slots   chan struct{} // for asking
	asking  sync.WaitGroup
	results replyCounts

	mu     sync.Mutex
	mode   nft.TapMode          // that works now
	counts []func() hold.Counts // of those that were tried
	failed error                // why none works
}

func newAnswers(f *fence, modes []nft.TapMode, wanted bool, number uint16) *answers {
	return &answers{
		logger: f.logger, resolver: f.resolver, learn: f.loop.Learn, tap: f.loop.Tap, alive: f.kernel.Beat, kick: f.loop.Kick, asked: f.store.Asked, modes: modes, wanted: wanted, number: number,
		slots: make(chan struct{}, askedAtOnce),
	}
}

// run looks at answers in the best way that works, until ctx is done. The fence stands without.
func (a *answers) run(ctx context.Context) error {
	defer a.asking.Wait()
	for _, mode := range a.modes {
		by, err := a.by(ctx, mode)
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			err := by.Run(ctx)
			if ctx.Err() != nil {
				return nil
			}
			a.fail(mode, err)
			if errors.Is(err, hold.ErrNoQueue) || !sleep(ctx, rebind) {
				break
			}
		}
	}
	if a.wanted && ctx.Err() == nil {
		a.logger.Warn("DNS answers are not looked at: a wildcard opens only names that are spelled out elsewhere",
			"remedy", "a kernel with nf_tables' queue or log, fib and conntrack marks")
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// runner is a [hold.Holder] or a [hold.Copier].
type runner interface {
	Run(ctx context.Context) error
	Counts() hold.Counts
}

// by makes what reads answers in one mode.
func (a *answers) by(ctx context.Context, mode nft.TapMode) (by runner, err error) {
	opt := hold.Options{
		Number: a.number, Logger: a.logger, Learn: func(m []hold.Message) []<-chan struct{} { return a.read(ctx, m) },
		Bound: func(bound bool) { a.bound(mode, bound) }, Beat: a.beat,
	}
	if by, err = hold.New(opt); mode == nft.TapCopy {
		by, err = hold.NewCopier(opt)
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counts = append(a.counts, by.Counts)
	return by, nil
}

// bound has the table send answers, or no longer.
func (a *answers) bound(mode nft.TapMode, bound bool) {
	if !bound {
		mode = nft.TapOff
	}
	a.mu.Lock()
	a.mode = mode
	if bound {
		a.failed = nil
	}
	a.mu.Unlock()
	if bound {
		a.logger.Info("DNS answers are learned from", "mode", a.modeName(), "number", a.number)
	}
	a.tap(reconcile.TapSetting{Mode: mode, Queue: a.number, Mark: dnsMark})
}

// beat keeps the queue in use. When it fails, the next run of the loop makes the tables anew.
func (a *answers) beat() {
	if err := a.alive(); err != nil {
		a.logger.Debug("DNS answers are not held for now", "err", err)
		a.kick()
	}
}

// fail says once why a mode does not work.
func (a *answers) fail(mode nft.TapMode, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil || err == nil || a.failed.Error() != err.Error() {
		a.logger.Error("DNS answers cannot be read this way", "mode", mode.String(), "err", err)
	}
	a.failed = err
}

// modeName is the mode for people and metrics.
func (a *answers) modeName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mode == nft.TapOff {
		return modeAsk
	}
	return a.mode.String()
}

// degraded says what is wrong, "" when answers are held or nobody wants them to be.
func (a *answers) degraded() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case !a.wanted || a.mode == nft.TapNFTQueue || a.mode == nft.TapXTQueue:
		return ""
	case a.mode == nft.TapCopy:
		return "DNS answers are only copied: the first packet to a new address of a name may be denied"
	case a.failed != nil:
		return "DNS answers are not looked at: " + a.failed.Error()
	}
	return "DNS answers are not looked at (yet)"
}

// read takes messages in, and has what they name committed. What cannot be read to its end, but could be by who
// asked, is asked for.
func (a *answers) read(ctx context.Context, messages []hold.Message) []<-chan struct{} {
	waits := make([]<-chan struct{}, len(messages))
	var found []resolver.Found
	var with []int // messages that have some of it
	for i, m := range messages {
		reply := resolver.ReadReply(m.Data)
		names := reply.Names()
		if m.Unsure { // only the names count, and only for questions of our own
			reply = resolver.Reply{Question: reply.Question, Unread: len(names) > 0}
		}
		if a.asked != nil && reply.Question != "" {
			a.asked(m.To, reply.Question)
		}
		these := a.resolver.Learn(reply)
		if len(these) > 0 {
			found, with = append(found, these...), append(with, i)
		}
		a.tally(reply, these)
		if reply.Unread {
			waits[i] = a.ask(ctx, names)
		}
	}
	if done := a.learn(found); done != nil {
		for _, i := range with {
			if waits[i] == nil {
				waits[i] = done
			}
		}
	}
	return waits
}

func (a *answers) tally(reply resolver.Reply, found []resolver.Found) {
	switch {
	case reply.Unread:
		a.results.unread.Add(1)
	case reply.Question == "":
		a.results.other.Add(1)
	case len(found) == 0:
		a.results.nothing.Add(1)
	default:
		a.results.learned.Add(1)
	}
}

// ask asks for names beside; the channel is closed when their addresses are committed. It is nil when too much is
// asked already.
func (a *answers) ask(ctx context.Context, names []string) <-chan struct{} {
	select {
	case a.slots <- struct{}{}:
	default:
		a.results.unasked.Add(1)
		return nil
	}
	done := make(chan struct{})
	a.asking.Go(func() {
		defer func() { <-a.slots }()
		defer close(done)
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if committed := a.learn(a.resolver.Ask(ctx, names...)); committed != nil {
			select {
			case <-committed:
			case <-ctx.Done():
			}
		}
	})
	return done
}

// tapModes are the modes to try for a setting.
func tapModes(setting string, can []nft.TapMode) []nft.TapMode {
	if setting == "auto" {
		return can
	}
	return slices.DeleteFunc(slices.Clone(can), func(m nft.TapMode) bool { return m.String() != setting })
}
