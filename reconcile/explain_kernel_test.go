package reconcile

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

const (
	explainPolicies = 40
	explainPackets  = 26 // of each policy
)

// TestExplainAgreesWithThePacket explains random destinations under random policies, and sends the packet.
func TestExplainAgreesWithThePacket(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rig := newExplainRig(t)
	kernel, err := nft.Open(nft.Options{NetNS: rig.host.FD()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kernel.Close() })
	counts := map[string]int{}
	for range explainPolicies {
		s := randomWorld(random)
		state, _ := s.state()
		r, _ := build(t, state)
		if _, err := kernel.Apply(r); err != nil {
			t.Fatal(err)
		}
		to := randomDestinations(random)
		passed := rig.send(t, to)
		var asked []string
		of := map[string]Destination{}
		for _, d := range to {
			for _, q := range questions(s, d) {
				asked, of[q] = append(asked, q), d
			}
		}
		for n, e := range lookedUp(t, kernel, state, asked) {
			did := passed[of[asked[n]]]
			if want := map[bool]Verdict{true: Allowed, false: Denied}[did]; e.Verdict != want {
				t.Fatalf("%s: the packet passed: %v\nlabels %v, DEFAULT_OUTBOUND %q, dry run %v\n%s", asked[n], did, s.Containers[0].Labels, s.DefaultOutbound, s.DryRun, e.shown())
			}
			counts[e.Verdict.String()]++
			counts[e.Failed]++
			if e.Token != "" {
				counts["token"]++
			}
		}
	}
	t.Logf("explained: %v", counts)
	if n := counts["allowed"] + counts["denied"]; n < 1000 {
		t.Errorf("only %d were explained", n)
	}
	for what, least := range map[string]int{"allowed": 50, "denied": 50, StepPolicy: 50, StepDNS: 2, "token": 50} {
		if counts[what] < least {
			t.Errorf("too few of %q: %v", what, counts)
		}
	}
}

// lookedUp explains by policy and kernel, with one look at the kernel for all questions.
func lookedUp(t testing.TB, kernel *nft.Kernel, state State, asked []string) (out []Explanation) {
	t.Helper()
	r, _ := build(t, state)
	var web nft.Container
	var all []nft.Packet
	var inquiries []*Inquiry
	for _, q := range asked {
		i, err := Inquire(state, r, ask(t, "web", q))
		if err != nil {
			t.Fatal(err)
		}
		c, packets := i.Container()
		web, all, inquiries = c, append(all, packets...), append(inquiries, i)
	}
	held, err := kernel.Lookup(r, web, all)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range inquiries {
		_, packets := i.Container()
		out = append(out, i.Explain(nft.Lookup{Strange: held.Strange, Found: held.Found[:len(packets)]}))
		held.Found = held.Found[len(packets):]
	}
	return out
}

// randomWorld is explainWorld with random policies, mistakes among them.
func randomWorld(r *rand.Rand) scenario {
	text := func(most int) string {
		var tokens []string
		for range r.IntN(most + 1) {
			token := goodTokens()[r.IntN(len(goodTokens()))]
			switch n := r.IntN(20); {
			case n < 4:
				token = "!" + token
			case n == 4 && r.IntN(2) == 0:
				token = garbage()[r.IntN(len(garbage()))]
			}
			tokens = append(tokens, token)
		}
		return strings.ReplaceAll(join(tokens), "\x00", "?")
	}
	label := text(8)
	if r.IntN(3) == 0 {
		label += ", *.example.net" // of which most is nothing that an answer can open
	}
	s := explainWorld(label, text(2))
	s.Host = append(s.Host, netip.MustParseAddr("fd00:17::1"))
	s.Below, s.DeniedBelow = packetBelow(), packetDenied()
	s.DryRun = r.IntN(20) == 0
	s.Containers[0].Labels["dockerwall.mode"] = []string{"", "", "", "", "", "", "audit", "off"}[r.IntN(8)]
	s.Containers[0].Labels["dockerwall.deny"] = []string{"", "reject"}[r.IntN(2)]
	return s
}

// randomDestinations are some of those that goodTokens speak of, of every kind, each once.
func randomDestinations(r *rand.Rand) (out []Destination) {
	addrs := addrs("192.0.2.6", "192.0.2.7", "192.0.2.8", "203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.16", "10.9.9.9", "9.9.9.9", "169.254.169.254",
		"198.51.100.1", "198.51.100.53", "172.17.0.1", "172.18.0.1", "172.18.0.2", "2001:db8:1::10", "2001:db8:ffff::1", "2001:db8:ffff::53", "fd00:17::1", "64:ff9b::c633:6401")
	for len(out) < explainPackets {
		d := Destination{Addr: addrs[r.IntN(len(addrs))], Proto: []uint8{nft.TCP, nft.TCP, nft.UDP, nft.UDP, nft.ICMP}[r.IntN(5)]}
		switch {
		case d.Proto != nft.ICMP:
			d.Port = []uint16{22, 53, 79, 80, 443, 443, 444, 8080}[r.IntN(8)]
		case d.Addr.Is6():
			d.Proto = nft.ICMPv6
		}
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// questions ask about a destination by its address, and by the names that mean it alone.
func questions(s scenario, d Destination) []string {
	out := []string{policy.Token{Dest: policy.Literal{First: d.Addr, Last: d.Addr}, Clause: clauseFor(d)}.String()}
	for name, means := range s.Names {
		if len(means) == 1 && means[0] == d.Addr {
			p, _ := policy.ParsePattern(name)
			out = append(out, policy.Token{Dest: p, Clause: clauseFor(d)}.String())
		}
	}
	return out
}
