package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestOutside is about what the host can see of containers, on both ends of the Docker versions there are.
func TestOutside(t *testing.T) {
	for name, options := range map[string]lab.DockerOptions{"20.10": {}, "newest": {Newest: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options)
			t.Run("a port is found by the MAC that Docker gave", w.portsHaveDockersMACs)
			t.Run("what no hook sees and what steps around is reported", w.outsideIsReported)
			t.Run("a denial of _dns_ that Docker gets around is reported", func(t *testing.T) { w.unheldDNS(t, options.Newest) })
		})
	}
}

func (w *world) portsHaveDockersMACs(t *testing.T) {
	early := w.run(t, lab.RunSpec{Network: web})
	ports := hostnet.NewPorts(hostnet.PortsOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Host.Do(func() error { return ports.Run(ctx) }) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var boxes []*box
	for _, spec := range []lab.RunSpec{
		{Network: web}, {Network: "bridge"}, {Network: other, Args: []string{"--mac-address=02:11:22:33:44:55"}},
	} {
		boxes = append(boxes, w.run(t, spec))
	}
	w.docker(t, "network", "connect", other, early.ID)
	w.docker(t, "network", "connect", web, boxes[1].ID)
	w.docker(t, "restart", "-t=0", boxes[0].ID)
	w.docker(t, "network", "disconnect", web, early.ID)
	for _, network := range []string{web, other, "bridge"} {
		want := w.dockersMACs(t, network)
		eventually(t, func() error {
			if got := macsOn(ports.List(), w.bridgeOf(t, network)); !slices.Equal(got, want) {
				return fmt.Errorf("%s: MACs of ports %v, of endpoints %v", network, got, want)
			}
			return nil
		})
	}
}

func (w *world) bridgeOf(t *testing.T, network string) string {
	t.Helper()
	if network == "bridge" {
		return "docker0"
	}
	return "br-" + w.docker(t, "network", "inspect", "-f={{.Id}}", network)[:12]
}

// dockersMACs are sorted.
func (w *world) dockersMACs(t *testing.T, network string) []string {
	t.Helper()
	macs := strings.Fields(w.docker(t, "network", "inspect", "-f={{range .Containers}}{{.MacAddress}} {{end}}", network))
	if len(macs) == 0 {
		t.Fatalf("%s has no containers", network)
	}
	slices.Sort(macs)
	return macs
}

func macsOn(ports []hostnet.Port, bridge string) (macs []string) {
	for _, p := range ports {
		if p.Bridge == bridge {
			macs = append(macs, net.HardwareAddr(p.MAC[:]).String())
		}
	}
	slices.Sort(macs)
	return macs
}

// unheldDNS is about Docker 28 and newer, which ask from the host's own network.
func (w *world) unheldDNS(t *testing.T, fromHost bool) {
	w.start(t)
	w.run(t, lab.RunSpec{Name: "mute", Network: web, Labels: map[string]string{"dockerwall.outbound": "!_dns_"}})
	eventually(t, func() error {
		s, _ := w.told(t)
		for _, c := range s.Containers {
			if c.Name != "mute" || len(c.Policy) == 0 {
				continue
			}
			told := slices.ContainsFunc(c.Findings, func(f api.Finding) bool { return f.Token == "!_dns_" && f.Remedy != "" })
			if told != fromHost {
				return fmt.Errorf("findings: %+v", c.Findings)
			}
			return nil
		}
		return fmt.Errorf("no such container")
	})
}

func (w *world) outsideIsReported(t *testing.T) {
	d := w.start(t)
	for _, run := range []struct {
		spec  lab.RunSpec
		words []string
	}{
		{lab.RunSpec{Name: "free", Network: "host"}, []string{"nothing is fenced", "warning"}},
		{lab.RunSpec{Name: "bound", Network: "host", Labels: map[string]string{"dockerwall.outbound": "*"}}, []string{"its labels do nothing there", "error"}},
		{lab.RunSpec{Name: "admin", Network: web, Args: []string{"--cap-add=net_admin", "--cap-add=SYS_NICE"}}, []string{"step around the fence: it has NET_ADMIN;"}},
		{lab.RunSpec{Name: "socket", Network: web, Args: []string{"-v=" + w.engine.Socket() + ":/var/run/docker.sock:ro"}}, []string{"step around the fence: it sees the socket"}},
		{lab.RunSpec{Name: "tracer", Network: web, Args: []string{"--pid=host", "--cap-add=CAP_SYS_PTRACE"}}, []string{"step around the fence: it has SYS_PTRACE"}},
	} {
		run.spec.Cmd = []string{"sleep"}
		if _, err := w.engine.Run(t.Context(), run.spec); err != nil {
			t.Fatal(err)
		}
		d.says(t, append(run.words, "container="+run.spec.Name)...)
	}
	if out := w.host(t, w.binary, "health"); !strings.Contains(out, "problem: bound: error") {
		t.Errorf("health:\n%s", out)
	}
}
