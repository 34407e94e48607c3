package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faults has each fault come as often as docs/faults.md says: `make faults`.
var faults = flag.Bool("faults", false, "break things as often as docs/faults.md says, which takes long; with -update, write its rows")

// often is how many times a fault comes: long under `make faults`, short otherwise.
func often(short, long int) int {
	if *faults {
		return long
	}
	return short
}

// The tables of docs/faults.md.
const (
	ofKernel = "kernel and process"
	ofDocker = "Docker"
)

// fault is a row of docs/faults.md.
type fault struct {
	table    string // ofKernel or ofDocker
	what     string // a sentence; no two rows have the same
	times    int
	sum      sum
	repaired []time.Duration // of each time that opened or closed something; 0 are left out
}

// row is the fault in the table.
func (f fault) row() string {
	took := slices.DeleteFunc(slices.Clone(f.repaired), func(d time.Duration) bool { return d == 0 })
	slices.Sort(took)
	repaired := "–"
	if n := len(took); n > 0 {
		repaired = fmt.Sprintf("%v, %v", took[n/2].Round(time.Millisecond), took[n-1].Round(time.Millisecond))
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %s |\n", f.what, f.times, f.sum.Sent, f.sum.Leaked, f.sum.Lost, repaired)
}

// told prints the row and, in a run of `make faults`, puts it into its table: in place of the one of that name, or below.
func (f fault) told(t *testing.T) {
	t.Helper()
	t.Logf("row: %s%s", f.row(), f.sum)
	if !*faults || !*update || t.Failed() {
		return
	}
	file, err := os.OpenFile(filepath.Join("..", "..", "docs", "faults.md"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil { // tests run beside one another
		t.Fatal(err)
	}
	text := document(t, "docs/faults.md")
	text = f.put(t, text)
	if err := os.WriteFile(file.Name(), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// put is a page with the row in its table. Tables without rows are alike, so that the mark before them counts.
func (f fault) put(t *testing.T, page string) string {
	t.Helper()
	old := between(t, page, f.table)
	rows := strings.SplitAfter(old, "\n")
	rows = rows[:len(rows)-1]
	same := func(row string) bool { return strings.HasPrefix(row, "| "+f.what+" |") }
	if i := slices.IndexFunc(rows, same); i >= 0 {
		rows[i] = f.row()
	} else {
		rows = append(rows, f.row())
	}
	before, after, _ := strings.Cut(page, "<!-- "+f.table+" -->")
	return before + "<!-- " + f.table + " -->" + strings.Replace(after, old, strings.Join(rows, ""), 1)
}

func TestARowGoesToItsOwnTable(t *testing.T) {
	page := "<!-- a -->\n| x |\n<!-- /a -->\n<!-- b -->\n| x |\n<!-- /b -->\n"
	f := fault{table: "b", what: "it breaks", times: 1}
	want := strings.Replace(page, "| x |\n<!-- /b -->", "| x |\n"+f.row()+"<!-- /b -->", 1)
	for range 2 { // the second time in place of itself
		if page = f.put(t, page); page != want {
			t.Errorf("got\n%s", page)
		}
	}
}
