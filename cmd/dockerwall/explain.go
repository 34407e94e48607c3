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
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/policy"
)

const explainTimeout = 30 * time.Second

const explainHelp = `Explain asks the daemon what becomes of the packets with which CONTAINER, a name or the beginning of an ID, opens a
connection to DESTINATION, and why. The daemon judges by its own policies and then looks into the kernel's sets.

DESTINATION is one, in the grammar of the label: www.example.com:443/tcp, 192.0.2.7:53/udp, 192.0.2.7/icmp,
[2001:db8::1]:443, _host_:5432. A port without a protocol is tcp and udp; without a clause every protocol and port is
meant; :443/tcp is any address. A name that no policy asks for is resolved now, for up to 3 s.

On a denial it says which step failed, and the token that would allow it. With --why-denied it explains a denial of
"dockerwall watch", by its ID or LAST for the last one, of CONTAINER if that is given.

It exits 0 when allowed, 10 when denied, and 11 when it depends on something that the question leaves open, such as the
port, or when the kernel does not hold what the policy wants.`

func newExplain(env environment) *cobra.Command {
	var s settings
	var output, denial string
	c := &cobra.Command{
		Use: "explain CONTAINER DESTINATION", Short: "Say what becomes of a container's packets to a destination, and why", Long: explainHelp,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("why-denied") {
				return cobra.MaximumNArgs(1)(c, args)
			}
			if len(args) != 2 {
				return errors.New("name a container and one destination, such as web www.example.com:443/tcp, or use --why-denied LAST")
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return containerNames(c)
		},
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), explainTimeout)
			defer cancel()
			e, err := ask(ctx, env, api.Dial(s.socket), question{args: args, denial: denial})
			if err != nil {
				return withHint(err)
			}
			return printExplanation(env, output, e)
		},
	}
	declare(c, env, s.common())
	c.Flags().StringVar(&denial, "why-denied", "", "explain a denial instead: its ID, or LAST")
	_ = c.RegisterFlagCompletionFunc("why-denied", cobra.FixedCompletions([]string{lastDenial}, cobra.ShellCompDirectiveNoFileComp))
	outputFlag(c, &output, asTable, asJSON, asJSONL, asYAML)
	return c
}

// question is what explain was called with.
type question struct {
	args   []string
	denial string // of --why-denied
}

func ask(ctx context.Context, env environment, client *api.Client, q question) (api.Explanation, error) {
	if q.denial != "" {
		return whyDenied(ctx, env, client, q)
	}
	if len(q.args) != 2 {
		return api.Explanation{}, usageError{errors.New("--why-denied: want the ID of a denial, or LAST")}
	}
	if _, err := policy.ParseQuestion(q.args[1]); err != nil {
		return api.Explanation{}, usageError{err}
	}
	return client.Explain(ctx, q.args[0], q.args[1])
}

const lastDenial = "LAST"

// whyDenied explains the packet of a denial. The token is the denial's: it knows the name that the packet was for.
func whyDenied(ctx context.Context, env environment, client *api.Client, q question) (api.Explanation, error) {
	id := uint64(0)
	if !strings.EqualFold(q.denial, lastDenial) {
		n, err := strconv.ParseUint(q.denial, 10, 64)
		if err != nil || n == 0 {
			return api.Explanation{}, usageError{fmt.Errorf("--why-denied %q: want the ID of a denial, or %s", q.denial, lastDenial)}
		}
		id = n
	}
	var found *api.Denial
	err := client.Denials(ctx, observe.MaxDenials, false, func(d api.Denial) error {
		mine := len(q.args) == 0 || d.Container == q.args[0] || d.ContainerID != "" && strings.HasPrefix(d.ContainerID, q.args[0])
		if mine && (d.ID == id || id == 0 && d.ContainerID != "" && d.Destination.IsValid()) {
			found = &d
		}
		return nil
	})
	switch {
	case err != nil:
		return api.Explanation{}, err
	case found == nil && id == 0:
		return api.Explanation{}, errors.New("the daemon remembers no such denial, and is told of one after a second or two; `dockerwall watch` shows them as they happen")
	case found == nil:
		return api.Explanation{}, fmt.Errorf("the daemon remembers no denial %d; `dockerwall watch -o jsonl` shows those it does, with their IDs", id)
	case found.ContainerID == "" || !found.Destination.IsValid():
		return api.Explanation{}, fmt.Errorf("denial %d (%s) is not of a container's packets to one destination, so no policy decided", found.ID, clean(found.Reason))
	}
	if found.Reason != string(nft.Denied) {
		fmt.Fprintf(env.err, "denial %d was for another reason than the policy: %s\n", found.ID, clean(found.Reason))
	}
	e, err := client.Explain(ctx, found.ContainerID, destinationOf(*found))
	if e.Token != "" && found.Token != "" {
		e.Token = found.Token
	}
	return e, err
}

