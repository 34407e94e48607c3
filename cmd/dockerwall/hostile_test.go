package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// attack is a minute in which a container of Docker's default capabilities tries everything that the probe knows
// (internal/lab/probe/tricks.go), beside a sibling that goes on with what it may do.
type attack struct {
	*world
	hostile, sibling *box
	bridge           *net.Interface
	service          *ear
}

const (
	attackShare = 4500 * time.Millisecond
	attackRate  = 3000 // frames a second
	innocent4   = "203.0.113.7"
	innocent6   = "2001:db8:1::7"
)

// TestAHostileContainerReachesNothing takes a minute: every identity has its share of it.
func TestAHostileContainerReachesNothing(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	a := newAttack(t, w)
	for _, as := range []string{"own", "nobody", "off-subnet", "loopback", "link-local", "unspecified", "multicast", "host", "gateway",
		"gateway-and-its-mac", "sibling-address", "sibling", "sibling-mac"} {
		t.Run("as "+as, func(t *testing.T) { a.goesOn(t, "-sources", as, "-for", attackShare.String()) })
	}
	t.Run("with answers to itself", func(t *testing.T) {
		a.goesOn(t, "-sources", "own", "-links", "plain", "-answer", "-for", attackShare.String())
	})
	t.Run("with lies about who is where", func(t *testing.T) {
		a.goesOn(t, "-sources", "own", "-links", "plain", "-poison", "-for", attackShare.String())
	})
}

