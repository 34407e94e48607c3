package nft

import (
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// bystander is a host on which 198.51.100.9, or 2001:db8:5::9, outside has sent a datagram to somebody, so that conntrack
// knows a flow between the two; container 172.17.0.2 on docker0 may reach nothing.
type bystander struct {
	*router
	id uint16
}

func newBystander(t *testing.T, rp string) *bystander {
	t.Helper()
	pin(t)
	r := newRouter(t)
	for _, name := range []string{"all", "default", "docker0"} {
		sysctl(t, r.host, "net/ipv4/conf/"+name+"/rp_filter", rp)
	}
	ipBatch(t, r.host, "neigh add 172.21.0.5 lladdr 02:00:00:00:00:55 dev br-free\nneigh add fd00:2::2 lladdr 02:00:00:00:01:62 dev br-blue\n"+
		"neigh add 172.18.0.2 lladdr 02:00:00:00:01:62 dev br-blue\nneigh add fd00:1::2 lladdr 02:00:00:00:01:64 dev docker0\nneigh add 172.17.0.2 lladdr 02:00:00:00:01:64 dev docker0\n")
	docker := worldBridges()[2]
	docker.Addrs = parseAddrs("172.17.0.1", "fd00:1::1", "fe80::1")
	rules := Ruleset{LogGroup: 32, FenceUnknown: true, Free: []string{"br-free"}, Bridges: []Bridge{worldBridges()[0], docker}, Containers: []Container{
		{ID: "000000000001", Name: "published", Endpoints: []Endpoint{{"br-blue", netip.MustParseAddr("172.18.0.2")}, {"br-blue", netip.MustParseAddr("fd00:2::2")}}},
		{ID: "000000000002", Name: "closed", Endpoints: []Endpoint{{"docker0", netip.MustParseAddr("172.17.0.2")}, {"docker0", netip.MustParseAddr("fd00:1::2")}}},
	}}
	apply(t, open(t, r.host), rules)
	lab.Nft(t, r.host, observers, "-f", "-")
	return &bystander{router: r, id: 100}
}

// outsider is who has sent the datagram, of the family of an address.
func outsider(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.MustParseAddr("198.51.100.9")
	}
	return netip.MustParseAddr("2001:db8:5::9")
}

// opens has the outsider send to somebody.
func (j *bystander) opens(t *testing.T, to netip.Addr) {
	t.Helper()
	j.send(t, "wan", frame{ID: 1, Src: outsider(to), Dst: to, Proto: UDP, Sport: 5000, Dport: 9})
	j.settled(t, 2)
}

// passes says whether a frame of the closed container goes on after the fence.
func (j *bystander) passes(t *testing.T, f frame) bool {
	t.Helper()
	j.id++
	f.ID = j.id
	j.send(t, "dock", f)
	all := j.settled(t, 999)
	return all[sighting{j.id, Forward}].after || all[sighting{j.id, Input}].after
}

// TestNobodyJoinsAnothersFlow: conntrack would take what has its addresses and ports for a part of it, from wherever it comes.
func TestNobodyJoinsAnothersFlow(t *testing.T) {
	for name, c := range map[string]struct {
		as, rp string
		own    bool
	}{
		"IPv6, as the host":                   {"2001:db8:1::1", "0", false},
		"IPv6, as the host on another bridge": {"fd00:2::1", "0", false},
		"IPv6, as the gateway":                {"fd00:1::1", "0", false},
		"IPv6, as a container beyond":         {"fd00:2::2", "0", false},
		"IPv4, as a machine on a free bridge": {"172.21.0.5", "0", false},
		"IPv4, likewise, with a loose filter": {"172.21.0.5", "2", false},
		"IPv4, as a container beyond":         {"172.18.0.2", "2", false},
		"IPv4, its own, to who has asked it":  {"172.17.0.2", "0", true},
		"IPv6, its own, to who has asked it":  {"fd00:1::2", "0", true},
	} {
		t.Run(name, func(t *testing.T) {
			j := newBystander(t, c.rp)
			as := netip.MustParseAddr(c.as)
			f := frame{Src: as, Dst: outsider(as), Proto: UDP, Sport: 9, Dport: 5000}
			if j.passes(t, f) {
				t.Error("it passes without a flow")
			}
			j.opens(t, as)
			if got := j.passes(t, f); got != c.own {
				t.Errorf("it passes: %v, want %v", got, c.own)
			}
		})
	}
}

// TestErrorsAreAboutOnesOwnFlows: conntrack asks only whether an error goes to an end of the flow that it is about.
func TestErrorsAreAboutOnesOwnFlows(t *testing.T) {
	for name, c := range map[string]struct {
		from, about string
		own         bool
	}{
		"IPv4, a flow of the host":   {"172.17.0.2", "192.0.2.1", false},
		"IPv4, a container's beyond": {"172.17.0.2", "172.18.0.2", false},
		"IPv4, its own":              {"172.17.0.2", "172.17.0.2", true},
		"IPv6, a flow of the host":   {"fd00:1::2", "2001:db8:1::1", false},
		"IPv6, a container's beyond": {"fd00:1::2", "fd00:2::2", false},
		"IPv6, its own":              {"fd00:1::2", "fd00:1::2", true},
	} {
		t.Run(name, func(t *testing.T) {
			j := newBystander(t, "0")
			from, about := netip.MustParseAddr(c.from), netip.MustParseAddr(c.about)
			in := frame{Src: outsider(about), Dst: about, Proto: UDP, Sport: 5000, Dport: 9, Payload: []byte("what nobody may know")}.packet()
			f := frame{Src: from, Dst: outsider(about), Proto: ICMP, Type: 3, Code: 3, Payload: in}
			if from.Is6() {
				f.Proto, f.Type, f.Code = ICMPv6, 1, 4
			}
			if j.passes(t, f) {
				t.Error("it passes without a flow")
			}
			j.opens(t, about)
			if got := j.passes(t, f); got != c.own {
				t.Errorf("it passes: %v, want %v", got, c.own)
			}
		})
	}
}
