package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/florianl/go-nflog/v2"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// create makes and starts a container through the Engine's API, which takes labels that no command line can carry.
func (w *world) create(t *testing.T, labels map[string]string) (*box, error) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"Image": lab.ProbeImage, "Cmd": []string{"sleep"}, "Labels": labels, "HostConfig": map[string]any{"NetworkMode": web},
	})
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.engine.Socket())
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://docker/v1.41/containers/create", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var created struct{ ID, Message string }
	if err := json.NewDecoder(response.Body).Decode(&created); err != nil || created.ID == "" {
		return nil, fmt.Errorf("create: %s: %s (%w)", response.Status, created.Message, err)
	}
	w.docker(t, "start", created.ID)
	return w.find(t, created.ID), nil
}

// big is a label of n addresses, 2001:db8:2::1 and so on.
func big(n, padding int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "2001:db8:2::%x,%s", i+1, strings.Repeat(" ", padding))
	}
	return b.String()
}

func TestABadLabelFencesItsContainerHarderAndNobodyElse(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	d := w.start(t)
	good := w.labelled(t, "203.0.113.1")
	for name, c := range map[string]struct {
		labels       map[string]string
		says         [][]string
		open, closed []act
	}{
		"tokens that cannot be understood": {
			map[string]string{"dockerwall.outbound": "https://www.example.com/x, 203.0.113.10, a*.example.com, 010.0.0.1, localhost, 203.0.113.2:0"},
			[][]string{{"https://www.example.com/x", "www.example.com:443/tcp"}, {"a*.example.com"}, {"010.0.0.1"}, {"localhost"}, {"203.0.113.2:0"}},
			[]act{"tcp 203.0.113.10:80"}, []act{"tcp 203.0.113.2:80", "ping 203.0.113.2"}},
		"a bad denial voids its source's allows": {
			map[string]string{"dockerwall.outbound": "203.0.113.10, !10.0.0.999"},
			[][]string{{"10.0.0.999", "error"}}, nil, []act{"tcp 203.0.113.10:80"}},
		"a key that does not exist": {
			map[string]string{"dockerwall.outboud": "203.0.113.10"},
			[][]string{{"there is no such label", "did you mean dockerwall.outbound?"}}, nil, []act{"tcp 203.0.113.10:80"}},
		"a deny that does not exist": {
			map[string]string{"dockerwall.deny": "refuse", "dockerwall.outbound": "203.0.113.10"},
			[][]string{{"write drop or reject"}}, []act{"tcp 203.0.113.10:80"}, []act{"tcp 203.0.113.2:80"}},
		"a name that does not exist": {
			map[string]string{"dockerwall.outbound": "no.such.example, 203.0.113.10"},
			[][]string{{"no.such.example", "does not exist"}}, []act{"tcp 203.0.113.10:80"}, []act{"tcp 203.0.113.2:80"}},
		"control bytes": {
			map[string]string{"dockerwall.outbound": "203.0.113.10, \x1b[31mred\x07\x00.example, b\u202eidi.example, 203.0.113.11", "dockerwall.\x1b]0;title\x07": "x\ny", "dockerwall.mode": "\x1b[2Joff"},
			[][]string{{"[31mred", "not printable"}, {"dockerwall.mode", "this is not a mode"}}, []act{"tcp 203.0.113.10:80", "tcp 203.0.113.11:80"}, []act{"tcp 203.0.113.2:80"}},
		"ten thousand tokens": {
			map[string]string{"dockerwall.outbound": big(10000, 0)}, nil,
			[]act{"tcp [2001:db8:2::1]:80", "tcp [2001:db8:2::2710]:80"}, []act{"tcp [2001:db8:2::2711]:80", "tcp 203.0.113.2:80"}},
		"a label of a megabyte": {
			map[string]string{"dockerwall.outbound": big(9000, 105)}, nil,
			[]act{"tcp [2001:db8:2::1]:80"}, []act{"tcp [2001:db8:2:1::]:80", "tcp 203.0.113.2:80"}},
		"a label above a megabyte": {
			map[string]string{"dockerwall.outbound": big(9000, 120)}, [][]string{{"dockerwall.outbound", "the text has more than", "write prefixes"}},
			[]act{"tcp [2001:db8:2::1]:80"}, []act{"tcp [2001:db8:2::2711]:80", "tcp 203.0.113.2:80"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := w.create(t, c.labels)
			if err != nil {
				t.Fatalf("%.300v", err)
			}
			b.reaches(t, c.open...)
			b.isKeptFrom(t, c.closed...)
			for _, words := range c.says {
				d.says(t, words...)
			}
			good.reaches(t, "tcp 203.0.113.1:80")
			good.isKeptFrom(t, "tcp 203.0.113.10:80")
			w.healthy(t, d)
		})
	}
	for _, r := range d.log.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q stands in the log", r)
		}
	}
}

