package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
)

// Exit codes, as documented in `dockerwall --help`.
const (
	exitOK         = 0
	exitFailure    = 1
	exitUsage      = 2
	exitNoDaemon   = 3
	exitPermission = 4
	exitFindings   = 5  // of check
	exitDegraded   = 6  // of status
	exitDenied     = 10 // of explain
	exitUndecided  = 11 // of explain
)

// streams are where a command reads and writes: data to out, all else to err.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

// environment is what a command gets from its process.
type environment struct {
	streams
	getenv func(string) string
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, s streams, args []string) int {
	root := newRoot(environment{streams: s, getenv: os.Getenv})
	root.SetArgs(doubleDashes(args))
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.As(err, new(silent)) {
		fmt.Fprintln(s.err, "dockerwall: "+err.Error())
	}
	return exitCode(err)
}

// silent is an error that has been told already; only its code is left to give.
type silent struct{ code int }

func (s silent) Error() string { return fmt.Sprintf("exit %d", s.code) }

func exitCode(err error) int {
	var s silent
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return s.code
	case errors.As(err, new(usageError)), errors.Is(err, api.ErrUsage):
		return exitUsage
	case errors.Is(err, api.ErrNoDaemon):
		return exitNoDaemon
	case errors.Is(err, api.ErrPermission), errors.Is(err, os.ErrPermission), nft.IsPermission(err):
		return exitPermission
	}
	return exitFailure
}

const rootHelp = `dockerwall fences what Docker containers may send out: a container reaches nothing but the
Docker networks it is attached to, unless its label dockerwall.outbound or a policy file opens it.

Settings come from flags, then DOCKERWALL_* variables, then the variables of the program it
succeeds, then defaults. DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH work as usual.
dockerwall.service has its variables from /etc/default/dockerwall; commands do not read that file.

Exit codes: 0 ok, 1 failure, 2 usage, 3 no daemon, 4 permission, 5 findings of check, 6 degraded status,
10 explain: denied, 11 explain: undecidable.`

func newRoot(env environment) *cobra.Command {
	root := &cobra.Command{
		Use: "dockerwall", Short: "Fence what Docker containers may send out", Long: rootHelp,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
	}
	// Not root.Version: a template of cobra's would print it, and text/template, which may call any method by its name,
	// keeps the linker from leaving out those that nothing calls: 3.6 MB.
	told := root.Flags().BoolP("version", "v", false, "version for dockerwall")
	root.RunE = func(c *cobra.Command, args []string) error {
		if *told {
			return printVersion(env.out)
		}
		return help(c, args)
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddCommand(newRun(env), newStatus(env), newWatch(env), newExplain(env), newSuggest(env), newObservations(env), newCheck(env), newGroups(env), newDoctor(env),
		newAllow(env), newDeny(env), newRevoke(env), newPause(env), newMode(env, api.Enforce), newMode(env, api.Audit),
		newNft(env), newHealth(env), newVersion(env))
	usageArgs(root)
	return root
}

// help is what a command without a job of its own does; it makes an unknown word below it an error.
func help(c *cobra.Command, _ []string) error { return c.Help() }

// usageArgs makes wrong arguments a usage error, in all commands below c.
func usageArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w%s; see `%s --help`", miscounted(c, err), meant(c, args), c.CommandPath())}
		}
		return nil
	}
	for _, sub := range c.Commands() {
		usageArgs(sub)
	}
}

// miscounted says how a command is called that has too few or too many arguments, where cobra counts "arg(s)".
func miscounted(c *cobra.Command, err error) error {
	if !strings.Contains(err.Error(), "arg(s)") {
		return err
	}
	return fmt.Errorf("want `%s`", strings.TrimSuffix(c.UseLine(), " [flags]"))
}

// meant names the commands below c that a wrong word is close to.
func meant(c *cobra.Command, args []string) string {
	if !c.HasSubCommands() || len(args) == 0 {
		return ""
	}
	c.SuggestionsMinimumDistance = 2
	names := c.SuggestionsFor(args[0])
	if len(names) == 0 {
		return ""
	}
	return ", did you mean " + strings.Join(names, " or ") + "?"
}

// doubleDashes lets the old program's flags work, which had one dash: -dry-run. Called without a
// command, as the old program was, it runs the daemon.
func doubleDashes(args []string) []string {
	old := map[string]string{"-loglevel": "--log-level", "--loglevel": "--log-level", "-gateway-networks": "--gateway-networks",
		"-default-outbound": "--default-outbound", "-dry-run": "--dry-run"}
	out := make([]string, 0, len(args)+1)
	legacy := false
	for _, a := range args {
		name, value, assigned := strings.Cut(a, "=")
		if long, ok := old[name]; ok {
			legacy = true
			a = long
			if assigned {
				a += "=" + value
			}
		}
		out = append(out, a)
	}
	if legacy && strings.HasPrefix(args[0], "-") {
		out = append([]string{"run"}, out...)
	}
	return out
}

// newLogger writes text or JSON to the error stream; unknown levels mean info, as they always did.
func newLogger(env environment, level, format string) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
		"warning": slog.LevelWarn, "error": slog.LevelError}
	options := &slog.HandlerOptions{Level: levels[strings.ToLower(level)]}
	switch {
	case format == "json":
		return slog.New(slog.NewJSONHandler(env.err, options))
	case inJournal(env.err, env):
		options.ReplaceAttr = timeless
		return slog.New(slog.NewTextHandler(journal{env.err}, options))
	}
	return slog.New(slog.NewTextHandler(env.err, options))
}
