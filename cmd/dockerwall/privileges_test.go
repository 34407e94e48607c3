package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// Somebody who is not root, and the group that has the Engine's socket in these tests, numbers that nobody has.
const (
	nobody      = "65534"
	engineGroup = "64990"
)

// prison is a mount namespace in which nothing can be written but /run, and other users' processes are not seen. What
// follows it starts the program $0.
const prison = `set -e
mount --make-rprivate /
mount -t proc -o hidepid=2 proc /proc
mount -o remount,bind,ro /etc
mount -o remount,bind,ro /
rm -rf /run/dockerwall
`

// owned makes the directory that systemd makes for a unit.
const owned = `mkdir -m 750 /run/dockerwall && chown ` + nobody + ` /run/dockerwall
`

// bare is how setpriv takes all capabilities but one away.
const bare = ` --bounding-set=-all,+net_admin --inh-caps=-all`

// user is how setpriv becomes somebody who may use the Engine's socket and is in the group dockerwall.
const user = ` --reuid=` + nobody + ` --regid=` + nobody + ` --groups=` + engineGroup + `,$(getent group dockerwall | cut -d: -f3)`

// capable starts the program that has a file capability, as a user without any: setpriv itself keeps some.
const capable = ` sh -c 'exec "$0" "$@"' "$0.capable" "$@"`

// privileges are ways to have CAP_NET_ADMIN and nothing else, by the document's columns.
func privileges() map[string]string {
	return map[string]string{
		"root, `cap_add: [NET_ADMIN]`": prison + `exec setpriv --no-new-privs` + bare + ` "$0" "$@"`,
		"user, `AmbientCapabilities=`": prison + owned + `exec setpriv --no-new-privs` + user + bare + `,+net_admin --ambient-caps=+net_admin "$0" "$@"`,
		"user, file capability":        prison + owned + `exec setpriv` + user + bare + capable,
	}
}

// need is something that the daemon does, and how it is seen that it does.
type need struct {
	name  string // the document's row
	needs string // the row's last column
	works func(*testing.T, *cellmate) error
	says  []string // words of a line of the log where it does not work
}

// cellmate is a daemon with few privileges, and a container to try it on.
type cellmate struct {
	*world
	d *wall
	b *box
}

func needs() []need {
	return []need{
		{"the fence", "CAP_NET_ADMIN, the Engine's socket", func(t *testing.T, c *cellmate) error {
			c.b.reaches(t, "tcp 203.0.113.1:80")
			c.b.isKeptFrom(t, "tcp 203.0.113.2:80")
			return nil
		}, nil},
		{"names", "/etc/resolv.conf", func(t *testing.T, c *cellmate) error {
			c.b.reaches(t, "tcp 203.0.113.10:80")
			return nil
		}, nil},
		{"DNS answers that wait (`--dns-hold`)", "CAP_NET_ADMIN", func(t *testing.T, c *cellmate) error {
			c.b.contacts(t, "cell.fresh.example", 20)
			return nil
		}, nil},
		{"connections that are cut", "CAP_NET_ADMIN", func(t *testing.T, c *cellmate) error {
			eventually(t, func() error {
				if c.scrape(t).sum("dockerwall_flows_cut_total") == 0 {
					return errors.New("no flow was cut")
				}
				return nil
			})
			return nil
		}, nil},
		{"addresses bound to bridge ports", "CAP_NET_ADMIN", func(t *testing.T, c *cellmate) error {
			if rules := lab.Nft(t, c.Host, "", "list", "table", "bridge", "dockerwall"); !strings.Contains(rules, c.b.addr(t, web).String()) {
				return errors.New("the address is not bound")
			}
			return nil
		}, nil},
		{"denied packets in the log (nflog)", "CAP_NET_ADMIN", func(t *testing.T, c *cellmate) error {
			c.d.says(t, "msg=denied", "destination=203.0.113.2")
			return nil
		}, nil},
		{"metrics on `:50000`", "nothing", func(t *testing.T, c *cellmate) error {
			_, err := c.Host.Get(t.Context(), "http://127.0.0.1:50000/healthz")
			return err
		}, nil},
		{"the socket (`--socket`)", "its directory", func(t *testing.T, c *cellmate) error {
			return c.command(t.Context(), "status").Run()
		}, nil},
		{"the socket for the group `dockerwall`", "to be in that group, or CAP_CHOWN", func(t *testing.T, c *cellmate) error {
			groups := strings.Fields(c.host(t, "stat", "-c", "%G", "/run/dockerwall/dockerwall.sock", "/run/dockerwall"))
			if !slices.Equal(groups, []string{api.SocketGroup, api.SocketGroup}) {
				return fmt.Errorf("it is %q's", groups)
			}
			return nil
		}, []string{"the group dockerwall cannot use the socket", "SupplementaryGroups="}},
		{"observations (`--state-dir`)", "that directory", func(t *testing.T, c *cellmate) error {
			c.d.stop()
			_, err := c.HostCommand(t.Context(), "cat", stateDir+"/observations.jsonl").Output()
			return err
		}, nil},
		{"`--decision-log`", "its directory", func(t *testing.T, c *cellmate) error {
			if c.host(t, "cat", "/run/dockerwall/decisions") == "" {
				return errors.New("it is empty")
			}
			return nil
		}, nil},
		{"`dns` of a daemon.json that only root reads", "to be root, or its group", func(t *testing.T, c *cellmate) error {
			return c.logged("msg=resolvers", "198.51.100.54")
		}, []string{"a right is missing", "DNS servers that it names are not known", "/etc/docker/daemon.json", "DOCKERWALL_RESOLVERS"}},
		{"`dockerwall_dns_queue_*` metrics", "to be root, as /proc/net/netfilter is", func(t *testing.T, c *cellmate) error {
			if c.logged("dockerwall_dns_queue_packets") == nil {
				return errors.New("they are not to be had")
			}
			return nil
		}, []string{"a right is missing", "dockerwall_dns_queue_packets", "nfnetlink_queue"}},
	}
}