func TestAnImagesLabelsOpenNothingUnlessImagesAreTrusted(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	if err := w.engine.ImportProbe(t.Context(), "sly", `LABEL dockerwall.outbound="*" dockerwall.mode=off`); err != nil {
		t.Fatal(err)
	}
	b := w.run(t, lab.RunSpec{Image: "sly", Network: web})
	own := w.run(t, lab.RunSpec{Image: "sly", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	d := w.start(t)
	own.reaches(t, "tcp 203.0.113.1:80")
	own.isKeptFrom(t, "tcp 203.0.113.2:80")
	b.isKeptFrom(t, "tcp 203.0.113.1:80")
	d.says(t, "comes from the image and is ignored", "TRUST_IMAGE_LABELS=true")
	d.stop()
	w.start(t, "TRUST_IMAGE_LABELS=true")
	b.reaches(t, "tcp 203.0.113.1:80")
}

func TestADaemonThatCannotStartSaysWhyAndHow(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	for name, c := range map[string]struct {
		settings []string
		says     []string
		code     int
	}{
		"DRY_RUN=maybe":              {[]string{"DRY_RUN=maybe"}, []string{"DRY_RUN", `"maybe"`, "true or false"}, exitUsage},
		"a flag that does not exist": {[]string{"--gateway-network=x"}, []string{"unknown flag", "--help"}, exitUsage},
		"an nflog group too large":   {[]string{"DOCKERWALL_NFLOG_GROUP=65536"}, []string{"65536", "1 to 65535"}, exitUsage},
		"nflog group 0":              {[]string{"DOCKERWALL_NFLOG_GROUP=0"}, []string{"1 to 65535"}, exitUsage},
		"a metrics destination":      {[]string{"DOCKERWALL_METRICS_DESTINATION=colour"}, []string{"colour", "domain"}, exitUsage},
		"DOCKER_HOST":                {[]string{"DOCKER_HOST=ssh://x"}, []string{"DOCKER_HOST", "ssh://x", "unix://"}, exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			d := w.launch(t, c.settings...)
			if strings.HasPrefix(c.settings[0], "-") {
				d = w.launch(t, append(c.settings, "run")...)
			}
			d.says(t, c.says...)
			if code := d.code(t); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
		})
	}
	t.Run("no NET_ADMIN", func(t *testing.T) {
		for _, args := range [][]string{{"run"}, {"nft", "dump", "--live"}, {"nft", "flush"}} {
			cmd := w.HostCommand(t.Context(), "setpriv", append([]string{"--bounding-set=-net_admin", "--inh-caps=-net_admin", w.binary}, args...)...)
			cmd.Env = []string{"DOCKER_HOST=unix:///run/docker.sock"}
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitPermission || !strings.Contains(string(out), "cap_add: [NET_ADMIN]") {
				t.Errorf("%q: exit code %d: %s", args, code, out)
			}
		}
	})
	t.Run("nothing was opened or left by any of them", func(t *testing.T) {
		if tables := w.host(t, "nft", "list", "tables"); strings.Contains(tables, "dockerwall") {
			t.Errorf("tables: %s", tables)
		}
	})
}

func TestADaemonGoesOnWithoutWhatItCanDoWithout(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.labelled(t, "203.0.113.1")
	fences := func(t *testing.T) {
		t.Helper()
		b.reaches(t, "tcp 203.0.113.1:80")
		b.isKeptFrom(t, "tcp 203.0.113.2:80")
	}
	t.Run("port 50000 is taken, until it is free", func(t *testing.T) {
		taken, err := w.Host.Listen(":50000")
		if err != nil {
			t.Fatal(err)
		}
		d := w.start(t)
		d.says(t, "cannot serve metrics", ":50000", "DOCKERWALL_METRICS_ADDR")
		fences(t)
		w.isDegraded(t, "metrics are not served", "DOCKERWALL_METRICS_ADDR")
		_ = taken.Close()
		d.says(t, "serving metrics")
		w.isWhole(t)
	})
	t.Run("the nflog group is taken", func(t *testing.T) {
		ctx, free := context.WithCancel(t.Context())
		defer free()
		taken, err := nflog.Open(&nflog.Config{NetNS: w.Host.FD(), Group: defaultNflogGroup, Copymode: nflog.CopyPacket})
		if err != nil {
			t.Fatal(err)
		}
		ignore := func(error) int { return 1 }
		if err := taken.RegisterWithErrorFunc(ctx, func(nflog.Attribute) int { return 0 }, ignore); err != nil {
			t.Fatal(err)
		}
		d := w.start(t)
		d.says(t, "nflog group 32", "another program reads it", "DOCKERWALL_NFLOG_GROUP")
		fences(t)
		w.isDegraded(t, "denied packets are counted but not logged", "DOCKERWALL_NFLOG_GROUP")
	})
	t.Run("another nflog group is free", func(t *testing.T) {
		d := w.start(t, "DOCKERWALL_NFLOG_GROUP=77")
		fences(t)
		b.isKeptFrom(t, "tcp 203.0.113.77:80")
		d.says(t, "msg=denied", "destination=203.0.113.77", "port=80")
	})
	t.Run("a resolver is not an address", func(t *testing.T) {
		w.start(t, "DOCKERWALL_RESOLVERS=dns.example").says(t, "DOCKERWALL_RESOLVERS", "not an address", "dns.example")
		fences(t)
		if s, _ := w.told(t); len(s.Host) != 1 || !strings.Contains(s.Host[0].Message, "dns.example") {
			t.Errorf("host: %+v", s.Host)
		}
	})
	t.Run("the socket's place cannot be written", func(t *testing.T) {
		d := w.launch(t, "DOCKERWALL_SOCKET=/proc/nowhere/d.sock")
		d.says(t, "no API", "/proc/nowhere", "nft flush")
		fences(t)
	})
}
