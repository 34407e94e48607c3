package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"syscall"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/observe"
)

// decisionLog makes the file of --decision-log; none without it.
func (f *fence) decisionLog(path string) (err error) {
	if path == "" {
		return nil
	}
	f.decisions, err = observe.NewDecisions(observe.DecisionsOptions{
		Path: path, Logger: f.logger, Encode: func(d observe.Denial) ([]byte, error) { return json.Marshal(api.Wrap(api.KindDenial, denialObject(d))) },
	})
	return err
}

// decided writes denials down, if there is a file for it.
func (f *fence) decided(denials []observe.Denial) {
	if f.decisions != nil {
		f.decisions.Add(denials)
	}
}

// catchHangup has SIGHUP told on a channel, from before the daemon is of use to anybody: it would end it otherwise.
func catchHangup() chan os.Signal {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return hup
}

// reload follows each SIGHUP: the decision log is opened anew, policy files are read and everything is listed again, and the table is read back and
// mended if it is not the wanted one.
func (f *fence) reload(ctx context.Context, hup chan os.Signal) error {
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			if f.decisions != nil {
				f.decisions.Reopen() // closes it
			}
			return nil
		case <-hup:
			f.logger.Info("reloading: SIGHUP")
			f.reloads()
			if f.decisions != nil {
				f.decisions.Reopen()
			}
			f.policies.Reload()
			f.engine.Invalidate()
			f.kernel.Invalidate()
			f.loop.Repair()
		}
	}
}
