package lab

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// ProbeImage is the name of the image that ImportProbe makes when asked for no other.
	ProbeImage = "probe"
	// ProbePath is where the probe lies in its image, of which it is the entry point.
	ProbePath = "/probe"
)

// Import makes an image of files (path in the image: file of the machine) as `docker import --change` does. A
// dynamic program's libraries come with it.
func (d *Docker) Import(ctx context.Context, image string, files map[string]string, changes ...string) error {
	all, err := withLibraries(ctx, files)
	if err != nil {
		return fmt.Errorf("import %s: %w", image, err)
	}
	args := []string{"import"}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	cmd := d.Command(ctx, append(args, "-", image)...)
	reader, writer := io.Pipe()
	cmd.Stdin = reader
	go func() { _ = writer.CloseWithError(writeTar(writer, all)) }()
	_, err = output(cmd)
	_ = reader.Close()
	if err != nil {
		return fmt.Errorf("import %s: %w", image, err)
	}
	return nil
}

// ImportProbe makes an image of the probe under a name, with further changes such as `LABEL a=b`.
func (d *Docker) ImportProbe(ctx context.Context, image string, changes ...string) error {
	probe, err := d.lab.probe()
	if err != nil {
		return err
	}
	changes = append([]string{"ENTRYPOINT [\"" + ProbePath + "\"]"}, changes...)
	return d.Import(ctx, image, map[string]string{ProbePath: probe}, changes...)
}

// BuildProbe builds the probe, a static program, and returns its path. With the go program's own cache it is quick
// when nothing changed.
func BuildProbe(ctx context.Context) (string, error) {
	return BuildStatic(ctx, "github.com/dockerwall/dockerwall/internal/lab/probe")
}

// BuildStatic builds a program of this module into the cache, as the release is built, and returns its path.
func BuildStatic(ctx context.Context, pkg string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	path := filepath.Join(cache, "bin", filepath.Base(pkg))
	unlock, err := lock(cache, "build")
	if err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	defer unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "nethttpomithttp2", "-ldflags", "-s -w", "-o", path+".new", pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if _, err := output(cmd); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

func withLibraries(ctx context.Context, files map[string]string) (map[string]string, error) {
	all := maps.Clone(files)
	for _, file := range files {
		found, missing, err := libraries(ctx, file)
		if err != nil {
			return nil, err
		}
		if len(missing) > 0 {
			return nil, fmt.Errorf("%s: missing %s", file, strings.Join(missing, ", "))
		}
		for _, library := range found {
			all[library] = library
		}
	}
	return all, nil
}

func writeTar(w io.Writer, files map[string]string) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := addFile(t, strings.TrimPrefix(name, "/"), files[name]); err != nil {
			return err
		}
	}
	return t.Close()
}

func addFile(t *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(info.Mode().Perm())}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}
