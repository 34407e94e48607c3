package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// Every command of README.md and docs is run by a test:
//
//   - A block ```console has lines "$ command" and below each what it prints; ```sh has commands that have to succeed.
//     TestTheCommandsOfThePagesDoWhatThePagesSay types those of a page into one shell, in order, on a host with Docker
//     and docker compose, and compares; -update writes what was printed into the page.
//   - A block whose first line is a comment with a file's name, or with a note <!-- file NAME --> before it, is that
//     file, and written where the shell is.
//   - <!-- hidden, lines of shell, and --> are run and not shown: what happened to the host before.
//   - <!-- run by TestX, TestY --> says which other tests run a block or compare it: their files have the words of its
//     commands, or if it has none, the page's name. .ci/run is one of them.
//   - ```text has no commands.
//   - <!-- in the tree --> anywhere: the shell is in a copy of the source, not in an empty folder.
//
// TestEveryBlockIsRun finds blocks that are none of these.

func TestTheCommandsOfThePagesDoWhatThePagesSay(t *testing.T) {
	w := docsWorld(t)
	for _, p := range allPages(t) {
		if slices.ContainsFunc(p.steps, step.runs) {
			t.Run(p.name, func(t *testing.T) { w.followPage(t, p) })
		}
	}
}

// docsWorld is a host with the newest Engine, docker compose, Prometheus, and images that a registry would have. Its
// names are what the pages speak of.
func docsWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	w := &world{Lab: lab.ForTest(t)}
	w.binary, w.probe = programs(t)
	w.engine = w.DockerForTest(t, lab.DockerOptions{Newest: true})
	for i, name := range []string{
		"www.example.com", "files.example.org", "backup.example.org", "github.com", "api.github.com", "deb.debian.org", "pypi.org",
		"api.anthropic.com", "example.com", "example.org", "telemetry.example.net", "db.corp.example", "raw.githubusercontent.com", "files.pythonhosted.org",
	} {
		w.DNS.Set(name, netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", 10+i)))
	}
	tools := map[string]string{"/bin/sh": "/bin/sh"}
	for _, tool := range []string{"curl", "sleep", "getent", "cat"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			lab.Cannot(t, "needs the program "+tool)
		}
		tools["/usr/bin/"+tool] = path
	}
	if err := w.engine.Import(t.Context(), "curlimages/curl", tools, "ENV PATH=/usr/bin:/bin"); err != nil {
		t.Fatal(err)
	}
	if err := w.engine.Import(t.Context(), "dockerwall", map[string]string{"/dockerwall": w.binary}, imageChanges(t)...); err != nil {
		t.Fatal(err)
	}
	return w
}

// imageChanges are the last lines of the Dockerfile, as `docker import --change` takes them.
func imageChanges(t *testing.T) (changes []string) {
	t.Helper()
	text := document(t, "Dockerfile")
	for line := range strings.Lines(text[strings.LastIndex(text, "\nFROM "):]) {
		if regexp.MustCompile(`^(ENV|ENTRYPOINT|CMD|HEALTHCHECK|EXPOSE) [^$]*$`).MatchString(line) {
			changes = append(changes, strings.TrimSpace(line))
		}
	}
	if len(changes) < 4 {
		t.Fatalf("the image of the Dockerfile has only %q", changes)
	}
	return changes
}

// followPage does what a page says, in a folder of its own.
func (w *world) followPage(t *testing.T, p page) {
	t.Helper()
	folder := "/run/pages/" + strings.TrimSuffix(filepath.Base(p.name), ".md")
	s := w.session(t, folder, sessionEnvironment(t)...)
	defer s.close()
	if out, code, err := s.run("cd " + w.tree(t, p, folder)); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	blocks := map[int][]string{}
	for _, step := range p.steps {
		if name := step.fileNamed(); name != "" {
			if !strings.HasPrefix(name, "/") {
				name = filepath.Join(folder, name)
			}
			if err := w.WriteFile(name, strings.Join(step.body, "\n")+"\n"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if !step.runs() {
			continue
		}
		var body []string
		for _, c := range step.commands() {
			out, ok := s.follow(t, p, step, c)
			if !ok && !*update {
				return // what follows needs it
			}
			if len(body) > 0 && body[len(body)-1] != "" {
				body = append(body, "")
			}
			body = append(body, "$ "+c.text)
			if out != "" {
				body = append(body, strings.Split(out, "\n")...)
			}
		}
		if step.lang == "console" {
			blocks[step.line] = body
		}
	}
	if *update && !t.Failed() {
		rewritePage(t, p, blocks)
	}
}

// tree is the folder in which a page's commands are typed: where the page has <!-- in the tree -->, a copy of the source.
func (w *world) tree(t *testing.T, p page, folder string) string {
	t.Helper()
	if !slices.Contains(p.lines, "<!-- in the tree -->") {
		return folder
	}
	files, err := exec.CommandContext(t.Context(), "git", "-C", repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		t.Fatal(err)
	}
	programs := []string{"+x"}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(files), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(repository, file))
		if err != nil {
			continue // removed, not yet from the index
		}
		if err := w.WriteFile(filepath.Join(folder, file), string(text)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(repository, file)); err == nil && info.Mode()&0o100 != 0 {
			programs = append(programs, filepath.Join(folder, file))
		}
	}
	if out, err := w.HostCommand(t.Context(), "chmod", programs...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}

// sessionEnvironment has the go program in a session use what this one has fetched and built, and names the folder of
// Prometheus.
func sessionEnvironment(t *testing.T) (env []string) {
	t.Helper()
	prometheus, err := lab.FetchPrometheus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env = append(env, "PROMETHEUS="+prometheus)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// follow types one command and compares. One that only asks is repeated, since what it asks about takes its time.
// What comes back is what the page should show.
func (s *session) follow(t *testing.T, p page, of step, c typed) (shown string, ok bool) {
	t.Helper()
	if *update && asks(c.text) {
		time.Sleep(2 * time.Second) // for nobody knows yet what will come
	}
	var (
		out  string
		code int
		err  error
	)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if out, code, err = s.typed(c.text); err != nil {
			t.Fatalf("%s:%d: %s: %v\n%s", p.name, of.line+1, c.text, err, out)
		}
		ok = of.lang != "console" && code == 0 || of.lang == "console" && agree(c.want, out)
		if ok || *update || !asks(c.text) || time.Now().After(end) {
			break
		}
	}
	switch {
	case ok:
		return strings.TrimRight(strings.Join(c.want, "\n"), "\n"), true
	case of.lang != "console":
		t.Fatalf("%s:%d: %s: exit %d\n%s", p.name, of.line+1, c.text, code, out)
	case !*update:
		t.Errorf("%s:%d: %s prints (exit %d)\n%s\nand not\n%s", p.name, c.line, c.text, code, out, strings.Join(c.want, "\n"))
	}
	return strings.TrimRight(out, "\n"), false
}

// asks says whether a command changes nothing, so that it may be repeated.
func asks(text string) bool {
	return regexp.MustCompile(`\bdockerwall (status|watch|explain|suggest|health|doctor|nft diff|nft dump)\b|^curl [^|]*localhost`).MatchString(text)
}
