package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/observe"
)

// actor is a service of a compose file, and what it does all day.
type actor struct {
	label string
	asks  []string
	acts  []act
	want  string // the whole label
}

func actors() map[string]actor {
	return map[string]actor{
		"web": {
			label: "many.example.com:443", asks: []string{"www.example.com", "db.example.com"},
			acts: []act{"tcp 203.0.113.10:80", "tcp 203.0.113.10:443", "tcp [2001:db8:1::10]:443", "udp 203.0.113.10:443", "tcp 203.0.113.12:5432"},
			want: "many.example.com:443, db.example.com:5432/tcp, www.example.com:80/tcp, www.example.com:443/tcp, www.example.com:443/udp",
		},
		"backup": {
			acts: []act{"tcp 203.0.113.20:5432", "ping 203.0.113.21", "ping 2001:db8:1::21"},
			want: "203.0.113.20:5432/tcp, 203.0.113.21/icmp, [2001:db8:1::21]/icmp",
		},
		"agent": {
			acts: []act{act("tcp " + webGate + ":7001"), act("udp " + webGate + ":7001"), act("udp " + webGate + ":7002"), "udp [2001:db8:1::30]:5000"},
			want: "[2001:db8:1::30]:5000/udp, _host_:7001/tcp, _host_:7001-7002/udp",
		},
	}
}

// others are what no actor does.
func others() []act {
	return []act{
		"tcp 203.0.113.10:8080", "udp 203.0.113.10:5000", "ping 203.0.113.10", "tcp [2001:db8:1::10]:8080", "tcp 203.0.113.12:443", "tcp 203.0.113.14:80",
		"tcp 203.0.113.20:443", "tcp 203.0.113.21:80", "ping 203.0.113.20", "tcp 203.0.113.99:443", "udp [2001:db8:1::31]:5000", "tcp [2001:db8:1::30]:80",
		act("tcp " + webGate + ":7002"), act("udp " + lab.HostAddr + ":7003"), act("ping " + webGate), "raw 47 203.0.113.20",
	}
}

func TestSuggestedOverrideLetsExactlyThatTrafficPass(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	listen(t, w.Host, 7001)
	listen(t, w.Host, 7002)
	listen(t, w.Host, 7003)
	d := w.start(t)
	for name, a := range actors() {
		b := w.run(t, lab.RunSpec{Name: "shop-" + name + "-1", Network: web, Labels: map[string]string{
			"dockerwall.mode": "audit", "dockerwall.outbound": a.label, composeProject: "shop", composeService: name, composeHash: "1f0c",
		}})
		for _, name := range a.asks {
			b.resolves(t, name, true)
		}
		b.reaches(t, a.acts...)
	}
	labels := map[string]string{}
	suggested := func() error {
		out, said, code := w.answer(t, "suggest", "-o", "compose")
		files := readOverrides(t, out)
		if code != exitOK || len(files) != 1 {
			return fmt.Errorf("exit %d: %s%s", code, out, said)
		}
		labels = files[0]
		want := map[string]string{}
		for name, a := range actors() {
			want[name] = a.want
		}
		if diff := cmp.Diff(want, labels); diff != "" {
			return fmt.Errorf("(-want +got):\n%s\n%s", diff, said)
		}
		return nil
	}
	eventually(t, suggested)
	d.stop()
	w.start(t)
	eventually(t, suggested) // the same
	t.Run("check has nothing to say about the file", func(t *testing.T) {
		out, _, _ := w.answer(t, "suggest", "-o", "compose")
		path := filepath.Join(t.TempDir(), "egress.yaml")
		if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, said, code := w.answer(t, "check", path); code != exitOK {
			t.Errorf("exit %d: %s%s", code, out, said)
		}
	})
	t.Run("and what it says in other forms", func(t *testing.T) { w.suggestsInAllForms(t) })
	for name, a := range actors() {
		t.Run("the label of "+name, func(t *testing.T) {
			b := w.labelled(t, labels[name])
			b.reaches(t, a.acts...)
			closed := others()
			for other, o := range actors() {
				if other != name {
					closed = append(closed, o.acts...)
				}
			}
			b.isKeptFrom(t, closed...)
		})
	}
}

func (w *world) suggestsInAllForms(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"a label":              {[]string{"shop-backup-1", "-o", "label"}, exitOK, []string{"dockerwall.outbound=" + actors()["backup"].want + "\n"}},
		"words":                {[]string{"shop-agent-1"}, exitOK, []string{"shop-agent-1 (probe), audit; observed from 2", "_host_:7001/tcp", `    dockerwall.outbound: "[2001`}},
		"YAML":                 {[]string{"shop-web-1", "-o", "yaml"}, exitOK, []string{"kind: Suggestions\n", "container: shop-web-1\n"}},
		"another project":      {[]string{"--project", "other"}, exitOK, []string{"nothing to suggest"}},
		"no such container":    {[]string{"nobody"}, exitFailure, []string{"no such container", "docker ps"}},
		"a label of all":       {[]string{"-o", "label"}, exitUsage, []string{"name it"}},
		"a form that is none":  {[]string{"-o", "xml"}, exitUsage, []string{"want table"}},
		"no daemon":            {[]string{"--socket=/run/none.sock"}, exitNoDaemon, []string{"no dockerwall daemon"}},
		"an ID's first digits": {[]string{w.docker(t, "inspect", "--format={{.Id}}", "shop-backup-1")[:12], "-o", "label"}, exitOK, []string{actors()["backup"].want}},
	} {
		t.Run(name, func(t *testing.T) {
			out, said, code := w.answer(t, append([]string{"suggest"}, test.args...)...)
			for _, want := range test.want {
				if !strings.Contains(out+said, want) || code != test.code {
					t.Errorf("exit %d, no %q in:\n%s%s", code, want, out, said)
				}
			}
		})
	}
}

