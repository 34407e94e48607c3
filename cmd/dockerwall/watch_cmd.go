package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/packet"
)

// asCompact is a line of words for each denial.
const asCompact = "compact"

const (
	defaultLast = 20
	maxBetween  = 1000 // denials between the two questions; the others are known by their IDs
)

// watchOptions are what `watch` is asked for.
type watchOptions struct {
	settings
	output string
	last   int
	since  time.Duration
	follow bool
	filter watchFlags
}

func newWatch(env environment) *cobra.Command {
	var o watchOptions
	c := &cobra.Command{
		Use: "watch [CONTAINER...]", Short: "Show what is denied, as it happens", Args: cobra.ArbitraryArgs,
		Long: `Watch shows the latest denials that the daemon remembers and then each further one, with the name that the container
had asked for: at most one line a second for a container, destination, port, protocol and reason. The packets of all
lines add up to what the kernel counted. AUDIT is what passed all the same.

Filters of one kind widen each other, filters of different kinds narrow. A container is given by name or by the
beginning of its ID; arguments are the same as --container.

A line ends with why, and --reason has a word for each: "no rule", "private range", "dns bypass" (port 53 of what is no
resolver of the container's) and "host service" are denied by its policy (denied); an address that no container has
(unknown) or another's (spoof); what conntrack cannot place (invalid); what a cut connection would begin again (cut);
stray segments, multicast, and what found no room in the record of a container's destinations (other).`,
		ValidArgsFunction: func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return containerNames(c)
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.filter.containers = append(o.filter.containers, args...)
			w, err := o.watcher(c, env)
			if err != nil {
				return err
			}
			return w.run(c.Context())
		},
	}
	declare(c, env, o.common())
	o.declare(c)
	return c
}

func (o *watchOptions) declare(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&o.last, "last", defaultLast, fmt.Sprintf("how many denials of before to show first, at most %d", observe.MaxDenials))
	f.DurationVar(&o.since, "since", 0, "show of those before only what is younger, such as 10m; without --last all of it")
	f.BoolVarP(&o.follow, "follow", "f", true, "go on with what comes; --follow=false ends after those before")
	o.filter.declare(c)
	outputFlag(c, &o.output, asCompact, asJSONL, asJSON, asTable)
	complete := func(flag string, values ...string) {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("verdict", verdicts()...)
	complete("reason", reasons()...)
	complete("protocol", packet.ProtocolNames()...)
	_ = c.RegisterFlagCompletionFunc("container", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return containerNames(c)
	})
}

// watcher checks the options.
func (o *watchOptions) watcher(c *cobra.Command, env environment) (*watcher, error) {
	filter, err := o.filter.parse()
	switch {
	case err != nil:
		return nil, usageError{err}
	case o.last < 0 || o.last > observe.MaxDenials:
		return nil, usageError{fmt.Errorf("--last %d: want a number from 0 to %d", o.last, observe.MaxDenials)}
	case o.since < 0:
		return nil, usageError{fmt.Errorf("--since %v: want a time like 10m", o.since)}
	case o.follow && (o.output == asTable || o.output == asJSON):
		return nil, usageError{fmt.Errorf("-o %s needs all of it at once: add --follow=false, or use -o %s or %s", o.output, asCompact, asJSONL)}
	}
	w := &watcher{env: env, client: api.Dial(o.socket), output: o.output, follow: o.follow, last: o.last, filter: filter, pace: newPace(), colour: colourOf(env, env.out)}
	if o.since > 0 {
		w.filter.since = time.Now().Add(-o.since)
		if !c.Flags().Changed("last") {
			w.last = observe.MaxDenials
		}
	}
	w.hint = o.output == asCompact && isTerminal(env.err)
	return w, nil
}

// watcher shows denials.
type watcher struct {
	env    environment
	client *api.Client
	output string
	last   int
	follow bool
	filter watchFilter
	pace   *pace
	seen   uint64 // ID of the latest that came
	hint   bool   // still to be given
	colour colour
}

