package main

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/dockerwall/dockerwall/reconcile"
)

// What systemd is told, see sd_notify(3): nothing where it has not started us.

// underSystemd says whether somebody waits to be told that we are ready. It may be that Docker waits for that too.
func underSystemd(env environment) bool { return env.getenv("NOTIFY_SOCKET") != "" }

// ready is said as soon as a table stands, before anything is asked of the Engine: its unit may wait for ours.
func (f *fence) ready() {
	f.notify(daemon.SdNotifyReady)
}

// alive feeds the watchdog. Only the loop does.
func alive() { _, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog) }

func stopping() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) }

// sayStatus is what `systemctl status` shows.
func (f *fence) sayStatus(o reconcile.Outcome) {
	if o.Err != nil {
		f.notify("STATUS=degraded: " + o.Err.Error())
		return
	}
	f.notify(fmt.Sprintf("STATUS=enforcing %d containers", len(o.Ruleset.Containers)))
}

func (f *fence) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		f.logger.Debug("systemd is not told", "err", err)
	}
}
