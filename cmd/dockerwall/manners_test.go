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
	if err := errors.Join(writeContainers(&plain, false, containerTable(containers, false), 0), writeContainers(&painted, true, containerTable(containers, false), 0)); err != nil {
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

// TestTablesFitTheTerminal shortens what is long of columns that may be, and nothing else.
func TestTablesFitTheTerminal(t *testing.T) {
	terminal := openTerminal(t)
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	if n := columns(terminal); n != 80 {
		t.Errorf("a terminal of 80 columns has %d", n)
	}
	if n := columns(&bytes.Buffer{}); n != 0 {
		t.Errorf("a buffer has %d columns", n)
	}
	containers := []api.Container{
		{Name: "shop-frontend-1", Mode: "enforce", Networks: []string{"shop_default", "shop_bücher"}, Addrs: []netip.Addr{netip.MustParseAddr("172.18.0.2")},
			Policy: []api.PolicyToken{{Token: "www.example.com:443/tcp"}, {Token: "cdn.example.net"}}, Sent: api.Count{Packets: 120400}, Denied: api.Count{Packets: 1204},
			Findings: []api.Finding{{Severity: "error"}, {Severity: "warning"}}},
		{Name: "lan", Mode: "unfenced", Networks: []string{"lan"}, Unfenced: "network lan is of driver macvlan, which passes none of the host's hooks"},
	}
	for width, want := range map[int]string{
		0: `NAME              MODE       NETWORKS                    OUTBOUND                               SENT     DENIED   NOTES
shop-frontend-1   enforce    shop_default, shop_bücher   www.example.com:443/tcp, cdn.exampl…   120400   1204     1 error, 1 warning
lan               unfenced   lan                                                                0        0        network lan is of driver macvlan, which passes none of the host's hooks
`,
		80: `NAME              MODE       NETWORKS    OUTBOUND    SENT     DENIED   NOTES
shop-frontend-1   enforce    shop_def…   www.exam…   120400   1204     1 error,…
lan               unfenced   lan                     0        0        network …
`,
	} {
		var out bytes.Buffer
		if err := writeContainers(&out, false, containerTable(containers, false), width); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("in %d columns (-want +got):\n%s", width, diff)
		}
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
