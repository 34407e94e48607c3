package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// downloadSuite gets the Engine's packages and the libraries they need, as a suite of Debian has them. apt works on
// lists and a status of its own in the work folder and checks signatures as ever; the machine's lists, preferences and
// packages stay as they are.
func downloadSuite(ctx context.Context, work, suite string) error {
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "status"), nil, 0o644); err != nil {
		return err
	}
	if err := writeSources(ctx, work, suite); err != nil {
		return err
	}
	if _, err := output(suiteCommand(ctx, work, "apt-get", "-o", "APT::Update::Error-Mode=any", "update")); err != nil {
		return err
	}
	roots := []string{"docker.io", "docker-cli", "docker-compose", "patchelf"}
	text, err := output(suiteCommand(ctx, work, "apt-cache", append([]string{"depends", "--recurse", "--important"}, roots...)...))
	if err != nil {
		return err
	}
	_, err = output(suiteCommand(ctx, work, "apt-get", append([]string{"download"}, closure(text, roots)...)...))
	return err
}

// writeSources names the suite, on the mirror that the machine takes its own release from. The keys are those of the
// newest keyring that its release has: the one installed may be older than the suite's keys.
func writeSources(ctx context.Context, work, suite string) error {
	keys := filepath.Join(work, "keys")
	if err := os.Mkdir(keys, 0o755); err != nil {
		return err
	}
	download := func() error {
		_, err := output(apt(ctx, keys, "download", "debian-archive-keyring"))
		return err
	}
	if err := withLists(ctx, keys, download); err != nil {
		return err
	}
	if err := unpack(ctx, keys); err != nil {
		return err
	}
	uri, err := mirror(ctx)
	if err != nil {
		return err
	}
	keyring := filepath.Join(keys, "root/usr/share/keyrings/debian-archive-keyring.gpg")
	source := fmt.Sprintf("deb [target=Packages signed-by=%s] %s %s main\n", keyring, uri, suite)
	return os.WriteFile(filepath.Join(work, "sources.list"), []byte(source), 0o644)
}

// mirror is where the machine's apt finds Debian.
func mirror(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)",
		"Created-By: Packages", "Origin: Debian", "Label: Debian"))
	if err != nil {
		return "", err
	}
	for uri := range strings.FieldsSeq(out) {
		if !strings.HasPrefix(uri, "cdrom:") {
			return uri, nil
		}
	}
	return "", errors.New("find Debian's archive in the machine's apt sources: none")
}

// suiteCommand is a program of apt with a state of its own, beside the machine's settings (a proxy, say).
func suiteCommand(ctx context.Context, work, tool string, args ...string) *exec.Cmd {
	options := []string{
		"-qq", "-o", "APT::Sandbox::User=root",
		"-o", "Dir::State=" + filepath.Join(work, "state"), "-o", "Dir::State::status=" + filepath.Join(work, "status"),
		"-o", "Dir::State::lists=" + filepath.Join(work, "state/lists"), "-o", "Dir::Cache=" + filepath.Join(work, "cache"),
		"-o", "Dir::Cache::archives=" + filepath.Join(work, "cache/archives"),
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(work, "sources.list"), "-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::Etc::preferences=/dev/null", "-o", "Dir::Etc::preferencesparts=/dev/null",
	}
	cmd := exec.CommandContext(ctx, tool, append(options, args...)...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "LC_ALL=C") // closure reads English
	return cmd
}

// closure picks, from what `apt-cache depends --recurse` prints, the packages with the programs and libraries that the
// roots need. What a package needs for its installation (debconf, systemd, adduser) is not followed.
func closure(text string, roots []string) []string {
	needs, of := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && !strings.HasPrefix(line, " "):
			of = fields[0]
		case len(fields) == 2 && strings.HasSuffix(fields[0], "Depends:"): // also "|Depends:" and "PreDepends:"
			needs[of] = append(needs[of], fields[1])
		}
	}
	all := slices.Clone(roots)
	for i := 0; i < len(all); i++ { // all grows, by each package once
		for _, name := range needs[all[i]] {
			if unpacked(name) && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func unpacked(name string) bool {
	return strings.HasPrefix(name, "lib") || slices.Contains([]string{"containerd", "runc", "tini", "tini-static"}, name)
}
