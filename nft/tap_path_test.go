package nft

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/florianl/go-nflog/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nfgroup"
)

// pathTap is a tap of the router: br-blue is fenced, and Docker's like br-free and docker0; br-unknown is somebody
// else's, and nothing the tap knows of.
func pathTap() Tap {
	return Tap{
		Mode: TapCopy, Queue: 5300, Mark: 0x6477, Fenced: []string{"br-blue"}, Bridges: []string{"br-blue", "br-free", "docker0"},
		Resolvers: addrsOf("172.17.0.55", "172.18.0.1", "172.20.0.53", "172.21.0.1", "192.0.2.1", "198.51.100.53", "198.51.100.55", "198.51.100.56", "fd00:2::1", "2001:db8:ffff::53"),
		Host:      addrsOf("127.0.0.53", "192.0.2.1", "198.51.100.53", "198.51.100.57", "::1", "2001:db8:ffff::53"),
		Containers: []TapServer{
			{"br-blue", netip.MustParseAddrPort("172.18.0.53:53")}, {"docker0", netip.MustParseAddrPort("172.17.0.53:53")},
			{"docker0", netip.MustParseAddrPort("[fd00:1::53]:5353")},
		},
	}
}

// copies are the packets that a tap copies, counted by the text they end in.
type copies struct {
	mu    sync.Mutex
	count map[string]int
	last  chan struct{}
}

const lastText = "the last one"

