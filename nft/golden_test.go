package nft

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the wanted part of the golden files")

// TestGolden holds the text of each scenario against its golden, and value, text and kernel against one
// another: what a commit makes lists like what nft loads.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../testdata/ruleset/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r := scenario(t, archive)
			if *update {
				want := part(t, archive, "want.nft")
				want.Data = []byte(r.String())
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(part(t, archive, "want.nft").Data), r.String()); diff != "" {
				t.Errorf("text differs, want (-), got (+); go test ./nft -run Golden -update rewrites it:\n%s", diff)
			}
			equalInKernel(t, r)
		})
	}
}

// scenario is the ruleset of an archive; its JSON must be what the value is written as.
func scenario(t *testing.T, archive *txtar.Archive) Ruleset {
	t.Helper()
	if len(bytes.TrimSpace(archive.Comment)) == 0 {
		t.Error("no sentence says why this scenario exists")
	}
	text := part(t, archive, "ruleset.json").Data
	var r Ruleset
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)+"\n"); diff != "" {
		t.Errorf("the value is written otherwise than it was read (-):\n%s", diff)
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

func part(t *testing.T, archive *txtar.Archive, name string) *txtar.File {
	t.Helper()
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			return &archive.Files[i]
		}
	}
	t.Fatalf("no part %s", name)
	return nil
}

func equalInKernel(t *testing.T, r Ruleset) {
	t.Helper()
	n, ref := namespace(t), reference{namespace(t)}
	lab.Nft(t, n, r.String(), "-c", "-f", "-")
	apply(t, open(t, n), r)
	sameTable(t, n, ref, r, "committed")
}
