package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	web   = "web"
	other = "other"
	spare = "spare" // no container has it from the start

	allowed = "203.0.113.0/28" // of those that stay
	zone    = "fresh.example"  // a name has an address for ever
	cdn     = "cdn.example"    // names change their addresses at each question
	shut    = "shut.example"   // nobody allows its names
)

// soak is one load in a lab.
type soak struct {
	*lab.Lab
	options
	progress      io.Writer
	binary, probe string
	programs      []*os.File
	settings      []string // variables of all that dockerwall is started for

	docker  *lab.Docker
	daemon  *daemon
	turn    atomic.Uint32 // of the addresses of cdn
	flooder *lab.Container
	asker   *lab.Container
	echoer  *lab.Container
	nomad   *lab.Container

	runs   int // loads so far: what one left is not in the way of the next
	mu     sync.Mutex
	done   map[string]int // what was done, by what
	wrongs []string       // what must not be, the first few
	wrong  int
}

// build makes a program and holds it: what is built meanwhile takes its name, not its place.
func (s *soak) build(ctx context.Context, pkg string, path *string) error {
	built, err := lab.BuildStatic(ctx, pkg)
	if err != nil {
		return err
	}
	file, err := os.Open(built)
	if err != nil {
		return err
	}
	s.programs = append(s.programs, file)
	*path = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
	return nil
}

func (s *soak) close() error {
	var errs []error
	if s.daemon != nil {
		errs = append(errs, s.daemon.Stop())
	}
	if s.Lab != nil {
		errs = append(errs, s.Close())
	}
	for _, f := range s.programs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// stage starts the Engine, the daemon, and the containers that stay.
func (s *soak) stage(ctx context.Context) (err error) {
	if s.docker, err = s.StartDocker(ctx, lab.DockerOptions{}); err != nil {
		return err
	}
	if err := s.docker.ImportProbe(ctx, lab.ProbeImage); err != nil {
		return err
	}
	for i, name := range []string{web, other, spare} {
		subnet := fmt.Sprintf("2001:db8:c:%d::/64", i+1)
		if _, err := s.docker.CLI(ctx, "network", "create", "--ipv6", "--subnet="+subnet, name); err != nil {
			return err
		}
	}
	s.names()
	if err := s.start(ctx); err != nil {
		return err
	}
	for _, c := range []struct {
		name, label string
		container   **lab.Container
	}{
		{"flooder", "", &s.flooder},
		{"asker", "*." + zone + ", *." + cdn, &s.asker},
		{"echoer", allowed, &s.echoer},
		{"nomad", allowed, &s.nomad},
	} {
		spec := lab.RunSpec{Name: c.name, Network: web, Labels: map[string]string{label: c.label}, Cmd: []string{"sleep"}}
		if *c.container, err = s.docker.Run(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

const label = "dockerwall.outbound"

// names says what the lab's DNS server answers.
func (s *soak) names() {
	fixed := func(net byte) func(string) lab.Answer {
		return func(name string) lab.Answer {
			first, _, _ := strings.Cut(name, ".")
			n, _ := strconv.Atoi(strings.TrimPrefix(first, "n"))
			return lab.Answer{TTL: 5, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{198, net, 100 + byte(n>>8), byte(n)})}}
		}
	}
	s.DNS.SetBelow(zone, fixed(18))
	s.DNS.SetBelow(shut, fixed(19))
	pool := uint32(s.pool(3000, 25))
	s.DNS.SetBelow(cdn, func(string) lab.Answer {
		var addrs []netip.Addr
		for range 4 {
			n := s.turn.Add(1) % pool
			addrs = append(addrs, netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}))
		}
		return lab.Answer{TTL: 1, Addrs: addrs}
	})
}

// soak is the load with its samples, and what came of it.
func (s *soak) soak(ctx context.Context) (report, error) {
	loaded, cancel := context.WithTimeout(ctx, s.length+slow)
	defer cancel()
	s.runs++
	r := report{Began: time.Now(), WarmUp: s.warmUp().Seconds()}
	g, working := errgroup.WithContext(loaded)
	for _, work := range s.works() {
		g.Go(func() error {
			if err := work.do(working); err != nil && working.Err() == nil {
				return fmt.Errorf("%s: %w", work.name, err)
			}
			return nil
		})
	}
	g.Go(func() (err error) {
		r.Samples, err = s.sampling(working)
		return err
	})
	g.Go(func() error {
		defer cancel()
		return s.enough(working)
	})
	err := g.Wait()
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return report{}, fmt.Errorf("%w; the daemon's last words:\n%s", err, s.daemon.tail())
	}
	return s.conclude(ctx, r)
}

// slow is how much longer a load lasts where the machine has not come to all of it yet.
const slow = 2 * time.Minute

// enough waits for the load's time, and until all that it is was done at least once.
func (s *soak) enough(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(s.length):
	}
	return each(ctx, 100*time.Millisecond, func(int) error {
		if len(s.missing()) == 0 {
			return errEnough
		}
		return nil
	})
}

// errEnough ends a load in order.
var errEnough = errors.New("the load has lasted long enough")

// missing is what of the load was not done yet.
func (s *soak) missing() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, what := range []string{"container starts", "networks that come and go", "first contacts with " + cdn, "first contacts with " + zone,
		"denied packets of a flood", "denied packets of a nomad", "echoes", "lines of connections", "questions of clients", "denials watched", "SIGHUPs"} {
		if s.done[what] == 0 {
			out = append(out, what)
		}
	}
	return out
}

// conclude looks at what is left when the load has ended.
func (s *soak) conclude(ctx context.Context, r report) (report, error) {
	if err := s.settled(ctx); err != nil {
		s.amiss("in the end: %v", err)
	}
	leaked, err := s.leaked()
	if err != nil {
		return report{}, err
	}
	if err := s.describe(ctx, &r); err != nil {
		return report{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Warnings, r.Warned = s.daemon.worries()
	r.Ended, r.Leaked, r.Wrong, r.Wrongs, r.Done = time.Now(), leaked, s.wrong, s.wrongs, s.done
	r.Rows = judge(r)
	return r, nil
}

// settled says whether the daemon is healthy and the table what a fresh build is, once nothing happens any more.
func (s *soak) settled(ctx context.Context) error {
	return lab.Until(ctx, func() error {
		if err := lab.Succeeds(s.command(ctx, "health")); err != nil {
			return err
		}
		if out, _ := s.command(ctx, "nft", "diff").Output(); len(out) > 0 {
			return fmt.Errorf("the table is not what a fresh build is:\n%s", out)
		}
		return nil
	})
}

// leaked is how many packets arrived that nobody may send.
func (s *soak) leaked() (n uint64, err error) {
	flows, err := s.Flows()
	for _, f := range flows {
		if denied4().Contains(f.Destination) || denied6().Contains(f.Destination) {
			n += f.Packets
		}
	}
	return n, err
}

// Where only denied packets go.
func denied4() netip.Prefix { return netip.MustParsePrefix("198.19.0.0/16") }
func denied6() netip.Prefix { return netip.MustParsePrefix(lab.FarNetB6) }

// count notes that something was done, n times.
func (s *soak) count(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[what] += n
}

// amiss notes what must not be.
func (s *soak) amiss(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wrong++; len(s.wrongs) < 20 {
		s.wrongs = append(s.wrongs, time.Now().Format(time.TimeOnly)+" "+fmt.Sprintf(format, args...))
	}
}
