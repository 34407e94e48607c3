package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestWatchUnderAFlood has a container send 10,000 denied packets a second for ten seconds.
func TestWatchUnderAFlood(t *testing.T) {
	const (
		seconds, perSecond, destinations = 10, 10_000, 4
		each                             = seconds * perSecond / destinations
	)
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	b := w.run(t, lab.RunSpec{Name: "flooder", Network: web})
	b.isKeptFrom(t, "udp 203.0.113.2:9") // its rules are there
	s := w.watch(t, "--last=0")
	eventually(t, func() error {
		_ = b.try(t.Context(), "udp 203.0.113.2:10")
		if s.packets("203.0.113.2:10") == 0 {
			return fmt.Errorf("watch does not show anything: %s", s.said.String())
		}
		return nil
	})
	before, began, cpu := w.scrape(t), time.Now(), cpuOf(t, d.cmd.Process.Pid)
	b.pour(t, "203.0.113.8", destinations, seconds, perSecond)
	took, used := time.Since(began), cpuOf(t, d.cmd.Process.Pid)-cpu
	eventually(t, func() error {
		if n := s.packets("203.0.113.8:"); n != destinations*each {
			return fmt.Errorf("%d packets shown of %d", n, destinations*each)
		}
		return nil
	})
	if n := w.scrape(t).packets(b, "drop") - before.packets(b, "drop"); n != destinations*each {
		t.Errorf("%v packets counted of %d", n, destinations*each)
	}
	for port := 9000; port < 9000+destinations; port++ {
		lines := s.about(fmt.Sprintf(" flooder -> 203.0.113.8:%d udp x", port))
		if n := s.packets(fmt.Sprintf("203.0.113.8:%d udp", port)); n != each {
			t.Errorf("to port %d %d packets shown of %d", port, n, each)
		}
		if most := int(took/time.Second) + 2; len(lines) > most || len(lines) < 3 {
			t.Errorf("to port %d %d lines in %v", port, len(lines), took)
		}
		for i := range lines[1:] {
			if gap := lines[i+1].at.Sub(lines[i].at); gap < 400*time.Millisecond { // the first may have been read late, by a busy test
				t.Errorf("to port %d two lines within %v", port, gap)
			}
		}
	}
	if said := s.said.String(); said != "" {
		t.Errorf("it says %s", said)
	}
	t.Logf("%d packets in %v; the daemon used %v, %.1f %% of a core; %d lines", destinations*each, took, used, 100*used.Seconds()/took.Seconds(), len(s.all()))
	if used > took/5 {
		t.Errorf("the daemon used %v in %v", used, took)
	}
}

// about are the lines that have the text.
func (s *screen) about(text string) []shownLine {
	return slices.DeleteFunc(s.all(), func(line shownLine) bool { return !strings.Contains(line.text, text) })
}

// pour sends udp packets from the container's namespace to ports from 9000 on, evenly.
func (b *box) pour(t *testing.T, to string, ports, seconds, perSecond int) {
	t.Helper()
	var conns []net.Conn
	for i := range ports {
		conn, err := b.ns.Dial(t.Context(), "udp", net.JoinHostPort(to, strconv.Itoa(9000+i)))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		conns = append(conns, conn)
	}
	tick, began := time.NewTicker(5*time.Millisecond), time.Now()
	defer tick.Stop()
	for sent := 0; sent < seconds*perSecond; <-tick.C {
		due := min(int(time.Since(began).Seconds()*float64(perSecond)), seconds*perSecond)
		for sent < due {
			if _, err := conns[sent%ports].Write([]byte("flood")); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
}

// cpuOf is the time that a process has used, user's and system's (proc(5), stat).
func cpuOf(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100
}
