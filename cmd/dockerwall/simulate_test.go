package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// localTime is a time in a test's file, which is this host's, whatever zone it is in.
var localTime = regexp.MustCompile(`"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)L"`)

func inLocalTime(t *testing.T, text []byte) []byte {
	return localTime.ReplaceAllFunc(text, func(m []byte) []byte {
		at, err := time.ParseInLocation("2006-01-02T15:04:05", string(localTime.FindSubmatch(m)[1]), time.Local)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(strconv.Quote(at.Format(time.RFC3339)))
	})
}

// TestASimulationSays replays saved observations: no daemon, no Docker and no root is needed.
func TestASimulationSays(t *testing.T) {
	files, err := filepath.Glob("testdata/simulate/*.txtar")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, part := t.TempDir(), map[string]*txtar.File{}
			for i := range archive.Files {
				f := &archive.Files[i]
				part[f.Name] = f
				path := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, inLocalTime(t, f.Data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			args := append([]string{"check", "--simulate", "--observations", "seen.json"}, strings.Fields(string(part["args"].Data))...)
			got := command(t, args...)
			want := strings.TrimSpace(string(part["code"].Data))
			if *update {
				part["out"].Data, part["err"].Data, part["code"].Data = []byte(got.out), []byte(got.err), fmt.Appendln(nil, got.code)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(part["out"].Data), got.out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(string(part["err"].Data), got.err); diff != "" {
				t.Errorf("on stderr (-want +got):\n%s", diff)
			}
			if strconv.Itoa(got.code) != want {
				t.Errorf("exit %d, want %s", got.code, want)
			}
		})
	}
}
