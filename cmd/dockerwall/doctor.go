package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/reconcile"
)

const doctorHelp = `Doctor looks at what the fence stands on: the kernel, the Engine, the host's network and its other
firewalls, and the daemon, if one runs. Each line is ok, warn, fail or skip (what could not be looked at,
and why), and a remedy stands below it. Settings count as for "run": give the same flags or variables that
the daemon has.

It changes nothing that lasts, and needs neither root nor a daemon, though it sees less without. Exit 0
when nothing fails, also with warnings; else 1.`

func newDoctor(env environment) *cobra.Command {
	var s settings
	var format string
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what keeps this host from being fenced well", Long: doctorHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			report := doctor.Examine(doctor.Read(c.Context(), s.doctor(env)))
			if err := printReport(env.out, format, report); err != nil {
				return err
			}
			if report.Fails > 0 {
				return silent{exitFailure}
			}
			return nil
		},
	}
	declare(c, env, slices.Concat(s.common(), s.policy(), s.daemon()))
	outputFlag(c, &format, asTable, asJSON, asJSONL, asYAML)
	return c
}

// doctor says what to look at. Numbers that are not understood are left 0, of which the doctor tells.
func (s *settings) doctor(env environment) doctor.Options {
	group, _ := strconv.ParseUint(s.nflogGroup, 10, 16)
	queue, _ := strconv.ParseUint(s.dnsQueue, 10, 16)
	return doctor.Options{
		Version: buildInfo().Version, Socket: s.socket, Metrics: s.metricsAddr, Resolvers: s.resolvers, DNSHold: s.dnsHold,
		NflogGroup: uint16(group), DNSQueue: uint16(queue), StateDir: s.directory(),
		Unfenced: func(ctx context.Context) ([]doctor.Unfenced, error) { return s.unfenced(ctx, env) },
	}
}

// unfenced asks the daemon, or without one finds out what it would say.
func (s *settings) unfenced(ctx context.Context, env environment) (out []doctor.Unfenced, err error) {
	if status, err := api.Dial(s.socket).Status(ctx); err == nil {
		for _, c := range status.Containers {
			if c.Unfenced != "" {
				out = append(out, doctor.Unfenced{Name: c.Name, Why: c.Unfenced})
			}
		}
		return out, nil
	}
	env.err = io.Discard // problems are for `check` and `status`
	ruleset, err := wanted(ctx, env, *s, false)
	if err != nil {
		return nil, err
	}
	engine, err := docker.New(docker.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = engine.Close() }()
	host, err := engine.List(ctx)
	fates := reconcile.Fates(reconcile.State{Docker: host}, ruleset)
	for _, c := range host.Containers {
		if why := fates[c.ID].Unfenced; why != "" {
			out = append(out, doctor.Unfenced{Name: c.Name, Why: why})
		}
	}
	return out, err
}

func printReport(w io.Writer, format string, r doctor.Report) error {
	if format != asTable {
		return printObject(w, format, doctor.Kind, r)
	}
	width := 0
	for _, l := range r.Lines {
		width = max(width, len(l.Name))
	}
	for _, l := range r.Lines {
		text := fmt.Sprintf("%-4s  %-*s  %s", l.Result, width, l.Name, plain.Text(l.What, maxReport))
		if l.Remedy != "" {
			text += "\n" + strings.Repeat(" ", 8+width) + "-> " + plain.Text(l.Remedy, maxReport)
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	well := len(r.Lines) - r.Fails - r.Warns - r.Skips
	_, err := fmt.Fprintf(w, "\n%d ok, %d warn, %d fail, %d skip\n", well, r.Warns, r.Fails, r.Skips)
	return err
}

// maxReport bounds a line of the report, which may hold several commands.
const maxReport = 2000
