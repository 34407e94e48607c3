package nft

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/droplog"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// logged collects what nflog delivers until the test ends.
type logged struct {
	mu    sync.Mutex
	drops []droplog.Drop
}

func readLog(t *testing.T, n *lab.Namespace) *logged {
	t.Helper()
	l := &logged{}
	reader, err := droplog.New(droplog.Options{Group: 32, NetNS: n.FD(), Handle: func(d droplog.Drop) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.drops = append(l.drops, d)
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reader.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

// from returns what was delivered of a chain.
func (l *logged) from(chain string) []droplog.Drop {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []droplog.Drop
	for _, d := range l.drops {
		if strings.HasPrefix(d.Prefix, chain+" ") {
			out = append(out, d)
		}
	}
	return out
}

// await polls until enough packets of a chain were delivered.
func (l *logged) await(chain string, n int, wait time.Duration) bool {
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if len(l.from(chain)) >= n {
			return true
		}
	}
	return false
}

func TestLogDeliversNewDestinationsAndEnduresFloods(t *testing.T) {
	pin(t)
	o := newRouter(t)
	lab.Nft(t, o.host, observers, "-f", "-")
	l := readLog(t, o.host)
	k := open(t, o.host)
	r := fenced()
	r.Containers = append(r.Containers, Container{ID: "000000000003", Endpoints: []Endpoint{{"br-blue", netip.MustParseAddr("172.18.0.4")}}})
	apply(t, k, r)
	first, second := netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("172.18.0.3")
	ready := false
	for i := 0; i < 50 && !ready; i++ { // until the reader listens
		o.send(t, "blue", frame{Src: netip.MustParseAddr("172.18.0.4"), Dst: nth(i), Proto: UDP, Dport: 53})
		ready = l.await("c_000000000003", 1, 100*time.Millisecond)
	}
	if !ready {
		t.Fatal("nothing is delivered")
	}
	for i := range 3 {
		for range 50 {
			o.send(t, "blue", frame{Src: first, Dst: nth(i), Proto: UDP, Sport: 1, Dport: 53})
		}
	}
	if !l.await("c_000000000001", 3, 5*time.Second) {
		t.Fatalf("of three new destinations %d were delivered", len(l.from("c_000000000001")))
	}
	start := time.Now()
	const flood = 5000
	for i := range flood {
		o.send(t, "blue", frame{Src: first, Dst: nth(100 + i), Proto: UDP, Sport: 1, Dport: 53})
		if i == flood/2 {
			o.send(t, "blue", frame{Src: second, Dst: nth(7), Proto: TCP, Flags: syn, Dport: 80})
		}
	}
	took := time.Since(start)
	if !l.await("c_000000000002", 1, 5*time.Second) {
		t.Error("the flood hid another container's denial")
	}
	d := l.from("c_000000000002")[0]
	if d.Prefix != "c_000000000002 denied drop" || d.Dst != nth(7) || d.DstPort != 80 || d.In != "br-blue" {
		t.Errorf("delivered %+v", d)
	}
	most := 3 + 20 + int(took.Seconds()*10) + 2
	got := l.from("c_000000000001")
	t.Logf("of %d denied packets in %v, %d were delivered", flood+150, took, len(got))
	if len(got) < 20 || len(got) > most {
		t.Errorf("%d packets delivered, of at most %d", len(got), most)
	}
	seen := map[netip.Addr]bool{}
	for _, d := range got {
		if seen[d.Dst] {
			t.Errorf("%s was delivered twice", d.Dst)
		}
		seen[d.Dst] = true
	}
}