// suggested is `suggest CONTAINER -o json`, once it is of one container.
func (w *world) suggested(t *testing.T, container string) api.Suggestion {
	t.Helper()
	var object api.Object[[]api.Suggestion]
	out, said, code := w.answer(t, "suggest", container, "-o", "json")
	if err := json.Unmarshal([]byte(out), &object); err != nil || code != exitOK || object.Kind != api.KindSuggestions || len(object.Spec) != 1 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, said)
	}
	return object.Spec[0]
}

// counts waits until a container's only suggested token has so many packets.
func (w *world) counts(t *testing.T, container string, packets uint64) {
	t.Helper()
	eventually(t, func() error {
		s := w.suggested(t, container)
		if len(s.Tokens) != 1 || s.Tokens[0].Packets != packets {
			return fmt.Errorf("want %d packets: %+v", packets, s.Tokens)
		}
		return nil
	})
}

// TestObservationsCountEachPacketOnce while the daemon is stopped and killed, and its container created anew.
func TestObservationsCountEachPacketOnce(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	b := w.run(t, lab.RunSpec{Name: "talker", Network: web})
	send := func(n string) {
		t.Helper()
		if _, err := b.Probe(t.Context(), "udp", "203.0.113.50:9", "-count", n); err != nil {
			t.Fatal(err)
		}
	}
	send("5")
	w.counts(t, "talker", 5)

	d.stop()
	send("3")
	d = w.start(t)
	w.counts(t, "talker", 8)

	send("4")
	w.counts(t, "talker", 12)
	d.kill9() // before this was on disk
	send("2")
	d = w.start(t)
	w.counts(t, "talker", 14)

	if err := b.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.counts(t, "talker", 14)
	b = w.run(t, lab.RunSpec{Name: "talker", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.51"}})
	send("1")
	w.counts(t, "talker", 15)
	if s := w.suggested(t, "talker"); s.Outbound != "203.0.113.51, 203.0.113.50:9/udp" || s.Mode != "enforce" {
		t.Errorf("%+v", s)
	}

	d.stop()
	before := w.host(t, "ls", "-l", "--full-time", stateDir)
	d = w.start(t, "DOCKERWALL_STATE_DIR=off")
	eventually(t, func() error { // what is denied before its first look at the counters it does not know of
		send("1")
		if s := w.suggested(t, "talker"); len(s.Tokens) != 1 {
			return fmt.Errorf("nothing is suggested: %+v", s)
		}
		return nil
	})
	d.stop()
	if after := w.host(t, "ls", "-l", "--full-time", stateDir); after != before || !strings.Contains(after, "-rw------- ") {
		t.Errorf("with --state-dir off, before:\n%safter:\n%s", before, after)
	}
}

// remembersSince has the daemon to come find that it saw a container run two hours ago.
func (w *world) remembersSince(t *testing.T, subject observe.Subject) {
	t.Helper()
	dir, past := t.TempDir(), time.Now().Add(-2*time.Hour)
	s := observe.OpenStore(observe.StoreOptions{
		Dir: dir, Now: func() time.Time { return past }, Running: func() []observe.Running { return []observe.Running{{Subject: subject}} },
	})
	s.Write()
	text, err := os.ReadFile(filepath.Join(dir, observe.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFile(filepath.Join(stateDir, observe.FileName), string(text)); err != nil {
		t.Fatal(err)
	}
}

func TestANewNameIsOneEventAcrossARestart(t *testing.T) {
	for name, test := range map[string]struct {
		options lab.DockerOptions
		asks    bool // it is known who asks
	}{
		"this machine's Engine": {lab.DockerOptions{}, true},
		"the newest Engine":     {lab.DockerOptions{Newest: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.options)
			w.names()
			w.remembersSince(t, observe.Subject{Name: "talker", Image: lab.ProbeImage})
			d := w.start(t)
			b := w.run(t, lab.RunSpec{Name: "talker", Network: web, Labels: map[string]string{"dockerwall.outbound": "db.example.com"}})
			seen := func() []string {
				return slices.DeleteFunc(strings.Split(d.log.String(), "\n"), func(line string) bool { return !strings.Contains(line, "first seen") })
			}
			b.resolves(t, "db.example.com", true)
			b.resolves(t, "www.example.com", true)
			b.isKeptFrom(t, "tcp 203.0.113.10:443", "tcp 203.0.113.10:80", "tcp [2001:db8:1::10]:443")
			want := []string{"name=www.example.com port="}
			if test.asks {
				want = []string{"name=db.example.com verdict=allowed", "name=www.example.com verdict=asked"}
			}
			eventually(t, func() error {
				lines := seen()
				if len(lines) != len(want) || slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(strings.Join(lines, "\n"), w) }) {
					return fmt.Errorf("want %q, the log has:\n%s", want, strings.Join(lines, "\n"))
				}
				if n := w.scrape(t).sum("dockerwall_first_seen_names_total", b.id(), "name=talker"); n != float64(len(want)) {
					return fmt.Errorf("the metric has %v", n)
				}
				return nil
			})
			d.signal(unix.SIGTERM)
			d = w.start(t)
			b.resolves(t, "www.example.com", true)
			b.isKeptFrom(t, "tcp 203.0.113.10:443")
			b.isKeptFrom(t, "tcp 203.0.113.77:443") // the only news
			eventually(t, func() error {
				if lines := seen(); len(lines) != 1 || !strings.Contains(lines[0], "name=203.0.113.77 port=443 protocol=tcp verdict=denied") {
					return fmt.Errorf("after a restart the log has:\n%s", strings.Join(lines, "\n"))
				}
				return nil
			})
		})
	}
}
