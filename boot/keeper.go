package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/disk"
)

// KeeperOptions are the options of a [Keeper].
type KeeperOptions struct {
	Dir    string        // where the file is; "" for nowhere
	Rest   time.Duration // between writes, and until a failed one is tried again; 3 s
	Logger *slog.Logger  // nil discards
}

// Keeper writes the file, off the path of commits. Its methods may be called from anywhere, at any time.
type Keeper struct {
	options KeeperOptions
	wake    chan struct{}
	most    int // bytes that a file may have

	mu      sync.Mutex
	next    func() Saved
	trusted bool
	err     error

	last    Saved  // what is to be on disk; of Run only, as what follows
	written []byte // what is on disk; nil when that is not known
	touched time.Time
}

// NewKeeper makes one.
func NewKeeper(o KeeperOptions) *Keeper {
	if o.Rest == 0 {
		o.Rest = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{options: o, wake: make(chan struct{}, 1), most: maxFile}
}

// Keep has what make makes written soon, unless something newer comes before. make is called from Run, one at a time. Keep
// does not block.
func (k *Keeper) Keep(make func() Saved) {
	if !k.Keeps() {
		return
	}
	k.mu.Lock()
	k.next = make
	k.mu.Unlock()
	k.again()
}

func (k *Keeper) again() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Keeps says whether there is a file at all.
func (k *Keeper) Keeps() bool { return k.options.Dir != "" }

// Trust says that no container will come before the next boot: Docker has ended. Without, the last file that Run writes opens
// nothing, since nobody follows any more whom it would speak for.
func (k *Keeper) Trust() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trusted = true
}

// Doubt has the file open nothing until something is kept again: nobody knows who has come since the last time. What an
// earlier daemon has left is removed.
func (k *Keeper) Doubt() {
	k.Keep(func() Saved {
		if k.last.LogGroup == 0 {
			_ = os.Remove(Path(k.options.Dir)) // it is asked for again
		}
		doubted := k.last
		doubted.Containers = nil
		return doubted
	})
}

// Err is why the file is not as it should be, nil if it is.
func (k *Keeper) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Run writes until ctx is done, once more then, and returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	if !k.Keeps() {
		<-ctx.Done()
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			k.end()
			return nil
		case <-k.wake:
		}
		if k.save() != nil {
			k.again()
		}
		select { // the newest within that time is the next
		case <-ctx.Done():
		case <-time.After(k.options.Rest):
		}
	}
}

func (k *Keeper) end() {
	k.mu.Lock()
	trusted := k.trusted
	k.mu.Unlock()
	if trusted {
		_ = k.save()
		return
	}
	k.make()
	if k.last.LogGroup != 0 { // there was something to keep
		k.last.Containers = nil
		k.note(k.write())
	}
}

// make takes what is to be on disk.
func (k *Keeper) make() {
	k.mu.Lock()
	next := k.next
	k.next = nil
	k.mu.Unlock()
	if next != nil {
		k.last = next()
	}
}

func (k *Keeper) save() error {
	k.make()
	if k.last.LogGroup == 0 {
		return nil
	}
	err := k.write()
	k.note(err)
	return err
}

// write has the file be as it should. Where it cannot, there had better be none: an old one may open what is not allowed
// any more.
func (k *Keeper) write() error {
	text, err := k.text()
	path := Path(k.options.Dir)
	if err == nil && bytes.Equal(text, k.written) && k.touch(path) == nil {
		return nil
	}
	k.written = nil
	if err == nil {
		if err = os.MkdirAll(k.options.Dir, 0o700); err == nil {
			err = disk.Replace(path, func(w io.Writer) error { _, err := w.Write(text); return err })
		}
	}
	if err == nil {
		k.written, k.touched = text, time.Now()
		return nil
	}
	if removed := os.Remove(path); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		return fmt.Errorf("write %s, which is of old: %w", path, err)
	}
	return fmt.Errorf("write %s: %w", path, err)
}

// touch says now and then that the file is still true, see [Old].
func (k *Keeper) touch(path string) error {
	now := time.Now()
	if now.Sub(k.touched) < time.Hour {
		return nil
	}
	k.touched = now
	return os.Chtimes(path, now, now)
}

// text is what is to be on disk: with containers, if it can be read again.
func (k *Keeper) text() ([]byte, error) {
	var out bytes.Buffer
	if err := k.last.Validate(); err != nil {
		return nil, err
	}
	if err := Encode(&out, k.last); err != nil {
		return nil, err
	}
	if out.Len() <= k.most {
		return out.Bytes(), nil
	}
	out.Reset()
	without := k.last
	without.Containers, without.Sources = nil, nil
	err := Encode(&out, without)
	return out.Bytes(), err
}

// note keeps and says an error, once.
func (k *Keeper) note(err error) {
	k.mu.Lock()
	before := k.err
	k.err = err
	k.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		k.options.Logger.Error("what is to fence after a boot is not kept; trying again", "err", err,
			"meaning", "after a boot, containers are denied all they send until the daemon has spoken with Docker")
	case err == nil && before != nil:
		k.options.Logger.Info("what is to fence after a boot is kept again")
	}
}
