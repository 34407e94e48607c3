package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// journal writes each line of the log with its priority in front, as systemd's journal takes it: sd-daemon(3). The lines begin
// with their level.
type journal struct{ io.Writer }

func (j journal) Write(line []byte) (int, error) {
	if _, err := j.Writer.Write(append([]byte(priority(line)), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

func priority(line []byte) string {
	for level, is := range map[string]string{"level=ERROR ": "<3>", "level=WARN ": "<4>", "level=DEBUG ": "<7>"} {
		if bytes.HasPrefix(line, []byte(level)) {
			return is
		}
	}
	return "<6>"
}

// inJournal says whether a stream is the one that JOURNAL_STREAM names by device and inode: systemd.exec(5).
func inJournal(w io.Writer, env environment) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && env.getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

// timeless leaves out the time, which the journal has.
func timeless(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
