package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
)

func TestNamesOfContainersComplete(t *testing.T) {
	path := daemonThatSays(t, api.Status{Containers: []api.Container{{Name: "db"}, {Name: "evil\x1b[31m"}, {Name: ""}, {Name: "web"}}})
	for name, test := range map[string]struct {
		args []string
		env  string
		want string
	}{
		"by flag":                      {[]string{"status", "--socket=" + path, ""}, "", "db\nweb\n:4\n"},
		"by variable":                  {[]string{"status", ""}, path, "db\nweb\n:4\n"},
		"only one is wanted":           {[]string{"status", "--socket=" + path, "db", ""}, "", ":4\n"},
		"without a daemon":             {[]string{"status", "--socket=" + path + ".not", ""}, "", ":4\n"},
		"formats have names of theirs": {[]string{"status", "-o", ""}, "", "table\nwide\njson\njsonl\nyaml\n:4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKERWALL_SOCKET", test.env)
			if out, _, code := called(t, append([]string{"__complete"}, test.args...)...); code != exitOK || out != test.want {
				t.Errorf("exit %d: %q", code, out)
			}
		})
	}
}

// TestColoursAreForTerminalsOnly opens a terminal of its own.
func TestColoursAreForTerminalsOnly(t *testing.T) {
	terminal := openTerminal(t)
	pipe, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	for name, test := range map[string]struct {
		w    io.Writer
		env  map[string]string
		want colour
	}{
		"a terminal":      {terminal, map[string]string{"TERM": "xterm"}, true},
		"with NO_COLOR":   {terminal, map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, false},
		"a dumb terminal": {terminal, map[string]string{"TERM": "dumb"}, false},
		"a pipe":          {pipe, map[string]string{"TERM": "xterm"}, false},
		"no file":         {&bytes.Buffer{}, map[string]string{"TERM": "xterm"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := colourOf(environment{getenv: func(key string) string { return test.env[key] }}, test.w); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
	var plain, painted bytes.Buffer
	containers := []api.Container{{Name: "bücher", Mode: "enforce", Networks: []string{"web"}}, {Name: "w", Mode: "unfenced", Addrs: []netip.Addr{}}}
	if err := errors.Join(writeContainers(&plain, false, containers, false), writeContainers(&painted, true, containers, false)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(painted.String(), "\x1b[32menforce\x1b[0m") || !strings.Contains(painted.String(), "\x1b[31munfenced\x1b[0m") {
		t.Errorf("%q", painted.String())
	}
	bare := strings.NewReplacer("\x1b[1m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(painted.String())
	if diff := cmp.Diff(plain.String(), bare); diff != "" {
		t.Errorf("colours change the text (-without +with):\n%s", diff)
	}
}

// openTerminal is the far end of a pseudoterminal (pts(4)).
func openTerminal(t *testing.T) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal
}
