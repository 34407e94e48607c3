package reconcile

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// maxRemembered is how many addresses a boot ruleset opens anything to, in all.
const maxRemembered = 4096

// Reboot is the ruleset for the time between the next boot of the host and the first answer of its Engine: what r, which is
// Build's of s, may still say then. It is pure; earlier are policies, by the first 12 digits of their IDs, of containers
// that run no more, as rulesets had them while they did. Nothing it accepts would be denied by the ruleset of the containers
// as they are after the boot, whichever of them comes first.
//
// An Engine starts the containers that have a restart policy before it answers anybody, and gives them addresses anew: the
// lowest free ones, in an order that is a race (moby, daemon.go restore; measured on 20.10 and 28). So an address that is
// web's now may be db's then, and r itself would hand web's policy to db. Instead:
//
//   - Ports, and what a bridge's MAC says, are of this boot and are left out. Bridges, which are named after networks' IDs,
//     stay, and so do the shared sources and what names mean.
//   - An address that a container asked for (--ip) is its own, if Docker chooses none there: then nobody on the network is
//     without one, or it lies outside the range that Docker chooses from. It keeps the policy of its container.
//   - Any other address that Docker may give to a container with a restart policy gets the meet of the policies of all that
//     are attached to its network, also of those that do not run: what every one of them allows, and nothing that one of
//     them denies. Where there is one, or all have the same policy, that is it.
//   - All else is a source that nobody knows, and denied. So are the containers of docker_gwbridge (Swarm's tasks come
//     back as other containers), and those that somebody else starts: they come after the others, which have taken the
//     lowest addresses.
//
// Containers in another one's network (container:X) have no address of their own, and follow X here as ever. A container
// with several networks is looked at on each by itself. DRY_RUN stays what it is, see [Resume].
func Reboot(s State, r nft.Ruleset, earlier map[string]Earlier) nft.Ruleset {
	b := rebooter{
		state: s.ready(), now: r, policies: make(map[string]nft.Container, len(r.Containers)), room: maxRemembered,
		certain: map[string]nft.Container{}, ids: map[string]int{}, followed: map[string]bool{},
	}
	b.now.Sources = slices.Clone(r.Sources)
	for _, source := range r.Sources {
		b.followed[source.Name] = true
	}
	b.recall(earlier)
	for _, c := range r.Containers {
		b.policies[c.ID] = c
	}
	b.forgetPassing()
	for _, c := range s.Docker.Containers {
		b.ids[short(c.ID)]++
	}
	b.out = r
	b.out.Ports, b.out.Containers, b.out.Sources = nil, nil, nil
	b.out.Bridges = slices.Clone(r.Bridges)
	for i := range b.out.Bridges {
		b.bridge(&b.out.Bridges[i])
	}
	for _, c := range b.certain {
		b.out.Containers = append(b.out.Containers, c)
	}
	sortby.Func(b.out.Containers, func(x, y nft.Container) int { return strings.Compare(x.ID, y.ID) })
	b.keepFollowed()
	sortby.Func(b.out.Sources, func(x, y nft.Source) int { return strings.Compare(x.Name, y.Name) })
	return b.out
}

type rebooter struct {
	state    State
	now, out nft.Ruleset
	policies map[string]nft.Container // by the first 12 digits of their IDs
	builder  *builder                 // of policies that are not there
	followed map[string]bool          // sources of the ruleset
	ids      map[string]int           // how many containers' IDs begin so
	certain  map[string]nft.Container // by ID
	denials  denials
	room     int // for addresses
}

// forgetPassing has policies be made anew without what was allowed for a while only: nobody knows when the boot is.
func (b *rebooter) forgetPassing() {
	overlay, passing := b.state.Overlay.Lasting()
	if len(passing) == 0 {
		return
	}
	b.state.Overlay, b.state.library = overlay, nil
	for _, id := range passing {
		delete(b.policies, short(id))
	}
}

// keepFollowed has the ruleset hold the sources that are followed in it.
func (b *rebooter) keepFollowed() {
	used := map[string]bool{sourceResolvers: true, sourceDefault: true}
	for _, c := range b.out.Containers {
		for _, name := range c.Shared {
			used[name] = true
		}
	}
	for _, s := range b.now.Sources {
		if used[s.Name] {
			b.out.Sources = append(b.out.Sources, s)
		}
	}
}

// bridge takes from a bridge what does not survive, and adds what its network's containers may.
func (b *rebooter) bridge(bridge *nft.Bridge) {
	bridge.MAC = nft.MAC{}
	gates := slices.DeleteFunc(slices.Clone(bridge.Addrs), netip.Addr.IsLinkLocalUnicast) // made of the MAC
	bridge.Addrs = gates
	i := slices.IndexFunc(b.state.Docker.Networks, func(n docker.Network) bool { return n.Bridge == bridge.Name && short(n.ID) == bridge.Network })
	if bridge.Network == "" || i < 0 {
		return
	}
	network := b.state.Docker.Networks[i]
	members := b.members(network)
	var shared []netip.Addr
	for _, pool := range pools(network, gates) {
		own, chosen := pool.share(members)
		for _, f := range own {
			b.keep(f.container, nft.Endpoint{Bridge: bridge.Name, Addr: f.addr})
		}
		shared = append(shared, chosen...)
	}
	b.share(nft.Bridge{Name: bridge.Name, Network: bridge.Network}, members, shared)
}

