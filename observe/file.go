package observe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/disk"
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
	file, err := disk.Open(f.path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return empty(), nil
	case errors.Is(err, disk.ErrNotRegular):
		return content{}, fmt.Errorf("read observations: %s is not a file; remove it or choose another --state-dir", f.path)
	case errors.Is(err, disk.ErrTooLarge):
		return content{}, fmt.Errorf("read %s: %w: it is larger than %d bytes", f.path, errBroken, maxFile)
	case err != nil:
		return content{}, fmt.Errorf("read observations: %w", err)
	}
	defer func() { _ = file.Close() }()
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

// write replaces the file in one step, see [disk.Replace].
func (f file) write(c content) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("make --state-dir: %w", err)
	}
	if err := disk.Replace(f.path, c.encode); err != nil {
		return fmt.Errorf("write observations: %w", err)
	}
	return nil
}
