package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// nft runs it on the host; a refusal is what some tests are about.
func (s *siege) nft(t *testing.T, command string) error {
	t.Helper()
	out, err := s.HostCommand(t.Context(), "nft", strings.Fields(command)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nft %s: %w: %s", command, err, out)
	}
	return nil
}

// edits are a stranger's changes of single parts of the table, most of which open something.
func (s *siege) edits(t *testing.T) []string {
	t.Helper()
	bridge := "br-" + s.docker(t, "network", "inspect", "--format", "{{.Id}}", web)[:12]
	chain := "c_" + s.a.ID[:12]
	return []string{
		"insert rule inet dockerwall forward accept",
		"insert rule inet dockerwall " + chain + " accept",
		"flush chain inet dockerwall forward",
		"flush chain inet dockerwall " + chain,
		"flush set inet dockerwall bridges",
		"flush map inet dockerwall source4",
		fmt.Sprintf("delete element inet dockerwall source4 { %q . %s }", bridge, s.a.addr(t, web)),
		fmt.Sprintf("delete element inet dockerwall bridges { %q }", bridge),
		"add element inet dockerwall " + chain + "_net4 { 203.0.113.64/26 }",
		"delete element inet dockerwall " + chain + "_net4 { 203.0.113.0/29 }",
	}
}

// flushed has a stranger flush everything while the daemon owns the table.
func (s *siege) flushed(t *testing.T) {
	s.attack(t)
	n := often(20, 200)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range n {
		<-tick.C
		if err := s.nft(t, "flush ruleset"); err != nil {
			t.Error(err)
		}
	}
	s.clean(t, "`nft flush ruleset` every 50 ms; table owned", n)
}

// vandalised has a stranger try all else.
func (s *siege) vandalised(t *testing.T) {
	s.attack(t)
	edits := append(s.edits(t), "delete table inet dockerwall", "delete table bridge dockerwall", "delete table ip dockerwall-dns", "delete table ip6 dockerwall-dns")
	n := often(1, 20)
	for range n {
		for _, edit := range edits {
			if err := s.nft(t, edit); err == nil {
				t.Errorf("nft %s: allowed", edit)
			}
		}
	}
	s.clean(t, "tables deleted; rules, elements, sets and chains added, deleted, flushed; table owned", n*len(edits))
}

// ownerless replaces the table by one without an owner, which the daemon adopts and does not come to own.
func (s *siege) ownerless(t *testing.T) {
	t.Helper()
	if s.d != nil {
		s.d.kill9()
		s.host(t, s.binary, "nft", "flush")
	}
	s.load(t, s.settings...)
	s.begin(t)
	s.d.says(t, "without an owner")
}

const repairedLine = "somebody changed table inet dockerwall; repaired"

// mends waits until the daemon says once more that it has repaired the table.
func (s *siege) mends(t *testing.T, before int) {
	t.Helper()
	eventually(t, func() error {
		if strings.Count(s.d.log.String(), repairedLine) == before {
			return fmt.Errorf("nothing is repaired")
		}
		return nil
	})
}

// breaks does each of the changes, and waits until it is repaired.
func (s *siege) breaks(t *testing.T, changes ...string) (sum, []time.Duration) {
	t.Helper()
	var at []time.Time
	for _, change := range changes {
		before := strings.Count(s.d.log.String(), repairedLine)
		at = append(at, time.Now())
		if err := s.nft(t, change); err != nil {
			t.Fatal(err)
		}
		s.mends(t, before)
		s.p.closes()
	}
	all := s.p.stop()
	took := all.repaired(at)
	for i, change := range changes {
		t.Logf("mended within %v: %s", took[i], change)
	}
	return all, took
}

func TestFaultATableWithoutAnOwnerIsChanged(t *testing.T) {
	s := besiege(t)
	for what, changes := range map[string][]string{
		"rules, elements, sets and chains added, deleted, flushed; table without owner": s.edits(t),
		"`nft delete table inet dockerwall`, table without owner":                       {"delete table inet dockerwall"},
		"`nft flush ruleset`, table without owner":                                      {"flush ruleset"},
	} {
		t.Run(what, func(t *testing.T) {
			row := fault{table: ofKernel, what: what}
			for range often(1, 10) {
				s.ownerless(t)
				s.attack(t)
				all, took := s.breaks(t, changes...)
				row.times, row.sum, row.repaired = row.times+len(took), row.sum.plus(all), append(row.repaired, took...)
			}
			row.told(t)
		})
	}
	t.Run("while the daemon is stopped", s.asleep)
	t.Run("while the daemon is dead", s.dead)
}

// asleep has a stranger open the table while nobody can repair it, and hides that behind lost notifications.
func (s *siege) asleep(t *testing.T) {
	row := fault{table: ofKernel, what: "table without owner opened while the daemon is stopped, notification lost (ENOBUFS); from SIGCONT on"}
	for range often(1, 5) {
		s.ownerless(t)
		s.attack(t)
		_ = s.d.cmd.Process.Signal(unix.SIGSTOP)
		if err := s.nft(t, "insert rule inet dockerwall forward accept"); err != nil {
			t.Fatal(err)
		}
		s.noise(t)
		at := time.Now()
		_ = s.d.cmd.Process.Signal(unix.SIGCONT)
		s.d.says(t, "flows cut that are not allowed any more")
		s.p.closes()
		all := s.p.stop()
		row.times, row.sum, row.repaired = row.times+1, row.sum.plus(all), append(row.repaired, all.repaired([]time.Time{at})...)
	}
	row.told(t)
}

// dead has a stranger flush everything while there is no daemon. The next one closes it, and what began meanwhile.
func (s *siege) dead(t *testing.T) {
	s.ownerless(t)
	row := fault{table: ofKernel, what: "`nft flush ruleset` while the daemon is dead, which opens all until it is started again"}
	for range often(1, 5) {
		s.attack(t)
		s.d.kill9()
		at := time.Now()
		if err := s.nft(t, "flush ruleset"); err != nil {
			t.Fatal(err)
		}
		s.again()
		s.healthy(t, s.d)
		s.p.closes()
		all := s.p.stop()
		row.times, row.sum, row.repaired = row.times+1, row.sum.plus(all), append(row.repaired, all.repaired([]time.Time{at})...)
	}
	row.told(t)
}
