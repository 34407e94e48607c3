package nft

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func TestFillsTellTheFullestSet(t *testing.T) {
	k := open(t, namespace(t))
	wants := func(cut int) {
		t.Helper()
		got, err := k.Fills(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []Fill{{"cut", cut, 262144}, {"clients", 0, 65535}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	wants(0) // without a table
	apply(t, k, fenced())
	wants(0)
	flows := func(n int, container netip.Addr, proto uint8) (all []Cut) {
		for i := range n {
			all = append(all, Cut{Container: container, Far: fifth(i), Proto: proto, Port: 53})
		}
		return all
	}
	container := netip.MustParseAddr("172.18.0.2")
	for _, all := range [][]Cut{flows(3000, container, UDP), flows(70, container, 47)} {
		if err := k.Cut(all); err != nil {
			t.Fatal(err)
		}
		wants(3000)
	}
}

// flowsCut has so many flows stay cut, all in one set.
func flowsCut(t testing.TB, k *Kernel, n int) {
	t.Helper()
	all := make([]Cut, 0, n)
	for i := range n {
		far := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		all = append(all, Cut{Container: netip.MustParseAddr("172.18.0.2"), Far: far, Proto: UDP, Port: 53})
	}
	if err := k.Cut(all); err != nil {
		t.Fatal(err)
	}
}

// untold is a kernel that does not say how many elements a set has.
func untold(netlink.Message) (int, bool) { return 0, false }

func TestElementsAreListedWhereTheKernelDoesNotSayHowMany(t *testing.T) {
	k := open(t, namespace(t))
	apply(t, k, fenced())
	flowsCut(t, k, 20_000)
	fills, err := k.count(t.Context(), untold)
	if err != nil || fills[0].Elements != 20_000 {
		t.Errorf("%v, %v", fills, err)
	}
}

func TestFillsEndWithTheirContext(t *testing.T) {
	k := open(t, namespace(t))
	apply(t, k, fenced())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if fills, err := k.Fills(ctx); !errors.Is(err, context.Canceled) || fills != nil {
		t.Errorf("%v, %v", fills, err)
	}
}

// TestAListingEndsWhereItIs however much there is still to come.
func TestAListingEndsWhereItIs(t *testing.T) {
	k := open(t, namespace(t))
	apply(t, k, fenced())
	flowsCut(t, k, 20_000)
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS, MessageBufferSize: dumpBuffer})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	asked := 0
	done := func() error { // after the first message
		if asked++; asked > 2 {
			return context.Canceled
		}
		return nil
	}
	n, err := counting{conn, done, untold}.elements(unix.NFPROTO_INET, TableName, "cutport4")
	if !errors.Is(err, context.Canceled) || n != 0 || asked != 3 {
		t.Errorf("%d elements, %v, asked %d times", n, err, asked)
	}
}

// BenchmarkFills counts the elements of sets of which one has 200,000: as the kernel says it, and as it lists them.
func BenchmarkFills(b *testing.B) {
	k := open(b, namespace(b))
	apply(b, k, fenced())
	flowsCut(b, k, 200_000)
	for name, told := range map[string]func(netlink.Message) (int, bool){"told": elementsOf, "listed": untold} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var most, now runtime.MemStats
			for b.Loop() {
				runtime.GC()
				runtime.ReadMemStats(&now)
				before := now.HeapInuse
				fills, err := k.count(b.Context(), told)
				runtime.ReadMemStats(&now)
				if now.HeapInuse > before {
					most.HeapInuse = max(most.HeapInuse, now.HeapInuse-before)
				}
				if err != nil || fills[0].Elements != 200_000 {
					b.Fatal(fills, err)
				}
			}
			b.ReportMetric(float64(most.HeapInuse)/(1<<20), "MB-grown")
		})
	}
}