// logged is an error unless a line of the log has all words by now.
func (c *cellmate) logged(words ...string) error {
	for line := range strings.Lines(c.d.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return nil
		}
	}
	return fmt.Errorf("the log does not say %q", words)
}

// capability is what the file has, in the words of setcap(8).
const capability = "cap_net_admin+ep"

// programInCell is where the binary lies for everybody to run, and beside it, ending in .capable, one with a file capability.
const programInCell = "/run/program/dockerwall"

// inCell starts a daemon by a script.
func (w *world) inCell(t *testing.T, script string, settings ...string) *wall {
	t.Helper()
	args := append([]string{"--mount", "sh", "-c", script, programInCell, "run"}, settings...)
	cmd := w.HostCommand(context.WithoutCancel(t.Context()), "unshare", args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "DOCKER_HOST=unix:///run/docker.sock", "DOCKERWALL_STATE_DIR=" + stateDir}
	return begin(t, cmd)
}

// cells makes a host on which inCell works.
func cells(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	fresh(w.DNS, "fresh.example")
	w.host(t, "sh", "-ec", `mkdir -p /run/program /etc/docker
cp "$0" "$1" && cp "$0" "$1.capable" && chmod 755 "$1" "$1.capable" && setcap `+capability+` "$1.capable"
groupadd --system dockerwall
chgrp `+engineGroup+` /run/docker.sock
echo '{"dns": ["`+lab.DNSAddr+`", "198.51.100.54"]}' >/etc/docker/daemon.json
chmod 600 /etc/docker/daemon.json`, w.binary, programInCell)
	return w
}

// TestCAPNETADMINIsEnough starts the daemon with no other capability, on a root that is read-only, and makes the table of
// docs/privileges.md of what it sees.
func TestCAPNETADMINIsEnough(t *testing.T) {
	w := cells(t)
	table := map[string]map[string]string{}
	for column, script := range privileges() {
		table[column] = map[string]string{}
		t.Run(column, func(t *testing.T) { w.tryNeeds(t, script, table[column]) })
	}
	t.Run("and who lacks a right is told which", func(t *testing.T) { w.tellWhatIsMissing(t) })
	t.Run("in a container, as a user", func(t *testing.T) { w.inContainer(t) })
	if !t.Failed() {
		documents(t, "docs/privileges.md", "privileges", privilegeTable(table))
	}
}

