// Package packaging has tests only: they build, install, upgrade, remove and purge the packages.
package packaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

const (
	version  = "1.2.3~test"
	revision = "0123456789abcdef0123456789abcdef01234567"
	epoch    = "1700000000" // of what is built: long before now
)

// products are two folders with what `make dist` made of the same files in two trees: of all architectures in one,
// of armv7, whose build has one step more, in the other.
type products struct{ all, again string }

// trees is the folder of the trees.
var trees string

// TestMain removes what the tests shared.
func TestMain(m *testing.M) {
	top, err := os.MkdirTemp("", "dockerwall-packages-")
	if err != nil {
		panic(err)
	}
	trees = top
	code := m.Run()
	_ = os.RemoveAll(top)
	os.Exit(code)
}

func built(t *testing.T) products {
	t.Helper()
	lab.Require(t)
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var build = sync.OnceValues(func() (p products, err error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return p, err
	}
	if err := run(root, "make", "nfpm"); err != nil {
		return p, err
	}
	tools, err := filepath.Glob(filepath.Join(root, ".cache/bin/nfpm-*"))
	if err != nil {
		return p, err
	}
	p = products{filepath.Join(trees, "one/dist"), filepath.Join(trees, "quite another/dist")}
	umasks, arches := map[string]string{p.all: "022", p.again: "077"}, map[string]string{p.all: "amd64 arm64 armv7", p.again: "armv7"}
	for dist, umask := range umasks { // both before the first is built, which takes its time
		if err := copyTree(root, filepath.Dir(dist), umask, tools); err != nil {
			return p, err
		}
	}
	for dist, umask := range umasks {
		if err := run(filepath.Dir(dist), "sh", "-c", "umask "+umask+" && make dist ARCHES='"+arches[dist]+"'"); err != nil {
			return p, err
		}
	}
	return p, nil
})

// copyTree copies what git knows or would add, and the tools that are there.
func copyTree(from, to, umask string, tools []string) error {
	return run(from, "sh", "-c", fmt.Sprintf(
		"umask %s && mkdir -p '%s/.cache/bin' && git ls-files -co --exclude-standard | tar -c -T - | tar -xm --no-same-permissions -C '%s' && ln -s %s '%s/.cache/bin/'",
		umask, to, to, strings.Join(tools, " "), to))
}

func run(dir, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION="+version, "REVISION="+revision, "SOURCE_DATE_EPOCH="+epoch, "GIT_CEILING_DIRECTORIES=/tmp")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return nil
}

// names are those of what was built, by format and architecture.
func names() map[string]string {
	return map[string]string{
		"deb amd64": "dockerwall_" + version + "-1_amd64.deb", "deb arm64": "dockerwall_" + version + "-1_arm64.deb", "deb armv7": "dockerwall_" + version + "-1_armhf.deb",
		"rpm amd64": "dockerwall-" + version + "-1.x86_64.rpm", "rpm arm64": "dockerwall-" + version + "-1.aarch64.rpm", "rpm armv7": "dockerwall-" + version + "-1.armv7hl.rpm",
		"tar amd64": "dockerwall_" + version + "_linux_amd64.tar.gz", "tar arm64": "dockerwall_" + version + "_linux_arm64.tar.gz", "tar armv7": "dockerwall_" + version + "_linux_armv7.tar.gz",
	}
}

