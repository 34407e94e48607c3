package lab

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// newestSuites are the suites of Debian that have the newest Engine, in order: testing follows unstable by days, and
// serves on the days when unstable is broken. Stable is none of them: its Engine (26.1.5 in Debian 13) does not behave
// as those since 28 do.
func newestSuites() []string { return []string{"unstable", "testing"} }

// newestPrograms are those of an Engine and docker compose, which is a plugin of the docker program.
func newestPrograms() map[string]string {
	programs := enginePrograms()
	programs["docker-compose"] = "docker-compose"
	return programs
}

// FetchNewest is Fetch for the newest Engine that Debian's suites offer. docker-compose is beside it.
// Its programs bring their own libraries, so
// that the machine may be older; they run from that folder alone. The Engine that is in the cache stays: to have a
// newer one, remove the cache. Where the machine is not a Debian the error is errors.ErrUnsupported.
func FetchNewest(ctx context.Context) (string, error) {
	if here := distribution(); !strings.HasPrefix(here, "debian-") {
		return "", fmt.Errorf("fetch the newest Engine: its packages are Debian's, this is %s: %w", here, errors.ErrUnsupported)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", fmt.Errorf("fetch the newest Engine: %w", err)
	}
	unlock, err := lock(cache, "engine")
	if err != nil {
		return "", fmt.Errorf("fetch the newest Engine: %w", err)
	}
	defer unlock()
	for _, suite := range newestSuites() {
		if dir := newestDir(cache, suite); whole(dir) {
			return dir, nil
		}
	}
	var errs []error
	for _, suite := range newestSuites() {
		dir := newestDir(cache, suite)
		if err := fetchSuite(ctx, suite, dir); err != nil {
			errs = append(errs, fmt.Errorf("fetch the newest Engine from %s: %w", suite, err))
			continue
		}
		return dir, nil
	}
	return "", errors.Join(errs...)
}

func newestDir(cache, suite string) string {
	return filepath.Join(cache, "engine-debian-"+suite+"-"+runtime.GOARCH)
}

// fetchSuite makes the folder of a suite's Engine and sees that its programs start.
func fetchSuite(ctx context.Context, suite, dir string) error {
	fill := func(work, programs string) error {
		if err := downloadSuite(ctx, work, suite); err != nil {
			return err
		}
		if err := unpack(ctx, work); err != nil {
			return err
		}
		if err := collect(work, programs, newestPrograms()); err != nil {
			return err
		}
		return adopt(ctx, filepath.Join(work, "root"), programs, dir)
	}
	if err := fetchTo(dir, fill); err != nil {
		return err
	}
	if err := starts(ctx, dir); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

// adopt binds the programs to the loader and libraries of their own release, which go to the folder lib beside them:
// the machine's C library is older than theirs. The paths are absolute because runc runs as a copy of itself in
// memory, where $ORIGIN means nothing, and written into the programs because dockerd and runc start themselves again
// by /proc/self/exe, which would be the loader if that had been called. Their environment stays as it is: a
// LD_LIBRARY_PATH would reach the machine's iptables. The patchelf of the same packages does it.
func adopt(ctx context.Context, root, programs, dir string) error {
	found, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*/libc.so.6"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("find the C library in the packages: %d", len(found))
	}
	libraries, lib := filepath.Dir(found[0]), filepath.Join(dir, "lib")
	for name := range newestPrograms() {
		program := filepath.Join(programs, name)
		asked, err := loader(program)
		if err != nil {
			return err
		}
		if asked == "" {
			continue
		}
		own := filepath.Base(asked)
		patch := exec.CommandContext(ctx, filepath.Join(libraries, own), "--library-path", libraries,
			filepath.Join(root, "usr/bin/patchelf"), "--set-interpreter", filepath.Join(lib, own),
			"--force-rpath", "--set-rpath", lib, program)
		if _, err := output(patch); err != nil {
			return err
		}
	}
	return moveLibraries(libraries, filepath.Join(programs, "lib"))
}

// moveLibraries moves the libraries themselves, without the folders of their parts.
func moveLibraries(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "*.so*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Rename(file, filepath.Join(to, filepath.Base(file))); err != nil {
			return err
		}
	}
	return nil
}

// loader is the loader that a program names, or empty for a static one.
func loader(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", program, err)
	}
	defer func() { _ = f.Close() }()
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			text, err := io.ReadAll(part.Open())
			return strings.TrimRight(string(text), "\x00"), err
		}
	}
	return "", nil
}

// whole says whether a newest Engine is in dir and was made for that path. One that was moved is not: its programs
// name a loader elsewhere.
func whole(dir string) bool {
	for name := range newestPrograms() {
		named, err := loader(filepath.Join(dir, name))
		if err != nil {
			return false
		}
		if named == "" {
			continue
		}
		if _, err := os.Stat(named); err != nil || filepath.Dir(named) != filepath.Join(dir, "lib") {
			return false
		}
	}
	return true
}

// starts has the programs say their versions, for which all their libraries are loaded.
func starts(ctx context.Context, dir string) error {
	for _, name := range []string{"dockerd", "docker", "containerd", "containerd-shim-runc-v2", "ctr", "runc", "docker-compose"} {
		if _, err := output(exec.CommandContext(ctx, filepath.Join(dir, name), "-v")); err != nil {
			return err
		}
	}
	return nil
}
