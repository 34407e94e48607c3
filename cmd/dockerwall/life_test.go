package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

func TestADaemonThatIsKilledAndComesAgainChangesNothing(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	first := w.start(t)
	b := w.labelled(t, "203.0.113.0/28, www.example.com")
	b.reaches(t, "tcp 203.0.113.10:80", "udp 203.0.113.1:5000")
	open, shut := []act{"tcp 203.0.113.1:80", "tcp 203.0.113.10:443", "ping 203.0.113.2"}, []act{"tcp 203.0.113.77:80", "tcp [2001:db8:1::7]:80", act("tcp " + webGate + ":22")}
	stream := b.stream(t, "203.0.113.3:7")
	allowed, denied := b.flood(t, "203.0.113.4:5000", 5000), b.flood(t, "203.0.113.78:5000", 5000)
	b.isKeptFrom(t, shut...)
	before := w.scrape(t)
	first.kill9()
	b.reaches(t, open...)
	b.isKeptFrom(t, shut...)
	stream.flows(t)

	// Born while nobody is there: fenced whole, because nobody knows them.
	w.network(t, "late", "172.30.3.0/24", "2001:db8:c:3::/64")
	late := w.run(t, lab.RunSpec{Network: "late", Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	sibling := w.run(t, lab.RunSpec{Network: "late"})
	young := w.labelled(t, "203.0.113.1")
	late.isKeptFrom(t, append(shut, open...)...)
	young.isKeptFrom(t, append(shut, open...)...)

	w.start(t)
	late.reaches(t, listen(t, sibling.ns, 9000).at(sibling.addr(t, "late").String())...)
	stream.flows(t)
	b.reaches(t, open...)
	b.isKeptFrom(t, shut...)
	late.reaches(t, "tcp 203.0.113.1:80")
	late.isKeptFrom(t, shut...)
	young.reaches(t, "tcp 203.0.113.1:80")
	allowed.received(5000)
	denied.received(0)
	if n := w.Arrived(netip.MustParseAddr("203.0.113.78")); n != 0 {
		t.Errorf("%d denied packets arrived", n)
	}
	after := w.scrape(t)
	for _, action := range []string{"accept", "drop"} {
		if was, is := before.packets(b, action), after.packets(b, action); is <= was {
			t.Errorf("%s: %v packets before, %v after", action, was, is)
		}
	}
	if after.packets(b, "drop") < 5000 {
		t.Errorf("%v of more than 5000 denied packets are counted", after.packets(b, "drop"))
	}
}

// TestAContainerThatRestartsWithoutTheDaemonGoesOn with the address it had, on another port of its bridge, which nobody has
// bound that address to.
func TestAContainerThatRestartsWithoutTheDaemonGoesOn(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	b := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}, Args: []string{"--ip=172.30.1.50", "--ip6=2001:db8:c:1::50"}})
	sibling := w.run(t, lab.RunSpec{Network: web})
	beside := listen(t, sibling.ns, 9000).at(sibling.addr(t, web).String())
	b.reaches(t, append(beside, "tcp 203.0.113.1:80")...)
	d.kill9()
	w.docker(t, "restart", "--time=0", b.ID)
	b.enter(t)
	b.reaches(t, append(beside, "tcp 203.0.113.1:80")...)
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	w.start(t)
	b.reaches(t, append(beside, "tcp 203.0.113.1:80")...)
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
}

func TestDockerRestartsAndTheDaemonGoesOn(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{Config: `{"live-restore": true}`})
	d := w.start(t)
	b := w.labelled(t, "203.0.113.1")
	b.reaches(t, "tcp 203.0.113.1:80")
	stream := b.stream(t, "203.0.113.1:7")
	for name, restart := range map[string]func() error{
		"in order": func() error { return w.engine.Restart(t.Context()) },
		"killed":   func() error { w.engine.Kill9(); return w.engine.Start(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := restart(); err != nil {
				t.Fatal(err)
			}
			b.isKeptFrom(t, "tcp 203.0.113.2:80")
			b.reaches(t, "tcp 203.0.113.1:443")
			stream.flows(t)
			young := w.labelled(t, "203.0.113.3")
			young.reaches(t, "tcp 203.0.113.3:80")
			young.isKeptFrom(t, "tcp 203.0.113.1:80")
			w.healthy(t, d)
			d.says(t, "no connection to Docker")
		})
	}
}

func TestContainersThatDockerStartsAgainKeepTheirPolicy(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t)
	a := w.run(t, lab.RunSpec{Network: web, Args: []string{"--restart=always", "--stop-signal=KILL"}, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	b := w.run(t, lab.RunSpec{Network: web, Args: []string{"--restart=always", "--stop-signal=KILL"}, Labels: map[string]string{"dockerwall.outbound": "203.0.113.2"}})
	if err := w.engine.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.enter(t)
	b.enter(t)
	a.reaches(t, "tcp 203.0.113.1:80")
	a.isKeptFrom(t, "tcp 203.0.113.2:80")
	b.reaches(t, "tcp 203.0.113.2:80")
	b.isKeptFrom(t, "tcp 203.0.113.1:80")
	w.healthy(t, d)
}

// bridge makes one with a container's namespace on it, as Docker would, without Docker.
func (w *world) bridge(t *testing.T, name string) *box {
	t.Helper()
	ns, err := lab.NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ns.Close() })
	host := `ip link add "$1" type bridge && ip address add 172.30.9.1/24 dev "$1" && ip link set "$1" up &&
		ip link add v9 type veth peer name eth0 && ip link set v9 master "$1" up && ip link set eth0 netns "$2"`
	inside := `ip address add 172.30.9.2/24 dev eth0 && ip link set eth0 up && ip route add default via 172.30.9.1`
	for _, cmd := range []*exec.Cmd{
		w.Host.Command(t.Context(), "sh", "-c", strings.ReplaceAll(host, "eth0", "e9"), "sh", name, ns.Path()),
		ns.Command(t.Context(), "sh", "-c", "ip link set e9 name eth0 && "+inside),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return &box{w: w, ns: ns}
}

