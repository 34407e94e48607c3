package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// heirs are containers that may do nothing and come back with an Engine that ends all containers, with addresses of others,
// which do not come back.
type heirs struct {
	*world
	rich, poor []*box
	swapped    int // comebacks in which all addresses were others'
}

// The destinations of the rich, at a port that only the poor try.
const richOne, richTwo, poorPort = "203.0.113.1", "203.0.113.2", ":6000"

// runs is run without a hold on the container's namespace, which ends with the container as it does elsewhere.
func (w *world) runs(t *testing.T, spec lab.RunSpec) *box {
	t.Helper()
	if spec.Cmd == nil {
		spec.Cmd = []string{"sleep"}
	}
	c, err := w.engine.Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return &box{Container: c, w: w}
}

// newHeirs has one of the rich bound to its port, and the other to none: whose a MAC is that two have nobody can tell.
func newHeirs(t *testing.T, w *world) *heirs {
	t.Helper()
	h := &heirs{world: w}
	killed, twice := "--stop-signal=KILL", "--mac-address=02:42:0a:0b:0c:0d"
	w.runs(t, lab.RunSpec{Network: other, Args: []string{killed, twice, "--restart=always"}})
	h.rich = append(h.rich,
		w.runs(t, lab.RunSpec{Network: web, Args: []string{killed}, Labels: map[string]string{"dockerwall.outbound": richOne}}),
		w.runs(t, lab.RunSpec{Network: web, Args: []string{killed, twice}, Labels: map[string]string{"dockerwall.outbound": richTwo}}))
	script := []string{"script"}
	for range 30 {
		script = append(script, "udp "+richOne+poorPort+" -count 20 -rate 1000 -wait 1ms", "udp "+richTwo+poorPort+" -count 20 -rate 1000 -wait 1ms")
	}
	for range h.rich {
		h.poor = append(h.poor, w.runs(t, lab.RunSpec{Network: web, Args: []string{killed, "--restart=always"}, Cmd: append(script, "sleep")}))
	}
	return h
}

// again gives the rich the lowest addresses, and lets all be known.
func (h *heirs) again(t *testing.T) {
	t.Helper()
	var ids []string
	for _, b := range slices.Concat(h.rich, h.poor) {
		ids = append(ids, b.ID)
	}
	h.docker(t, append([]string{"stop", "--time=0"}, ids...)...)
	for _, id := range ids { // one after another
		h.docker(t, "start", id)
	}
}

// comeback has the Engine end and start again.
func (h *heirs) comeback(t *testing.T, end func()) {
	t.Helper()
	for i, b := range h.rich {
		if _, err := b.Probe(t.Context(), "udp", []string{richOne, richTwo}[i]+":5000"); err != nil {
			t.Fatal(err)
		}
	}
	addrs := func(of []*box) (out []netip.Addr) {
		for _, b := range of {
			out = append(out, b.addr(t, web))
		}
		slices.SortFunc(out, netip.Addr.Compare)
		return out
	}
	old := addrs(h.rich)
	end()
	if err := h.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(addrs(h.poor), old) {
		h.swapped++
	}
}

func (h *heirs) leaked() (n uint64) {
	for _, to := range []string{richOne, richTwo} {
		n += h.ArrivedAt("udp", netip.MustParseAddrPort(to+poorPort))
	}
	return n
}

// TestFaultNobodyInheritsAPolicyWithAnAddress has an Engine without live-restore end, and come back with the containers that may
// do nothing. They get the lowest addresses, which were others', and send before the Engine can be asked.
func TestFaultNobodyInheritsAPolicyWithAnAddress(t *testing.T) {
	versions := map[string]lab.DockerOptions{"": {}}
	if *faults {
		versions[" (Docker 28)"] = lab.DockerOptions{Newest: true}
	}
	for name, options := range versions {
		t.Run("Engine"+name, func(t *testing.T) {
			w := newWorld(t, options)
			d := w.start(t)
			h := newHeirs(t, w)
			times := often(1, 20)
			for i := range times {
				if i > 0 {
					h.again(t)
				}
				h.comeback(t, func() {
					if i%2 == 0 {
						w.engine.Kill9()
					} else if err := w.engine.Stop(t.Context()); err != nil {
						t.Fatal(err)
					}
				})
			}
			w.healthy(t, d)
			for _, b := range h.poor {
				b.enter(t)
				b.isKeptFrom(t, "tcp "+richOne+":80", "tcp "+richTwo+":80")
			}
			t.Logf("in %d of %d comebacks all addresses were others'", h.swapped, times)
			s := sum{Sent: uint64(times) * 2 * 2 * 30 * 20, Leaked: h.leaked()}
			if s.clean(t); h.swapped == 0 {
				t.Error("no address was another's: this tests nothing")
			}
			fault{table: ofDocker, what: strings.TrimSpace("dockerd killed and stopped in turn, without live-restore; containers come back with addresses of others" + name), times: times, sum: s}.told(t)
		})
	}
}
