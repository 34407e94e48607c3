package observe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func decisions(t *testing.T, path string) (*Decisions, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	d, err := NewDecisions(DecisionsOptions{
		Path: path, Encode: func(d Denial) ([]byte, error) { return json.Marshal(d) }, Logger: slog.New(slog.NewTextHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Reopen)
	return d, &said
}

// lines are the denials in a file; each line must be whole.
func lines(t *testing.T, path string) (out []Denial) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var d Denial
		if err := json.Unmarshal([]byte(line), &d); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, d)
	}
	return out
}

func denialsOf(name string, n int) (out []Denial) {
	for i := range n {
		out = append(out, Denial{Subject: Subject{Name: name}, Target: Target{Dst: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}, Packets: 2, Bytes: 120})
	}
	return out
}

func TestDecisionsSurviveARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	d, _ := decisions(t, path)
	d.Add(denialsOf("web", 1))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	d.Add(denialsOf("web", 2)) // still to the old file
	d.Reopen()
	d.Add(denialsOf("web", 3))
	if old, now := lines(t, path+".old"), lines(t, path); len(old) != 3 || len(now) != 3 {
		t.Errorf("%d lines in the file that was moved, %d in the new one", len(old), len(now))
	}
}

func TestDecisionsAreBoundedAndAddUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	d, _ := decisions(t, path)
	d.Add(append(denialsOf("scanner", 200), denialsOf("web", 3)...))
	count := map[string]int{}
	packets := map[string]uint64{}
	for _, one := range lines(t, path) {
		count[one.Subject.Name]++
		packets[one.Subject.Name] += one.Packets
	}
	if count["scanner"] != maxDecisions+1 || packets["scanner"] != 400 || count["web"] != 3 || packets["web"] != 6 {
		t.Errorf("lines %v, packets %v", count, packets)
	}
}

func TestAFileThatGrowsTooLargeIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	d, _ := decisions(t, path)
	d.Add(denialsOf("web", 1))
	if err := os.Truncate(path, maxDecisionFile-1); err != nil {
		t.Fatal(err)
	}
	d.Reopen()
	d.Add(denialsOf("web", 1))
	if _, err := os.Stat(path + ".1"); err != nil {
		t.Error(err)
	}
	d.Add(denialsOf("web", 1))
	if got := lines(t, path); len(got) != 1 {
		t.Errorf("%d lines in the new file", len(got))
	}
}

// TestAFileThatWasEmptiedIsMeasuredAnew: logrotate's copytruncate empties the file that is being written.
func TestAFileThatWasEmptiedIsMeasuredAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxDecisionFile-2000); err != nil {
		t.Fatal(err)
	}
	d, _ := decisions(t, path)
	d.Add(denialsOf("web", 1))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		d.Add(denialsOf("web", 1))
	}
	if _, err := os.Stat(path + ".1"); err == nil {
		t.Error("it was put aside, in place of the one before")
	}
}

func TestDecisionsThatCannotBeWrittenAreSaidOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	d, said := decisions(t, filepath.Join(dir, "decisions.jsonl"))
	for range 3 {
		d.Add(denialsOf("web", 1))
	}
	if n := strings.Count(said.String(), "not written down"); n != 1 || !strings.Contains(said.String(), "make the directory") {
		t.Errorf("said %d times: %s", n, said)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d.Reopen()
	d.Add(denialsOf("web", 1))
	if !strings.Contains(said.String(), "written down again") || len(lines(t, filepath.Join(dir, "decisions.jsonl"))) != 1 {
		t.Errorf("not written again: %s", said)
	}
}

// A pipe that nobody reads, or whose reader hangs, costs its lines and nothing else: neither what is told after it nor the
// end of the daemon waits.
func TestDecisionsDoNotWaitForAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	d, said := decisions(t, path)
	within := func(what string, do func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { do(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it waits", what)
		}
	}
	within("without a reader", func() { d.Add(denialsOf("web", 1)); d.Reopen() })
	if !strings.Contains(said.String(), "have a program read") {
		t.Errorf("it says %s", said)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	d.Add(denialsOf("web", 1))
	var line Denial
	if err := json.NewDecoder(reader).Decode(&line); err != nil || line.Subject.Name != "web" {
		t.Errorf("read %+v: %v", line, err)
	}
	said.Reset()
	within("a reader that hangs", func() {
		for i := 0; said.Len() == 0 && i < 10_000; i++ {
			d.Add(denialsOf("web", 20))
		}
		d.Reopen()
	})
	if n := strings.Count(said.String(), "not written down"); n != 1 {
		t.Errorf("said %d times: %s", n, said)
	}
}

// What is no file on disk is not put aside, however much it took: it may be the terminal.
func TestAPipeIsNotPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	d, _ := decisions(t, path)
	d.Add(denialsOf("web", 1))
	d.size = maxDecisionFile
	d.Add(denialsOf("web", 1))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A full disk is /dev/full: every write to it fails with ENOSPC.
func TestAFullDiskCostsNothingButTheLines(t *testing.T) {
	d, said := decisions(t, "/dev/full")
	d.Add(denialsOf("web", 1))
	d.Add(denialsOf("web", 1))
	if n := strings.Count(said.String(), "no space left"); n != 1 {
		t.Errorf("said %d times: %s", n, said)
	}
}

func TestWhatCannotBeEncodedIsLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "decisions.jsonl")
	d, err := NewDecisions(DecisionsOptions{Path: path, Encode: func(d Denial) ([]byte, error) {
		if d.Subject.Name == "bad" {
			return nil, fmt.Errorf("no")
		}
		return json.Marshal(d)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Reopen)
	d.Add(append(denialsOf("bad", 1), denialsOf("web", 1)...))
	if got := lines(t, path); len(got) != 1 || got[0].Subject.Name != "web" {
		t.Errorf("%+v", got)
	}
}

func TestDecisionsWantAPath(t *testing.T) {
	if _, err := NewDecisions(DecisionsOptions{}); err == nil {
		t.Error("accepted")
	}
}
