package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/disk"
)

// FileName is the name of the file in the directory of state.
const FileName = "ruleset.json"

// Path is that of the file in a directory of state.
func Path(dir string) string { return filepath.Join(dir, FileName) }

// Read reads a file. The error is fs.ErrNotExist when there is none. A file is refused that is no regular one, that others
// than its owner may write, and whose owner is neither root nor this process's user; root also takes what belongs to the
// owner of a directory that nobody else may write, which is how a daemon without root keeps its state.
func Read(path string) (Saved, error) {
	file, err := disk.Open(path, maxFile)
	if err != nil {
		return Saved{}, fmt.Errorf("read %s: %w", path, unlinked(err))
	}
	defer func() { _ = file.Close() }()
	if err := trusted(file, filepath.Dir(path)); err != nil {
		return Saved{}, fmt.Errorf("refuse %s: %w", path, err)
	}
	saved, err := Decode(file)
	if err != nil {
		return Saved{}, fmt.Errorf("refuse %s: %w", path, err)
	}
	return saved, nil
}

func unlinked(err error) error {
	if errors.Is(err, unix.ELOOP) {
		return errors.New("it is a link, and who may change where it leads is not known")
	}
	return err
}

// writers are the bits of a mode that let others than the owner write.
const writers = 0o022

func trusted(file *os.File, dir string) error {
	var info, above unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &info); err != nil {
		return err
	}
	if info.Mode&writers != 0 {
		return fmt.Errorf("others than its owner may write it (mode %04o), and what it says opens the fence; chmod go-w, if it is yours", info.Mode&0o7777)
	}
	me := uint32(os.Geteuid())
	if info.Uid == 0 || info.Uid == me {
		return nil
	}
	if err := unix.Stat(dir, &above); err != nil {
		return err
	}
	if me == 0 && above.Uid == info.Uid && above.Mode&writers == 0 {
		return nil
	}
	return fmt.Errorf("it belongs to user %d, and what it says opens the fence; chown it to root, if you trust it", info.Uid)
}

// keeps is how long a file holds: a daemon says each hour that it is true. Longer ago, names had other addresses, and somebody
// may have run Docker without us.
const keeps = 7 * 24 * time.Hour

// Old says whether a file is older than it holds.
func Old(path string, now time.Time) bool {
	info, err := os.Lstat(path)
	return err == nil && now.Sub(info.ModTime()) > keeps
}

// Remove removes a file, so that it is not read again.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove %s, which holds for one boot only: %w", path, err)
	}
	return nil
}

// Missing says whether an error of Read means that there is no file.
func Missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
