package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// goCache is where this package's programs are compiled, so that the image's build finds its packages compiled.
func goCache() (string, error) {
	cache, err := lab.CacheDir()
	return filepath.Join(cache, "go-build"), err
}

// importGo makes an image of this machine's Go, a shell, the modules and the compiled packages: what golang:1.26 and the
// module proxy give where there is a registry.
func importGo(t *testing.T, w *world, image string) {
	t.Helper()
	if err := w.engine.Import(t.Context(), "local/sh", map[string]string{"/bin/sh": "/bin/sh"}); err != nil {
		t.Fatal(err)
	}
	w.docker(t, "create", "--name=go", "local/sh", "/bin/sh")
	fill := w.engine.Command(t.Context(), "cp", "-", "go:/")
	reader, writer := io.Pipe()
	fill.Stdin = reader
	go func() { _ = writer.CloseWithError(writeGo(t.Context(), writer)) }()
	if out, err := fill.CombinedOutput(); err != nil {
		t.Fatalf("docker cp: %v\n%s", err, out)
	}
	w.docker(t, "commit", "--change=ENV PATH=/usr/local/go/bin:/bin GOCACHE=/go/cache GOMODCACHE=/go/pkg/mod GOPROXY=off GOTOOLCHAIN=local GOFLAGS=-mod=mod", "go", image)
	w.docker(t, "rm", "go")
}

// writeGo writes the trees that a build without a network needs.
func writeGo(ctx context.Context, to io.Writer) error {
	var env struct{ GOROOT, GOMODCACHE string }
	if err := goJSON(ctx, &env, "env", "-json", "GOROOT", "GOMODCACHE"); err != nil {
		return err
	}
	modules, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		return err
	}
	cache, err := goCache()
	if err != nil {
		return err
	}
	t := tar.NewWriter(to)
	trees := []tree{
		{env.GOROOT + "/bin", "usr/local/go/bin", anything},
		{env.GOROOT + "/pkg", "usr/local/go/pkg", anything},
		{env.GOROOT + "/src", "usr/local/go/src", notTest},
		{env.GOROOT + "/lib/time", "usr/local/go/lib/time", anything},
		{env.GOMODCACHE + "/cache/download", "go/pkg/mod/cache/download", description},
		{cache, "go/cache", anything},
	}
	for dir := range strings.FieldsSeq(string(modules)) {
		if slices.ContainsFunc(trees, func(t tree) bool { return t.from == dir }) {
			continue
		}
		trees = append(trees, tree{dir, "go/pkg/mod" + strings.TrimPrefix(dir, env.GOMODCACHE), notTest})
	}
	for _, tree := range trees {
		if err := tree.add(t); err != nil {
			return err
		}
	}
	for _, file := range []string{"VERSION", "go.env"} {
		if err := addFile(t, filepath.Join(env.GOROOT, file), "usr/local/go/"+file); err != nil {
			return err
		}
	}
	return t.Close()
}

func goJSON(ctx context.Context, into any, args ...string) error {
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

func anything(string) bool { return true }

func notTest(path string) bool {
	return !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/testdata/")
}

// description is a file about a module: not its archive, which lies there unpacked.
func description(path string) bool {
	return !strings.HasSuffix(path, ".zip") && !strings.HasSuffix(path, ".lock")
}

// tree is a directory's place here and in the image, and what of it is wanted there.
type tree struct {
	from, to string
	wanted   func(path string) bool
}

func (d tree) add(t *tar.Writer) error {
	return filepath.WalkDir(d.from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !d.wanted(path) {
			return err
		}
		return addFile(t, path, d.to+strings.TrimPrefix(path, d.from))
	})
}

func addFile(t *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime()}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	return err
}
