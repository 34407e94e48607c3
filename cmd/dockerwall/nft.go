package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
)

func newNft(env environment) *cobra.Command {
	c := &cobra.Command{Use: "nft", Short: "Show, compare, remove or restore the nftables table", Args: cobra.NoArgs, RunE: help}
	c.AddCommand(newDump(env), newDiff(env), newFlush(env), newRestore(env))
	return c
}

const dumpHelp = `Dump prints the table that the daemon would commit for the host as it is now, in nft(8) syntax. It
needs neither the daemon nor the nft program and changes nothing. Settings count as for "run": give the
same flags or variables that the daemon has.

Behind each rule of a container stands whose it is and which tokens ask for it: of names those that have
an address now, of addresses what is left of them once overlaps are merged. Addresses of names come from
the live table when there is one, else the names are resolved now. Table flags, counter values and
elements that packets add are left out, so that two dumps compare and

    dockerwall nft dump | nft -c -f -

accepts it, in a namespace where the daemon does not own the table. Tables "ip dockerwall-dns" and
"ip6 dockerwall-dns", which hold DNS answers back while the daemon lives, are not part of it.`

func newDump(env environment) *cobra.Command {
	var s settings
	var live, noResolve bool
	var format string
	c := &cobra.Command{
		Use: "dump", Short: "Print the table that the daemon would commit", Long: dumpHelp, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if live {
				return dumpLive(env, format)
			}
			r, err := wanted(c.Context(), env, s, !noResolve)
			if err != nil {
				return err
			}
			if format != "nft" {
				return printObject(env.out, format, "Ruleset", r)
			}
			_, err = fmt.Fprint(env.out, r)
			return err
		},
	}
	declare(c, env, slices.Concat(s.common(), s.policy(), s.state()))
	outputFlag(c, &format, "nft", asJSON, asYAML)
	c.Flags().BoolVar(&live, "live", false, "print the table that is in the kernel instead")
	c.Flags().BoolVar(&noResolve, "no-resolve", false, "leave out addresses of names when no live table tells them")
	return c
}

func dumpLive(env environment, format string) error {
	live, err := readLive()
	if err != nil {
		return err
	}
	if format != "nft" {
		return printObject(env.out, format, "Table", live.Table.Objects())
	}
	_, err = fmt.Fprint(env.out, live)
	return err
}

func readLive() (nft.Live, error) {
	live, err := nft.ReadLive(nft.Options{})
	if err == nil && !live.Exists {
		err = errors.New("there is no table inet dockerwall: nothing is fenced; start the daemon with `dockerwall run`")
	}
	return live, err
}

// wanted builds the ruleset of this host without a daemon.
func wanted(ctx context.Context, env environment, s settings, resolve bool) (nft.Ruleset, error) {
	logger := newLogger(env, s.logLevel, s.logFormat)
	config, err := s.config(logger)
	if err != nil {
		return nft.Ruleset{}, err
	}
	trust, err := s.boolean("trust-image-labels", s.trustImages)
	if err != nil {
		return nft.Ruleset{}, err
	}
	engine, err := docker.New(docker.Options{})
	if err != nil {
		return nft.Ruleset{}, err
	}
	defer func() { _ = engine.Close() }()
	asks, err := resolver.New(resolver.Options{Extra: s.resolvers, Logger: logger})
	if err != nil {
		return nft.Ruleset{}, err
	}
	ports, err := hostnet.ReadPorts()
	if err != nil {
		return nft.Ruleset{}, err
	}
	live, liveErr := nft.ReadLive(nft.Options{})
	stands := liveErr == nil && live.Exists
	config.BindPorts = !stands || live.Table.Ports != nil // whether the kernel can is known by what it holds
	gather := reconcile.Gather{
		Config: config, Engine: engine, Resolver: asks, Interfaces: hostnet.Read, Ports: func() []hostnet.Port { return ports }, TrustImage: trust,
		Operator: s.operator(logger),
	}
	changed := s.changedBefore(config.DryRun, logger)
	gather.Overlay = func() overlay.Overlay { return changed }
	if _, err := engine.List(ctx); err != nil {
		return nft.Ruleset{}, fmt.Errorf("list containers and networks: %w", err)
	}
	engine.LearnResolvers(ctx)
	state, err := gather.State(ctx)
	if err != nil {
		return nft.Ruleset{}, err
	}
	if !stands && resolve {
		live.Names, err = resolveNow(ctx, state, asks)
	}
	if err != nil {
		return nft.Ruleset{}, err
	}
	namesAre(&state, live.Names, stands || resolve)
	r, problems := reconcile.Build(state)
	for _, p := range problems {
		logger.Warn("problem", "container", p.Container, "what", p.String())
	}
	return r, nil
}

