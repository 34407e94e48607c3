package operator

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// place is a directory of files, and one of state.
type place struct {
	t          *testing.T
	dir, state string
}

func newPlace(t *testing.T) place {
	root := t.TempDir()
	p := place{t, filepath.Join(root, "policy.d"), filepath.Join(root, "state")}
	p.must(os.Mkdir(p.dir, 0o755))
	return p
}

func (p place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p place) write(name, text string) {
	p.t.Helper()
	p.must(os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644))
}

func (p place) store() *Store { return NewStore(Options{Dir: p.dir, StateDir: p.state}) }

// says is what the rules of a store do, by file.
func says(s *Store) string {
	var out []string
	for _, r := range s.Policies().Rules {
		out = append(out, r.File+":"+r.Match.Container[0])
	}
	return strings.Join(out, " ")
}

func rule(container string) string {
	return "policies:\n  - match: {container: " + container + "}\n    mode: audit\n"
}

// TestWhatBecomesOfAFile has a good file in force, does something to it, and looks again, twice: by the same store, and by one
// that starts then. Whatever cannot be read is bad, and what was in force stays.
func TestWhatBecomesOfAFile(t *testing.T) {
	const was = "a.yaml:one"
	tests := map[string]struct {
		do            func(p place, a string)
		want, problem string
	}{
		"nothing":              {func(place, string) {}, was, ""},
		"a new version":        {func(p place, _ string) { p.write("a.yaml", rule("two")) }, "a.yaml:two", ""},
		"replaced by a rename": {func(p place, a string) { p.write("new", rule("two")); p.must(os.Rename(p.dir+"/new", a)) }, "a.yaml:two", ""},
		"half written":         {func(p place, _ string) { p.write("a.yaml", rule("two")[:30]) }, was, "a.yaml:2: error: this is not YAML"},
		"truncated":            {func(p place, _ string) { p.write("a.yaml", "") }, was, "a.yaml:1: error: the file is empty"},
		"10 MB":                {func(p place, _ string) { p.write("a.yaml", rule("two")+"#"+strings.Repeat("x", 10<<20)) }, was, "a.yaml: error: the file is larger than 1 MiB"},
		"removed":              {func(p place, a string) { p.must(os.Remove(a)) }, "", ""},
		"renamed":              {func(p place, a string) { p.must(os.Rename(a, p.dir+"/b.yml")) }, "b.yml:one", ""},
		"renamed to no policy": {func(p place, a string) { p.must(os.Rename(a, a+".bak")) }, "", ""},
		"anybody may write":    {func(p place, a string) { p.must(os.Chmod(a, 0o666)) }, was, "a.yaml: error: anybody may write to the file"},
		"a directory":          {func(p place, a string) { p.must(os.Remove(a)); p.must(os.Mkdir(a, 0o755)) }, was, "a.yaml: error: this is a directory"},
		"a FIFO":               {func(p place, a string) { p.must(os.Remove(a)); p.must(unix.Mkfifo(a, 0o644)) }, was, "a.yaml: error: this is not a regular file"},
		"a link to a FIFO": {func(p place, a string) {
			p.must(os.Remove(a))
			p.must(unix.Mkfifo(p.dir+"/f", 0o644))
			p.must(os.Symlink("f", a))
		}, was, "a.yaml: error: this is not a regular file"},
		"a link to a device": {func(p place, a string) { p.must(os.Remove(a)); p.must(os.Symlink("/dev/zero", a)) }, was, "a.yaml: error: this is not a regular file"},
		"a link to itself":   {func(p place, a string) { p.must(os.Remove(a)); p.must(os.Symlink("a.yaml", a)) }, was, "a.yaml: error: the symbolic link leads to itself"},
		"a link to nothing":  {func(p place, a string) { p.must(os.Remove(a)); p.must(os.Symlink("none", a)) }, was, "a.yaml: error: the symbolic link leads to nothing"},
		"a link to another": {func(p place, a string) {
			p.write(".data", rule("two"))
			p.must(os.Remove(a))
			p.must(os.Symlink(".data", a))
		}, "a.yaml:two", ""},
		"the directory is gone": {func(p place, _ string) { p.must(os.Rename(p.dir, p.dir+".old")) }, was, "error: the directory of policy files is not there any more"},
		"the directory is a file": {func(p place, _ string) {
			p.must(os.Rename(p.dir, p.dir+".old"))
			p.must(os.WriteFile(p.dir, nil, 0o644))
		}, was, "error: the directory of policy files cannot be read: not a directory"},
		"anybody may write to the directory": {func(p place, _ string) { p.write("a.yaml", rule("two")); p.must(os.Chmod(p.dir, 0o777)) }, was, "error: anybody may write to the directory"},
		"files without end": {func(p place, _ string) {
			for i := range maxFiles {
				p.write("b"+strconv.Itoa(i)+".yml", "policies: []\n")
			}
		}, was, "error: the directory has 257 policy files"},
		"a name of two lines": {func(p place, _ string) { p.write("b\n.yaml", rule("two")) }, was, "b.yaml: error: the name of the file has characters that are not printable"},
		"other names": {func(p place, _ string) {
			for _, name := range []string{".a.yaml", "a.yaml~", "README", "b.yaml.dpkg-old", ".#a.yaml"} {
				p.write(name, badText)
			}
		}, was, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.write("a.yaml", rule("one"))
			s := p.store()
			s.Reload()
			if got := says(s); got != was || len(s.Problems()) > 0 {
				t.Fatalf("%s, %v", got, s.Problems())
			}
			tt.do(p, filepath.Join(p.dir, "a.yaml"))
			s.Reload()
			check := func(s *Store) {
				t.Helper()
				if got := says(s); got != tt.want {
					t.Errorf("in force: %q, want %q", got, tt.want)
				}
				problems := s.Problems()
				if tt.problem == "" && len(problems) > 0 || tt.problem != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].String(), tt.problem)) {
					t.Errorf("%v, want %s", problems, tt.problem)
				}
			}
			check(s)
			check(p.store())
		})
	}
}

