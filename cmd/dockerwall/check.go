package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/check"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

// The formats that only check has.
const (
	asText   = "text"
	asSARIF  = "sarif"
	asGitHub = "github"
)

const checkHelp = `Check finds mistakes in labels and policy files before they matter: in Compose files, in the output of "docker
compose config", in policy files and directories of them, in one label's text, or, without any of these, in
the containers that run here.

    docker compose config --format json | dockerwall check -
    dockerwall check compose.yml
    dockerwall check policy.d
    dockerwall check --label 'www.example.com, 10.0.0.0/8'
    dockerwall check --running

Files and labels are checked without root, a daemon, Docker or a network; running containers need the
Engine's socket only. A Compose file is taken as it is: variables, extends and include are filled in by
"docker compose config" only. A policy file is one with "policies:" or "groups:" at its top; it is taken as if
it were in --policy-dir, whose groups are known. Rules are explained in docs/check.md.

With --simulate it says instead what a change would newly deny and newly allow of what containers were
seen to send: the labels of a Compose file, policy files in place of those of the same name, a directory
in place of all, --label for one --container, --default-outbound, or everything enforced. It asks the daemon, or
takes what "dockerwall observations -o json" wrote.

    dockerwall check --simulate compose.yml
    dockerwall check --simulate --label 'www.example.com' --container web
    dockerwall check --simulate --enforce
    dockerwall check --simulate --observations seen.json compose.yml

For CI there are -o github, annotations of a pull request, and -o sarif, for code scanning. Running
containers are judged by the same settings as the daemon's: give the same flags or variables.

Exits 5 where there are errors or warnings, with --strict also where there are notes, and where --simulate
finds something that would newly be denied; 1 where something cannot be read.`

// checkOptions are what check is called with.
type checkOptions struct {
	settings
	label                    string
	format                   string
	running, strict, resolve bool
	simulate                 simulation
}

func newCheck(env environment) *cobra.Command {
	var o checkOptions
	c := &cobra.Command{
		Use: "check [FILE...]", Short: "Find mistakes in labels, Compose files, policy files and running containers", Long: checkHelp, Args: cobra.ArbitraryArgs,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yml", "yaml", "json"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(c *cobra.Command, files []string) error {
			labelled, ways := c.Flags().Changed("label"), 0
			for _, given := range []bool{len(files) > 0, labelled, o.running} {
				if given {
					ways++
				}
			}
			if ways > 1 {
				return usageError{errors.New("give files, --label or --running, not several of them; see `dockerwall check --help`")}
			}
			o.simulate.preset = o.outbound != "" || c.Flags().Changed("default-outbound")
			if err := o.simulate.misused(o.format, files, labelled, o.running); err != nil {
				return usageError{fmt.Errorf("%w; see `dockerwall check --help`", err)}
			}
			if o.simulate.on {
				return o.simulated(c.Context(), env, files, labelled)
			}
			return o.run(c.Context(), env, files, labelled)
		},
	}
	wanted := []string{"gateway-networks", "default-outbound", "trust-image-labels", "resolvers", "policy-dir", "socket"}
	declare(c, env, slices.DeleteFunc(append(o.policy(), o.common()...), func(s setting) bool { return !slices.Contains(wanted, s.flag) }))
	outputFlag(c, &o.format, asText, asJSON, asJSONL, asYAML, asSARIF, asGitHub)
	c.Flags().StringVar(&o.label, "label", "", "check this text of a label "+policy.LabelOutbound)
	c.Flags().BoolVar(&o.running, "running", false, "check the running containers (default without files)")
	c.Flags().BoolVar(&o.strict, "strict", false, "let notes fail the check too")
	c.Flags().BoolVar(&o.resolve, "resolve", false, "ask DNS for the names, and report those without an address")
	o.simulate.declare(c)
	return c
}