func newAttack(t *testing.T, w *world) *attack {
	t.Helper()
	a := &attack{world: w, hostile: w.labelled(t, ""), sibling: w.labelled(t, innocent4+", "+innocent6), service: listen(t, w.Host, 7201)}
	name := "br-" + w.docker(t, "network", "inspect", "--format={{.Id}}", web)[:12]
	err := w.Host.Do(func() (err error) {
		a.bridge, err = net.InterfaceByName(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// What docs/limits.md advises where neighbours are not trusted; see TestABridgeLearnsFromWhatNoHookSees.
	w.host(t, "ip", "link", "set", "dev", name, "type", "bridge", "no_linklocal_learn", "1")
	// Behind our chains: what comes here from anywhere but the uplink has passed them.
	lab.Nft(t, w.Host, `table inet behind {
		counter service { }
		counter other { }
		chain input {
			type filter hook input priority filter + 20;
			iifname { "lo", "eth0" } accept
			meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld-listener-report, mld-listener-done, mld2-listener-report } accept
			meta l4proto { tcp, udp } th dport 7201 counter name service accept
			counter name other
		}
	}`, "-f", "-")
	a.sibling.reaches(t, "tcp "+innocent4+":80", "tcp ["+innocent6+"]:80")
	return a
}

// identity is how the probe wants a container described.
func (a *attack) identity(t *testing.T, b *box) string {
	t.Helper()
	v6, err := b.Addr6(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	return b.addr(t, web).String() + "," + v6.String() + "," + a.mac(t, b)
}

func (a *attack) mac(t *testing.T, b *box) string {
	t.Helper()
	mac, err := b.Inspect(t.Context(), "{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	return mac
}

// targets are what the container may not reach: two addresses of the internet, those that its sibling may on a port
// that it does not use, and a service of the host by all its addresses.
func (a *attack) targets(t *testing.T) []string {
	list := []string{"203.0.113.66:9", "[2001:db8:1::66]:9", innocent4 + ":9", "[" + innocent6 + "]:9"}
	for _, addr := range []string{webGate, otherGate, lab.HostAddr, "255.255.255.255", "172.30.1.255", "224.0.0.1",
		"2001:db8:c:1::1", "2001:db8:c:2::1", lab.HostAddr6, a.linkLocal(t, a.bridge.Name), "ff02::1"} {
		list = append(list, net.JoinHostPort(addr, a.service.port))
	}
	return list
}

// goesOn runs the attack to its end, and fails if anything came through or the sibling noticed.
func (a *attack) goesOn(t *testing.T, more ...string) {
	t.Helper()
	args := append([]string{"hostile", "-gateway", webGate + ",2001:db8:c:1::1", "-lan", lab.HostAddr + "," + lab.HostAddr6,
		"-sibling", a.identity(t, a.sibling), "-rate", fmt.Sprint(attackRate)}, a.targets(t)...)
	before := a.came(t)
	stream := a.sibling.stream(t, innocent4+":7")
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		r, err := a.hostile.Probe(t.Context(), append(args, more...)...)
		if err == nil && (r.Outcome != "ok" || r.Sent < 100) {
			err = fmt.Errorf("%+v", r)
		}
		t.Logf("%d frames in %v", r.Sent, time.Since(began).Round(time.Second))
		ended <- err
	}()
	if err := a.siblingGoesOn(t, ended); err != nil {
		t.Errorf("the attack: %v", err)
	}
	stream.flows(t)
	for what, n := range a.came(t) {
		if n -= before[what]; n != 0 {
			t.Errorf("%s: %d packets", what, n)
		}
	}
}

// siblingGoesOn has the sibling connect all the time until the attack has ended, and returns the attack's error.
func (a *attack) siblingGoesOn(t *testing.T, ended <-chan error) error {
	t.Helper()
	tried, failed, wrong := 0, 0, map[string]int{}
	for {
		select {
		case err := <-ended:
			t.Logf("the sibling connected %d times", tried)
			if failed > 0 || len(wrong) > 0 {
				t.Errorf("the sibling failed to connect at once %d of %d times; wrong neighbours: %v", failed, tried, wrong)
			}
			return err
		case <-time.After(100 * time.Millisecond):
		}
		for _, to := range []string{innocent4 + ":80", "[" + innocent6 + "]:80"} {
			tried++
			if !a.connectsAtOnce(t.Context(), to) {
				failed++
			}
		}
		if tried%20 == 0 {
			a.neighbours(t, wrong)
		}
	}
}

// connectsAtOnce is a connection without one lost segment: the first SYN is sent again after a second.
func (a *attack) connectsAtOnce(ctx context.Context, to string) bool {
	began := time.Now()
	conn, err := a.sibling.ns.Dial(ctx, "tcp", to)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return time.Since(began) < 900*time.Millisecond
}

// neighbours counts entries with another's MAC: of the gateway in the sibling, of the sibling in the host.
func (a *attack) neighbours(t *testing.T, wrong map[string]int) {
	t.Helper()
	gate, mac := a.bridge.HardwareAddr.String(), a.mac(t, a.sibling)
	v6, err := a.sibling.Addr6(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ns         *lab.Namespace
		addr, want string
	}{
		{a.sibling.ns, webGate, gate}, {a.sibling.ns, "2001:db8:c:1::1", gate},
		{a.Host, a.sibling.addr(t, web).String(), mac}, {a.Host, v6.String(), mac},
	} {
		out, err := c.ns.Command(t.Context(), "ip", "neighbour", "show", c.addr).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if text := string(out); strings.Contains(text, "lladdr") && !strings.Contains(text, "lladdr "+c.want) {
			wrong[c.addr+" is "+strings.TrimSpace(text)]++
		}
	}
}

// came is all that came where nothing of the attack may, by what it is: not only what was aimed at.
func (a *attack) came(t *testing.T) map[string]uint64 {
	t.Helper()
	all := map[string]uint64{"heard by the host's service": uint64(settled(a.service))}
	flows, err := a.Flows()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		own := f.Destination.IsMulticast() || netip.MustParsePrefix("198.51.100.0/24").Contains(f.Destination) ||
			netip.MustParsePrefix("2001:db8:ffff::/64").Contains(f.Destination) || f.Destination.IsLinkLocalUnicast()
		innocent := f.Protocol == "6" && (f.Destination.String() == innocent4 || f.Destination.String() == innocent6)
		if !own && !innocent {
			all[fmt.Sprintf("protocol %s at %s from %s", f.Protocol, f.Destination, f.Source)] += f.Packets
		}
	}
	for _, to := range []string{innocent4 + ":9", "[" + innocent6 + "]:9"} {
		all["tcp at "+to] = a.ArrivedAt("tcp", netip.MustParseAddrPort(to))
	}
	for _, counter := range []string{"service", "other"} {
		text := lab.Nft(t, a.Host, "", "list", "counter", "inet", "behind", counter)
		var n uint64
		if _, err := fmt.Sscanf(text[strings.Index(text, "packets"):], "packets %d", &n); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all["on the host behind the fence, "+counter] = n
	}
	return all
}
