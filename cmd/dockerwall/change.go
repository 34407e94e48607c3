package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// newOverlay reads what was changed at run time before.
func (f *fence) newOverlay(dir string, dryRun bool) (err error) {
	path := ""
	if dir != "" {
		path = filepath.Join(dir, overlay.FileName)
	}
	f.overlay, err = overlay.New(overlay.Options{
		Path: path, Boot: observe.BootID(), DryRun: dryRun, Changed: f.changedNow, Logger: f.logger,
	})
	return err
}

// changedBefore is what a daemon was told at run time, as far as a command beside it can read that.
func (s *settings) changedBefore(dryRun bool, logger *slog.Logger) overlay.Overlay {
	if s.directory() == "" {
		return overlay.Overlay{}
	}
	o, err := overlay.Read(overlay.Options{Path: filepath.Join(s.directory(), overlay.FileName), Boot: observe.BootID(), DryRun: dryRun})
	if err != nil {
		logger.Warn("what was changed at run time is left out", "err", err)
	}
	return o
}

// changedNow has the loop commit what counts at run time now.
func (f *fence) changedNow() {
	f.changedAt.Store(time.Now().UnixNano())
	f.loop.Changed()
}

// hasten has flows cut at once that a change at run time, which a person waits for, does not allow any more.
func (f *fence) hasten() {
	if time.Since(time.Unix(0, f.changedAt.Load())) < 5*time.Second {
		f.cutter.Hurry()
	}
}

// order is a change that makes sense.
type order struct {
	api.Change
	state    reconcile.State
	wish     overlay.Wish
	tokens   []policy.Token
	warnings []string
	runs     bool // the container does
}

// change does what somebody asks for over the socket, and says in the log who did.
func (f *fence) change(ctx context.Context, peer api.Peer, c api.Change) (api.Changed, error) {
	o, err := f.orderOf(peer, c)
	if err == nil {
		err = f.carryOut(ctx, o)
	}
	attrs := []any{"verb", string(c.Verb), "container", o.wish.Name, "id", o.wish.ID, "tokens", shorten(strings.Join(c.Tokens, ","), 1000), "uid", peer.UID, "pid", peer.PID}
	if o.wish.ID == "" {
		attrs[3] = c.Container
	}
	if o.wish.For != 0 {
		attrs = append(attrs, "until", time.Now().Add(o.wish.For).UTC().Truncate(time.Second))
	}
	if err != nil {
		f.logger.Info("change at run time refused", append(attrs, "err", err)...)
		return api.Changed{}, err
	}
	f.logger.Info("changed at run time", attrs...)
	return f.changed(o), nil
}

