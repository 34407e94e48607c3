package main

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/internal/lab"
)

const crowded = 1000 // containers

// crowd is a host whose Engine lists so many containers, of which the first three are there and send.
type crowd struct {
	*world
	engine *dockertest.Engine
	boxes  []*box
	n      int
}

// newCrowd gives each of at most 5,000 containers twenty addresses: ten of its label, ten of a name of its own.
func newCrowd(t testing.TB, n int) *crowd {
	t.Helper()
	c := &crowd{world: &world{Lab: lab.ForTest(t)}, engine: dockertest.New(t), n: n}
	c.binary, c.probe = programs(t)
	id := dockertest.ID("crowd")
	network := docker.Network{
		ID: id, Name: "crowd", Driver: "bridge", Scope: "local", Bridge: "br-" + id[:12],
		Subnets: []netip.Prefix{netip.MustParsePrefix("172.30.0.0/16")}, Gateways: []netip.Addr{netip.MustParseAddr("172.30.0.1")},
	}
	c.host(t, "sh", "-c", `ip link add "$1" type bridge && ip address add 172.30.0.1/16 dev "$1" && ip link set "$1" up`, "sh", network.Bridge)
	c.DNS.SetBelow("crowd.example", func(name string) lab.Answer {
		n, _, _ := strings.Cut(name, ".")
		i, _ := strconv.Atoi(strings.TrimPrefix(n, "c")) // of a name that the test made
		a := lab.Answer{TTL: 3600}
		for j := range 10 {
			a.Addrs = append(a.Addrs, netip.AddrFrom4([4]byte{198, 18, byte(i/20) + 1, byte(i%20*10 + j + 1)}))
		}
		return a
	})
	for i := range n {
		name := fmt.Sprintf("c%d", i)
		label := name + ".crowd.example"
		for j := range 10 {
			label += fmt.Sprintf(", 10.%d.%d.%d", i/250, i%250, 2*j+1)
		}
		label += fmt.Sprintf(", 203.0.113.%d", i%3+1)
		c.engine.PutContainer(docker.Container{
			ID: dockertest.ID(name), Name: name, Image: "app:1", ImageID: "sha256:" + dockertest.ID("app:1"), State: "running", NetworkMode: "crowd",
			Labels: map[string]string{"dockerwall.outbound": label}, Networks: []string{id},
		})
		addr := netip.AddrFrom4([4]byte{172, 30, byte(i/200) + 1, byte(i%200) + 2})
		mac := fmt.Sprintf("02:42:ac:1e:%02x:%02x", addr.As4()[2], addr.As4()[3])
		network.Endpoints = append(network.Endpoints, docker.Endpoint{ContainerID: dockertest.ID(name), EndpointID: dockertest.ID(name + "e"), IPv4: addr, MAC: mac})
		if i < 3 {
			c.boxes = append(c.boxes, c.plug(t, name, network.Bridge, addr, mac))
		}
	}
	c.engine.PutNetwork(network)
	c.engine.PutImage("sha256:"+dockertest.ID("app:1"), nil)
	return c
}

// plug puts a container's namespace on a bridge.
func (c *crowd) plug(t testing.TB, name, bridge string, addr netip.Addr, mac string) *box {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	c.host(t, "sh", "-c", `ip link add "v$1" type veth peer name "e$1" && ip link set "v$1" master "$2" up && ip link set "e$1" address "$4" && ip link set "e$1" netns "$3"`,
		"sh", name, bridge, ns.Path(), mac)
	inside := `ip address add "$2/16" dev "e$1" && ip link set "e$1" up && ip route add default via 172.30.0.1`
	if out, err := ns.Command(t.Context(), "sh", "-c", inside, "sh", name, addr.String()).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return &box{Container: (&lab.Docker{}).Container(dockertest.ID(name)), w: c.world, ns: ns}
}

// whole starts a daemon, and returns how long it took until the table was adopted and compared.
func (c *crowd) whole(t testing.TB, settings ...string) (*wall, time.Duration) {
	t.Helper()
	began := time.Now()
	d := c.launch(t, append(settings, "DOCKER_HOST="+c.engine.Host())...)
	var took time.Duration
	within(t, patience*time.Duration(1+c.n/crowded), func() error {
		for line := range strings.Lines(d.log.String()) {
			stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
			if at, err := time.Parse(time.RFC3339Nano, stamp); err == nil && strings.Contains(rest, "table committed") && strings.Contains(rest, "containers="+strconv.Itoa(c.n)) {
				took = at.Sub(began)
				return nil
			}
		}
		return fmt.Errorf("no table of %d containers yet", c.n)
	})
	return d, took
}

// TestFaultAThousandContainersAreTakenOver ends the daemon and starts it again while containers send.
func TestFaultAThousandContainersAreTakenOver(t *testing.T) {
	t.Parallel()
	c := newCrowd(t, crowded)
	d, first := c.whole(t)
	p := c.prober(t)
	for i, b := range c.boxes {
		named, own := netip.AddrFrom4([4]byte{198, 18, 1, byte(i*10 + 1)}), fmt.Sprintf("203.0.113.%d", i+1)
		b.reaches(t, act(fmt.Sprintf("udp %s:5000", named)))
		p.allowed(b, act("udp "+own+":6000"), act("echo "+own+":6001"), act("ping "+own), act("tcp "+own+":80"), act("stream "+own+":7"), act(fmt.Sprintf("udp %s:6000", named)))
		other := fmt.Sprintf("203.0.113.%d", 77+i)
		p.denied(b, act("udp "+other+":6000"), act("tcp "+other+":80"), act("ping "+other))
	}
	p.start()
	var took, worked []time.Duration
	counted := c.counted(t)
	times := often(2, 20)
	for i := range times {
		p.goesOn(50)
		d.signal([]unix.Signal{unix.SIGTERM, unix.SIGKILL}[i%2])
		p.goesOn(50)
		var again time.Duration
		d, again = c.whole(t)
		took, worked = append(took, again), append(worked, cpuOf(t, d.cmd.Process.Pid))
		c.healthy(t, d)
		now := c.counted(t)
		for what, n := range counted {
			if now[what] < n {
				t.Errorf("%s were %v, and are %v", what, n, now[what])
			}
		}
		counted = now
	}
	p.goesOn(50)
	s := p.stop()
	s.clean(t)
	slices.Sort(took)
	slices.Sort(worked)
	t.Logf("a table of %d containers in %v; adopted and compared in p50 %v, max %v, with p50 %v of a core", crowded, first, took[len(took)/2], took[len(took)-1], worked[len(worked)/2])
	fault{table: ofDocker, what: "the daemon ended and killed in turn, 1,000 containers of 20 addresses; started again (time to a table adopted and compared)", times: times, sum: s, repaired: took}.told(t)
}

// counted are what the metrics say of each container that sends. A scrape of so many is longer than a page that a
// namespace gets.
func (c *crowd) counted(t testing.TB) map[string]float64 {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: c.Host.Dial}}
	answer, err := client.Get("http://127.0.0.1:50000/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for i, b := range c.boxes {
		for _, action := range []string{"accept", "drop"} {
			out[fmt.Sprintf("packets of c%d, %s", i, action)] = scrape(families).packets(b, action)
		}
	}
	return out
}
