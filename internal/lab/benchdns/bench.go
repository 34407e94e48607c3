package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	suffix  = "fresh.example"
	network = "bench"
	// warmUp is how many contacts go before those that are measured, at 50 at once.
	warmUp = 100
)

// bench measures in a lab.
type bench struct {
	*lab.Lab
	sizes
	progress io.Writer
	binary   string

	docker *lab.Docker
	// Both may reach what the names mean when it is learned, the first one also as it is: so it connects as fast in
	// every way, and does not hold up the questions that are timed.
	open, fenced *lab.Container
	asked        int // names so far
}

// measure is all rounds.
func (b *bench) measure(ctx context.Context) (report, error) {
	if err := b.stage(ctx); err != nil {
		return report{}, err
	}
	r := report{Sizes: b.said(), Versions: versions{LoadBefore: load()}}
	if err := b.versions(ctx, &r.Versions); err != nil {
		return report{}, err
	}
	for round := range b.rounds {
		for _, w := range order(round) {
			fmt.Fprintf(b.progress, "round %d of %d: %s\n", round+1, b.rounds, w.name)
			samples, err := b.turn(ctx, w, round)
			if err != nil {
				return report{}, fmt.Errorf("round %d, %s: %w", round+1, w.name, err)
			}
			r.Samples = append(r.Samples, samples...)
		}
	}
	r.Versions.LoadAfter = load()
	r.Rows = rows(r.Samples)
	r.Versions.HoldMode = r.Rows[len(r.Rows)-1].Mode
	return r, nil
}

// stage starts the Engine and the two containers, and makes every name n<i> below suffix mean an address of its own.
func (b *bench) stage(ctx context.Context) (err error) {
	if b.docker, err = b.StartDocker(ctx, lab.DockerOptions{}); err != nil {
		return err
	}
	if err := b.docker.ImportProbe(ctx, lab.ProbeImage); err != nil {
		return err
	}
	if _, err := b.docker.CLI(ctx, "network", "create", network); err != nil {
		return err
	}
	// No answer lapses during a turn, so that none is asked for again beside what is measured.
	b.DNS.SetBelow(suffix, func(name string) lab.Answer { return lab.Answer{TTL: 600, Addrs: []netip.Addr{address(name)}} })
	if b.open, err = b.run(ctx, "*."+suffix+", 198.18.0.0/16"); err != nil {
		return err
	}
	b.fenced, err = b.run(ctx, "*."+suffix)
	return err
}

func (b *bench) run(ctx context.Context, label string) (*lab.Container, error) {
	return b.docker.Run(ctx, lab.RunSpec{
		Network: network, Labels: map[string]string{"dockerwall.outbound": label}, Cmd: []string{"sleep"},
	})
}

// address is what n<i>.SUFFIX means. After 65536 names they come again: by then their table is gone.
func address(name string) netip.Addr {
	first, _, _ := strings.Cut(name, ".")
	n, _ := strconv.Atoi(strings.TrimPrefix(first, "n"))
	return netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
}

// turn measures one way in one round, from an empty table.
func (b *bench) turn(ctx context.Context, w way, round int) (samples []sample, err error) {
	if err := b.flush(ctx); err != nil {
		return nil, err
	}
	if w.hold == "" {
		return b.samples(ctx, w, sample{Round: round, Way: w.name})
	}
	d, mode, err := b.start(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, d.Stop()); err != nil {
			err = fmt.Errorf("%w; the daemon's last words:\n%s", err, d.tail())
		}
	}()
	if samples, err = b.samples(ctx, w, sample{Round: round, Way: w.name, Mode: mode}); err != nil {
		return nil, err
	}
	return samples, b.still(ctx, mode)
}

// samples fills in one for each number of contacts at once. What fails leaves traces: it comes after all that is timed.
func (b *bench) samples(ctx context.Context, w way, s sample) (all []sample, err error) {
	if err := b.warm(ctx, w); err != nil {
		return nil, err
	}
	for _, s.AtOnce = range crowds() {
		if s.Latency, err = b.contacts(ctx, b.open, b.latency(s.AtOnce), s.AtOnce); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	for i, atOnce := range crowds() {
		if all[i].Loss, err = b.contacts(ctx, b.fenced, b.loss(w, atOnce, s.Round), atOnce); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// warm makes contacts that are not measured, until the daemon is seen to do with answers what the way is.
func (b *bench) warm(ctx context.Context, w way) error {
	return lab.Until(ctx, func() error {
		if _, err := b.contacts(ctx, b.open, warmUp, 50); err != nil || w.hold == "" {
			return err
		}
		series, err := b.scrape(ctx)
		if err != nil {
			return err
		}
		learned := series[`dockerwall_dns_responses_total{result="learned"}`]
		if w.denies == (learned > 0) {
			return fmt.Errorf("after %d contacts the daemon has learned from %.0f answers", warmUp, learned)
		}
		return nil
	})
}

// contacts has a container connect to names that nobody asked for before.
func (b *bench) contacts(ctx context.Context, c *lab.Container, count, atOnce int) (figures, error) {
	if count == 0 {
		return figures{}, nil
	}
	args := []string{"contacts", suffix, "-start", strconv.Itoa(b.asked), "-count", strconv.Itoa(count), "-parallel", strconv.Itoa(atOnce)}
	b.asked += count
	r, err := c.Probe(ctx, args...)
	if err != nil {
		return figures{}, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	if r.Sent != count {
		return figures{}, fmt.Errorf("%s: %d contacts were tried: %s", strings.Join(args, " "), r.Sent, r.Error)
	}
	return figure(r), nil
}