func (o checkOptions) run(ctx context.Context, env environment, files []string, labelled bool) error {
	options := check.Options{}
	options.Networks, _ = policy.ParseNetworks(o.networks)
	if o.resolve {
		asks, err := resolver.New(resolver.Options{Extra: o.resolvers, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		options.Missing = func(names []string) map[string]bool { return missing(ctx, env, asks, names) }
	}
	in, err := o.read(env, files)
	if err != nil {
		return err
	}
	options.Grammar = in.policies.Grammar()
	found := slices.Concat(check.Networks("GATEWAY_NETWORKS", o.networks), check.Text("DEFAULT_OUTBOUND", o.outbound, options))
	more, what, err := o.findings(ctx, env, options, in, labelled)
	if err != nil {
		return err
	}
	found = append(found, more...)
	counts := check.Count(found)
	if err := o.print(env.out, found, counts); err != nil {
		return err
	}
	fmt.Fprintf(env.err, "%s in %s\n", counts, what)
	if counts.Fail(o.strict) {
		return silent{exitFindings}
	}
	return nil
}

// findings checks what there is to check, and says what that was.
func (o checkOptions) findings(ctx context.Context, env environment, options check.Options, in checked, labelled bool) ([]check.Finding, string, error) {
	switch {
	case labelled:
		return check.Text(policy.LabelOutbound, o.label, options), "the label", nil
	case !in.any():
		host, err := o.host(ctx)
		if err != nil {
			return nil, "", err
		}
		options.Host = host.State.Interfaces.Addrs
		return host.Check(options), number(host.Running(), "running container"), nil
	}
	out, services := check.Policies(in.problems), 0
	for _, c := range in.compose {
		p, err := check.Read(c.file, projectOf(env, c.file), c.text)
		if err != nil {
			return nil, "", err
		}
		services += p.Services()
		out = append(out, p.Check(options)...)
	}
	var what []string
	if len(in.compose) > 0 {
		what = append(what, number(services, "service"))
	}
	if in.read > 0 || len(in.compose) == 0 {
		what = append(what, number(in.read, "policy file"))
	}
	return out, strings.Join(what, " and "), nil
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// projectOf is the name that Compose gives a project which names itself nowhere: $COMPOSE_PROJECT_NAME, or that of the
// file's directory in lower case without other than letters, digits, "_" and "-".
func projectOf(env environment, file string) string {
	if name := env.getenv("COMPOSE_PROJECT_NAME"); name != "" {
		return name
	}
	if file == check.Stdin {
		file = ""
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	if file != "" {
		path = filepath.Dir(path)
	}
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(filepath.Base(path)))
	return strings.TrimLeft(name, "_-")
}

// host looks at the host through the Engine's socket.
func (o checkOptions) host(ctx context.Context) (check.Host, error) {
	logger := slog.New(slog.DiscardHandler)
	trust, err := o.boolean("trust-image-labels", o.trustImages)
	if err != nil {
		return check.Host{}, err
	}
	engine, err := docker.New(docker.Options{})
	if err != nil {
		return check.Host{}, err
	}
	defer func() { _ = engine.Close() }()
	asks, err := resolver.New(resolver.Options{Extra: o.resolvers, Logger: logger})
	if err != nil {
		return check.Host{}, err
	}
	gather := reconcile.Gather{Engine: engine, Resolver: asks, Interfaces: hostnet.Read, TrustImage: trust, Operator: o.operator(logger)}
	gather.Config.Networks, _ = policy.ParseNetworks(o.networks)
	gather.Config.DefaultText = o.outbound
	if _, err := engine.List(ctx); err != nil {
		return check.Host{}, fmt.Errorf("list containers and networks: %w", err)
	}
	engine.LearnResolvers(ctx)
	state, err := gather.State(ctx)
	if err != nil {
		return check.Host{}, err
	}
	namesAre(&state, nil, true)
	_, problems := reconcile.Build(state)
	return check.Host{State: state, Problems: problems, API: engine.APIVersion()}, nil
}

// missing are the names that no resolver has an address for. Which of them could not be asked is told.
func missing(ctx context.Context, env environment, asks *resolver.Resolver, names []string) map[string]bool {
	addrs, err := asks.Resolve(ctx, names)
	if err != nil {
		fmt.Fprintln(env.err, "dockerwall: some names have no address: "+clean(err.Error()))
	}
	out := map[string]bool{}
	for _, name := range names {
		out[name] = len(addrs[name]) == 0
	}
	return out
}

// report is what check prints for programs.
type report struct {
	Errors   int             `json:"errors"`
	Warnings int             `json:"warnings"`
	Notes    int             `json:"notes"`
	Findings []check.Finding `json:"findings"`
}

func (o checkOptions) print(w io.Writer, found []check.Finding, counts check.Counts) error {
	switch o.format {
	case asText:
		return check.Print(w, found)
	case asGitHub:
		return check.PrintGitHub(w, found)
	case asSARIF:
		return check.PrintSARIF(w, buildInfo().Version, found)
	case asJSONL: // one a line
		e := json.NewEncoder(w)
		for _, f := range found {
			if err := e.Encode(api.Wrap("Finding", f)); err != nil {
				return err
			}
		}
		return nil
	}
	list := append([]check.Finding{}, found...) // never null
	return printObject(w, o.format, "Findings", report{counts.Errors, counts.Warnings, counts.Notes, list})
}
