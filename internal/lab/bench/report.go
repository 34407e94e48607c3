package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

// report is all of a run.
type report struct {
	Machine    machine       `json:"machine"`
	Rounds     int           `json:"rounds"`
	LoadBefore string        `json:"load_before"` // of 1, 5 and 15 minutes
	LoadAfter  string        `json:"load_after"`
	Figures    []pair.Figure `json:"figures"`
}

// machine is on what it was measured.
type machine struct {
	Kernel string `json:"kernel"`
	CPUs   int    `json:"cpus"`
	Go     string `json:"go"`
}

func thisMachine() machine {
	var name unix.Utsname
	_ = unix.Uname(&name) // it has no error but a bad pointer
	return machine{unix.ByteSliceToString(name.Release[:]), runtime.NumCPU(), runtime.Version()}
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// readFigures reads what benchmarks reported, one object a line. A benchmark that ran twice counts as it ran last.
func readFigures(file string) ([]pair.Figure, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []pair.Figure
	for line := range bytes.Lines(text) {
		var f pair.Figure
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("what was measured cannot be read: %w", err)
		}
		if i := find(out, f); i >= 0 {
			out[i] = f
		} else {
			out = append(out, f)
		}
	}
	return out, nil
}

// find returns where the figure of the same case is, -1 if nowhere.
func find(all []pair.Figure, f pair.Figure) int {
	for i, g := range all {
		if g.Case == f.Case && g.N == f.N && g.Unit == f.Unit && g.Beside == f.Beside {
			return i
		}
	}
	return -1
}

func read(file string) (r report, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil || len(r.Figures) == 0 {
		return r, errors.Join(fmt.Errorf("%s is not what bench -json wrote", file), err)
	}
	return r, nil
}

func (r report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
