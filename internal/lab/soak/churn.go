package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// life is a container that comes and goes. From its first moment on it sends what is denied, then connects to an address of
// its own; from then on it sleeps.
type life struct {
	*lab.Container
	s      *soak
	name   string
	starts int
}

// churn lets containers live in a slot, one after the other, each in another way.
func (s *soak) churn(ctx context.Context, slot int) error {
	pool := s.pool(40, 1) // names, each with its own destinations: what is remembered of all is to be there when it is warm
	return each(ctx, 500*time.Millisecond, func(i int) error {
		n := i%pool*slots + slot
		l := &life{s: s, name: fmt.Sprintf("churn-%d-%d-%d", s.runs, slot, i%pool)}
		to := fmt.Sprintf("198.18.254.%d", n)
		spec := lab.RunSpec{
			Name: l.name, Network: []string{web, other}[i%2], Labels: map[string]string{label: to}, Args: []string{"--stop-signal=KILL"},
			Cmd: []string{"script", fmt.Sprintf("udp 198.19.251.%d:9 -count 20", n), "tcp " + to + ":80", "sleep"},
		}
		var err error
		if l.Container, err = s.docker.Run(ctx, spec); err != nil {
			return err
		}
		if err := l.begins(ctx); err != nil {
			return err
		}
		ways := l.ways()
		for _, way := range []int{i % len(ways), (i + 2) % len(ways)} {
			if err := ways[way](ctx); err != nil {
				return err
			}
		}
		return l.Remove(ctx)
	})
}

// ways are what can happen to a container.
func (l *life) ways() []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error {
			return l.again(ctx, "container restarts", []string{"restart", "--time=0", l.ID})
		},
		func(ctx context.Context) error {
			return l.do(ctx, "renames", []string{"rename", l.ID, l.name + "-moved"})
		},
		func(ctx context.Context) error {
			return l.again(ctx, "container stops and starts", []string{"stop", "--time=0", l.ID}, []string{"start", l.ID})
		},
		func(ctx context.Context) error {
			return l.do(ctx, "runtime network changes", []string{"network", "connect", spare, l.ID}, []string{"network", "disconnect", spare, l.ID})
		},
		func(ctx context.Context) error {
			return l.again(ctx, "container kills and starts", []string{"kill", l.ID}, []string{"start", l.ID})
		},
		func(ctx context.Context) error {
			return l.do(ctx, "pauses", []string{"pause", l.ID}, []string{"unpause", l.ID})
		},
	}
}

func (l *life) do(ctx context.Context, what string, commands ...[]string) error {
	for _, c := range commands {
		if _, err := l.s.docker.CLI(ctx, c...); err != nil {
			return err
		}
	}
	l.s.count(what, 1)
	return nil
}

// again does what starts the container's program anew, and waits for what it does first.
func (l *life) again(ctx context.Context, what string, commands ...[]string) error {
	if err := l.do(ctx, what, commands...); err != nil {
		return err
	}
	return l.begins(ctx)
}

// begins waits until the container has connected, and notes when it could not.
func (l *life) begins(ctx context.Context) error {
	l.starts++
	var results []lab.Result
	err := lab.Until(ctx, func() error {
		out, err := l.s.docker.CLI(ctx, "logs", l.ID)
		if err != nil {
			return lab.Hopeless{Err: err}
		}
		if results, err = lab.Results(out); err != nil || len(results) < 2*l.starts {
			return fmt.Errorf("%d results of %d: %w", len(results), 2*l.starts, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	connected := results[2*l.starts-1]
	if connected.Outcome != result.OK {
		l.s.amiss("a container that starts cannot connect: %s %s", connected.Outcome, connected.Error)
	}
	l.s.count("container starts", 1)
	l.s.count("SYNs of containers that start, sent again", connected.Retransmits)
	return nil
}

// churnNetworks makes networks, has the nomad visit each, and removes them.
func (s *soak) churnNetworks(ctx context.Context) error {
	pool := s.pool(100, 1)
	return each(ctx, time.Second, func(i int) error {
		name, subnet := fmt.Sprintf("soak-%d-%d", s.runs, i%pool), fmt.Sprintf("2001:db8:c:%x::/64", 256*s.runs+i%pool)
		for _, args := range [][]string{
			{"create", "--ipv6", "--subnet=" + subnet, name}, {"connect", name, s.nomad.ID}, {"disconnect", name, s.nomad.ID}, {"rm", name},
		} {
			if _, err := s.docker.CLI(ctx, append([]string{"network"}, args...)...); err != nil {
				return err
			}
		}
		s.count("networks that come and go", 1)
		return nil
	})
}