// orderOf makes sense of a change; an error says that there is none, or that it would not do anything.
func (f *fence) orderOf(peer api.Peer, c api.Change) (order, error) {
	o := order{Change: c, wish: overlay.Wish{For: time.Duration(min(c.Seconds, int64(2*overlay.MaxFor/time.Second))) * time.Second, By: peer.UID}}
	if err := o.fits(); err != nil {
		return o, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	outcome, good := f.loop.Last()
	o.state = outcome.State
	if c.Container != "" {
		if !good {
			return o, errors.New("the Engine has not answered yet, so no container is known; see `dockerwall health`")
		}
		if err := o.find(outcome); err != nil {
			return o, err
		}
	}
	if err := o.parse(); err != nil {
		return o, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	return o, nil
}

// fits checks that a verb has what it needs, and nothing else.
func (o order) fits() error {
	host, tokens, lasts := o.Container == "", len(o.Tokens) > 0, o.Seconds != 0
	switch o.Verb {
	case api.Allow, api.Deny:
		if host || !tokens {
			return errors.New("name a container and what it may, or may not, reach")
		}
	case api.Revoke:
		if host || lasts {
			return errors.New("name a container, and no time")
		}
	case api.Pause:
		if host || tokens || !lasts {
			return errors.New("name a container and for how long")
		}
	case api.Enforce, api.Audit:
		if tokens {
			return errors.New("a mode is of a container or of the host, not of tokens")
		}
	case api.AsConfigured:
		if !host || tokens || lasts {
			return errors.New("this is of the host, and for good")
		}
	default:
		return fmt.Errorf("there is no verb %.40q", o.Verb)
	}
	if lasts {
		return overlay.CheckFor(o.wish.For)
	}
	return nil
}

// find is the container, which has to have a policy of its own that counts.
func (o *order) find(outcome reconcile.Outcome) error {
	all := make([]api.Container, 0, len(o.state.Docker.Containers))
	for _, c := range o.state.Docker.Containers {
		all = append(all, api.Container{ID: c.ID, Name: c.Name})
	}
	c, err := find(all, o.Container)
	if err != nil {
		return err
	}
	o.wish.ID, o.wish.Name = c.ID, c.Name
	fates := reconcile.Fates(outcome.State, outcome.Ruleset)
	fate, runs := fates[c.ID]
	o.runs = runs
	switch {
	case o.Verb == api.Revoke: // whatever it is now
	case fate.Shares != "":
		i := slices.IndexFunc(all, func(c api.Container) bool { return c.ID == fate.Shares })
		return fmt.Errorf("%w: %s is in the network of another container, whose policy counts: name %s", api.ErrUsage, c.Name, all[max(i, 0)].Name)
	case fate.Unfenced != "":
		return fmt.Errorf("%w: %s is not fenced, so nothing can be denied to it: %s", api.ErrUsage, c.Name, fate.Unfenced)
	}
	return nil
}

// parse reads the tokens where the daemon's groups are known. Any that is not understood is an error.
func (o *order) parse() error {
	g := o.state.Operator.Grammar()
	if o.Verb == api.Revoke { // also of a group that is gone since
		g = policy.AnyGroup()
	}
	for _, text := range o.Tokens {
		for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
			part = strings.TrimSpace(part)
			if part == "" {
				continue
			}
			if err := o.parseOne(g, part); err != nil {
				return err
			}
			if len(o.tokens) > overlay.MaxTokens {
				return fmt.Errorf("more than %d tokens: write prefixes, wildcards or a group, or a policy file", overlay.MaxTokens)
			}
		}
	}
	if len(o.tokens) == 0 && len(o.Tokens) > 0 {
		return errors.New("the list of tokens is empty")
	}
	return nil
}

func (o *order) parseOne(g policy.Grammar, text string) error {
	plain, denies := strings.CutPrefix(text, "!")
	switch {
	case denies && o.Verb == api.Allow:
		return fmt.Errorf("%q denies: `dockerwall deny %s %s` does that", text, o.wish.Name, plain)
	case denies && o.Verb == api.Deny:
		return fmt.Errorf("%q: write it without \"!\" to deny it; `dockerwall allow %s %s` allows it", text, o.wish.Name, plain)
	case o.Verb == api.Deny:
		text = "!" + text
	}
	p, problems := g.Parse(text)
	for _, problem := range problems {
		problem.Pos = 0
		if problem.Severity == policy.Error {
			return errors.New(strings.TrimPrefix(problem.String(), "error, "))
		}
		o.warnings = append(o.warnings, strings.TrimPrefix(problem.String(), "warning, "))
	}
	if len(p.Tokens) != 1 {
		return fmt.Errorf("%q is no token", text)
	}
	if !slices.Contains(o.tokens, p.Tokens[0]) {
		o.tokens = append(o.tokens, p.Tokens[0])
	}
	return nil
}

// carryOut notes a change and waits until the kernel has it.
func (f *fence) carryOut(ctx context.Context, o order) error {
	var err error
	switch o.Verb {
	case api.Allow, api.Deny:
		err = f.overlay.Grant(o.wish, o.tokens)
	case api.Revoke:
		err = f.revoke(&o)
	case api.Pause:
		err = f.overlay.Pause(o.wish)
	case api.Enforce:
		err = f.overlay.SetMode(o.wish, policy.ModeEnforce)
	case api.Audit:
		err = f.overlay.SetMode(o.wish, policy.ModeAudit)
	case api.AsConfigured:
		if err = f.overlay.AsConfigured(); errors.Is(err, overlay.ErrNothing) {
			err = errors.New("the host does what its settings say already")
		}
	}
	if err != nil {
		return err
	}
	if err := f.loop.Committed(ctx); err != nil {
		return fmt.Errorf("it is noted, and counts as soon as the table can be committed, which the daemon goes on trying: %w", err)
	}
	return nil
}

// revoke takes back what was said at run time. What stands elsewhere cannot be.
func (f *fence) revoke(o *order) error {
	granted := f.overlay.Now().Containers[o.wish.ID].Grants
	has := func(t policy.Token) bool {
		return slices.ContainsFunc(granted, func(g overlay.Grant) bool { return g.Token == t })
	}
	for i, t := range o.tokens {
		denial := t
		denial.Deny = true
		switch {
		case has(t):
		case has(denial):
			o.tokens[i] = denial
		default:
			return o.standsElsewhere(t)
		}
	}
	err := f.overlay.Revoke(o.wish, o.tokens)
	if errors.Is(err, overlay.ErrNothing) && len(o.tokens) == 0 {
		return fmt.Errorf("nothing was changed of %s at run time; `dockerwall status %[1]s` shows where its tokens stand", o.wish.Name)
	}
	return err
}

// standsElsewhere says where a token stands that was not added at run time.
func (o order) standsElsewhere(t policy.Token) error {
	c, known := containerIn(o.state.Docker, o.wish.ID)
	if !known {
		return fmt.Errorf("%s: %w", t, overlay.ErrNothing)
	}
	for _, s := range o.state.Policy(c).Tokens {
		if s.Token != t {
			continue
		}
		remedy := fmt.Sprintf("; `dockerwall deny %s %s` beats it", o.wish.Name, t)
		if t.Deny {
			remedy = ", and no allow beats a denial"
		}
		return fmt.Errorf("%s was not added to %s at run time, it is of %s, where it stays%s", t, o.wish.Name, s.Origin, remedy)
	}
	return fmt.Errorf("%s was not added to %s at run time; `dockerwall status %[2]s` shows what was", t, o.wish.Name)
}

func containerIn(h docker.Host, id string) (docker.Container, bool) {
	i, found := slices.BinarySearchFunc(h.Containers, id, func(c docker.Container, id string) int { return strings.Compare(c.ID, id) })
	if !found {
		return docker.Container{}, false
	}
	return h.Containers[i], true
}

// forget drops what was changed of containers that are gone.
func (f *fence) forget(h docker.Host) {
	f.overlay.Keep(func(id string) bool {
		_, there := containerIn(h, id)
		return there
	})
}

// unkept is what is wrong with the file of what is changed at run time.
func (f *fence) unkeptChanges() []policy.Problem {
	err := f.overlay.Err()
	if err == nil {
		return nil
	}
	remedy := "see what it held, say again what is to count (denials above all), and remove the file that ends in .bad"
	if !f.overlay.Kept() {
		remedy = "say again what is to count, denials above all; mend the file or --state-dir, and restart the daemon"
	}
	return []policy.Problem{{Severity: policy.Error, Message: strings.ReplaceAll(err.Error(), "\n", ": "), Remedy: remedy}}
}
