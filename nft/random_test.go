package nft

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// generator makes random rulesets over a small world, so that addresses, ranges and names collide.
// The world is the one of the oracle's topology; see oracle_test.go.
type generator struct{ *rand.Rand }

// newGenerator logs its seed; NFT_SEED repeats a run.
func newGenerator(t testing.TB) generator {
	t.Helper()
	seed := time.Now().UnixNano()
	if text := os.Getenv("NFT_SEED"); text != "" {
		seed, _ = strconv.ParseInt(text, 10, 64)
	}
	t.Logf("NFT_SEED=%d", seed)
	return generator{rand.New(rand.NewSource(seed))}
}

func (g generator) chance(percent int) bool { return g.Intn(100) < percent }

func pick[T any](g generator, list []T) T { return list[g.Intn(len(list))] }

// some returns up to n different entries of list, in their order there.
func some[T any](g generator, list []T, n int) []T {
	if n = g.Intn(n + 1); n > len(list) {
		n = len(list)
	}
	chosen := g.Perm(len(list))[:n]
	slices.Sort(chosen)
	var out []T
	for _, i := range chosen {
		out = append(out, list[i])
	}
	return out
}

func parseAddrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// worldAddrs are destinations, sorted: outside, this host, containers.
func worldAddrs() []netip.Addr {
	out := parseAddrs(
		"10.0.0.1", "10.0.0.2", "10.0.1.1", "10.255.255.255", "11.0.0.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.127", "192.0.2.128",
		"198.51.100.1", "198.51.100.2", "198.51.100.77", "203.0.113.1", "203.0.113.200", "203.0.113.254",
		"172.17.0.1", "172.18.0.1", "172.17.0.2", "172.17.0.3", "172.18.0.2", "172.18.0.9",
		"2001:db8:1::1", "2001:db8:1::2", "2001:db8:1:ffff::1", "2001:db8:2::1", "2001:db8:2::77", "2001:db8:3::1", "2001:db8:ff::1",
		"fd00:1::1", "fd00:2::1", "fd00:1::2", "fd00:2::2", "fd00:2::9", "fd77::1",
	)
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

func worldPorts() []Ports {
	return []Ports{{22, 22}, {53, 53}, {80, 80}, {443, 443}, {8000, 8080}, {1024, 65535}}
}

func worldBridges() []Bridge {
	return []Bridge{
		{Name: "br-blue", Network: "b00000000001", Subnets: prefixes("172.18.0.0/16", "fd00:2::/64"), MAC: mac("02:42:00:00:02:01"), Addrs: parseAddrs("172.18.0.1", "fd00:2::1", "fe80::1")},
		{Name: "br-red", Network: "b00000000003", Subnets: prefixes("172.19.0.0/16")},
		{Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.17.0.0/16", "fd00:1::/64"), MAC: mac("02:42:00:00:01:01"), Addrs: parseAddrs("172.17.0.1", "fe80::1")},
		{Name: "docker_gwbridge"},
	}
}

func worldEndpoints() []Endpoint {
	var out []Endpoint
	for _, e := range [][]string{
		{"br-blue", "172.18.0.2", "172.18.0.3", "172.18.0.4", "172.18.0.5", "fd00:2::2", "fd00:2::3", "fd00:2::4"},
		{"docker0", "172.17.0.2", "172.17.0.3", "172.17.0.4", "172.17.0.5", "fd00:1::2", "fd00:1::3", "fd00:1::4"},
		{"br-red", "172.19.0.2", "172.17.0.2"},
	} {
		for _, a := range parseAddrs(e[1:]...) {
			out = append(out, Endpoint{e[0], a})
		}
	}
	return out
}

func (g generator) container(id int) Container {
	c := Container{
		ID: fmt.Sprintf("%012x", id), Name: pick(g, []string{"web", "db", "ünï", `q"uo\te`}),
		Mode: pick(g, []Mode{Enforce, Enforce, Enforce, Audit, Off}), Reject: g.chance(20), Own: g.source(""),
		Shared: some(g, worldSources(), 4),
	}
	return c
}

// worldSources are names that stand before those of chains, and behind.
func worldSources() []string {
	return []string{"boot1", "c0", "default", "g0123456789ab", "group", "p3f2a91b0c4d5", "resolvers"}
}

const worldContainers = 12

// ruleset makes one from nothing.
func (g generator) ruleset() Ruleset {
	r := Ruleset{
		DryRun: g.chance(10), FenceUnknown: g.chance(70), LogGroup: 32, NoElementLimit: g.chance(10),
		Bridges: some(g, worldBridges(), 6), Free: some(g, []string{"br-free", "virbr0"}, 2), NotPublic: g.notPublic(),
	}
	for _, name := range some(g, worldSources(), 7) {
		r.Sources = append(r.Sources, g.source(name))
	}
	for id := range worldContainers {
		if g.chance(50) {
			r.Containers = append(r.Containers, g.container(id))
		}
	}
	r.BindPorts, r.Ports = g.chance(70), g.ports()
	return g.settle(r)
}

func (g generator) notPublic() []netip.Prefix {
	return some(g, prefixes("10.0.0.0/8", "172.16.0.0/12", "172.17.0.0/16", "192.0.2.0/25", "192.0.2.128/25", "192.168.0.0/16", "224.0.0.0/3",
		"2001:db8:2::/48", "fc00::/7", "fd00:1::/64", "fe80::/10", "ff00::/8"), 10)
}

// settle deals out endpoints and drops what refers to what is not there.
func (g generator) settle(r Ruleset) Ruleset {
	taken := map[Endpoint]bool{}
	for i := range r.Containers {
		c := &r.Containers[i]
		c.Shared = slices.DeleteFunc(c.Shared, func(s string) bool {
			return !slices.ContainsFunc(r.Sources, func(o Source) bool { return o.Name == s })
		})
		c.Endpoints = slices.DeleteFunc(c.Endpoints, func(e Endpoint) bool {
			gone := taken[e] || !slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return b.Name == e.Bridge })
			taken[e] = true
			return gone
		})
		if len(c.Endpoints) > 0 && !g.chance(20) {
			continue
		}
		for _, e := range some(g, worldEndpoints(), 4) {
			if !taken[e] && slices.ContainsFunc(r.Bridges, func(b Bridge) bool { return b.Name == e.Bridge }) {
				c.Endpoints = append(c.Endpoints, e)
				taken[e] = true
			}
		}
	}
	return r
}