// destinationOf is where a denied packet went, as a question.
func destinationOf(d api.Denial) string {
	a := d.Destination.Unmap().WithZone("")
	t := policy.Token{Dest: policy.Literal{First: a, Last: a}}
	ports := policy.PortRange{First: d.Port, Last: d.Port}
	switch {
	case d.Protocol == "tcp":
		t.Clause = policy.Clause{Proto: policy.ProtoTCP, Ports: ports}
	case d.Protocol == "udp":
		t.Clause = policy.Clause{Proto: policy.ProtoUDP, Ports: ports}
	case strings.Contains(d.Protocol, "icmp"):
		t.Clause = policy.Clause{Proto: policy.ProtoICMP}
	}
	return t.String()
}

// printExplanation prints it and gives the exit code of its verdict.
func printExplanation(env environment, output string, e api.Explanation) error {
	var err error
	if output == asTable {
		err = writeExplanation(env, e)
	} else {
		err = printObject(env.out, output, api.KindExplanation, e)
	}
	switch {
	case err != nil:
		return err
	case e.Verdict == api.Refused:
		return silent{exitDenied}
	case e.Verdict != api.Allowed:
		return silent{exitUndecided}
	}
	return nil
}

// writeExplanation draws the steps as a tree.
func writeExplanation(env environment, e api.Explanation) error {
	paint := colourOf(env, env.out)
	id := clean(e.ContainerID)
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s) -> %s\n", paint.bold(clean(e.Container)), id[:min(len(id), 12)], paint.bold(clean(e.Question)))
	for _, s := range e.Steps {
		fmt.Fprintf(&b, "├ %-7s  %s  %s\n", clean(s.Name), paint.result(s.Result), cleanLong(s.Text))
	}
	switch e.Verdict {
	case api.Allowed:
		fmt.Fprintf(&b, "└ %s\n", paint.green("ALLOWED"))
	case api.Refused:
		fmt.Fprintf(&b, "└ %s by %s\n", paint.red("DENIED"), clean(e.Failed))
	case api.Undecidable:
		fmt.Fprintf(&b, "└ %s: it depends %s\n", paint.yellow("UNDECIDABLE"), cleanLong(e.Depends))
	}
	if e.Token != "" {
		fmt.Fprintf(&b, "  to allow it, add to %s or a policy file: %s\n", policy.LabelOutbound, cleanLong(e.Token))
	}
	if e.Remedy != "" {
		fmt.Fprintf(&b, "  remedy: %s\n", cleanLong(e.Remedy))
	}
	_, err := fmt.Fprint(env.out, b.String())
	return err
}

// result is padded to the longest of them.
func (c colour) result(r api.StepResult) string {
	text := fmt.Sprintf("%-7s", clean(string(r)))
	switch r {
	case api.StepOK:
		return c.green(text)
	case api.StepFail:
		return c.red(text)
	case api.StepUnknown:
		return c.yellow(text)
	case api.StepInfo:
	}
	return text
}
