package main

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/reconcile"
)

// What systemd is told, see sd_notify(3): nothing where it has not started us.

const (
	// longestStatus is what of the status line is told, in bytes: systemctl shows it on one line.
	longestStatus = 250
	// longestBeat is how often the loop says that it lives, if nobody wants to hear it more often.
	longestBeat = time.Second
	// shortestBeat keeps a watchdog of microseconds from taking the processor.
	shortestBeat = 10 * time.Millisecond
)

// told is what systemd was told last.
type told struct {
	ready     atomic.Bool
	reloading atomic.Bool
	status    atomic.Pointer[string]
}

// underSystemd says whether somebody waits to be told that we are ready. It may be that Docker waits for that too.
func underSystemd(env environment) bool { return env.getenv("NOTIFY_SOCKET") != "" }

// standFirst says whether a table is to stand before the Engine is asked: it may be waiting for us. Where containers run
// already it is not; there a boot ruleset would deny, for a moment, what their labels allow. A table that stands is kept in any
// case.
func standFirst(env environment, stands bool) bool {
	if !underSystemd(env) {
		return false
	}
	ports, err := hostnet.ReadPorts()
	return stands || err != nil || len(ports) == 0
}

// watchdogBeat is how often the loop says that it lives: at most a quarter of the watchdog's time, WATCHDOG_USEC.
func watchdogBeat() time.Duration {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within <= 0 {
		return longestBeat
	}
	return max(min(within/4, longestBeat), shortestBeat)
}

// ready is said as soon as a table stands, before anything is asked of the Engine: its unit may wait for ours.
func (f *fence) ready() {
	f.told.ready.Store(true)
	f.notify(daemon.SdNotifyReady)
}

// reloads is said when a SIGHUP came; the end of the run that it causes is ready again. systemd reloads only what was ready.
func (f *fence) reloads() {
	if f.told.ready.Load() {
		f.notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
		f.told.reloading.Store(true)
	}
}

// reloaded is said of the end of any run.
func (f *fence) reloaded() {
	if f.told.reloading.Swap(false) {
		f.notify(daemon.SdNotifyReady)
	}
}

// ran follows each run of the loop.
func (f *fence) ran(o reconcile.Outcome) {
	f.reloaded()
	_, good := f.loop.Last()
	line := "STATUS=" + statusLine(o, good, f.reasons(o, good))
	if last := f.told.status.Swap(&line); last == nil || *last != line {
		f.notify(line)
	}
}

// alive feeds the watchdog. Only the loop does.
func alive() { _, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) }

func stopping() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }

// statusLine is what `systemctl status` shows. Reasons hold text of others, whose line ends would be commands to systemd: they
// are none here.
func statusLine(o reconcile.Outcome, good bool, reasons []string) string {
	line := "a table stands, and the Engine has not answered yet"
	switch n := len(o.Ruleset.Containers); {
	case good && o.Ruleset.DryRun:
		line = fmt.Sprintf("audit: nothing is denied, %d %s", n, plural(n, "container"))
	case good:
		line = fmt.Sprintf("enforcing, %d %s", n, plural(n, "container"))
	}
	if len(reasons) > 0 {
		line += "; degraded: " + strings.ReplaceAll(reasons[0], "\n", "; ")
	}
	return plain.Text(plain.Label(line), longestStatus)
}

// notify sends lines, all of them ours.
func (f *fence) notify(lines ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		f.logger.Debug("systemd is not told", "err", err)
	}
}
