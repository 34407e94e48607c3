package observe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// seer lists flows of a namespace in which web has 192.0.2.2, and db 192.0.2.3.
type seer struct {
	ns    *lab.Namespace
	flows func(func(flows.Seen)) error // of the namespace
	has   map[string]Subject           // by address
	known bool                         // an earlier daemon has told of everything
	lost  map[Subject]uint64
	told  map[string]uint64 // connections by subject, protocol and target
	*Contacts
}

var dbApp = Subject{Name: "db", Image: "db:1"}

func newSeer(t *testing.T) *seer {
	t.Helper()
	ns := lab.NamespaceForTest(t)
	for _, addr := range strings.Fields("192.0.2.2 192.0.2.3 198.51.100.1") {
		if out, err := ns.Command(t.Context(), "ip", "address", "add", addr+"/32", "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	lab.Nft(t, ns, `table inet test { chain track { type filter hook output priority 0; ct state new accept; }; }`, "-f", "-")
	s := &seer{ns: ns, has: map[string]Subject{"192.0.2.2": webApp, "192.0.2.3": dbApp}}
	s.flows = func(do func(flows.Seen)) error { return flows.Each(do, flows.Options{NetNS: ns.FD()}) }
	s.restart(t)
	return s
}

// restart is a new daemon.
func (s *seer) restart(t *testing.T) {
	t.Helper()
	s.lost, s.told = map[Subject]uint64{}, map[string]uint64{}
	var err error
	s.Contacts, err = NewContacts(ContactsOptions{
		Flows: func(do func(flows.Seen)) error { return s.flows(do) },
		View:  func() (Whose, bool) { return s.whose, true },
		Known: func(Opened) bool { return s.known },
		Sink: func(_ time.Time, opened []Opened, lost map[Subject]uint64) {
			for _, o := range opened {
				s.told[fmt.Sprintf("%s %d %v:%d", o.Subject.Name, o.Proto, o.Dst, o.Port)] += o.Connections
			}
			for subject, n := range lost {
				s.lost[subject] += n
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *seer) whose(f flows.Flow) (Owned, bool) {
	subject, ok := s.has[f.Src.Addr().String()]
	return Owned{ID: subject.Name, Opened: Opened{Subject: subject, Contact: Contact{Target: Target{f.To.Addr(), f.To.Port(), f.Proto}}}}, ok
}

// say sends a datagram from a new port of an address, n times.
func (s *seer) say(t *testing.T, n int, from, to string) {
	t.Helper()
	for range n {
		err := s.ns.Do(func() error {
			con, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}).DialContext(t.Context(), "udp", to)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = con.Close() })
			_, err = con.Write([]byte("x"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *seer) expect(t *testing.T, when string, want map[string]uint64) {
	t.Helper()
	s.List()
	if diff := cmp.Diff(want, s.told); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestEachConnectionIsCountedOnceForWhoOpenedIt(t *testing.T) {
	s := newSeer(t)
	s.expect(t, "before any", map[string]uint64{})
	s.say(t, 3, "192.0.2.2", "198.51.100.1:5000")
	s.say(t, 1, "192.0.2.2", "198.51.100.1:5001")
	s.say(t, 2, "192.0.2.3", "192.0.2.2:5000") // web answers, which opens nothing
	s.say(t, 1, "198.51.100.1", "192.0.2.2:5000")
	want := map[string]uint64{"web 17 198.51.100.1:5000": 3, "web 17 198.51.100.1:5001": 1, "db 17 192.0.2.2:5000": 2}
	s.expect(t, "all of them", want)
	s.expect(t, "the same once more", want)
	s.say(t, 1, "192.0.2.2", "198.51.100.1:5000")
	want["web 17 198.51.100.1:5000"] = 4
	s.expect(t, "one more", want)
	if len(s.lost) != 0 {
		t.Errorf("lost: %v", s.lost)
	}
}

func TestADaemonDoesNotCountWhatTheOneBeforeItHas(t *testing.T) {
	s := newSeer(t)
	s.say(t, 3, "192.0.2.2", "198.51.100.1:5000")
	s.List()
	s.known = true
	s.restart(t)
	s.expect(t, "at its start", map[string]uint64{"web 17 198.51.100.1:5000": 0})
	s.say(t, 1, "192.0.2.2", "198.51.100.1:5000")
	s.expect(t, "later", map[string]uint64{"web 17 198.51.100.1:5000": 1})
}

// TestAFlowOfWhoHadTheAddressBeforeIsNotCounted: nobody can tell whose those are that began about then.
func TestAFlowOfWhoHadTheAddressBeforeIsNotCounted(t *testing.T) {
	s := newSeer(t)
	from := netip.MustParseAddr("192.0.2.2")
	s.say(t, 2, "192.0.2.2", "198.51.100.1:5000")
	s.List()
	s.say(t, 3, "192.0.2.2", "198.51.100.1:6000") // not seen yet
	s.Left(from, webApp)
	s.has["192.0.2.2"] = dbApp
	want := map[string]uint64{"web 17 198.51.100.1:5000": 2}
	s.told = map[string]uint64{"web 17 198.51.100.1:5000": 2}
	s.List()
	delete(s.told, "db 17 198.51.100.1:5000")
	if diff := cmp.Diff(want, s.told); diff != "" || s.lost[dbApp] != 3 {
		t.Errorf("after the address changed hands (-want +got):\n%s lost %v", diff, s.lost)
	}
	s.say(t, 1, "192.0.2.2", "198.51.100.1:7000")
	s.List()
	if s.told["db 17 198.51.100.1:7000"] != 1 || s.told["db 17 198.51.100.1:6000"] != 0 {
		t.Errorf("later: %v", s.told)
	}
	s.say(t, 1, "192.0.2.2", "198.51.100.1:8000")
	s.Left(from, dbApp) // created anew
	s.List()
	if s.told["db 17 198.51.100.1:8000"] != 1 {
		t.Errorf("of the same subject: %v", s.told)
	}
	inner := s.flows
	s.flows = func(do func(flows.Seen)) error {
		s.Left(from, dbApp) // in the middle of a listing
		return inner(do)
	}
	s.say(t, 1, "192.0.2.2", "198.51.100.1:9000")
	s.List()
	if n, told := s.told["db 17 198.51.100.1:9000"]; told || n != 0 {
		t.Errorf("left meanwhile: %v", s.told)
	}
}

func TestAFloodOfFlowsIsBoundedAndLosesOnlyItsOwn(t *testing.T) {
	s := newSeer(t)
	s.has = map[string]Subject{"192.0.2.3": dbApp}
	for n := range 12 {
		s.has[fmt.Sprintf("10.0.0.%d", n)] = Subject{Name: fmt.Sprintf("bad%d", n)}
	}
	to := netip.MustParseAddrPort("198.51.100.1:80")
	flow := func(src string, port int) flows.Seen {
		return flows.Seen{Flow: flows.Flow{Proto: 6, Src: netip.AddrPortFrom(netip.MustParseAddr(src), uint16(port)), Dst: to, To: to}, ID: uint32(port)}
	}
	s.flows = func(do func(flows.Seen)) error {
		for n := range 12 {
			for port := range 20_000 {
				do(flow(fmt.Sprintf("10.0.0.%d", n), port))
			}
		}
		for port := range 200 {
			do(flow("192.0.2.3", port))
		}
		return nil
	}
	s.List()
	s.List()
	if len(s.seen) > allFlows || s.told["db 6 198.51.100.1:80"] != 200 || s.lost[dbApp] != 0 {
		t.Errorf("%d flows known, %d of db's told, %d lost", len(s.seen), s.told["db 6 198.51.100.1:80"], s.lost[dbApp])
	}
	bad := Subject{Name: "bad0"}
	if told := s.told["bad0 6 198.51.100.1:80"]; told != manyFlows || s.lost[bad] != 20_000-manyFlows {
		t.Errorf("%d told, %d lost", told, s.lost[bad])
	}
	s.flows = func(func(flows.Seen)) error { return nil }
	for range keepFlow + 2 {
		s.List()
	}
	if len(s.seen) != 0 {
		t.Errorf("%d flows are remembered that ended", len(s.seen))
	}
}

func TestContactsAreKeptAndBounded(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, _ := c.open(t, dir)
	web := Opened{Subject: webApp, Contact: Contact{
		Target: Target{netip.MustParseAddr("192.0.2.1"), 443, 6}, Via: netip.MustParseAddrPort("203.0.113.1:8443"),
		Names: []string{"WWW.example.com.", "bad name"}, Host: true, Connections: 2,
	}}
	s.AddContacts(c.now, []Opened{web}, map[Subject]uint64{webApp: 7})
	c.pass(time.Minute)
	s.AddContacts(c.now, []Opened{web}, nil)
	want := s.Observed()
	got := want[0].Contacts
	if len(got) != 1 || got[0].Connections != 4 || want[0].Lost != 7 || !slices.Equal(got[0].Names, []string{"www.example.com"}) ||
		!got[0].First.Equal(c.now.Add(-time.Minute)) || !got[0].Last.Equal(c.now) || !s.Reached(web) {
		t.Fatalf("%+v", want)
	}
	s.Write()
	s, log := c.open(t, dir)
	if diff := same(want, s.Observed()); diff != "" || log.Len() > 0 {
		t.Errorf("(-before +after):\n%s\n%s", diff, log)
	}
	for n := range 2 * maxOwn {
		c.pass(time.Second)
		o := web
		o.Connections = 1
		o.Dst, o.Via = netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), netip.AddrPort{}
		s.AddContacts(c.now, []Opened{o}, nil)
	}
	h := s.Observed()[0]
	total := h.Lost
	for _, c := range h.Contacts {
		total += c.Connections
	}
	if len(h.Contacts) > maxOwn || total != 7+4+2*maxOwn {
		t.Errorf("%d contacts, %d connections with the lost ones", len(h.Contacts), total)
	}
	c.pass(keepFor + time.Hour)
	s.Refresh()
	if h := s.Observed(); len(h) != 0 {
		t.Errorf("after months: %+v", h)
	}
}

func TestAFileOfTheVersionBeforeIsRead(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, _ := c.open(t, dir)
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443", "api.example.com")})
	want := s.Observed()
	s.Write()
	changeFile(t, dir, `{"observations":2`, `{"observations":1`)
	s, log := c.open(t, dir)
	if diff := same(want, s.Observed()); diff != "" || log.Len() > 0 {
		t.Errorf("(-before +after):\n%s\n%s", diff, log)
	}
}

// TestCountsAloneAreWrittenSeldom: a host that always has connections would else write all of the file each minute.
func TestCountsAloneAreWrittenSeldom(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	s, _ := c.open(t, dir)
	o := Opened{Subject: webApp, Contact: Contact{Target: Target{netip.MustParseAddr("192.0.2.1"), 443, 6}, Connections: 1}}
	counts := func() uint64 {
		again, _ := c.open(t, dir)
		if h := again.Observed(); len(h) == 1 && len(h[0].Contacts) == 1 {
			return h[0].Contacts[0].Connections
		}
		return 0
	}
	var got []uint64
	for range 3 {
		s.AddContacts(c.now, []Opened{o}, nil)
		s.Write()
		got = append(got, counts())
		c.pass(time.Minute)
	}
	c.pass(staleFor)
	s.Write()
	got = append(got, counts())
	s.AddContacts(c.now, []Opened{o}, nil)
	s.settle() // at the end
	s.Write()
	if got = append(got, counts()); !slices.Equal(got, []uint64{1, 1, 1, 3, 4}) {
		t.Errorf("the file has %v", got)
	}
}

func changeFile(t *testing.T, dir, old, text string) {
	t.Helper()
	path := filepath.Join(dir, FileName)
	was, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(was), old) {
		t.Fatalf("%v: %s", err, was)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(was), old, text, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
