package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/doctor"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// diagnosis is what a run of doctor said.
type diagnosis struct {
	doctor.Report
	code int
}

// examined runs a program that is `doctor -o json`, or comes to it.
func examined(t *testing.T, cmd *exec.Cmd) diagnosis {
	t.Helper()
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	_ = cmd.Run() // its exit code is looked at
	var object api.Object[doctor.Report]
	if err := json.Unmarshal(out.Bytes(), &object); err != nil || object.Kind != doctor.Kind || object.APIVersion != api.Version {
		t.Fatalf("%v: %s\n%s", err, out.String(), said.String())
	}
	if said.Len() > 0 {
		t.Errorf("on stderr: %s", said.String())
	}
	return diagnosis{object.Spec, cmd.ProcessState.ExitCode()}
}

func (w *world) doctor(t *testing.T) diagnosis {
	t.Helper()
	return examined(t, w.command(t.Context(), "doctor", "-o", "json"))
}

// as is doctor, on the host, with what setpriv takes away.
func (w *world) as(t *testing.T, privileges ...string) diagnosis {
	t.Helper()
	cmd := w.HostCommand(t.Context(), "setpriv", append(privileges, w.binary, "doctor", "-o", "json")...)
	cmd.Env = []string{"DOCKER_HOST=unix:///run/docker.sock"}
	return examined(t, cmd)
}

// has looks for a line, its result and words.
func (d diagnosis) has(t *testing.T, name string, result doctor.Result, words ...string) {
	t.Helper()
	for _, l := range d.Lines {
		if l.Name != name {
			continue
		}
		if l.Result != result {
			t.Errorf("%+v, want %s", l, result)
		}
		for _, word := range words {
			if !strings.Contains(l.What+" -> "+l.Remedy, word) {
				t.Errorf("%+v lacks %q", l, word)
			}
		}
		return
	}
	t.Errorf("no line %q", name)
}

// fails fails unless just these lines are fail, and the exit code says whether there are any.
func (d diagnosis) fails(t *testing.T, names ...string) {
	t.Helper()
	var failed []string
	for _, l := range d.Lines {
		if l.Result == doctor.Fail {
			failed = append(failed, l.Name)
		}
	}
	if diff := cmp.Diff(names, failed); diff != "" {
		t.Errorf("failed lines (-want +got):\n%s\n%+v", diff, d.Lines)
	}
	want := exitOK
	if len(names) > 0 {
		want = exitFailure
	}
	if d.code != want {
		t.Errorf("exit %d, want %d", d.code, want)
	}
}

// TestDoctorOfAHealthyHostFailsNothing meets the oldest and the newest Engine there is.
func TestDoctorOfAHealthyHostFailsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		options lab.DockerOptions
		engine  string
		dns     doctor.Result
	}{
		"20.10":  {lab.DockerOptions{}, "Docker Engine 20.10.", doctor.OK},
		"newest": {lab.DockerOptions{Newest: true}, "Docker Engine 28.", doctor.Warn},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.options)
			d := w.doctor(t)
			d.fails(t)
			d.has(t, "engine", doctor.OK, c.engine, "API 1.")
			d.has(t, "engine-kind", doctor.OK, "Docker Engine of root")
			d.has(t, "firewall-backend", doctor.OK, "iptables")
			d.has(t, "namespace", doctor.OK, "docker0")
			d.has(t, "docker-dns", c.dns)
			d.has(t, "daemon", doctor.Warn, "no daemon")
			d.has(t, "unfenced", doctor.OK)
			if name != "newest" {
				w.doctorSees(t)
			}
		})
	}
}

