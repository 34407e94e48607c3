package main

import (
	"context"
	"time"

	"github.com/dockerwall/dockerwall/claim"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/nft"
)

// What is done about the table beside commits: repairs, and its end.

// claim makes sure that this daemon is the only one with what it is about to use.
func (f *fence) claim(ctx context.Context, s settings) (*claim.Claims, error) {
	return claim.Take(ctx, claim.Options{StateDir: s.directory(), Socket: s.socket, Owner: f.kernel.Owner, Logger: f.logger})
}

// foreignChange has the table repaired after a stranger's change, of which many notifications may tell.
// When some were lost, the table is only looked at.
func (f *fence) foreignChange(lost bool) {
	if lost {
		f.metrics.NotificationsLost()
	} else {
		f.foreign.Store(true)
	}
	f.kernel.Invalidate()
	f.loop.Repair()
}

// breached follows each repair: what began while the table was open does not go on, and ports that are not known are kept
// from what is bound before the next beat.
func (f *fence) breached() {
	f.cutter.Breached()
	if err := f.kernel.Awake(); err != nil {
		f.logger.Debug("ports that are not known may use any address for now", "err", err)
	}
}

// reportRepair follows each commit that succeeded. One that did not read the table back has repaired nothing.
func (f *fence) reportRepair(r nft.Report) {
	if !r.Adopted || !f.foreign.Swap(false) || !r.Changed {
		return
	}
	f.metrics.Restored(metrics.CauseNotified)
	f.logger.Warn("somebody changed table inet dockerwall; repaired", "ops", r.Ops, "took", r.Took)
}

func (f *fence) flush(context.Context) error {
	if err := f.kernel.Remove(); err != nil {
		return err
	}
	select {
	case f.flushed <- struct{}{}:
	default: // asked before
	}
	return nil
}

// watchFlush ends the daemon once the caller of flush has its answer.
func (f *fence) watchFlush(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-f.flushed:
		timer := time.NewTimer(100 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return errFlushed
	}
}

// reportOwner says that a table which stood before us has no owner, which cannot be changed while it stands.
func (f *fence) reportOwner(r nft.Report) {
	if !r.Adopted {
		return
	}
	ownerless := f.kernel.Features().Owner && !f.kernel.Owned()
	f.noted.ownerless.Store(ownerless)
	if ownerless {
		f.logger.Warn("the table was made without an owner: other programs can change it, which is repaired",
			"remedy", ownerRemedy)
	}
}

const ownerRemedy = "`dockerwall nft flush` and a start of the daemon make it anew; until then nothing is fenced"
