package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// What docs/threat-model.md says is not stopped, shown.

func TestASiteOnAnAllowedAddressIsOpenToo(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	shared := netip.MustParseAddr("203.0.113.40")
	w.DNS.Set("www.example.com", shared)
	w.DNS.Set("www.evil.example", shared, netip.MustParseAddr("203.0.113.41"))
	w.start(t)
	b := w.labelled(t, "www.example.com")
	b.reaches(t, "tcp 203.0.113.40:443")
	b.isKeptFrom(t, "tcp 203.0.113.41:443")
}

// TestQuestionsCarryDataOut: Docker's resolver asks for every container, and from Docker 28 on from where nobody can tell for
// whom.
func TestQuestionsCarryDataOut(t *testing.T) {
	for name, c := range map[string]struct {
		options lab.DockerOptions
		label   string
		comes   bool
	}{
		"with Docker's resolver":                   {lab.DockerOptions{}, "203.0.113.1", true},
		"not where _dns_ is denied":                {lab.DockerOptions{}, "203.0.113.1, !_dns_", false},
		"but where the newest Engine asks for it":  {lab.DockerOptions{Newest: true}, "203.0.113.1, !_dns_", true},
		"not so where daemon.json names resolvers": {lab.DockerOptions{Newest: true, Config: `{"dns": ["` + lab.DNSAddr + `"]}`}, "203.0.113.1, !_dns_", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.options)
			w.start(t)
			b := w.labelled(t, c.label)
			b.reaches(t, "tcp 203.0.113.1:80")
			_, _ = b.Probe(t.Context(), "lookup", "s3cret.evil.example") // there is no such name
			came := slices.ContainsFunc(w.DNS.Queries(), func(q lab.Query) bool { return strings.HasPrefix(q.Name, "s3cret.evil.example") })
			if came != c.comes {
				t.Errorf("the question came: %v, want %v", came, c.comes)
			}
		})
	}
}

func TestANeighbourThatMayDoMoreCanPassThingsOn(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	closed, may := w.labelled(t, ""), w.labelled(t, "203.0.113.1")
	relay, err := may.ns.Listen(":9000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Close() })
	go func() {
		for in, err := relay.Accept(); err == nil; in, err = relay.Accept() {
			if out, err := may.ns.Dial(t.Context(), "tcp", "203.0.113.1:7"); err == nil { // an echo
				go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
				go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
			}
		}
	}()
	closed.isKeptFrom(t, "tcp 203.0.113.1:7")
	eventually(t, func() error {
		conn, err := closed.ns.Dial(t.Context(), "tcp", may.addr(t, web).String()+":9000")
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.Write([]byte("secret")); err != nil {
			return err
		}
		answer := make([]byte, 6)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "secret" {
			return fmt.Errorf("%q, %w", answer, err)
		}
		return nil
	})
}

// TestABridgeLearnsFromWhatNoHookSees: of all that a container can send, a frame to the group of LLDP passes no hook of a
// bridge, but the bridge notes its sender. Until the neighbour sends again, what is meant for it goes to the container.
func TestABridgeLearnsFromWhatNoHookSees(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	hostile, neighbour := w.labelled(t, ""), w.labelled(t, "203.0.113.1")
	neighbour.reaches(t, "tcp 203.0.113.1:80") // by now both are bound
	bridge := "br-" + w.docker(t, "network", "inspect", "--format={{.Id}}", web)[:12]
	victim, err := net.ParseMAC(w.docker(t, "inspect", "--format={{.NetworkSettings.Networks.web.MacAddress}}", neighbour.ID))
	if err != nil {
		t.Fatal(err)
	}
	seen := func(group byte) string {
		t.Helper()
		neighbour.reaches(t, "tcp 203.0.113.1:80") // which tells the bridge where it is
		before := w.where(t, bridge, victim)
		for range 10 { // whatever the neighbour sends meanwhile moves it back
			hostile.frame(t, slices.Concat([]byte{1, 0x80, 0xc2, 0, 0, group}, victim, []byte{0x88, 0xcc}, make([]byte, 46)))
			if w.where(t, bridge, victim) != before {
				return "moves"
			}
		}
		return "stays"
	}
	for group := range byte(16) {
		want := "stays"
		if group == 0x0e {
			want = "moves"
		}
		if got := seen(group); got != want {
			t.Errorf("group %d: the neighbour %s, want %s", group, got, want)
		}
	}
	w.host(t, "ip", "link", "set", "dev", bridge, "type", "bridge", "no_linklocal_learn", "1")
	if got := seen(0x0e); got != "stays" {
		t.Errorf("with no_linklocal_learn the neighbour %s", got)
	}
	neighbour.reaches(t, "tcp 203.0.113.1:80")
}

// where is the port at which a bridge has a MAC.
func (w *world) where(t *testing.T, bridge string, mac net.HardwareAddr) string {
	t.Helper()
	for line := range strings.Lines(w.host(t, "bridge", "fdb", "show", "br", bridge)) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == mac.String() {
			return words[2]
		}
	}
	return ""
}

// frame sends one as it is.
func (b *box) frame(t *testing.T, frame []byte) {
	t.Helper()
	err := b.ns.Do(func() error {
		nic, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: nic.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// testSources is the text of all tests in the packages that the documents speak of.
func testSources(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("../../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	own, _ := filepath.Glob("*_test.go")
	var b strings.Builder
	for _, name := range append(files, own...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

// TestTheThreatModelNamesTestsThatExist, so that each claim stays one that is shown.
func TestTheThreatModelNamesTestsThatExist(t *testing.T) {
	sources := testSources(t)
	names := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)").FindAllStringSubmatch(document(t, "docs/threat-model.md"), -1)
	for _, n := range names {
		if !strings.Contains(sources, "\nfunc "+n[1]+"(t *testing.T) {") {
			t.Errorf("docs/threat-model.md names %s, which does not exist", n[1])
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d tests are named", len(names))
	}
}