// doctorSees breaks the host in several ways and looks for the lines.
func (w *world) doctorSees(t *testing.T) {
	t.Run("containers that are not fenced, without a daemon", func(t *testing.T) {
		w.labelled(t, "203.0.113.1")
		if _, err := w.engine.Run(t.Context(), lab.RunSpec{Name: "free", Network: "host", Cmd: []string{"sleep"}}); err != nil {
			t.Fatal(err)
		}
		w.doctor(t).has(t, "unfenced", doctor.Warn, "nothing is fenced (1): free (it is in the host's own network)", "dockerwall status")
	})
	wall := w.start(t)
	t.Run("a daemon that is healthy", func(t *testing.T) {
		w.host(t, "sh", "-c", "echo 50000 >/proc/sys/net/ipv4/ip_local_reserved_ports")
		eventually(t, func() error { // until it reads its group and its queue
			if d := w.doctor(t); !strings.Contains(fmt.Sprint(d.Lines), "queue 5300 is dockerwall's") {
				return fmt.Errorf("%+v", d.Lines)
			}
			return nil
		})
		d := w.doctor(t)
		d.fails(t)
		d.has(t, "daemon", doctor.OK, "is healthy: 1 container fenced")
		d.has(t, "table", doctor.OK, "it stands")
		d.has(t, "socket", doctor.OK, "answers")
		d.has(t, "metrics-port", doctor.OK, "50000 is dockerwall's")
		d.has(t, "nflog-group", doctor.OK, "group 32 is dockerwall's")
		d.has(t, "unfenced", doctor.Warn, "free")
	})
	t.Run("root without CAP_NET_ADMIN", func(t *testing.T) {
		d := w.as(t, "--bounding-set=-net_admin", "--inh-caps=-net_admin")
		d.fails(t, "capabilities")
		d.has(t, "capabilities", doctor.Fail, "root is without CAP_NET_ADMIN", "cap_add: [NET_ADMIN]")
		d.has(t, "nftables", doctor.Skip, "not permitted", "cap_add: [NET_ADMIN]")
	})
	t.Run("somebody who is not root", func(t *testing.T) {
		d := w.as(t, "--reuid=65534", "--regid=65534", "--clear-groups")
		d.fails(t)
		d.has(t, "capabilities", doctor.Skip, "uid 65534", "sudo")
		d.has(t, "engine", doctor.Skip, "permission denied", "run as the socket's owner, such as root")
		d.has(t, "daemon", doctor.Skip, "no permission")
		d.has(t, "nflog-group", doctor.Skip)
	})
	t.Run("a container without the host's network", func(t *testing.T) {
		d := examined(t, w.engine.Command(t.Context(), "run", "--rm", "--volume="+w.binary+":/dockerwall:ro", "--volume="+w.engine.Socket()+":/var/run/docker.sock",
			"--cap-drop=ALL", "--entrypoint=/dockerwall", lab.ProbeImage, "doctor", "-o", "json"))
		d.fails(t, "capabilities", "namespace")
		d.has(t, "namespace", doctor.Fail, "network_mode: host")
		d.has(t, "boot", doctor.Warn, "as a container")
		d.has(t, "ufw", doctor.Skip, "on the host")
	})
	t.Run("the table that people read", func(t *testing.T) {
		out := w.host(t, w.binary, "doctor")
		for _, part := range []string{"ok    kernel            Linux ", "\nwarn  unfenced          running containers", "\n                        -> dockerwall status\n", " 0 fail, "} {
			if !strings.Contains(out, part) {
				t.Errorf("no %q in\n%s", part, out)
			}
		}
	})
	t.Run("a daemon that is gone and an Engine that is stopped", func(t *testing.T) {
		wall.stop()
		if err := w.engine.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		d := w.doctor(t)
		d.fails(t, "engine")
		d.has(t, "daemon", doctor.Warn, "dockerwall run")
		d.has(t, "table", doctor.OK, "without a daemon")
		d.has(t, "nflog-group", doctor.OK, "is free")
	})
}

// doctorDocument is the table of docs/doctor.md.
func doctorDocument() string {
	var b strings.Builder
	b.WriteString(`# What doctor looks at

` + "`dockerwall doctor`" + ` prints one line for each of these: ok, warn, fail, or skip where it could not look, which the line explains. A remedy
stands below what is not ok. It exits 1 when a line fails, else 0. It changes nothing that lasts: it makes a scratch
table in nf_tables and deletes it in the same batch, and listens on the port of metrics for a moment if that is free.

Without root it skips what needs CAP_NET_ADMIN. In a container it sees the host's network, and of the host's files only
what is mounted. ` + "`-o json`, `jsonl` and `yaml`" + ` print the same as an object of kind ` + "`Doctor`" + `; names of lines stay.

| Line | Looks at | Not ok |
|---|---|---|
`)
	for _, e := range doctor.Entries() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Name, e.About, e.Bad)
	}
	return b.String()
}

func TestTheLinesOfDoctorAreThoseOfTheDocument(t *testing.T) {
	const name = "../../docs/doctor.md"
	if *update {
		if err := os.WriteFile(name, []byte(doctorDocument()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(doctorDocument(), string(got)); diff != "" {
		t.Errorf("lines (-), document (+); go test ./cmd/dockerwall -run Document -update rewrites it:\n%s", diff)
	}
}
