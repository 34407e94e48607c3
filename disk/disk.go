// Package disk keeps files whole: each is the old one or the new one, whenever the program or the host ends.
package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrTooLarge is returned by [Open] for a file of more bytes than may be.
var ErrTooLarge = errors.New("the file is too large")

// ErrNotRegular is returned by [Open] for what is no regular file.
var ErrNotRegular = errors.New("not a regular file")

// Open opens a regular file of at most so many bytes for reading; links are not followed, and nothing else is waited for. It
// is fs.ErrNotExist when there is none. The file may grow: read no more than most bytes of it.
func Open(path string, most int64) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = ErrNotRegular
	case info.Size() > most:
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Replace puts what write writes in place of a file, in one step that a crash of the program or the host cannot part: the
// new one, of mode 0600, is whole and on disk before it takes the name. After an error the file is as it was. The directory
// has to be there. PATH.new is used on the way.
func Replace(path string, write func(io.Writer) error) error {
	next := path + ".new"
	if err := whole(next, write); err != nil {
		_ = os.Remove(next) // the disk may be full
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func whole(path string, write func(io.Writer) error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a program that was killed
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = buffered(file, write)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func buffered(w io.Writer, write func(io.Writer) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	if err := write(out); err != nil {
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
