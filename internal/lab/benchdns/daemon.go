package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// way is what becomes of DNS answers.
type way struct {
	name   string
	hold   string   // DOCKERWALL_DNS_HOLD; "" is no daemon and no table
	modes  []string // of the daemon, which are this way
	denies bool     // no first contact is allowed
}

func ways() []way {
	return []way{
		{name: "no dockerwall"},
		{name: "ask only", hold: "off", modes: []string{"ask"}, denies: true},
		{name: "copy", hold: "copy", modes: []string{"copy"}},
		{name: "hold", hold: "auto", modes: []string{"queue", "xt"}},
	}
}

// order is that of the ways in a round: each is first once in as many rounds as there are ways.
func order(round int) []way {
	all := ways()
	first := round % len(all)
	return slices.Concat(all[first:], all[:first])
}

// daemon is a running `dockerwall run`, or one that has ended.
type daemon struct {
	*lab.Daemon

	mu  sync.Mutex
	log bytes.Buffer
}

// Write keeps the daemon's log.
func (d *daemon) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

// tail is the end of the log, for a failure.
func (d *daemon) tail() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := strings.SplitAfter(d.log.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "")
}

// command is dockerwall on the lab's host, with none of this shell's settings.
func (b *bench) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := b.HostCommand(ctx, b.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix:///run/docker.sock"}
	return cmd
}

// start runs a daemon and returns it and its mode, once that is one of the way's.
func (b *bench) start(ctx context.Context, w way) (d *daemon, mode string, err error) {
	d = &daemon{}
	cmd := b.command(context.WithoutCancel(ctx), "run", "--state-dir=off")
	cmd.Env = append(cmd.Env, "DOCKERWALL_DNS_HOLD="+w.hold)
	cmd.Stderr = d
	if d.Daemon, err = lab.StartDaemon(cmd, d.tail); err != nil {
		return nil, "", err
	}
	err = d.Becomes(ctx, func() error {
		if err := lab.Succeeds(b.command(ctx, "health")); err != nil {
			return err
		}
		if mode, err = b.mode(ctx); err == nil && !slices.Contains(w.modes, mode) {
			err = fmt.Errorf("the mode is %q", mode)
		}
		return err
	})
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("wait until dockerwall fences with DNS answers in mode %s: %w", strings.Join(w.modes, " or "), err), d.Stop())
	}
	return d, mode, nil
}

// mode is the daemon's, as its metrics say it.
func (b *bench) mode(ctx context.Context) (string, error) {
	series, err := b.scrape(ctx)
	if err != nil {
		return "", err
	}
	for name, value := range series {
		if label, ok := strings.CutPrefix(name, `dockerwall_dns_mode{mode="`); ok && value == 1 {
			return strings.TrimSuffix(label, `"}`), nil
		}
	}
	return "", errors.New("no mode in the metrics")
}

// still fails if the daemon ended or changed its mode while it was measured.
func (b *bench) still(ctx context.Context, mode string) error {
	now, err := b.mode(ctx)
	if err == nil && now != mode {
		err = fmt.Errorf("it is %s now", now)
	}
	if err != nil {
		return fmt.Errorf("stay in mode %s: %w", mode, err)
	}
	return nil
}

// scrape reads the daemon's metrics, by series.
func (b *bench) scrape(ctx context.Context) (map[string]float64, error) {
	text, err := b.Host.Get(ctx, "http://127.0.0.1:50000/metrics")
	if err != nil {
		return nil, fmt.Errorf("scrape metrics: %w", err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ") // labels here have no blanks where it matters
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			out[name] = f
		}
	}
	return out, nil
}

// flush removes the table and what was learned with it, and makes sure of it.
func (b *bench) flush(ctx context.Context) error {
	if said, err := b.command(ctx, "nft", "flush").CombinedOutput(); err != nil {
		return fmt.Errorf("dockerwall nft flush: %w: %s", err, said)
	}
	tables, err := b.HostCommand(ctx, "nft", "list", "tables").Output()
	if err == nil && bytes.Contains(tables, []byte("dockerwall")) {
		err = fmt.Errorf("tables are left: %s", tables)
	}
	if err != nil {
		return fmt.Errorf("remove dockerwall's tables: %w", err)
	}
	return nil
}
