package observe

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxDecisions is how many lines of one subject are written for one call of Add; the rest is one line more.
	maxDecisions = 20
	// maxDecisionFile is the size from which the file is put aside as ".1", in place of the one before, unless somebody
	// has rotated it earlier.
	maxDecisionFile = 256 << 20 // bytes
	decisionRetry   = 10 * time.Second
	// decisionWait is how long a reader of a pipe may take: whoever waits for it holds up all that is told.
	decisionWait = time.Second
)

// DecisionsOptions are the options of [Decisions].
type DecisionsOptions struct {
	Path   string                       // of the file; required
	Encode func(Denial) ([]byte, error) // a line, without its end; required
	Logger *slog.Logger                 // nil discards
}

// Decisions is a file with a line for each [Denial], for other programs to follow. It may be a pipe. Nothing depends on it:
// what cannot be written, or is not read within a second, is lost, and said once. It is bounded: a container that knocks at
// thousands of doors gets some lines a second, of which the last has the packets of all others.
type Decisions struct {
	opt DecisionsOptions

	mu     sync.Mutex
	file   *os.File
	kept   bool // a file on disk: it has a size, and another may take its place
	size   int64
	failed bool      // and said so
	retry  time.Time // not before
}

// NewDecisions checks opt; the file is opened, and made with mode 0640, when there is something to write.
func NewDecisions(opt DecisionsOptions) (*Decisions, error) {
	if opt.Path == "" || opt.Encode == nil {
		return nil, errors.New("observe: DecisionsOptions.Path and Encode are required")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	return &Decisions{opt: opt}, nil
}

// Add writes a line for each denial, those of one call at once. The packets of its lines add up to those of all.
func (d *Decisions) Add(denials []Denial) {
	text := d.encode(bounded(denials))
	if len(text) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(d.write(text))
}

// Reopen closes the file, which the next line opens again: somebody has moved it away, or there is no next line.
func (d *Decisions) Reopen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
	d.retry = time.Time{}
}

func (d *Decisions) encode(denials []Denial) []byte {
	var out bytes.Buffer
	for _, one := range denials {
		line, err := d.opt.Encode(one)
		if err != nil {
			d.opt.Logger.Error("a decision is not written down", "err", err)
			continue
		}
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.Bytes()
}

// write appends whole lines. After a part of one was written the file is cut back, so that the next is readable.
func (d *Decisions) write(text []byte) error {
	if d.file == nil {
		if err := d.open(); err != nil {
			return err
		}
	}
	if info, err := d.file.Stat(); err == nil { // somebody may have emptied it: logrotate's copytruncate
		d.size = info.Size()
	}
	_ = d.file.SetWriteDeadline(time.Now().Add(decisionWait)) // a file on disk has none
	n, err := d.file.Write(text)
	if err != nil {
		if d.kept {
			_ = d.file.Truncate(d.size)
		}
		d.close()
		return err
	}
	if d.size += int64(n); d.size < maxDecisionFile || !d.kept {
		return nil
	}
	d.close()
	return os.Rename(d.opt.Path, d.opt.Path+".1")
}

func (d *Decisions) open() error {
	if time.Now().Before(d.retry) {
		return errWait
	}
	// Without O_NONBLOCK a pipe that nobody reads would be waited for without end.
	file, err := os.OpenFile(d.opt.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK, 0o640) //nolint:gosec // for its group to read
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return err
	}
	d.file, d.kept, d.size = file, info.Mode().IsRegular(), info.Size()
	return nil
}

func (d *Decisions) close() {
	if d.file != nil {
		_ = d.file.Close()
		d.file = nil
	}
}

// errWait stands for a failure that was told already.
var errWait = errors.New("not tried again yet")

// note says once that the file cannot be written, and once that it can again.
func (d *Decisions) note(err error) {
	switch {
	case errors.Is(err, errWait):
		return
	case err != nil:
		d.retry = time.Now().Add(decisionRetry)
		if !d.failed {
			d.opt.Logger.Error("decisions are not written down; trying again", "err", err, "remedy", remedyFor(err, d.opt.Path))
		}
	case d.failed:
		d.opt.Logger.Info("decisions are written down again", "file", d.opt.Path)
	}
	d.failed = err != nil
}

func remedyFor(err error, path string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "make the directory of " + path
	case errors.Is(err, fs.ErrPermission):
		return "let dockerwall write " + path
	case errors.Is(err, unix.ENXIO), errors.Is(err, os.ErrDeadlineExceeded):
		return "have a program read " + path
	default:
		return "make room, or give --decision-log another place"
	}
}

// bounded leaves each subject its first lines and folds the rest into one.
func bounded(denials []Denial) []Denial {
	lines := map[Subject]int{}
	folded := map[Subject]int{} // where in out
	out := make([]Denial, 0, len(denials))
	for _, d := range denials {
		lines[d.Subject]++
		if lines[d.Subject] <= maxDecisions {
			out = append(out, d)
			continue
		}
		at, ok := folded[d.Subject]
		if !ok {
			folded[d.Subject] = len(out)
			out = append(out, Denial{ID: d.ID, Time: d.Time, Subject: d.Subject, ContainerID: d.ContainerID, Reason: ReasonOther, Audit: d.Audit})
			at = len(out) - 1
		}
		out[at].Packets += d.Packets
		out[at].Bytes += d.Bytes
	}
	return out
}
