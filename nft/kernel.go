package nft

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Options say how to reach nf_tables.
type Options struct {
	NetNS  int // file descriptor of a network namespace, which stays open; 0 is the caller's own
	Logger *slog.Logger
}

// Kernel is tables inet and bridge dockerwall as the kernel holds them, and the one writer to them. Its methods may
// be called from several goroutines; commits follow one another.
//
// All commits go over one lasting netlink connection: it owns the table where the kernel knows
// ownership, and closing one made for each batch would wait for the kernel to free what was deleted
// (7–40 ms, measured). Replies mix on a shared one, so whoever uses it holds the lock; reading counters,
// which may wait, uses connections of its own.
type Kernel struct {
	options  Options
	features Features

	mu   sync.Mutex
	conn *nftables.Conn
	raw  *netlink.Conn // for reading what the library does not, or not as quickly
	last compiled
	// known is set while last is what the kernel holds. It is cleared by an error that leaves the
	// outcome open and by a stranger's change; then the next commit reads the table back.
	known   bool
	removed bool
	survey  *survey // nil if none was asked for, or the first commit has had it
	tap     tapped
}

// Report says what a commit did.
type Report struct {
	Adopted bool // the table was read from the kernel first
	Changed bool
	Ops     int
	Took    time.Duration
}

// Plus is what two commits did together.
func (r Report) Plus(s Report) Report {
	return Report{Adopted: r.Adopted || s.Adopted, Changed: r.Changed || s.Changed, Ops: r.Ops + s.Ops, Took: r.Took + s.Took}
}

// ErrRemoved is returned for commits after [Kernel.Remove].
var ErrRemoved = errors.New("the table was removed by request")

// Open connects to nf_tables and finds out what the kernel can do. It changes nothing that lasts.
func Open(o Options) (*Kernel, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	conn, err := dial(o, nftables.AsLasting())
	if err != nil {
		return nil, explainErrno(fmt.Errorf("open netlink socket: %w", err))
	}
	features, err := probe(conn)
	if err != nil {
		_ = conn.CloseLasting()
		return nil, explainErrno(fmt.Errorf("probe nf_tables: %w", err))
	}
	raw, err := dialRaw(o)
	if err != nil {
		_ = conn.CloseLasting()
		return nil, explainErrno(fmt.Errorf("open netlink socket: %w", err))
	}
	return &Kernel{options: o, conn: conn, raw: raw, features: features}, nil
}

func dial(o Options, more ...nftables.ConnOption) (*nftables.Conn, error) {
	if o.NetNS > 0 {
		more = append(more, nftables.WithNetNSFd(o.NetNS))
	}
	return nftables.New(more...)
}

// Features returns what the kernel was found to be able to do.
func (k *Kernel) Features() Features { return k.features }

// Close gives the connection back; the table stays and goes on fencing.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.survey != nil { // it reads in the same namespace
		<-k.survey.done
	}
	return errors.Join(k.raw.Close(), k.conn.CloseLasting())
}

// Apply makes the tables equal to r. A packet sees all of the change or nothing of it. After an error
// the table is as it was, or unknown to us; the next Apply finds out.
func (k *Kernel) Apply(r Ruleset) (Report, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.removed {
		return Report{}, ErrRemoved
	}
	start := time.Now()
	same := k.last.compare(r)
	if err := r.validate(same); err != nil {
		return Report{}, fmt.Errorf("refuse ruleset: %w", err)
	}
	report, err := k.apply(compileChanged(r, k.last, same))
	report.Took = time.Since(start)
	if err != nil {
		k.known = false
		return report, explainErrno(fmt.Errorf("commit table: %w", err))
	}
	return report, nil
}

func (k *Kernel) apply(next compiled) (Report, error) {
	old, claim := k.last.table, !k.known
	report := Report{Adopted: claim}
	if claim {
		var err error
		if old, err = k.read(); err != nil {
			return report, err
		}
	}
	plan := Diff(old, next.table)
	names, woken, err := k.names(claim, old, next.table)
	if err != nil {
		return report, err
	}
	report.Changed = woken || !plan.Empty()
	for _, batch := range [][]Op{plan.Prepare, plan.Commit, plan.Cleanup} {
		if len(batch) == 0 && len(names) == 0 {
			continue
		}
		if err := k.commit(batch, names...); err != nil {
			k.undo(plan.Prepare)
			return report, err
		}
		names = nil
		report.Ops += len(batch)
	}
	k.last, k.known = next, true
	return report, nil
}