func TestTheDaemonWaitsForDockerAndFencesMeanwhile(t *testing.T) {
	t.Parallel()
	w := &world{Lab: lab.ForTest(t)}
	w.binary, w.probe = programs(t)
	early := w.bridge(t, "br-0123456789ab")
	early.reaches(t, "tcp 203.0.113.1:80")
	d := w.launch(t)
	d.says(t, "level=WARN", "Docker", "is Docker running")
	d.says(t, "boot ruleset committed")
	early.isKeptFrom(t, "tcp 203.0.113.1:80", "ping 203.0.113.2", act("tcp 172.30.9.1:50000"))
	if out, err := w.command(t.Context(), "health").CombinedOutput(); err == nil || !strings.Contains(string(out), "unhealthy") {
		t.Errorf("health: %v: %s", err, out)
	}
	if s, code := w.told(t); code != exitDegraded || s.State != api.Failing || s.Docker.Up || len(s.Degraded) != 1 || !strings.Contains(s.Degraded[0], "is Docker running") {
		t.Errorf("exit %d: %+v", code, s)
	}
	w.engine = w.DockerForTest(t, lab.DockerOptions{})
	if err := w.engine.ImportProbe(t.Context(), lab.ProbeImage); err != nil {
		t.Fatal(err)
	}
	w.network(t, web, webNet, webNet6)
	w.healthy(t, d)
	w.isWhole(t)
	b := w.labelled(t, "203.0.113.1")
	b.reaches(t, "tcp 203.0.113.1:80")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
}

func TestAContainerKeepsItsPolicyWhereverItGoes(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	b := w.run(t, lab.RunSpec{Name: "mover", Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1"}})
	neighbour := w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.outbound": "203.0.113.2"}})
	ear := listen(t, neighbour.ns, 9000)
	check := func(t *testing.T) {
		t.Helper()
		b.reaches(t, "tcp 203.0.113.1:80", "ping 203.0.113.1")
		b.isKeptFrom(t, "tcp 203.0.113.2:80", "tcp [2001:db8:1::2]:80")
	}
	t.Run("connected to another network at run time", func(t *testing.T) {
		ear.hearsNothing(t, func() { b.isKeptFrom(t, ear.at(neighbour.addr(t, other).String())...) })
		w.docker(t, "network", "connect", other, b.ID)
		b.reaches(t, ear.at(neighbour.addr(t, other).String())...)
		check(t)
	})
	t.Run("disconnected from the first", func(t *testing.T) {
		w.docker(t, "network", "disconnect", web, b.ID)
		check(t)
	})
	t.Run("renamed", func(t *testing.T) {
		w.docker(t, "rename", b.ID, "moved")
		check(t)
		eventually(t, func() error {
			if w.scrape(t).sum("dockerwall_container_packets", b.id(), "name=moved") == 0 {
				return fmt.Errorf("the metrics do not know it as moved")
			}
			return nil
		})
	})
	t.Run("started again with another address, while another container has the old one", func(t *testing.T) {
		old := b.addr(t, other)
		w.docker(t, "stop", "--time=0", b.ID)
		heir := w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.outbound": "203.0.113.3"}})
		if got := heir.addr(t, other); got != old {
			t.Fatalf("the heir has %s, not %s", got, old)
		}
		heir.reaches(t, "tcp 203.0.113.3:80")
		heir.isKeptFrom(t, "tcp 203.0.113.1:80")
		w.docker(t, "start", b.ID)
		b.enter(t)
		if b.addr(t, other) == old {
			t.Fatal("the address is the old one")
		}
		check(t)
		heir.isKeptFrom(t, "tcp 203.0.113.1:80")
	})
	t.Run("at the very start, with an address that was another's a moment ago", func(t *testing.T) {
		for i := range 3 {
			allowed := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.5"}})
			allowed.reaches(t, "udp 203.0.113.5:5000")
			old := allowed.addr(t, web)
			if err := allowed.Remove(t.Context()); err != nil {
				t.Fatal(err)
			}
			mark := fmt.Sprintf("203.0.113.5:%d", 6000+i)
			heir := w.run(t, lab.RunSpec{Network: web, Cmd: []string{"script", "udp " + mark + " -count 50", "sleep"}})
			if heir.addr(t, web) == old {
				time.Sleep(moment)
				if n := w.ArrivedAt("udp", netip.MustParseAddrPort(mark)); n != 0 {
					t.Errorf("%d packets of the heir arrived", n)
				}
			} else {
				t.Error("the heir has another address: this tests nothing")
			}
			_ = heir.Remove(t.Context())
		}
	})
}
