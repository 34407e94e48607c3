package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

func TestTheJournalIsToldOfEachLineHowGraveItIs(t *testing.T) {
	for name, c := range map[string]struct {
		format string
		other  bool // the journal reads another stream
		want   string
	}{
		"the journal has times and wants priorities": {"text", false, "^<6>level=INFO msg=a at=noon\n<4>level=WARN msg=b\n<3>level=ERROR msg=c\n$"},
		"a file or terminal has none of them":        {"text", true, "^time=\\S+ level=INFO msg=a at=noon\ntime=\\S+ level=WARN msg=b\n"},
		"JSON is for programs":                       {"json", false, `^{"time":"[^"]+","level":"INFO","msg":"a","at":"noon"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Create(filepath.Join(t.TempDir(), "stream"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			s, _ := info.Sys().(*syscall.Stat_t)
			stream := fmt.Sprintf("%d:%d", s.Dev, s.Ino)
			if c.other {
				stream = fmt.Sprintf("%d:%d", s.Dev, s.Ino+1)
			}
			logger := newLogger(environment{streams: streams{err: file}, getenv: func(name string) string {
				return map[string]string{"JOURNAL_STREAM": stream}[name]
			}}, "info", c.format)
			logger.Info("a", slog.String("at", "noon"))
			logger.Warn("b")
			logger.Error("c")
			text, err := os.ReadFile(file.Name())
			if err != nil || !regexp.MustCompile(c.want).Match(text) {
				t.Errorf("%v:\n%s", err, text)
			}
		})
	}
}