// resolveNow asks for every name of a state.
func resolveNow(ctx context.Context, s reconcile.State, asks *resolver.Resolver) (map[string][]netip.Addr, error) {
	wanted := reconcile.Names(s)
	return asks.Resolve(ctx, slices.Concat(wanted.Allow, wanted.Deny))
}

// namesAre puts in what names mean. All denied ones are known then; but for that none is, and what stands beside them
// does not count.
func namesAre(s *reconcile.State, names map[string][]netip.Addr, known bool) {
	s.Names, s.Denied, s.Below, s.DeniedBelow = names, nil, nil, nil
	if !known {
		return
	}
	wanted := reconcile.Names(*s)
	s.Denied = make(map[string][]netip.Addr, len(wanted.Deny))
	for _, name := range wanted.Deny {
		s.Denied[name] = append([]netip.Addr{}, names[name]...)
	}
}

func newDiff(env environment) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "diff", Short: "Compare the live table with the one the daemon would commit", Args: cobra.NoArgs,
		Long: `Diff prints what a commit would take away (-) and add (+), and exits 1 if there is anything. Settings
count as for "run": give the same flags or variables that the daemon has.`,
		RunE: func(c *cobra.Command, _ []string) error {
			live, err := readLive()
			if err != nil {
				return err
			}
			r, err := wanted(c.Context(), env, s, true)
			if err != nil {
				return err
			}
			diff := nft.TextDiff(live.String(), r.Table().Untitled().String())
			if diff == "" {
				return nil
			}
			fmt.Fprint(env.out, diff)
			return silent{exitFailure}
		},
	}
	declare(c, env, slices.Concat(s.common(), s.policy(), s.state()))
	return c
}

func newFlush(env environment) *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "flush", Short: "Remove the table: nothing is fenced any more", Args: cobra.NoArgs,
		Long: `Flush removes table inet dockerwall and ends the daemon that owns it. From then on every container
reaches whatever the host reaches. A daemon that is started again, also by a restart policy, fences again:
stop a container of dockerwall first. dockerwall.service stays ended until it is started or the host boots.`,
		RunE: func(c *cobra.Command, _ []string) error {
			stood := true
			err := api.Dial(s.socket).Flush(c.Context())
			if errors.Is(err, api.ErrNoDaemon) {
				stood, err = removeTable()
			}
			switch {
			case err != nil:
				return err
			case !stood:
				fmt.Fprintln(env.err, "there was no table inet dockerwall, and no daemon: nothing was fenced")
				return nil
			}
			fmt.Fprintln(env.err, "table inet dockerwall is removed: containers are not fenced until `dockerwall run` starts again")
			return nil
		},
	}
	declare(c, env, s.common())
	return c
}

// removeTable removes what a daemon that is gone left, and says whether there was anything.
func removeTable() (stood bool, err error) {
	k, err := nft.Open(nft.Options{})
	if err != nil {
		return false, err
	}
	defer func() { _ = k.Close() }()
	if stood, err = k.Exists(); err != nil || !stood {
		return stood, err
	}
	return true, k.Remove()
}
