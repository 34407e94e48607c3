package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const (
	edits   = 10   // of which the 95th percentile is taken
	maxEdit = 1000 // ms
)

// BenchmarkBudgetPolicyFile takes the time from a file's new content to the commit, with a rule for all containers that are
// listed: that allows one address more, and that comes anew, so that every container's chain changes. The tenth of a second
// in which a directory has to be quiet is in it.
func BenchmarkBudgetPolicyFile(b *testing.B) {
	c := newCrowd(b, crowded)
	dir := b.TempDir()
	d, _ := c.whole(b, "DOCKERWALL_POLICY_DIR="+dir)
	heard := c.commits(b)
	write := func(name, text string) {
		next := filepath.Join(dir, ".next")
		if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
	}
	const rule = "policies:\n  - match: {container: \"*\"}\n    allow: [%s]\n"
	figure := func(what string) pair.Figure {
		return pair.Figure{Case: "policy file, " + what, N: crowded, Unit: "ms", Max: maxEdit, P95: true}
	}
	more, anew := figure("an address more for all"), figure("a rule more for all")
	edit := func(f *pair.Figure, name string, addr netip.Addr, others string) {
		heard.quiet(b)
		committed, began := heard.of(addr), time.Now()
		write(name, fmt.Sprintf(rule, others+addr.String()))
		f.Ours = append(f.Ours, milliseconds(before(b, committed, addr.String()).Sub(began)))
	}
	var first pair.Figure // makes the rule
	edit(&first, "10-all.yaml", netip.MustParseAddr("192.0.2.99"), "")
	for i := range edits {
		edit(&more, "10-all.yaml", netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)}), "192.0.2.99, ")
	}
	for i := range edits {
		edit(&anew, "20-all.yaml", netip.AddrFrom4([4]byte{192, 0, 2, byte(200 + i)}), "")
		heard.quiet(b)
		before := strings.Count(d.log.String(), "table committed")
		if err := os.Remove(filepath.Join(dir, "20-all.yaml")); err != nil {
			b.Fatal(err)
		}
		eventually(b, func() error { // the next one is not to wait for this commit
			if strings.Count(d.log.String(), "table committed") == before {
				return errors.New("the rule stands")
			}
			return nil
		})
	}
	publish(b, more, anew)
}
