package overlay

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/policy"
)

// written is the file of a store with something of everything.
func written(t *testing.T, c *clocks) (path, text string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), FileName)
	s := open(t, c.options(path))
	must(t, s.Grant(Wish{ID: idA, Name: "a", For: second}, tokens("example.com, !192.0.2.1")), s.SetMode(Wish{ID: idA, Name: "a"}, policy.ModeAudit),
		s.Pause(Wish{ID: idB, Name: "b", For: second}), s.SetMode(Wish{For: second}, policy.ModeAudit))
	read, err := os.ReadFile(path)
	must(t, err)
	return path, string(read)
}

func TestAFileThatIsNotAsItWasWrittenIsKeptAsideAndCountsForNothing(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"half of it":                  func(s string) string { return s[:len(s)/2] },
		"nothing in it":               func(string) string { return "" },
		"something behind it":         func(s string) string { return s + "{}" },
		"a key that is not known":     func(s string) string { return strings.Replace(s, `"name"`, `"nmae"`, 1) },
		"a token that is none":        func(s string) string { return strings.Replace(s, "example.com", "exam ple.com", 1) },
		"two tokens in one":           func(s string) string { return strings.Replace(s, "example.com", "example.com,*", 1) },
		"a token twice":               func(s string) string { return strings.Replace(s, "!192.0.2.1", "example.com", 1) },
		"a token in other words":      func(s string) string { return strings.Replace(s, "example.com", "EXAMPLE.com", 1) },
		"an ID that is none":          func(s string) string { return strings.Replace(s, idA, idA[:12], 1) },
		"a container twice":           func(s string) string { return strings.Replace(s, idB, idA, 1) },
		"a mode that is none":         func(s string) string { return strings.Replace(s, `"mode": "audit"`, `"mode": "off"`, 1) },
		"an end that is far away":     func(s string) string { return strings.ReplaceAll(s, "2026-11-26T12:00:01Z", "2036-11-26T12:00:01Z") },
		"an end by one clock only":    func(s string) string { return strings.ReplaceAll(s, `"until": "2026-11-26T12:00:01Z",`, "") },
		"another kind":                func(s string) string { return strings.Replace(s, "Overlay", "Ruleset", 1) },
		"more than a file may have":   func(s string) string { return s + strings.Repeat(" ", maxFile) },
		"a mode for good with an end": func(s string) string { return strings.Replace(s, `"temporary"`, `"set"`, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocks()
			path, text := written(t, c)
			broken := change(text)
			if broken == text {
				t.Fatal("it is as it was written")
			}
			must(t, os.WriteFile(path, []byte(broken), 0o600))
			s := open(t, c.options(path))
			wants(t, s)
			if err := s.Err(); !errors.Is(err, ErrLost) || !s.Kept() {
				t.Errorf("error %v, kept %v", err, s.Kept())
			}
			if kept, err := os.ReadFile(path + ".bad"); err != nil || string(kept) != broken {
				t.Errorf("it was not kept aside: %v", err)
			}
			must(t, s.Grant(Wish{ID: idA, Name: "a"}, tokens("other.example")))
			s = open(t, c.options(path))
			wants(t, s, "a other.example")
			if s.Err() == nil {
				t.Error("after a restart nobody is told")
			}
			must(t, os.Remove(path+".bad"))
			if err := s.Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFileThatIsNotOursToReadIsLeftAlone(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, path, text string){
		"of a newer version": func(t *testing.T, path, text string) {
			must(t, os.WriteFile(path, []byte(strings.Replace(text, `"v1"`, `"v2"`, 1)), 0o600))
		},
		"a link":      func(t *testing.T, path, _ string) { must(t, os.Remove(path), os.Symlink("/dev/zero", path)) },
		"a directory": func(t *testing.T, path, _ string) { must(t, os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClocks()
			path, text := written(t, c)
			make(t, path, text)
			before, err := os.Lstat(path)
			must(t, err)
			s := open(t, c.options(path))
			wants(t, s)
			if !errors.Is(s.Err(), ErrLost) || s.Kept() {
				t.Errorf("error %v, kept %v", s.Err(), s.Kept())
			}
			must(t, s.Grant(Wish{ID: idA, Name: "a"}, tokens("other.example")))
			wants(t, s, "a other.example")
			if after, err := os.Lstat(path); err != nil || after.ModTime() != before.ModTime() {
				t.Errorf("the file was touched: %v", err)
			}
		})
	}
}

func FuzzAFileNeverOpensMoreThanItSays(f *testing.F) {
	c := newClocks()
	for _, text := range []string{`{}`, `{"apiVersion":"v1","kind":"Overlay","spec":{"containers":[]}}`,
		`{"apiVersion":"v1","kind":"Overlay","spec":{"boot":"first","containers":[{"id":"` + idA + `","name":"a","tokens":[{"token":"*","by":0,"at":"2026-11-26T12:00:00Z"}]}]}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decode(text, "first", instant{c.wall, c.since})
		if err != nil {
			if got.host != (mode{}) || got.containers != nil {
				t.Error("something counts of a file that is broken")
			}
			return
		}
		again, err := encode(got, "first")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again, "first", instant{c.wall, c.since}); err != nil {
			t.Errorf("what is written cannot be read: %v\n%s", err, again)
		}
	})
}

func TestReadChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	if o, err := Read(Options{Path: path}); err != nil || o.Enforce != nil || len(o.Containers) > 0 {
		t.Errorf("no file: %v, %v", o, err)
	}
	s, err := New(Options{Path: path})
	if err == nil {
		err = errors.Join(s.SetMode(Wish{}, policy.ModeAudit), s.SetMode(Wish{ID: strings.Repeat("a", 64), Name: "web"}, policy.ModeAudit))
	}
	if err != nil {
		t.Fatal(err)
	}
	for dry, enforce := range map[bool]bool{false: true, true: false} { // what the settings say, too, is nothing
		o, err := Read(Options{Path: path, DryRun: dry})
		if err != nil || (o.Enforce != nil) != enforce || o.Containers[strings.Repeat("a", 64)].Mode == nil {
			t.Errorf("%v: %+v, %v", dry, o, err)
		}
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(Options{Path: path}); !errors.Is(err, errBroken) {
		t.Errorf("a broken file: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "{" || err != nil {
		t.Errorf("the file is %q, %v", text, err)
	}
}
