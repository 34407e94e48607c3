package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// tasks are the running containers of a service, once there are as many as said.
func (w *world) tasks(t *testing.T, service string, n int) []*box {
	t.Helper()
	var ids []string
	eventually(t, func() error {
		ids = strings.Fields(w.docker(t, "ps", "--no-trunc", "--quiet", "--filter=label=com.docker.swarm.service.name="+service))
		if len(ids) != n {
			return fmt.Errorf("%d tasks of %s run, not %d", len(ids), service, n)
		}
		return nil
	})
	out := make([]*box, 0, n)
	for _, id := range ids {
		out = append(out, w.find(t, id))
	}
	return out
}

// answers dials from the internet until somebody there answers.
func (w *world) answers(t *testing.T, addr string) {
	t.Helper()
	eventually(t, func() error {
		conn, err := w.Internet.Dial(t.Context(), "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// TestTasksOfASwarmLeaveUnderTheirServicesLabel by docker_gwbridge. The kernels of CI have no IPVS,
// so there are no virtual IPs.
func TestTasksOfASwarmLeaveUnderTheirServicesLabel(t *testing.T) {
	for name, options := range map[string]lab.DockerOptions{"this machine's Engine": {}, "the newest Engine": {Newest: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, options)
			w.start(t)
			w.docker(t, "swarm", "init", "--advertise-addr="+lab.HostAddr)
			w.docker(t, "network", "create", "--driver=overlay", "--attachable", "mesh")
			w.docker(t, "service", "create", "--detach", "--no-resolve-image", "--name=app", "--network=mesh", "--stop-grace-period=1s",
				"--container-label=dockerwall.outbound=203.0.113.1", "--publish=mode=host,published=8080,target=80", lab.ProbeImage, "serve", "80")
			host := listen(t, w.Host, 7000)
			open, shut := []act{"tcp 203.0.113.1:80", "udp 203.0.113.1:5000"}, append(host.at(lab.HostAddr, "172.18.0.1"), "tcp 203.0.113.2:80", "ping 203.0.113.3")
			first := w.tasks(t, "app", 1)[0]
			first.reaches(t, open...)
			first.isKeptFrom(t, shut...)
			w.answers(t, net.JoinHostPort(lab.HostAddr, "8080"))
			t.Run("attached by hand", func(t *testing.T) {
				b := w.run(t, lab.RunSpec{Network: "mesh", Labels: map[string]string{"dockerwall.outbound": "203.0.113.2"}})
				b.reaches(t, "tcp 203.0.113.2:80")
				b.isKeptFrom(t, "tcp 203.0.113.1:80")
			})
			t.Run("scaled up and down", func(t *testing.T) {
				w.docker(t, "service", "create", "--detach", "--no-resolve-image", "--name=crew", "--network=mesh", "--stop-grace-period=1s",
					"--container-label=dockerwall.outbound=203.0.113.1", lab.ProbeImage, "sleep")
				w.tasks(t, "crew", 1)
				w.docker(t, "service", "scale", "--detach", "crew=4")
				for _, b := range w.tasks(t, "crew", 4) {
					b.reaches(t, open[0])
					b.isKeptFrom(t, shut[2:]...)
				}
				w.docker(t, "service", "scale", "--detach", "crew=1")
				w.tasks(t, "crew", 1)[0].isKeptFrom(t, shut...)
			})
			t.Run("with another label", func(t *testing.T) {
				w.docker(t, "service", "update", "--detach", "--container-label-add=dockerwall.outbound=203.0.113.2", "crew")
				eventually(t, func() error {
					out := w.docker(t, "ps", "--quiet", "--filter=label=dockerwall.outbound=203.0.113.2", "--filter=label=com.docker.swarm.service.name=crew")
					if len(strings.Fields(out)) != 1 {
						return fmt.Errorf("not updated: %q", out)
					}
					return nil
				})
				b := w.tasks(t, "crew", 1)[0]
				b.reaches(t, "tcp 203.0.113.2:80")
				b.isKeptFrom(t, "tcp 203.0.113.1:80")
			})
			t.Run("whose own labels do nothing, which status says", func(t *testing.T) {
				w.isWhole(t)
				w.docker(t, "service", "update", "--detach", "--label-add=dockerwall.mode=off", "crew")
				w.isDegraded(t, " to correct (crew.1.")
			})
			t.Run("beside a network that the swarm cannot allocate", func(t *testing.T) {
				for _, name := range []string{"one", "two"} {
					w.docker(t, "network", "create", "--driver=overlay", "--subnet=10.77.0.0/16", name)
				}
				eventually(t, func() error {
					if drivers := w.docker(t, "network", "inspect", "--format=[{{.Driver}}]", "one", "two"); drivers != "[overlay]\n[]" {
						return fmt.Errorf("their drivers are %q", drivers)
					}
					return nil
				})
				b := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.2"}})
				b.reaches(t, "tcp 203.0.113.2:80")
			})
			t.Run("published by the routing mesh", w.meshAnswers)
		})
	}
}

// meshAnswers leads a port of the host to the namespace of the routing mesh by a rule of its own, as Docker does, and
// serves it there in IPVS's place: what it answers leaves by docker_gwbridge.
func (w *world) meshAnswers(t *testing.T) {
	mesh, err := w.engine.Sandbox("ingress_sbox")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = mesh.Close() }()
	l, err := mesh.Listen(":9090")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	addr := w.docker(t, "network", "inspect", "--format={{(index .Containers \"ingress-sbox\").IPv4Address}}", "docker_gwbridge")
	addr, _, _ = strings.Cut(addr, "/")
	lab.Nft(t, w.Host, fmt.Sprintf(`table ip mesh {
		chain before_routing { type nat hook prerouting priority dstnat - 1; iifname != "docker_gwbridge" tcp dport 9090 dnat to %s:9090
		}
	}`, addr), "-f", "-")
	w.host(t, "iptables", "--wait", "-I", "FORWARD", "-p", "tcp", "-o", "docker_gwbridge", "--dport", "9090", "-j", "ACCEPT")
	w.answers(t, net.JoinHostPort(lab.HostAddr, "9090"))
	// What it would open by itself is nobody's.
	before := w.arrivedFromMesh()
	if conn, err := mesh.Dial(t.Context(), "udp", "203.0.113.66:9"); err == nil {
		_, _ = conn.Write([]byte("x"))
		_ = conn.Close()
	}
	time.Sleep(moment)
	if n := w.arrivedFromMesh() - before; n > 0 {
		t.Errorf("%d packets of the routing mesh's own arrived", n)
	}
}

func (w *world) arrivedFromMesh() uint64 { return w.arrived("udp 203.0.113.66:9") }

// join lays a wire between two worlds' hosts, and returns the address of each on it.
func join(t *testing.T, w, v *world) (string, string) {
	t.Helper()
	for _, step := range [][]string{
		{"link", "add", "peer", "type", "veth", "peer", "name", "peer", "netns", v.Host.Path()},
		{"address", "add", "198.51.101.1/24", "dev", "peer"}, {"link", "set", "peer", "up"},
	} {
		w.host(t, "ip", step...)
	}
	v.host(t, "ip", "address", "add", "198.51.101.2/24", "dev", "peer")
	v.host(t, "ip", "link", "set", "peer", "up")
	return "198.51.101.1", "198.51.101.2"
}

// TestTasksOnTwoHostsReachOneAnotherAndNobodyElse: what tasks of one overlay network send one another travels in VXLAN
// packets of the hosts' own, which nobody judges; everything else leaves by each host's docker_gwbridge.
func TestTasksOnTwoHostsReachOneAnotherAndNobodyElse(t *testing.T) {
	w, v := newWorld(t, lab.DockerOptions{}), anotherWorld(t, lab.DockerOptions{})
	here, there := join(t, w, v)
	w.start(t)
	v.start(t)
	w.docker(t, "swarm", "init", "--advertise-addr="+here)
	v.docker(t, "swarm", "join", "--advertise-addr="+there, "--token="+w.docker(t, "swarm", "join-token", "--quiet", "worker"), here+":2377")
	w.docker(t, "network", "create", "--driver=overlay", "mesh")
	w.docker(t, "service", "create", "--detach", "--no-resolve-image", "--name=app", "--network=mesh", "--mode=global",
		"--container-label=dockerwall.outbound=203.0.113.1", lab.ProbeImage, "serve", "80")
	one, two := w.tasks(t, "app", 1)[0], v.tasks(t, "app", 1)[0]
	for _, b := range []*box{one, two} {
		b.reaches(t, "tcp 203.0.113.1:80")
		b.isKeptFrom(t, "tcp 203.0.113.2:80", act("tcp "+here+":2377"), act("udp "+there+":4789"))
	}
	one.reaches(t, act("tcp "+two.addr(t, "mesh").String()+":80"))
	two.reaches(t, act("tcp "+one.addr(t, "mesh").String()+":80"))
}
