package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// identity is whom a container on the wire passes for: addresses of both families, the zero one where it has none.
type identity struct {
	mac   hardware
	addrs [2]netip.Addr
}

// host is what a compromised container knows of its network.
type host struct {
	identity
	linkLocal netip.Addr
	gate, lan [2]netip.Addr
	gateMAC   hardware
	sibling   identity
	wire      *wire
}

// hostile sends round after round: every link with every source to every target; what the packets carry, and how,
// goes on with every packet, so that after as many rounds as there are such pairs each has met each.
func (a act) hostile(r *result.Result) error {
	h, err := a.look()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(h.wire.fd) }()
	plan := a.plan()
	var targets []netip.AddrPort
	for _, word := range a.args[1:] {
		to, err := netip.ParseAddrPort(word)
		if err != nil {
			return err
		}
		targets = append(targets, to)
	}
	if len(plan.links)*len(plan.sources)*len(plan.ways)*len(plan.payloads) == 0 {
		return fmt.Errorf("hostile: nothing is called %q", []string{a.links, a.sources, a.ways, a.payloads})
	}
	h.wire.pace = newPace(a.rate)
	end := time.Now().Add(a.span)
	for round := 0; round == 0 || time.Now().Before(end); round++ {
		plan.round(h, targets, round, end)
		if a.poison {
			h.poison()
		}
		for _, to := range targets {
			if a.both {
				h.answerItself(to)
			}
		}
	}
	r.Sent = h.wire.sent
	return nil
}

// plan is what the rounds go through.
type plan struct {
	links    []link
	sources  []source
	ways     []way
	payloads []payload
}

func (a act) plan() plan {
	payloads := payloads()
	slices.SortFunc(payloads, func(x, y payload) int { return strings.Compare(x.name, y.name) })
	return plan{
		links:    pick(a.links, links(), func(l link) string { return l.name }),
		sources:  pick(a.sources, sources(), func(s source) string { return s.name }),
		ways:     pick(a.ways, ways(), func(w way) string { return w.name }),
		payloads: pick(a.payloads, payloads, func(p payload) string { return p.name }),
	}
}

// pick keeps those that a list names; "-a,b" all but those, an empty list all.
func pick[T any](list string, all []T, name func(T) string) []T {
	list, not := strings.CutPrefix(list, "-")
	if list == "" {
		return all
	}
	names := strings.Split(list, ",")
	return slices.DeleteFunc(all, func(x T) bool { return slices.Contains(names, name(x)) == not })
}

func (p plan) round(h host, targets []netip.AddrPort, round int, end time.Time) {
	pair := round
	for _, l := range p.links {
		for _, s := range p.sources {
			for _, to := range targets {
				pair++
				h.send(l, s, p.ways[pair%len(p.ways)], p.payloads[pair/len(p.ways)%len(p.payloads)], to)
			}
		}
		if round > 0 && time.Now().After(end) {
			return
		}
	}
}

// send leaves out what has no meaning: a family that one of the two lacks.
func (h host) send(l link, s source, w way, p payload, to netip.AddrPort) {
	from := s.addr(h)[0]
	if to.Addr().Is6() {
		from = s.addr(h)[1]
		if p.protocol == unix.IPPROTO_ICMP {
			p.protocol = unix.IPPROTO_ICMPV6
		}
	}
	if !from.IsValid() {
		return
	}
	d := datagrams{from, to.Addr(), p.protocol, p.segment(netip.AddrPortFrom(from, 40000), to)}
	for _, packet := range w.packets(d) {
		if l.snap {
			h.wire.put(snap(l.to(h, to.Addr()), s.mac(h), d.kind(), packet))
			continue
		}
		h.wire.put(ethernet(l.to(h, to.Addr()), s.mac(h), d.kind(), packet, l.tags...))
	}
}

// look finds out who this container is and where its gateway is.
func (a act) look() (host, error) {
	nic, err := net.InterfaceByName("eth0")
	if err != nil {
		return host{}, err
	}
	h := host{identity: identity{mac: hardware(nic.HardwareAddr)}}
	addrs, err := nic.Addrs()
	if err != nil {
		return host{}, err
	}
	for _, text := range addrs {
		prefix, err := netip.ParsePrefix(text.String())
		switch {
		case err != nil:
			return host{}, err
		case prefix.Addr().Is4():
			h.addrs[0] = prefix.Addr()
		case prefix.Addr().IsLinkLocalUnicast():
			h.linkLocal = prefix.Addr()
		default:
			h.addrs[1] = prefix.Addr()
		}
	}
	if h.gate, _, err = readIdentity(a.gateway); err != nil {
		return host{}, err
	}
	if h.lan, _, err = readIdentity(a.lan); err != nil {
		return host{}, err
	}
	if h.sibling.addrs, h.sibling.mac, err = readIdentity(a.sibling); err != nil {
		return host{}, err
	}
	if h.gateMAC, err = askMAC(h.gate); err != nil {
		return host{}, err
	}
	h.wire, err = openWire(nic.Index)
	return h, err
}

// readIdentity reads addresses and a MAC, in any order, with commas between.
func readIdentity(text string) (addrs [2]netip.Addr, mac hardware, err error) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		if m, err := net.ParseMAC(word); err == nil && len(m) == len(mac) {
			mac = hardware(m)
			continue
		}
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return addrs, mac, err
		}
		if addr.Is4() {
			addrs[0] = addr
		} else {
			addrs[1] = addr
		}
	}
	return addrs, mac, nil
}

// askMAC has the kernel ask for the gateway's MAC, for a second at most.
func askMAC(gate [2]netip.Addr) (hardware, error) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("udp", netip.AddrPortFrom(gate[0], 9).String())
		if err != nil {
			return hardware{}, err
		}
		_, _ = conn.Write(nil)
		_ = conn.Close()
		table, err := os.ReadFile("/proc/net/arp")
		if err != nil {
			return hardware{}, err
		}
		for line := range strings.Lines(string(table)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[0] != gate[0].String() {
				continue
			}
			if mac, err := net.ParseMAC(fields[3]); err == nil && hardware(mac) != (hardware{}) {
				return hardware(mac), nil
			}
		}
	}
	return hardware{}, fmt.Errorf("ask for the MAC of %s: no answer", gate[0])
}