func readCopies(t *testing.T, n *lab.Namespace) *copies {
	t.Helper()
	c := &copies{count: map[string]int{}, last: make(chan struct{}, 1)}
	group, err := nfgroup.Open(t.Context(), nfgroup.Options{
		Number: pathTap().Queue, NetNS: n.FD(), CopyRange: 0xffff, Packet: c.note, Overrun: func() { t.Error("copies are lost") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- group.Wait(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		group.Close()
	})
	return c
}

// note counts a copy; segments of tcp that carry no text are of no interest.
func (c *copies) note(a nflog.Attribute) {
	if a.Payload == nil {
		return
	}
	i := bytes.LastIndex(*a.Payload, text(""))
	if i < 0 {
		return
	}
	name := string((*a.Payload)[i+len(text("")):])
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[name]++; name == lastText {
		c.last <- struct{}{}
	}
}

// await returns what was copied before the last packet was.
func (c *copies) await(t *testing.T) map[string]int {
	t.Helper()
	select {
	case <-c.last:
	case <-time.After(5 * time.Second):
		t.Fatal("the last packet is not copied")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.count
	c.count = map[string]int{}
	delete(out, lastText)
	return out
}

// paths is a router that asks and answers by hand.
type paths struct {
	*router
	id, sport uint16
	masked    bool // what leaves by wan bears the host's address
}

// text is what the packets of a case end in.
func text(name string) []byte { return []byte("case: " + name) }

func (p *paths) frame(from, to string, proto uint8) frame {
	p.id++
	p.sport++
	server := netip.MustParseAddrPort(to)
	return frame{ID: p.id, Src: netip.MustParseAddr(from), Dst: server.Addr(), Proto: proto, Sport: 20000 + p.sport, Dport: server.Port(), Flags: syn, Payload: text("a question")}
}

// back is what comes back to a question, as it is on the wire: to the host's address if that stood in for the asker's.
func (p *paths) back(question frame, name string) frame {
	p.id++
	back := reply(question)
	back.ID, back.Payload, back.Flags, back.Ack = p.id, text(name), syn|ack, 2+uint32(len(question.Payload))
	outside := netip.MustParsePrefix("198.51.100.0/24").Contains(question.Dst) || netip.MustParsePrefix("2001:db8::/32").Contains(question.Dst)
	switch {
	case !p.masked || !outside:
	case question.Src.Is4():
		back.Dst = netip.MustParseAddr("192.0.2.1")
	default:
		back.Dst = netip.MustParseAddr("2001:db8:1::1")
	}
	return back
}

// finish sends a packet that has to be copied, and returns what was before it.
func (p *paths) finish(t *testing.T, c *copies) map[string]int {
	t.Helper()
	question := p.frame("172.18.0.2", "198.51.100.53:53", UDP)
	p.send(t, "blue", question)
	p.send(t, "wan", p.back(question, lastText))
	return c.await(t)
}

func newPaths(t *testing.T, rules string) (*paths, *copies) {
	t.Helper()
	pin(t)
	p := &paths{router: newRouter(t)}
	lab.Nft(t, p.host, rules, "-f", "-")
	c := readCopies(t, p.host)
	applyTap(t, open(t, p.host), pathTap())
	return p, c
}

// masquerade is what Docker does to what containers send out.
const masquerade = `table inet masked {
	chain postrouting { type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}
`

// query is a question and what may be the answer to it.
type query struct {
	asker, server string // the asker's wire and address; the server's address and port, asked
	proto         uint8
	from          string                   // the wire that the answer comes in by
	forge         func(a *frame, of frame) // changes the answer to a question
	tapped        bool
}

func answersThatPass() map[string]query {
	const blue, blue6, trusted, trusted6, contained = "blue 172.18.0.2", "blue fd00:2::2", "198.51.100.53:53", "[2001:db8:ffff::53]:53", "172.17.0.53:53"
	as := func(src string) func(*frame, frame) {
		return func(a *frame, _ frame) { a.Src = netip.MustParseAddr(src) }
	}
	direct := func(a *frame, of frame) { a.Dst = of.Src } // past the mask
	unasked := func(a *frame, _ frame) { a.Dport += 10000 }
	unreachable := func(a *frame, of frame) {
		about := of
		about.Payload = a.Payload
		a.Payload, a.Proto, a.Type, a.Code = about.packet(), ICMP, 3, 3
	}
	return map[string]query{
		"over udp":                                  {blue, trusted, UDP, "wan", nil, true},
		"over tcp":                                  {blue, trusted, TCP, "wan", nil, true},
		"over udp, IPv6":                            {blue6, trusted6, UDP, "wan", nil, true},
		"over tcp, IPv6":                            {blue6, trusted6, TCP, "wan", nil, true},
		"by a bridge that is not Docker's":          {blue, "172.20.0.53:53", UDP, "unkn", nil, true},
		"to a free bridge":                          {"free 172.21.0.2", trusted, UDP, "wan", nil, false},
		"that nobody asked for":                     {blue, trusted, UDP, "wan", unasked, false},
		"that nobody asked for, over tcp":           {blue, trusted, TCP, "wan", unasked, false},
		"of a server that is not trusted":           {blue, "198.51.100.99:53", UDP, "wan", nil, false},
		"of a server that only the host asks":       {blue, "198.51.100.57:53", UDP, "wan", nil, false},
		"of another port of a trusted server":       {blue, "198.51.100.53:5353", UDP, "wan", nil, false},
		"from another port than was asked":          {blue, trusted, UDP, "wan", func(a *frame, _ frame) { a.Sport = 5353 }, false},
		"an error about the question":               {blue, trusted, UDP, "wan", unreachable, false},
		"forged by the asker":                       {blue, trusted, UDP, "blue", nil, false},
		"forged by the asker, to itself":            {blue, trusted, UDP, "blue", direct, false},
		"forged by the asker, over tcp":             {blue, trusted, TCP, "blue", nil, false},
		"forged by the asker, IPv6":                 {blue6, trusted6, UDP, "blue", nil, false},
		"forged on a free bridge":                   {blue, trusted, UDP, "free", nil, false},
		"forged on a free bridge, IPv6":             {blue6, trusted6, TCP, "free", nil, false},
		"forged on docker0":                         {blue, trusted, UDP, "dock", nil, false},
		"forged on a bridge nobody knows":           {blue, trusted, UDP, "unkn", nil, false},
		"forged on a bridge nobody knows, IPv6":     {blue6, trusted6, UDP, "unkn", nil, false},
		"from where its server is not":              {blue, "172.20.0.53:53", UDP, "wan", nil, false},
		"of a resolver in a container":              {blue, contained, UDP, "dock", nil, true},
		"of a resolver in a container, over tcp":    {blue, contained, TCP, "dock", nil, true},
		"of a resolver in a container, IPv6":        {blue6, "[fd00:1::53]:5353", UDP, "dock", nil, true},
		"of another port of a resolver's container": {blue, "172.17.0.53:54", UDP, "dock", nil, false},
		"of a container that is no resolver":        {blue, "172.17.0.54:53", UDP, "dock", nil, false},
		"of a container that only some --dns names": {blue, "172.17.0.55:53", UDP, "dock", nil, false},
		"of a container, to a free bridge":          {"free 172.21.0.2", contained, UDP, "dock", nil, false},
		"of a container, that nobody asked for":     {blue, contained, UDP, "dock", unasked, false},
		"in a container's name, by the asker":       {blue, contained, UDP, "blue", nil, false},
		"in a container's name, on a free bridge":   {blue, contained, UDP, "free", nil, false},
		"in a container's name, from outside":       {blue, contained, UDP, "wan", nil, false},
		// Who shares a bridge with it can take its address: addresses are not bound by this table.
		"in a container's name, on its own bridge": {blue, contained, UDP, "dock2", nil, true},
		"of a published resolver":                  {blue, "192.0.2.1:53", UDP, "dock", as("172.17.0.53"), true},
		"of a published port that is no resolver":  {blue, "192.0.2.1:53", TCP, "dock", as("172.17.0.66"), false},
		"of one that stands in for a resolver":     {blue, "198.51.100.56:53", UDP, "wan", as("203.0.113.9"), true},
	}
}

// redirected is destination NAT: a port that two containers publish, and servers that the operator replaces.
const redirected = `table ip redirected {
	chain prerouting { type nat hook prerouting priority dstnat; policy accept;
		ip daddr 192.0.2.1 udp dport 53 dnat to 172.17.0.53:53
		ip daddr 192.0.2.1 tcp dport 53 dnat to 172.17.0.66:53
		ip daddr 198.51.100.56 udp dport 53 dnat to 203.0.113.9:53
		ip daddr 198.51.100.55 udp dport 53 redirect
	}
}
`

func TestATapTakesAnswersOfTrustedResolversOnly(t *testing.T) {
	for name, rules := range map[string]string{
		"containers are seen outside":                redirected,
		"containers are behind the host's addresses": redirected + masquerade,
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newPaths(t, rules)
			p.masked = rules != redirected
			want := map[string]int{}
			for name, e := range answersThatPass() {
				wire, addr, _ := strings.Cut(e.asker, " ")
				question := p.frame(addr, e.server, e.proto)
				back := p.back(question, name)
				if e.forge != nil {
					e.forge(&back, question)
				}
				p.send(t, wire, question)
				p.send(t, e.from, back)
				if e.tapped {
					want[name] = 1
				}
			}
			if diff := cmp.Diff(want, p.finish(t, c)); diff != "" {
				t.Errorf("answers tapped (-want +got):\n%s", diff)
			}
		})
	}
}
