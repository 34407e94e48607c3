package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// slots is how many containers at once come and go.
const slots = 3

// work is a part of the load, which goes on until its context is done.
type work struct {
	name string
	do   func(context.Context) error
}

func (s *soak) works() []work {
	all := []work{
		{"networks", s.churnNetworks}, {"names", s.learn}, {"names that nobody allows", s.refused},
		{"flood", s.flood}, {"flood of a nomad", s.wander}, {"echoes", s.echo}, {"stream", s.stream},
		{"clients", s.clients}, {"watch", s.watch}, {"SIGHUP", s.hangup},
	}
	for i := range slots {
		all = append(all, work{fmt.Sprintf("containers %d", i), func(ctx context.Context) error { return s.churn(ctx, i) }})
	}
	return all
}

// each calls f with 0, 1, 2 … at that pace, or as fast as it can.
func each(ctx context.Context, pace time.Duration, f func(i int) error) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		if err := f(i); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	return nil
}

// learn makes first contacts with names below wildcards.
func (s *soak) learn(ctx context.Context) error {
	const names = 20
	pool := s.pool(3900, names/2) / names
	return each(ctx, time.Second, func(i int) error {
		start := i / 2 % max(1, pool) * names
		return s.contacts(ctx, s.asker, []string{zone, cdn}[i%2], start, names, true)
	})
}

// refused asks for names that nobody allows and tries to connect all the same.
func (s *soak) refused(ctx context.Context) error {
	const names = 10
	return each(ctx, 2*time.Second, func(i int) error {
		return s.contacts(ctx, s.flooder, shut, i*names%1000, names, false)
	})
}

func (s *soak) contacts(ctx context.Context, c *lab.Container, suffix string, start, n int, open bool) error {
	before, err := s.late(ctx)
	if err != nil {
		return err
	}
	r, err := c.Probe(ctx, "contacts", suffix, "-start", fmt.Sprint(start), "-count", fmt.Sprint(n), "-parallel", "10")
	if err != nil {
		return err
	}
	after, err := s.late(ctx)
	if err != nil {
		return err
	}
	switch {
	case open && after > before: // a busy machine: DNS goes on after a second, whatever is not committed
		s.count("first contacts beside answers that went on uncommitted", n)
	case !open && r.Received > 0:
		s.amiss("%d connections stand to names that nobody allows", r.Received)
	case open && (r.Received != n || r.Retransmits > 0):
		s.amiss("%s from %d on: %d of %d contacts stand, %d unresolved, %d segments sent again in %.0f ms: %s",
			suffix, start, r.Received, n, r.Unresolved, r.Retransmits, r.Milliseconds, r.Error)
	}
	s.count("first contacts with "+suffix, n)
	return nil
}

// late is how many DNS answers the daemon let go on before they were in the table.
func (s *soak) late(ctx context.Context) (int, error) {
	text, err := s.Host.Get(ctx, metrics)
	if err != nil {
		return 0, fmt.Errorf("scrape metrics: %w", err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "dockerwall_dns_hold_timeouts_total "); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, errors.New("scrape metrics: no hold timeouts")
}

// echo sends packets that are allowed and answered, fifty a second.
func (s *soak) echo(ctx context.Context) error {
	return s.inside(ctx, s.echoer, 0, func(int) []string {
		return []string{"udp 203.0.113.1:7 -count 250 -rate 50 -wait 2s"}
	}, func(r lab.Result) {
		s.count("echoes", r.Received)
		if r.Sent != 250 || r.Received != r.Sent {
			s.amiss("%d packets of 250 sent, %d answered: %s", r.Sent, r.Received, r.Error)
		}
	})
}

// stream keeps connections busy, each for some seconds.
func (s *soak) stream(ctx context.Context) error {
	return s.inside(ctx, s.echoer, 0, func(int) []string {
		return []string{"stream 203.0.113.2:7 -for 10s -every 20ms"}
	}, func(r lab.Result) {
		s.count("lines of connections", r.Received)
		if r.Outcome != result.OK {
			s.amiss("a connection ends after %d lines: %s", r.Received, r.Error)
		}
	})
}

// flood sends denied packets to changing destinations, of both families.
func (s *soak) flood(ctx context.Context) error {
	const destinations, packets = 100, 20
	pool := s.pool(65536, destinations/4) // of either family a container's record holds some
	return s.inside(ctx, s.flooder, time.Second, func(i int) (lines []string) {
		for j := range destinations {
			n := (i*destinations + j) % pool * 7919
			to := fmt.Sprintf("198.19.%d.%d:%d", byte(n>>8)%100, byte(n), 1+n%4000) // beside those of names
			if j%4 == 0 {
				to = fmt.Sprintf("[2001:db8:2::%x]:9", n%65536)
			}
			lines = append(lines, fmt.Sprintf("udp %s -count %d", to, packets))
		}
		return lines
	}, func(r lab.Result) { s.count("denied packets of a flood", r.Sent) })
}

// wander floods from a container that changes its networks.
func (s *soak) wander(ctx context.Context) error {
	return s.inside(ctx, s.nomad, 0, func(int) []string {
		return []string{"udp 198.19.250.1:9 -count 1000 -rate 200"}
	}, func(r lab.Result) { s.count("denied packets of a nomad", r.Sent) })
}

// inside runs the probe in a container's network, without the way through docker exec, again and again.
func (s *soak) inside(ctx context.Context, c *lab.Container, pace time.Duration, acts func(i int) []string, look func(lab.Result)) error {
	ns, err := c.Namespace(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = ns.Close() }()
	return each(ctx, max(pace, time.Millisecond), func(i int) error {
		lines := acts(i)
		args := append([]string{"script"}, lines...)
		out, err := ns.Command(ctx, s.probe, args...).Output() // its exit code says the outcome once more
		results, parseErr := lab.Results(string(out))
		if ctx.Err() != nil {
			return nil
		}
		if parseErr != nil || len(results) != len(lines) {
			return fmt.Errorf("probe %s: %d results: %w", strings.Join(args[:2], " "), len(results), err)
		}
		for _, r := range results {
			look(r)
		}
		return nil
	})
}
