package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/check"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/simulate"
)

// kindSimulation is the kind of what `check --simulate` prints for programs.
const kindSimulation = "Simulation"

// maxObserved bounds a file of observations, in bytes.
const maxObserved = 256 << 20

// simulation are the flags of check that are about one.
type simulation struct {
	on, enforce    bool
	observed, name string // FILE of --observations, CONTAINER of --container
	preset         bool   // --default-outbound is given
}

func (s *simulation) declare(c *cobra.Command) {
	c.Flags().BoolVar(&s.on, "simulate", false, "say what the change would newly deny of what containers were seen to send")
	c.Flags().StringVar(&s.observed, "observations", "", "with --simulate: `file` that \"dockerwall observations -o json\" wrote, - for the input (default: ask the daemon)")
	c.Flags().StringVar(&s.name, "container", "", "with --simulate: container that --label is for")
	c.Flags().BoolVar(&s.enforce, "enforce", false, "with --simulate: as if everything were enforced, whatever DRY_RUN and modes say")
}

// misused says what of the flags does not go together.
func (s simulation) misused(format string, files []string, labelled, running bool) error {
	switch {
	case !s.on && (s.enforce || s.observed != "" || s.name != ""):
		return errors.New("--observations, --container and --enforce are about --simulate")
	case !s.on:
		return nil
	case running:
		return errors.New("--simulate compares with what runs by itself: leave --running out")
	case labelled != (s.name != ""):
		return errors.New("with --simulate, --label TEXT and --container NAME go together: the label is that container's")
	case len(files) == 0 && !labelled && !s.enforce && !s.preset:
		return errors.New("--simulate wants what would change: FILE, --label with --container, --default-outbound or --enforce")
	case format == asSARIF || format == asGitHub || format == asJSONL:
		return fmt.Errorf("-o %s is not for --simulate: want text, json or yaml", format)
	}
	return nil
}

// simulated replays what was observed.
func (o checkOptions) simulated(ctx context.Context, env environment, files []string, labelled bool) error {
	change := simulate.Change{Enforce: o.simulate.enforce}
	if o.simulate.preset {
		change.Default = &o.outbound
	}
	if labelled {
		change.Labels = map[string]string{o.simulate.name: o.label}
	}
	for _, file := range files {
		if err := o.changes(env, file, &change); err != nil {
			return err
		}
	}
	seen, err := o.seen(ctx, env)
	if err != nil {
		return err
	}
	report, err := simulate.Run(seen, change)
	if err != nil {
		return err
	}
	if err := printSimulation(env.streams, o.format, report); err != nil {
		return err
	}
	if report.Denied.Destinations > 0 {
		return silent{exitFindings}
	}
	return nil
}

// changes reads what one file would change.
func (o checkOptions) changes(env environment, file string, change *simulate.Change) error {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return simulatedDir(env, file, change)
	}
	text, err := readInput(env.in, file)
	if err != nil {
		return err
	}
	if operator.Is(text) {
		return simulatedFile(env, file, text, change)
	}
	p, err := check.Read(file, projectOf(env, file), text)
	if err != nil {
		return err
	}
	services, err := p.Labels()
	if err != nil {
		return err
	}
	for _, s := range services {
		change.Services = append(change.Services, simulate.Service{Project: s.Project, Name: s.Service, Labels: s.Labels})
	}
	return nil
}

// seen are the observations: of a file, or the daemon's.
func (o checkOptions) seen(ctx context.Context, env environment) (api.Observations, error) {
	if o.simulate.observed == "" {
		ctx, cancel := context.WithTimeout(ctx, suggestTimeout)
		defer cancel()
		seen, err := api.Dial(o.socket).Observations(ctx, "")
		if err != nil {
			return seen, withHint(err)
		}
		return seen, nil
	}
	in, name := env.in, "standard input"
	if o.simulate.observed != check.Stdin {
		f, err := os.Open(o.simulate.observed)
		if err != nil {
			return api.Observations{}, fmt.Errorf("read observations: %w", err)
		}
		defer func() { _ = f.Close() }()
		in, name = f, filepath.Base(o.simulate.observed)
	}
	return readObserved(in, name)
}

// readObserved reads what `dockerwall observations -o json` wrote.
func readObserved(in io.Reader, name string) (api.Observations, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxObserved+1))
	if err != nil {
		return api.Observations{}, fmt.Errorf("read observations: %w", err)
	}
	var object api.Object[api.Observations]
	hint := "give what `dockerwall observations -o json` printed"
	switch err := json.Unmarshal(text, &object); {
	case len(text) > maxObserved:
		return api.Observations{}, fmt.Errorf("read observations of %s: it is larger than %d MiB; %s", clean(name), maxObserved>>20, hint)
	case err != nil:
		return api.Observations{}, fmt.Errorf("read observations of %s: %w; %s", clean(name), err, hint)
	case object.Kind != api.KindObservations || object.APIVersion != api.Version:
		return api.Observations{}, fmt.Errorf("read observations of %s: it is of kind %s %s, not %s %s; %s",
			clean(name), clean(object.APIVersion), clean(object.Kind), api.Version, api.KindObservations, hint)
	}
	return object.Spec, nil
}
