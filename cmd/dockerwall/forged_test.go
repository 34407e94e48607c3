package main

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// forged is the address that forgeries below want opened, for a name that a label allows.
const forged = "198.18.66.66"

// TestForgedRepliesOpenNothing plays a container with Docker's default capabilities, NET_RAW among them.
func TestForgedRepliesOpenNothing(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	w.DNS.SetAnswer("slow.fresh.example", lab.Answer{Silent: true})
	w.start(t, "GATEWAY_NETWORKS=!"+other)
	victim := w.labelled(t, "*.fresh.example, victim.example, 192.0.2.53:53")
	w.connects(t, victim, "n1.fresh.example", freshAddr(1))
	fenced := w.labelled(t, "*.fresh.example, victim.example")
	free := w.run(t, lab.RunSpec{Network: other})
	resolver := lab.DNSAddr + ":53"
	for name, from := range map[string]*box{"from a fenced network": fenced, "from a free network": free} {
		for to, target := range map[string]string{
			"to itself": from.ip(t) + ":40000", "to another container": victim.ip(t) + ":40000",
			"to the host": lab.HostAddr + ":40000", "to the internet": "203.0.113.9:40000", "to the gateway": webGate + ":53",
		} {
			t.Run(name+", "+to+", that nobody asked for", func(t *testing.T) {
				from.forges(t, resolver, target)
			})
		}
		t.Run(name+", in the place of an answer that is awaited", func(t *testing.T) {
			for _, asker := range []*box{from, victim} {
				port := asker.asksSlowly(t, resolver)
				// What the host takes for the reply of that flow, and what comes out behind its address translation.
				from.forges(t, resolver, fmt.Sprintf("%s:%d", lab.HostAddr, port), "-count", "20")
				from.forges(t, resolver, fmt.Sprintf("%s:%d", asker.ip(t), port), "-count", "20")
				from.forges(t, resolver, fmt.Sprintf("%s:%d", lab.HostAddr, port), "-id", "77", "-qname", "other.fresh.example")
			}
		})
		t.Run(name+", as the gateway or another server", func(t *testing.T) {
			for _, source := range []string{webGate + ":53", "127.0.0.1:53", "192.0.2.53:53", lab.HostAddr + ":53", lab.DNSAddr + ":54"} {
				from.forges(t, source, lab.HostAddr+":40000")
				from.forges(t, source, victim.ip(t)+":40000")
			}
		})
	}
	t.Run("a server that is no resolver of ours, though it may be asked", func(t *testing.T) {
		d, err := w.NewDNS(netip.MustParseAddr("192.0.2.53"))
		if err != nil {
			t.Fatal(err)
		}
		d.Set("victim.fresh.example", netip.MustParseAddr(forged))
		r, err := victim.Probe(t.Context(), "ask", "192.0.2.53:53", "victim.fresh.example")
		if err != nil || len(r.Addrs) != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		w.isNotOpen(t, forged, victim)
	})
	t.Run("from the internet, that nobody asked for", func(t *testing.T) {
		path, err := lab.BuildProbe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out, err := w.Internet.Command(t.Context(), path, "forge", resolver, lab.HostAddr+":40000", "victim.fresh.example", forged, "-count", "20").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		w.isNotOpen(t, forged, victim)
	})
	t.Run("what the resolver itself says is believed", func(t *testing.T) {
		w.DNS.Set("victim.fresh.example", netip.MustParseAddr(forged))
		w.connects(t, victim, "victim.fresh.example", netip.MustParseAddr(forged))
	})
	w.drained(t)
}

// forges sends a reply about a name that everybody here may reach, and fails if it opens anything.
func (b *box) forges(t *testing.T, from, to string, more ...string) {
	t.Helper()
	for _, name := range []string{"victim.fresh.example", "victim.example"} {
		r, err := b.Probe(t.Context(), append([]string{"forge", from, to, name, forged}, more...)...)
		if err != nil || r.Outcome != result.OK {
			t.Fatalf("forge: %+v, %v", r, err)
		}
	}
	b.w.isNotOpen(t, forged, b)
}

// isNotOpen fails if the kernel's sets hold an address, now or in a moment.
func (w *world) isNotOpen(t *testing.T, addr string, b *box) {
	t.Helper()
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); { // a copy may be on its way
		if text := lab.Nft(t, w.Host, "", "list", "table", "inet", "dockerwall"); strings.Contains(elementsOf(text), addr) {
			t.Fatalf("%s is open:\n%s", addr, text)
		}
	}
}

// elementsOf leaves out the sets in which the kernel records what it has denied.
func elementsOf(table string) string {
	var out strings.Builder
	for _, set := range strings.Split(table, "\tset ")[1:] {
		if name, _, _ := strings.Cut(set, " "); !strings.Contains(name, "_denied") {
			out.WriteString(set)
		}
	}
	return out.String()
}

// connects has a container ask for a name and reach its address with its first packet.
func (w *world) connects(t *testing.T, b *box, name string, addr netip.Addr) {
	t.Helper()
	b.resolves(t, name, true)
	b.connectsAtOnce(t, addr)
}

// ip is the container's address on its one network.
func (b *box) ip(t *testing.T) string {
	t.Helper()
	text, err := b.Inspect(t.Context(), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// asksSlowly asks the resolver, from a port that it returns and that the host keeps, what it will not answer.
func (b *box) asksSlowly(t *testing.T, resolver string) int {
	t.Helper()
	conn, err := b.ns.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	question := append([]byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4}, "slow\x05fresh\x07example\x00\x00\x01\x00\x01"...)
	asked := b.w.asked("slow.fresh.example")
	if _, err := conn.WriteTo(question, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(resolver))); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if b.w.asked("slow.fresh.example") == asked {
			return fmt.Errorf("the resolver has not been asked")
		}
		return nil
	})
	return conn.LocalAddr().(*net.UDPAddr).Port
}
