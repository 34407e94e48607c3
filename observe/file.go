package observe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FileName is the name of the file of observations in its directory.
const FileName = "observations.jsonl"

const maxFile = 256 << 20 // bytes

var (
	errBroken = errors.New("the file is broken")
	errNewer  = errors.New("it was written by a newer dockerwall, and is left alone")
)

// file is where observations are kept; the zero value is nowhere. It is always whole: the old one or the new one.
type file struct{ path string }

func fileIn(dir string) file { return file{filepath.Join(dir, FileName)} }

// BootID tells this boot of the host from others (proc(5), random/boot_id); "" when the kernel does not say.
func BootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// read is empty when there is no file. The error is [errBroken] for one that is not as it should be in any place.
func (f file) read(now time.Time) (content, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return empty(), nil
	}
	if err != nil {
		return content{}, fmt.Errorf("read observations: %w", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	switch {
	case err != nil:
		return content{}, fmt.Errorf("read observations: %w", err)
	case !info.Mode().IsRegular():
		return content{}, fmt.Errorf("read observations: %s is not a file; remove it or choose another --state-dir", f.path)
	case info.Size() > maxFile:
		return content{}, fmt.Errorf("read %s: %w: it is larger than %d bytes", f.path, errBroken, maxFile)
	}
	c, err := decode(file, now)
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", f.path, err)
	}
	return c, nil
}

// putAside renames the file to PATH.bad, in place of an earlier one.
func (f file) putAside() error {
	if err := os.Rename(f.path, f.path+".bad"); err != nil {
		return fmt.Errorf("put %s aside: %w", f.path, err)
	}
	return nil
}

// write replaces the file in one step that a crash of the program or the host cannot part: the new one is whole and on
// disk before it takes the name.
func (f file) write(c content) error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make --state-dir: %w", err)
	}
	next := f.path + ".new"
	if err := writeWhole(next, c); err != nil {
		_ = os.Remove(next) // the disk may be full
		return fmt.Errorf("write observations: %w", err)
	}
	if err := os.Rename(next, f.path); err != nil {
		return fmt.Errorf("write observations: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write observations: %w", err)
	}
	return nil
}

func writeWhole(path string, c content) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a daemon that was killed
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = buffered(file, c)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func buffered(w io.Writer, c content) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := c.encode(out); err != nil {
		return err
	}
	return out.Flush()
}

// syncDir has the directory's names on disk. File systems that cannot (EINVAL) need not.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, unix.EINVAL) {
		err = nil
	}
	return errors.Join(err, dir.Close())
}
