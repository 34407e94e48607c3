package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/overlay"
)

const changeTimeout = 40 * time.Second // the daemon takes 30 s at most

const boundHelp = `It is bound to this one container: it stays over docker stop and start and restarts of the daemon, and goes when
the container is removed, as compose does when it creates it anew. What is to outlive it belongs into a policy file
(policy.d). Over the socket only; the daemon's log says who did what.`

const allowHelp = `Allow adds tokens, in the grammar of the label dockerwall.outbound, to what CONTAINER may reach, without creating it
anew: for the time of --for, or until "dockerwall revoke". A denial, wherever it stands, beats it; the answer says so.

` + boundHelp

const denyHelp = `Deny adds tokens, in the grammar of the label dockerwall.outbound without its "!", to what CONTAINER may not reach:
for the time of --for, or until "dockerwall revoke". It beats every allow, wherever that stands, and cuts connections
that nothing allows any more.

` + boundHelp

const revokeHelp = `Revoke takes back what allow, deny, pause, enforce and audit have added to CONTAINER at run time: the tokens named, a
denial with its "!" or without, or without any all of it. Connections that only they allowed are cut.

A token of the label, of a policy file or of DEFAULT_OUTBOUND stays where it stands: that is an error, which says
where. "dockerwall deny" beats it.`

const pauseHelp = `Pause has everything pass that CONTAINER sends, for the time of --for; what would be denied is counted and logged as in
audit. Then all is as before, by itself. "dockerwall revoke" ends it earlier, and takes back all else that was changed of
CONTAINER at run time, denials too.

` + boundHelp

const modeHelp = `Without CONTAINER it is of the whole host, instead of what DRY_RUN says; with one, of that container, instead of its
label and of policy files.

With --confirm it goes back by itself to what was before when that time is over, unless the same command is given again
without --confirm: that confirms it. Without --confirm it stays, restarts of the daemon included: of a container until
"dockerwall revoke" or its removal, of the host until the other of the two commands, or --as-configured, which leaves the
host to its settings.`

// changer is a command that asks for a change.
type changer struct {
	env    environment
	s      settings
	output string
	lasts  string // of --for or --confirm
	change api.Change
}

// command declares what is common to all of them.
func (a *changer) command(c *cobra.Command) *cobra.Command {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return containerNames(c)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		change := a.change
		if len(args) > 0 {
			change.Container, change.Tokens = args[0], args[1:]
		}
		if err := a.time(c, &change); err != nil {
			return err
		}
		return a.ask(c.Context(), change)
	}
	declare(c, a.env, a.s.common())
	outputFlag(c, &a.output, asTable, asJSON, asJSONL, asYAML)
	return c
}

// time reads --for or --confirm, if it was given.
func (a *changer) time(c *cobra.Command, change *api.Change) error {
	for _, name := range []string{"for", "confirm"} {
		if f := c.Flags().Lookup(name); f == nil || !f.Changed {
			continue
		}
		d, err := parseTime(a.lasts)
		if err != nil {
			return usageError{fmt.Errorf("--%s %w", name, err)}
		}
		change.Seconds = int64(d / time.Second)
	}
	return nil
}

// parseTime reads "90s", "10m", "1h30m" or "7d", in whole seconds.
func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(max(n, 0), 1000)) * 24 * time.Hour
	}
	if err != nil {
		return 0, fmt.Errorf("%q: want a time, such as 90s, 10m, 1h30m or 7d", text)
	}
	if err := overlay.CheckFor(d); err != nil {
		return 0, err
	}
	return d.Truncate(time.Second), nil
}

func (a *changer) ask(ctx context.Context, change api.Change) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	changed, err := api.Dial(a.s.socket).Change(ctx, change)
	if err != nil {
		return withHint(err)
	}
	if a.output != asTable {
		return printObject(a.env.out, a.output, api.KindChanged, changed)
	}
	if _, err := fmt.Fprint(a.env.out, changeText(change, changed)); err != nil {
		return err
	}
	if text := keepHint(changed); text != "" && isTerminal(a.env.err) {
		fmt.Fprint(a.env.err, text)
	}
	return nil
}

func newAllow(env environment) *cobra.Command {
	a := changer{env: env, change: api.Change{Verb: api.Allow}}
	c := a.command(&cobra.Command{
		Use: "allow CONTAINER TOKEN...", Short: "Allow a container more, at once, for a while or for good", Long: allowHelp, Args: cobra.MinimumNArgs(2),
	})
	c.Flags().StringVar(&a.lasts, "for", "", "how long, such as 10m, 1h or 7d; without it until it is revoked")
	return c
}

func newDeny(env environment) *cobra.Command {
	a := changer{env: env, change: api.Change{Verb: api.Deny}}
	c := a.command(&cobra.Command{
		Use: "deny CONTAINER TOKEN...", Short: "Deny a container something, at once, for a while or for good", Long: denyHelp, Args: cobra.MinimumNArgs(2),
	})
	c.Flags().StringVar(&a.lasts, "for", "", "how long, such as 10m, 1h or 7d; without it until it is revoked")
	return c
}

func newRevoke(env environment) *cobra.Command {
	a := changer{env: env, change: api.Change{Verb: api.Revoke}}
	return a.command(&cobra.Command{
		Use: "revoke CONTAINER [TOKEN...]", Short: "Take back what was changed of a container at run time", Long: revokeHelp, Args: cobra.MinimumNArgs(1),
		SuggestFor: []string{"resume", "unpause", "undo"},
	})
}

func newPause(env environment) *cobra.Command {
	a := changer{env: env, change: api.Change{Verb: api.Pause}}
	c := a.command(&cobra.Command{
		Use: "pause CONTAINER --for TIME", Short: "Let all pass that a container sends, for a while", Long: pauseHelp, Args: cobra.ExactArgs(1),
	})
	c.Flags().StringVar(&a.lasts, "for", "", "how long, such as 10m or 1h")
	ask := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if a.lasts == "" {
			return usageError{errors.New("say for how long, such as --for 10m")}
		}
		return ask(c, args)
	}
	return c
}

// newMode is enforce or audit.
func newMode(env environment, verb api.Verb) *cobra.Command {
	short, does := "Deny what no policy allows, of the host or a container", "Enforce denies what no policy allows.\n\n"
	if verb == api.Audit {
		short, does = "Deny nothing but record it, of the host or a container", "Audit denies nothing; what would be denied is counted and logged.\n\n"
	}
	a := changer{env: env, change: api.Change{Verb: verb}}
	c := a.command(&cobra.Command{Use: string(verb) + " [CONTAINER]", Short: short, Long: does + modeHelp, Args: cobra.MaximumNArgs(1)})
	c.Flags().StringVar(&a.lasts, "confirm", "", "go back after this time, such as 2m, unless it is confirmed")
	configured := c.Flags().Bool("as-configured", false, "leave the host to what its settings say (DRY_RUN)")
	ask := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if *configured {
			if len(args) > 0 || a.lasts != "" {
				return usageError{errors.New("--as-configured is of the whole host, and for good: give it alone")}
			}
			a.change.Verb = api.AsConfigured
		}
		return ask(c, args)
	}
	return c
}