// undo removes sets that a failed commit leaves behind: no rule looks them up. What is not there, or is
// in use after all, voids its batch and stays as it is.
func (k *Kernel) undo(prepared []Op) {
	for _, op := range prepared {
		_ = k.commit([]Op{delSet{op.(addSet).set}})
	}
}

// names returns the tables to name in the first batch of a change: with claim those that were read back, and the one
// for ports if it is to be made. Woken says that naming one makes a table look at packets again.
func (k *Kernel) names(claim bool, old, wanted Table) (wants []*nftables.Table, woken bool, err error) {
	if claim {
		wants = append(wants, ours())
	}
	if wanted.Ports != nil && (claim || old.Ports == nil) {
		wants = append(wants, portsTable())
	}
	for i, table := range wants {
		asleep := false
		if wants[i], asleep, err = k.claim(table); err != nil {
			return nil, false, err
		}
		woken = woken || asleep
	}
	return wants, woken, nil
}

// commit sends one batch; it names tables first, which makes them or takes them over.
func (k *Kernel) commit(batch []Op, names ...*nftables.Table) error {
	for _, table := range names {
		k.conn.AddTable(table)
	}
	return k.send(ours(), "inet "+TableName, batch)
}

// send writes operations on a table, which name says in errors, and sends all that is buffered.
func (k *Kernel) send(table *nftables.Table, name string, batch []Op) error {
	for _, op := range batch {
		if err := op.write(k.conn, table); err != nil {
			k.void()
			return fmt.Errorf("%s: %w", clip(op.text(name)), err)
		}
	}
	return k.conn.Flush()
}

// void drops what is buffered: the library knows no other way than to send it, so it goes in a batch that
// the kernel refuses whole, for a table that is not there.
func (k *Kernel) void() {
	k.conn.DelTable(&nftables.Table{Name: probeTable, Family: nftables.TableFamilyINet})
	_ = k.conn.Flush()
}

// clip shortens the text of an operation for an error.
func clip(text string) string {
	const longest = 160
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}

// Invalidate makes the next commit read the table back, after a stranger's change.
func (k *Kernel) Invalidate() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = false
	k.tap.known = k.tap.known && k.features.Owner // then nobody else can have changed it
}

// Remove deletes both tables, in one batch: nothing is fenced any more. Later commits fail with [ErrRemoved]. A tap goes too.
func (k *Kernel) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.features.families {
		if err := k.applyTap(f, Table{}); err != nil {
			return explainErrno(fmt.Errorf("remove table %s: %w", tapName(f), err))
		}
	}
	k.tap.holds = false
	if err := k.removeTables(); err != nil {
		return explainErrno(fmt.Errorf("remove table: %w", err))
	}
	k.removed = true
	return nil
}

// removeTables deletes those of our tables that stand.
func (k *Kernel) removeTables() error {
	var claimed []*nftables.Table
	for _, table := range []*nftables.Table{ours(), portsTable()} {
		standing, err := k.standing(table.Family)
		if err != nil {
			return err
		}
		if standing == nil {
			continue
		}
		if table, _, err = k.claim(table); err != nil {
			return err
		}
		claimed = append(claimed, table)
	}
	for _, table := range claimed {
		k.conn.AddTable(table)
		k.conn.DelTable(table)
	}
	if len(claimed) == 0 {
		return nil
	}
	return k.conn.Flush()
}

// explainErrno adds the remedy to the errors a user can do something about.
func explainErrno(err error) error {
	switch {
	case errors.Is(err, ErrOwned):
		return err
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: nf_tables needs CAP_NET_ADMIN; run as root, give the container cap_add: [NET_ADMIN] or the unit AmbientCapabilities=CAP_NET_ADMIN; under no-new-privileges a file capability is none", err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: raise the limit of open files (LimitNOFILE of the unit, ulimit -n)", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: this kernel has no nf_tables (CONFIG_NF_TABLES); Linux 5.10 or newer with nf_tables, nft_log and nft_limit is needed", err)
	}
	return err
}
