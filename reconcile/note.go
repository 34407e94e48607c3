package reconcile

// note keeps the outcome and says what changed, once.
func (l *Loop) note(o Outcome) {
	l.mu.Lock()
	last := l.last
	l.last = o
	l.good = l.good || o.Err == nil
	l.mu.Unlock()
	l.options.Done(o)
	switch {
	case o.Err != nil && !sameError(last.Err, o.Err):
		l.options.Logger.Error("reconcile failed; the table stays as it is", "err", o.Err)
	case o.Err == nil && (o.Report.Changed || o.Report.Adopted):
		l.options.Logger.Info("table committed", "containers", len(o.Ruleset.Containers), "ops", o.Report.Ops,
			"took", o.Report.Took, "adopted", o.Report.Adopted)
	}
	if o.TapErr != nil && !sameError(last.TapErr, o.TapErr) {
		l.options.Logger.Error("DNS answers are not stopped: first packets to new addresses of names may be denied", "err", o.TapErr)
	}
	if o.Err == nil {
		l.reportNew(last.Problems, o.Problems)
	}
}

func sameError(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// reportNew logs each problem once, when it appears.
func (l *Loop) reportNew(last, now []Problem) {
	known := make(map[Problem]bool, len(last))
	for _, p := range last {
		known[p] = true
	}
	for _, p := range now {
		if !known[p] {
			l.options.Logger.Warn("problem", "container", p.Container, "what", p.Problem.String())
		}
	}
}
