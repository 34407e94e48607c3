package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// Learn commits addresses that names were just found to have to every set that wants them, without a run: one batch,
// one element a set. It returns nil once the kernel holds them, whoever sent them. Where only a run can commit them,
// because a policy is newer than the table or the table is not known, it asks for one and returns a channel that
// is closed when that has ended, well or not, or the loop has. The resolver must know the addresses already. It waits
// for a commit that is under way.
func (l *Loop) Learn(found []resolver.Found) <-chan struct{} {
	if len(found) == 0 {
		return nil
	}
	l.learning.Lock()
	defer l.learning.Unlock()
	batch, whole := l.index.batch(found)
	if whole {
		err := l.options.Kernel.Learn(batch)
		if err == nil {
			if slices.ContainsFunc(batch, func(b nft.Learned) bool { return b.Deny }) {
				l.options.Denied()
			}
			return nil
		}
		l.options.Logger.Debug("what a DNS answer names waits for a commit", "err", err)
	}
	done := make(chan struct{})
	l.waiting = append(l.waiting, done)
	if l.ended {
		l.release()
	}
	l.Kick()
	return done
}

// lock is a mutex, made with room for one. To testing/synctest, who waits for it stands still.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// release lets go what waited for a commit. The caller holds learning.
func (l *Loop) release() {
	for _, done := range l.waiting {
		close(done)
	}
	l.waiting = nil
}

// end lets go what waits for a run that will not come.
func (l *Loop) end() {
	l.learning.Lock()
	defer l.learning.Unlock()
	l.ended = true
	l.release()
}