func (w *world) tryNeeds(t *testing.T, script string, row map[string]string) {
	_ = w.HostCommand(t.Context(), "nft", "delete", "table", "inet", "dockerwall").Run() // there is none before the first
	w.labelled(t, "203.0.113.1").stream(t, "203.0.113.2:7")
	c := &cellmate{world: w, d: w.inCell(t, script, "--decision-log=/run/dockerwall/decisions")}
	w.healthy(t, c.d)
	c.b = w.labelled(t, "203.0.113.1, www.example.com, *.fresh.example")
	for _, n := range needs() {
		err := n.works(t, c)
		switch {
		case err == nil:
			row[n.name] = "yes"
		case n.says == nil:
			t.Errorf("%s: %v", n.name, err)
		default:
			row[n.name] = "no"
			if err := c.logged(n.says...); err != nil {
				t.Errorf("%s does not work, and %v", n.name, err)
			}
		}
	}
}

// privilegeTable has a column for each way.
func privilegeTable(cells map[string]map[string]string) string {
	columns := slices.Sorted(maps.Keys(cells))
	var out strings.Builder
	fmt.Fprintf(&out, "| | %s | Needs |\n|---|%s---|\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, n := range needs() {
		fmt.Fprintf(&out, "| %s |", n.name)
		for _, c := range columns {
			fmt.Fprintf(&out, " %s |", cells[c][n.name])
		}
		fmt.Fprintf(&out, " %s |\n", n.needs)
	}
	return out.String()
}

// documents compares a part of a document with what it should be, and writes it with -update.
func documents(t *testing.T, name, mark, want string) {
	t.Helper()
	text := document(t, name)
	got := between(t, text, mark)
	if *update && got != want {
		text = strings.Replace(text, "<!-- "+mark+" -->\n"+got, "<!-- "+mark+" -->\n"+want, 1)
		if err := os.WriteFile(filepath.Join(repository, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got), go test ./cmd/dockerwall -run %s -update rewrites it:\n%s", name, t.Name(), diff)
	}
}

// tellWhatIsMissing starts daemons that cannot do their work, or some of it.
func (w *world) tellWhatIsMissing(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		ends   bool
		says   []string
	}{
		"root without CAP_NET_ADMIN": {prison + `exec setpriv --bounding-set=-all --inh-caps=-all "$0" "$@"`, true, []string{"nf_tables needs CAP_NET_ADMIN", "cap_add: [NET_ADMIN]"}},
		"a user":                     {prison + owned + `exec setpriv` + user + bare + ` "$0" "$@"`, true, []string{"nf_tables needs CAP_NET_ADMIN", "AmbientCapabilities=CAP_NET_ADMIN"}},
		"a user whose file capability no-new-privileges takes away": {prison + owned + `exec setpriv --no-new-privs` + user + bare + capable, true,
			[]string{"nf_tables needs CAP_NET_ADMIN", "no-new-privileges"}},
		"a user who may not open the Engine's socket": {prison + owned + `exec setpriv --reuid=` + nobody + ` --regid=` + nobody + ` --clear-groups` + bare + capable, false,
			[]string{"no connection to Docker", "permission denied", "in its group, such as docker"}},
		"root, without CAP_DAC_OVERRIDE, in a directory of somebody": {prison + owned + `exec setpriv` + bare + ` "$0" "$@"`, false,
			[]string{"a right is missing", "no API", "/run/dockerwall", "--socket"}},
		"root, without CAP_NET_BIND_SERVICE, on a low port": {prison + `exec setpriv` + bare + ` "$0" "$@" --metrics-addr=:80`, false,
			[]string{"cannot serve metrics", "permission denied", "CAP_NET_BIND_SERVICE"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := w.inCell(t, c.script)
			d.says(t, c.says...)
			if c.ends {
				if code := d.code(t); code != exitPermission {
					t.Errorf("exit %d, want %d", code, exitPermission)
				}
				return
			}
			w.labelled(t, "203.0.113.1").isKeptFrom(t, "tcp 203.0.113.2:80")
			d.stop()
		})
	}
}
