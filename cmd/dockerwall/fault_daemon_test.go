package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestFaultsOfTheDaemon come one after another to one host, where the daemon owns its table.
func TestFaultsOfTheDaemon(t *testing.T) {
	s := besiege(t)
	s.begin(t)
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"a stranger flushes everything", s.flushed},
		{"a stranger changes the table", s.vandalised},
		{"stopped for five seconds", s.stopped},
		{"more notifications than it can take", s.deafened},
		{"killed while it is busy", s.killed},
		{"no room on the disk", s.full},
		{"no more files", s.starved},
	} {
		t.Run(c.name, c.test)
	}
}

// clean ends the packets. The row says that nothing leaked and nothing was lost, and the table is what a fresh build is.
func (s *siege) clean(t *testing.T, what string, times int) {
	t.Helper()
	s.p.goesOn(25)
	sum := s.p.stop()
	sum.clean(t)
	fault{table: ofKernel, what: what, times: times, sum: sum}.told(t)
	eventually(t, func() error {
		if diff, _ := s.command(t.Context(), append([]string{"nft", "diff"}, s.settings...)...).Output(); len(diff) > 0 {
			return fmt.Errorf("the table is not what a fresh build is:\n%s", diff)
		}
		return nil
	})
}

// busy has names learned and containers come and go until the function that it returns is called.
func (s *siege) busy(t *testing.T) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running errgroup.Group
	running.Go(func() error { return s.asking(ctx) })
	mover := s.labelled(t, "203.0.113.7")
	running.Go(func() error {
		for ctx.Err() == nil {
			for _, act := range []string{"connect", "disconnect"} {
				if _, err := s.engine.CLI(t.Context(), "network", act, other, mover.ID); err != nil {
					return err
				}
			}
			c, err := s.engine.Run(t.Context(), lab.RunSpec{Network: web, Cmd: []string{"sleep"}, Labels: map[string]string{"dockerwall.outbound": "203.0.113.6"}})
			if err != nil {
				return err
			}
			if err := c.Remove(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	return func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// asking looks up a name that nobody asked for before, twenty times a second, from a container.
func (s *siege) asking(ctx context.Context) error {
	var d net.Resolver
	d.PreferGo = true
	d.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return s.a.ns.Dial(ctx, network, "127.0.0.11:53")
	}
	i := 1000
	return ticking(ctx, 20, func() error {
		i++
		var err error
		for range 4 { // an answer that waits in the queue of a daemon that is killed is lost, and asked for again
			if _, err = d.LookupNetIP(ctx, "ip4", fmt.Sprintf("n%d.busy.fresh.example", i)); err == nil || ctx.Err() != nil {
				return nil
			}
		}
		return fmt.Errorf("DNS does not go on: %w", err)
	})
}

// killed has it die at any moment: as it starts, reads the table back, prepares, commits, learns.
func (s *siege) killed(t *testing.T) {
	stop := s.busy(t)
	s.attack(t)
	n := often(30, 500)
	instants := rand.New(rand.NewPCG(6, 8))
	for i := range n {
		if i%2 == 0 {
			s.d.says(t, "DNS answers are learned from")
		}
		<-time.After(time.Duration(instants.Int64N(int64(300 * time.Millisecond))))
		s.d.kill9()
		s.again()
	}
	s.healthy(t, s.d)
	stop()
	s.clean(t, "`kill -9` at random instants, while names are learned and containers come and go", n)
}

// stopped has it sleep. DNS and what is allowed go on; who comes meanwhile is denied until it wakes.
func (s *siege) stopped(t *testing.T) {
	s.attack(t)
	n := often(1, 10)
	for range n {
		_ = s.d.cmd.Process.Signal(unix.SIGSTOP)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := s.asking(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		young := s.labelled(t, "203.0.113.6")
		young.isKeptFrom(t, "tcp 203.0.113.6:80", "tcp 203.0.113.8:80")
		_ = s.d.cmd.Process.Signal(unix.SIGCONT)
		young.reaches(t, "tcp 203.0.113.6:80")
		young.isKeptFrom(t, "tcp 203.0.113.8:80")
		s.healthy(t, s.d)
	}
	s.clean(t, "SIGSTOP for 5 s, SIGCONT", n)
}

// noise has a stranger's table send more notifications than a socket of eight megabytes holds.
func (s *siege) noise(t *testing.T) {
	t.Helper()
	var all strings.Builder
	for i := range 1 << 16 {
		fmt.Fprintf(&all, "10.%d.%d.1,", i>>8, i&0xff)
	}
	add := "table inet noise { set s { type ipv4_addr; }; }\nadd element inet noise s { " + all.String() + " }\n"
	for range 4 {
		lab.Nft(t, s.Host, add, "-f", "-")
		lab.Nft(t, s.Host, "delete table inet noise\n", "-f", "-")
	}
}

// deafened has notifications lost, of which the socket tells (ENOBUFS).
func (s *siege) deafened(t *testing.T) {
	s.attack(t)
	const family = "\ndockerwall_nftables_notifications_lost_total "
	n := often(1, 5)
	for i := range n {
		_ = s.d.cmd.Process.Signal(unix.SIGSTOP)
		s.noise(t)
		_ = s.d.cmd.Process.Signal(unix.SIGCONT)
		eventually(t, func() error {
			text, err := s.Host.Get(t.Context(), "http://127.0.0.1:50000/metrics")
			_, value, _ := strings.Cut(text, family)
			value, _, _ = strings.Cut(value, "\n")
			if lost, _ := strconv.Atoi(value); err != nil || lost <= i {
				return fmt.Errorf("notifications were lost %q times, which tests nothing; %w", value, err)
			}
			return nil
		})
		s.healthy(t, s.d)
	}
	s.clean(t, "notifications of nf_tables lost (ENOBUFS)", n)
}

// full has no room for its state and its decision log.
func (s *siege) full(t *testing.T) {
	s.d.stop()
	s.host(t, "sh", "-ec", "mkdir -p /run/full && mount -t tmpfs -o size=64k tmpfs /run/full && ! dd if=/dev/zero of=/run/full/all bs=1k 2>/dev/null")
	s.attack(t)
	s.again("DOCKERWALL_STATE_DIR=/run/full/state", "DOCKERWALL_DECISION_LOG=/run/full/decisions")
	s.healthy(t, s.d)
	s.d.says(t, "no space left on device")
	s.p.goesOn(100)
	s.d.stop()
	if n := strings.Count(s.d.log.String(), "no space left on device"); n > 6 {
		t.Errorf("said %d times:\n%s", n, tail(s.d.log.String()))
	}
	s.again()
	s.healthy(t, s.d)
	s.clean(t, "no room for state files and the decision log, at start and at the end", 1)
}

// timedOut is the exit code of timeout(1) for a program that went on.
const timedOut = 124

// starved has no file descriptors left: first as it runs, then at its start.
func (s *siege) starved(t *testing.T) {
	s.attack(t)
	pid := s.d.cmd.Process.Pid
	var was unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	young := s.labelled(t, "203.0.113.6")
	young.isKeptFrom(t, "tcp 203.0.113.8:80")
	s.p.goesOn(250)
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
		t.Fatal(err)
	}
	young.reaches(t, "tcp 203.0.113.6:80")
	young.isKeptFrom(t, "tcp 203.0.113.8:80")
	s.healthy(t, s.d)
	s.d.kill9()
	// With few it ends with the remedy; with some more it may go on and say what it cannot do.
	for files, codes := range map[string][]int{"3": {exitFailure}, "12": {exitFailure, timedOut}, "16": {exitFailure, timedOut}} {
		out, err := s.HostCommand(t.Context(), "timeout", "3", "sh", "-c", `ulimit -n "$1"; exec "$2" run`, "sh", files, s.binary).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !slices.Contains(codes, exit.ExitCode()) || !strings.Contains(string(out), "too many open files") {
			t.Errorf("with %s files: %v\n%s", files, err, out)
		}
		if exit != nil && exit.ExitCode() == exitFailure && !strings.Contains(string(out), "raise the limit of open files") {
			t.Errorf("with %s files, no remedy:\n%s", files, out)
		}
	}
	s.again()
	s.healthy(t, s.d)
	s.clean(t, "no file descriptors left, while it runs and at its start", 4)
}
