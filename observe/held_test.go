package observe

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// full is a kernel of which each container was denied as many new destinations as its record holds.
type full struct {
	crowd
	each int
}

func (f *full) Records(ids []string) (map[string][]nft.Denial, error) {
	out := map[string][]nft.Denial{}
	for _, id := range ids {
		for i := range f.each {
			dst := netip.AddrFrom4([4]byte{byte(f.drop >> 16), byte(i >> 16), byte(i >> 8), byte(i)})
			out[id] = append(out[id], nft.Denial{Dst: dst, Port: 443, Proto: nft.TCP, Count: count(1, 60)})
		}
	}
	return out, nil
}

// TestTheLoopDoesNotWaitForWhoIsWho: what completes a Denial takes its time, and the lock is free meanwhile.
func TestTheLoopDoesNotWaitForWhoIsWho(t *testing.T) {
	r := newRig(t)
	r.kernel.deny(1, 3)
	view, _ := r.opt.View()
	view.Names = func(netip.Addr) []string {
		if !r.mu.TryLock() {
			t.Error("the lock is held")
			return nil
		}
		r.mu.Unlock()
		return nil
	}
	r.opt.View = func() (View, bool) { return view, true }
	r.Read()
	if r.packets() != 3 {
		t.Errorf("%d packets told of 3", r.packets())
	}
}

// BenchmarkLoopWaits is for how long the loop waits, at most, while 64 containers have 2,048 new destinations each.
func BenchmarkLoopWaits(b *testing.B) {
	all := time.Duration(0)
	for range b.N {
		k := &full{crowd{drop: 2048}, 2048}
		for i := range maxGrown {
			k.ids = append(k.ids, fmt.Sprintf("%012x", i))
		}
		view := View{
			Container: func(id string) (Container, bool) { return Container{ID: id}, true },
			Names:     func(netip.Addr) []string { return nil },
			Token:     func(t Target, _ []string) (string, bool) { return t.Dst.String(), false },
		}
		o, err := NewObserver(Options{Kernel: k, View: func() (View, bool) { return view, true }, Baseline: &Baseline{}})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		go func() { o.Read(); close(done) }()
		most := time.Duration(0)
		for reading := true; reading; {
			began := time.Now()
			o.Refused()
			most = max(most, time.Since(began))
			select {
			case <-done:
				reading = false
			case <-time.After(100 * time.Microsecond):
			}
		}
		all += most
	}
	b.ReportMetric(float64(all.Microseconds())/1000/float64(b.N), "ms-waited")
}

// TestAReadingIsTakenInParts of bounded size, each container in one.
func TestAReadingIsTakenInParts(t *testing.T) {
	r := Reading{Records: map[string][]nft.Denial{}}
	for i := range 10 {
		id := fmt.Sprintf("%012x", i)
		r.Records[id] = make([]nft.Denial, 400)
		r.Parts = append(r.Parts, nft.Part{ID: id, Name: "drop"})
	}
	for i := range 10 { // not beside the other
		r.Parts = append(r.Parts, nft.Part{ID: fmt.Sprintf("%012x", i), Name: "invalid"})
	}
	seen, parts := map[string]bool{}, 0
	for _, some := range r.slices(1000) {
		here, n := map[string]bool{}, 0
		for _, p := range some.Parts {
			if seen[p.ID] {
				t.Errorf("%s is parted", p.ID)
			}
			if !here[p.ID] {
				n += len(some.Records[p.ID])
			}
			here[p.ID] = true
			parts++
		}
		for id := range here {
			seen[id] = true
		}
		if n > 1400 {
			t.Errorf("%d destinations at once", n)
		}
	}
	if parts != len(r.Parts) {
		t.Errorf("%d of %d parts", parts, len(r.Parts))
	}
}

// TestAllAddsUpWhileAReadingIsTakenIn: whoever comes between finds that the sinks have what the ledger says they have.
func TestAllAddsUpWhileAReadingIsTakenIn(t *testing.T) {
	k := &full{crowd{drop: 700}, 700}
	for i := range 30 {
		k.ids = append(k.ids, fmt.Sprintf("%012x", i))
	}
	view := View{
		Container: func(id string) (Container, bool) { return Container{ID: id}, true },
		Names:     func(netip.Addr) []string { return nil },
		Token:     func(Target, []string) (string, bool) { return "", false },
	}
	told, between := uint64(0), 0
	o, err := NewObserver(Options{
		Kernel: k, View: func() (View, bool) { return view, true }, Baseline: &Baseline{},
		Sinks: []func([]Denial){func(all []Denial) {
			for _, d := range all {
				told += d.Packets
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); o.Read() }()
	for reading := true; reading; {
		o.Settled(func(b Baseline) {
			var parts, records uint64
			for _, p := range b.Parts {
				parts += p.Packets
				for _, d := range b.Records[p.ID] {
					records += d.Packets
				}
			}
			if parts != told || records != told {
				t.Errorf("%d packets told, the ledger has %d, %d by destination", told, parts, records)
			}
			if told > 0 && told < 30*700 {
				between++
			}
		})
		select {
		case <-done:
			reading = false
		default:
		}
	}
	if told != 30*700 {
		t.Errorf("%d packets told of %d", told, 30*700)
	}
	t.Logf("came between %d times", between)
}

// TestTheOldestIsLostOfWhatWaits when a sink hangs.
func TestTheOldestIsLostOfWhatWaits(t *testing.T) {
	o, n := newRig(t), uint64(0)
	for _, size := range []int{10, maxWaiting - 20, 5, 30, 4} {
		all := make([]Denial, size)
		for i := range all {
			n++
			all[i].Packets = n
		}
		o.add(all, View{})
	}
	left := completed(o.waiting)
	if len(left) != maxWaiting || left[0].Packets != n-maxWaiting+1 || left[maxWaiting-1].Packets != n {
		t.Errorf("%d wait, from %d", len(left), left[0].Packets)
	}
}