func TestTheSameFilesGiveTheSameBytesInAnyFolderAtAnyTime(t *testing.T) {
	p := built(t)
	for _, format := range []string{"deb", "rpm", "tar"} {
		name := names()[format+" armv7"]
		one, another := read(t, p.all, name), read(t, p.again, name)
		if sha256.Sum256(one) != sha256.Sum256(another) {
			t.Errorf("%s differs: %d and %d bytes", name, len(one), len(another))
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDistHoldsPackagesAndArchivesOfAllArchitecturesAndTheirSums(t *testing.T) {
	p := built(t)
	want := []string{"SHA256SUMS"}
	for _, name := range names() {
		want = append(want, name)
	}
	slices.Sort(want)
	var got []string
	entries, err := os.ReadDir(p.all)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("dist holds\n%q\nnot\n%q", got, want)
	}
	if err := run(p.all, "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"); err != nil {
		t.Error(err)
	}
	if sums := read(t, p.all, "SHA256SUMS"); bytes.Count(sums, []byte("\n")) != len(names()) {
		t.Errorf("the sums:\n%s", sums)
	}
}

func TestTheProgramsAreStaticAndOfTheirArchitecture(t *testing.T) {
	p := built(t)
	for arch, want := range map[string]struct {
		class   elf.Class
		machine elf.Machine
	}{"amd64": {elf.ELFCLASS64, elf.EM_X86_64}, "arm64": {elf.ELFCLASS64, elf.EM_AARCH64}, "armv7": {elf.ELFCLASS32, elf.EM_ARM}} {
		t.Run(arch, func(t *testing.T) {
			dir := t.TempDir()
			if err := run(dir, "dpkg-deb", "--extract", filepath.Join(p.all, names()["deb "+arch]), "deb"); err != nil {
				t.Fatal(err)
			}
			if err := run(dir, "tar", "-xzf", filepath.Join(p.all, names()["tar "+arch])); err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(dir, "deb/usr/bin/dockerwall")
			if !bytes.Equal(read(t, dir, "deb/usr/bin/dockerwall"), read(t, dir, "dockerwall-"+version+"/dockerwall")) {
				t.Error("the package and the archive have different programs")
			}
			f, err := elf.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			if f.Class != want.class || f.Machine != want.machine {
				t.Errorf("it is %v %v", f.Class, f.Machine)
			}
			for _, part := range f.Progs {
				if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
					t.Errorf("it has %v: it is not static", part.Type)
				}
			}
			if arch == native() {
				says(t, program, version, "version")
				says(t, program, `"revision":"`+revision+`"`, "version", "-o", "json")
			}
		})
	}
}

func native() string {
	out, _ := exec.Command("go", "env", "GOARCH").Output()
	return strings.TrimSpace(string(out))
}

func says(t *testing.T, program, want string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%q says not %s: %v\n%s", args, want, err, out)
	}
}

func TestVersionsSortInTheOrderOfCommits(t *testing.T) {
	lab.Require(t)
	tree := t.TempDir()
	if err := os.Mkdir(filepath.Join(tree, "packaging"), 0o755); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("version.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "packaging/version.sh"), script, fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Dir = tree
		cmd.Env = append(os.Environ(), "GIT_COMMITTER_DATE=1700000000 +0300", "GIT_AUTHOR_DATE=1600000000 +0000")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	var got []string
	stamped := func() {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(tree, "packaging/version.sh"))
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
		out, err := cmd.Output()
		fields := strings.Fields(string(out))
		if err != nil || len(fields) != 3 || fields[2] != epoch || len(fields[1]) != 40 {
			t.Fatalf("%q %v", out, err)
		}
		got = append(got, strings.ReplaceAll(fields[0], fields[1][:12], "HASH"))
	}
	git("init", "--quiet")
	git("add", ".")
	git("commit", "--quiet", "--message=one")
	stamped()
	git("tag", "v0.9.0-rc.1")
	stamped()
	git("tag", "--delete", "v0.9.0-rc.1")
	git("tag", "v0.9.0")
	stamped()
	for range 10 {
		git("commit", "--quiet", "--allow-empty", "--message=more")
	}
	stamped()
	if err := os.WriteFile(filepath.Join(tree, "packaging/version.sh"), append(script, '\n'), fs.FileMode(0o755)); err != nil {
		t.Fatal(err)
	}
	stamped()
	want := []string{"0.0.0~git20231114221320.HASH", "0.9.0~rc.1", "0.9.0", "0.9.0+10.HASH", "0.9.0+10.HASH+changed"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i := 1; i < len(got); i++ {
		if err := run(".", "dpkg", "--compare-versions", got[i-1], "lt", got[i]); err != nil {
			t.Error(err)
		}
	}
}