// members are the containers that may come back to a network, running or not.
func (b *rebooter) members(n docker.Network) (out []member) {
	for _, c := range b.state.Docker.Containers {
		for _, key := range []string{n.ID, n.Name} {
			if slices.Contains(c.Networks, key) {
				out = append(out, member{c, plainAddrs(c.Fixed[key])})
				break
			}
		}
	}
	return out
}

// policy is what a container may send; nothing, where Build would not have it.
func (b *rebooter) policy(c docker.Container) nft.Container {
	id := short(c.ID)
	if !isShortID(id) || b.ids[id] > 1 {
		return nft.Container{Name: c.Name}
	}
	p, known := b.policies[id]
	if !known {
		if b.builder == nil {
			made := newBuilder(b.state)
			b.builder = &made
		}
		p = b.builder.container(c, nil)
		e := Earlier{Container: p}
		for _, name := range p.Shared {
			e.Sources = append(e.Sources, b.builder.shared[name])
		}
		p = b.recalled(e)
		b.policies[id] = p
	}
	p.Endpoints = nil
	return p
}

// keep leaves an address to its container.
func (b *rebooter) keep(c docker.Container, e nft.Endpoint) {
	id := short(c.ID)
	if !isShortID(id) || b.ids[id] > 1 || b.room == 0 {
		return
	}
	b.room--
	kept, ok := b.certain[id]
	if !ok {
		kept = b.policy(c)
	}
	kept.Endpoints = append(kept.Endpoints, e)
	sortby.Func(kept.Endpoints, compareEndpoints)
	b.certain[id] = kept
}

// share gives addresses to the network's own entry, which allows what all members do.
func (b *rebooter) share(bridge nft.Bridge, members []member, addrs []netip.Addr) {
	addrs = addrs[:min(len(addrs), b.room)]
	if len(addrs) == 0 || b.ids[bridge.Network] > 0 {
		return
	}
	b.room -= len(addrs)
	var policies []nft.Container
	var names []string
	for _, m := range members {
		policies, names = append(policies, b.policy(m.Container)), append(names, m.Name)
	}
	all := meet(policies, b.now.Sources, &b.denials)
	all.ID, all.Name = bridge.Network, bootName(names)
	for _, a := range addrs {
		all.Endpoints = append(all.Endpoints, nft.Endpoint{Bridge: bridge.Name, Addr: a})
	}
	b.out.Containers = append(b.out.Containers, all)
	b.out.Sources = append(b.out.Sources, b.denials.made()...)
}

// bootName is what people see: "web (boot)", "db, web and 3 more (boot)".
func bootName(names []string) string {
	slices.Sort(names)
	const shown = 2
	text := strings.Join(names[:min(shown, len(names))], ", ")
	if n := len(names) - shown; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text + " (boot)"
}

// Before is what Resume has to know of the time when a ruleset was made.
type Before struct {
	SameNetworks bool     // GATEWAY_NETWORKS is as it was
	SamePolicy   bool     // so is whatever else policies are made of (DEFAULT_OUTBOUND, --resolvers, …)
	Excluded     []string // see [Excluded]
}

// Excluded are the bridges of Docker's networks that were not managed, sorted. A ruleset has them among Free, where they
// cannot be told from the host's own.
func Excluded(s State) (out []string) {
	for _, n := range s.Docker.Networks {
		if n.Bridge != "" && !s.Config.Networks.Manages(n.Name) {
			out = append(out, n.Bridge)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Resume is what of Reboot's r is committed under settings that may be others than those it was made with, on a kernel that
// may be another. c is the configuration of now.
//
// DRY_RUN is what it is now: who has turned it off is to be fenced, who has turned it on is not to be locked out. Under
// another policy nothing that the old one allowed is; nor under other networks, when all bridges that are Docker's are
// fenced: which network has which is not known by its name.
func Resume(r nft.Ruleset, c Config, was Before) nft.Ruleset {
	r.DryRun, r.LogGroup, r.NoElementLimit, r.BindPorts = c.DryRun, c.LogGroup, c.NoElementLimit, c.BindPorts
	if was.SameNetworks && was.SamePolicy {
		return r
	}
	r.Containers, r.Sources = nil, nil
	if was.SameNetworks {
		return r
	}
	r.FenceUnknown = true
	r.Bridges = slices.Clone(r.Bridges)
	fence := func(name string) {
		if !slices.ContainsFunc(r.Bridges, func(b nft.Bridge) bool { return b.Name == name }) {
			r.Bridges = append(r.Bridges, nft.Bridge{Name: name})
		}
	}
	free := r.Free
	r.Free = nil
	for _, name := range free {
		switch {
		case dockersBridge.MatchString(name): // by FenceUnknown
		case !strings.HasPrefix(name, "br-"), slices.Contains(was.Excluded, name): // Docker's
			fence(name)
		default:
			r.Free = append(r.Free, name)
		}
	}
	for _, n := range usual() {
		if c.Networks.Manages(n.Name) {
			fence(n.Bridge)
		}
	}
	sortby.Func(r.Bridges, func(x, y nft.Bridge) int { return strings.Compare(x.Name, y.Name) })
	return r
}

// key tells policies apart.
func key(value any) string {
	text, err := json.Marshal(value)
	if err != nil { // none of its types has a text that fails
		return err.Error()
	}
	return string(text)
}