// next changes r a little; r itself stays as it is.
func (g generator) next(r Ruleset) Ruleset {
	r = clone(r)
	for range 1 + g.Intn(3) {
		g.mutate(&r)
	}
	return g.settle(r)
}

func (g generator) mutate(r *Ruleset) {
	id := fmt.Sprintf("%012x", g.Intn(worldContainers))
	at, there := slices.BinarySearchFunc(r.Containers, id, func(c Container, id string) int { return compareStrings(c.ID, id) })
	switch n := g.Intn(17); {
	case n < 2 && !there:
		var number int
		_, _ = fmt.Sscanf(id, "%x", &number)
		r.Containers = slices.Insert(r.Containers, at, g.container(number))
	case n < 2:
		r.Containers = slices.Delete(r.Containers, at, at+1)
	case n < 6 && there:
		g.mutateContainer(&r.Containers[at], r)
	case n < 8:
		g.mutateSources(r)
	case n == 8:
		r.NotPublic = g.notPublic()
	case n == 9:
		r.DryRun = !r.DryRun
	case n == 10:
		r.FenceUnknown, r.LogGroup, r.NoElementLimit = g.chance(70), uint16(32+g.Intn(2)), g.chance(10)
	case n == 11:
		r.Free = some(g, []string{"br-free", "virbr0"}, 2)
	case n == 12:
		r.Bridges = some(g, worldBridges(), 6)
	case n == 13:
		r.BindPorts = !r.BindPorts
	case n > 13:
		r.Ports = g.ports()
	}
}

func (g generator) mutateContainer(c *Container, r *Ruleset) {
	switch g.Intn(8) {
	case 6:
		g.share(r, c)
	case 7:
		g.unshare(r, c)
	case 0:
		c.Own = g.source("")
	case 1:
		c.Mode, c.Reject = pick(g, []Mode{Enforce, Audit, Off}), g.chance(30)
	case 2:
		c.Shared = some(g, worldSources(), 4)
	case 3: // another container's addresses, and the other way round
		d := &r.Containers[g.Intn(len(r.Containers))]
		c.Endpoints, d.Endpoints = d.Endpoints, c.Endpoints
	case 4:
		c.Own.Allow.Nets = Literals{Any: g.ranges(5), ICMP: g.ranges(3), Boxes: g.boxes(g.ranges(4))}
	case 5:
		for i := range c.Own.Allow.Names {
			c.Own.Allow.Names[i].Addrs = g.named(6)
		}
	}
}

// share moves a container's own policy to a source that others may follow, if there is room for one.
func (g generator) share(r *Ruleset, c *Container) {
	name := pick(g, worldSources())
	at, there := slices.BinarySearchFunc(r.Sources, name, func(s Source, name string) int { return compareStrings(s.Name, name) })
	if there {
		return
	}
	r.Sources = slices.Insert(r.Sources, at, Source{Name: name, Title: "one " + name, Allow: c.Own.Allow, Deny: c.Own.Deny})
	c.Own = Source{}
	c.Shared = append(c.Shared, name)
	slices.Sort(c.Shared)
	c.Shared = slices.Compact(c.Shared)
}

// unshare moves one back.
func (g generator) unshare(r *Ruleset, c *Container) {
	if len(c.Shared) == 0 {
		return
	}
	name := pick(g, c.Shared)
	i := slices.IndexFunc(r.Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return
	}
	c.Own = Source{Allow: r.Sources[i].Allow, Deny: r.Sources[i].Deny}
	c.Shared = slices.DeleteFunc(slices.Clone(c.Shared), func(s string) bool { return s == name })
}

func (g generator) mutateSources(r *Ruleset) {
	name := pick(g, worldSources())
	at, there := slices.BinarySearchFunc(r.Sources, name, func(s Source, name string) int { return compareStrings(s.Name, name) })
	switch {
	case !there:
		r.Sources = slices.Insert(r.Sources, at, g.source(name))
	case g.chance(25):
		r.Sources = slices.Delete(r.Sources, at, at+1)
	case g.chance(50) && len(r.Sources[at].Allow.Names) > 0:
		r.Sources[at].Allow.Names[0].Addrs = g.named(8)
	default:
		r.Sources[at] = g.source(name)
	}
}

// clone goes through JSON, the form on disk.
func clone(r Ruleset) Ruleset {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	var out Ruleset
	if err := json.Unmarshal(text, &out); err != nil {
		panic(err)
	}
	return out
}