// errDaemonEnded is the end of a stream that has none of its own.
var errDaemonEnded = errors.New("the daemon has ended; watch again when it is back")

func (w *watcher) run(ctx context.Context) error {
	before, err := w.before(ctx)
	if err != nil {
		return withHint(err)
	}
	if err := w.replay(before); err != nil || !w.follow || ctx.Err() != nil {
		return err
	}
	return w.live(ctx)
}

// before asks for those that the daemon remembers. What is filtered has to be looked for in all of them.
func (w *watcher) before(ctx context.Context) (out []api.Denial, err error) {
	ask := w.last
	if w.last > 0 && !w.filter.empty() {
		ask = observe.MaxDenials
	}
	err = w.client.Denials(ctx, ask, false, func(d api.Denial) error {
		w.seen = max(w.seen, d.ID)
		if w.filter.match(d) {
			out = append(out, d)
		}
		return nil
	})
	return out[max(0, len(out)-w.last):], err
}

// replay shows those of before.
func (w *watcher) replay(denials []api.Denial) error {
	if len(denials) == 0 && !w.follow && w.last > 0 {
		fmt.Fprintln(w.env.err, w.nothing())
	}
	switch w.output {
	case asJSON:
		if denials == nil {
			denials = []api.Denial{}
		}
		return printObject(w.env.out, asJSON, api.KindDenials, denials)
	case asTable:
		return denialTable(w.env.out, denials)
	}
	return w.print(denials)
}

// nothing says why nothing is shown.
func (w *watcher) nothing() string {
	if w.seen == 0 {
		return "nothing was denied since the daemon started"
	}
	return "none of the denials that the daemon remembers is as the filters want it"
}

// live shows what comes, until ctx is done, which is no error.
func (w *watcher) live(ctx context.Context) error {
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	came, ended := make(chan api.Denial), make(chan error, 1)
	backlog := 0
	if w.last > 0 {
		backlog = maxBetween
	}
	go func() {
		ended <- w.client.Denials(asked, backlog, true, func(d api.Denial) error {
			select {
			case came <- d:
			case <-asked.Done():
			}
			return nil
		})
	}()
	var tick <-chan time.Time // when something may be due
	for {
		select {
		case d := <-came:
			if err := w.take(d); err != nil {
				return err
			}
		case now := <-tick:
			if err := w.print(w.pace.due(now)); err != nil {
				return err
			}
			tick = nil
		case err := <-ended:
			return w.end(ctx, err)
		}
		if tick == nil && len(w.pace.lines) > 0 {
			tick = time.After(w.pace.wait(time.Now()))
		}
	}
}

// take shows a denial, or holds it back for what is left of its second.
func (w *watcher) take(d api.Denial) error {
	if d.ID <= w.seen {
		return nil
	}
	w.seen = d.ID
	if d.Lost > 0 {
		fmt.Fprintf(w.env.err, "lost %d denials: they came faster than they were read\n", d.Lost)
	}
	if !w.filter.match(d) {
		return nil
	}
	if w.output == asJSONL {
		return w.print([]api.Denial{d})
	}
	return w.print(w.pace.add(d, time.Now()))
}

// end shows what was held back.
func (w *watcher) end(ctx context.Context, err error) error {
	shown := w.print(w.pace.rest())
	switch {
	case ctx.Err() != nil:
		return shown
	case err != nil:
		return withHint(err)
	case shown != nil:
		return shown
	}
	return errDaemonEnded
}

func (w *watcher) print(denials []api.Denial) error {
	lines := json.NewEncoder(w.env.out)
	for _, d := range denials {
		var err error
		if w.output == asJSONL {
			err = lines.Encode(api.Wrap(api.KindDenial, d))
		} else {
			_, err = fmt.Fprintln(w.env.out, denialLine(d, time.Now(), w.colour))
		}
		if err != nil {
			return err
		}
		if w.hint && d.Token != "" {
			w.hint = false
			fmt.Fprintf(w.env.err, "hint: dockerwall explain %s '%s'\n", clean(d.Container), clean(d.Token))
		}
	}
	return nil
}
