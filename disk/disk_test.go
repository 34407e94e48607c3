package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path+".new", []byte("of one that was killed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, func(w io.Writer) error { _, err := io.WriteString(w, "one"); return err }); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := Replace(path, func(w io.Writer) error { _, _ = io.WriteString(w, "two"); return broken })
	text, readErr := os.ReadFile(path)
	info, statErr := os.Stat(path)
	if !errors.Is(err, broken) || string(text) != "one" || readErr != nil || statErr != nil || info.Mode() != 0o600 {
		t.Errorf("%v; %q, %v; %v, %v", err, text, readErr, info.Mode(), statErr)
	}
	if _, err := os.Lstat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was begun is left: %v", err)
	}
}

func TestOnlyAFileOfBoundedSizeIsOpened(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(in("file"), make([]byte, 10), 0o600), os.Symlink("file", in("link")), unix.Mkfifo(in("pipe"), 0o600), os.Mkdir(in("dir"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path string
		most int64
		want error
	}{
		"a file":               {"file", 10, nil},
		"a larger one":         {"file", 9, ErrTooLarge},
		"a link":               {"link", 10, unix.ELOOP},
		"a pipe, never waited": {"pipe", 10, ErrNotRegular},
		"a directory":          {"dir", 1 << 20, ErrNotRegular},
		"nothing":              {"none", 10, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := Open(in(test.path), test.most)
			if !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			if err == nil {
				_ = file.Close()
			}
		})
	}
}