func TestPermissions(t *testing.T) {
	p := newPlace(t)
	p.state = ""
	for dir := p.dir; dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		p.must(os.Chmod(dir, 0o755))
	}
	p.write("a.yaml", rule("one"))
	s := p.store()
	p.must(os.Chmod(filepath.Join(p.dir, "a.yaml"), 0))
	others(t, func() { s.Reload() })
	if got := s.Problems(); says(s) != "a.yaml:one" || len(got) != 1 || !strings.HasPrefix(got[0].String(), "a.yaml: error: the file cannot be read: permission denied") {
		t.Errorf("%s, %v", says(s), got)
	}
	p.must(os.Chmod(p.dir, 0))
	others(t, func() { s.Reload() })
	if got := s.Problems(); says(s) != "a.yaml:one" || len(got) != 1 || !strings.HasPrefix(got[0].String(), "error: the directory of policy files cannot be read: permission denied") {
		t.Errorf("%s, %v", says(s), got)
	}
	p.must(os.Chmod(p.dir, 0o755))
	p.must(os.Chmod(filepath.Join(p.dir, "a.yaml"), 0o644))
	if s.Reload(); says(s) != "a.yaml:one" || len(s.Problems()) > 0 {
		t.Errorf("%s, %v", says(s), s.Problems())
	}
}

// others does something as a user who owns nothing, for files (setfsuid(2)); root would read them all.
func others(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and the thread ends with this goroutine
		if os.Getuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
			}
		}
		do()
	}()
	<-done
}

func TestACopyThatCannotBeUsed(t *testing.T) {
	p := newPlace(t)
	p.write("a.yaml", rule("one"))
	p.store().Reload()
	copied := filepath.Join(p.state, "policy.d", "a.yaml")
	p.must(os.WriteFile(copied, []byte(badText), 0o600))
	p.write("a.yaml", badText)
	s := p.store()
	if got := shortened(s.Problems()); says(s) != "" || len(got) != 2 || got[1] != "a.yaml last-good-copy" {
		t.Errorf("%q, %v", says(s), s.Problems())
	}
	p.must(os.RemoveAll(p.state))
	p.must(os.WriteFile(p.state, nil, 0o600))
	p.write("a.yaml", rule("two"))
	if s.Reload(); says(s) != "a.yaml:two" || len(s.Problems()) != 1 || s.Problems()[0].Rule != RuleCopy {
		t.Errorf("with a state directory that is none: %q, %v", says(s), s.Problems())
	}
}

func TestAGroupThatIsGoneOutlivesTheDaemon(t *testing.T) {
	p := newPlace(t)
	p.write("a.yaml", definesG)
	p.write("c.yaml", deniesG)
	p.store().Reload()
	p.must(os.Remove(filepath.Join(p.dir, "a.yaml")))
	p.store().Reload()
	s := p.store()
	if got := denied(s.Policies()); got != "a.example.com" || len(s.Problems()) != 1 {
		t.Errorf("@g is %q, %v", got, s.Problems())
	}
	p.write("c.yaml", plainAudit)
	s.Reload()
	left, err := os.ReadDir(filepath.Join(p.state, "policy.d"))
	if err != nil || len(left) != 1 || left[0].Name() != "c.yaml" {
		t.Errorf("copies: %v, %v", left, err)
	}
}

func TestNoDirectory(t *testing.T) {
	for name, dir := range map[string]string{"none is set": "", "it was never made": filepath.Join(t.TempDir(), "none")} {
		t.Run(name, func(t *testing.T) {
			s := NewStore(Options{Dir: dir, StateDir: t.TempDir()})
			s.Reload()
			if len(s.Policies().Rules) > 0 || len(s.Policies().Groups) == 0 || len(s.Problems()) > 0 {
				t.Errorf("%+v, %v", s.Policies(), s.Problems())
			}
		})
	}
}

// TestCopiesNeverTakeThePlaceOfFiles, also not where the directory of state is the one that holds them.
func TestCopiesNeverTakeThePlaceOfFiles(t *testing.T) {
	for name, state := range map[string]func(place) string{
		"by name": func(p place) string { return filepath.Dir(p.dir) },
		"by a link": func(p place) string {
			p.must(os.Mkdir(p.state, 0o755))
			p.must(os.Symlink(p.dir, p.state+"/policy.d"))
			return p.state
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			files := map[string]string{"a.yaml": rule("one"), "new.yaml": "policies: [", "README": "not a policy"}
			for file, text := range files {
				p.write(file, text)
			}
			s := NewStore(Options{Dir: p.dir, StateDir: state(p)})
			s.Reload()
			for file, text := range files {
				if got, err := os.ReadFile(filepath.Join(p.dir, file)); err != nil || string(got) != text {
					t.Errorf("%s is %q, %v", file, got, err)
				}
			}
			told := ""
			for _, problem := range s.Problems() {
				told += problem.String() + "\n"
			}
			if says(s) != "a.yaml:one" || !strings.Contains(told, "not kept") {
				t.Errorf("%s counts, and it says %q", says(s), told)
			}
		})
	}
}
