package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

// network says whether the container's packets are judged at all; if not, the answer is complete.
func (i *Inquiry) network() bool {
	if i.asked.ID != i.holder.ID {
		i.step(StepNetwork, StepInfo, "it shares the network of %s, whose policy counts", i.holder.Name)
	}
	switch {
	case i.holder.NetworkMode == "host":
		i.step(StepNetwork, StepInfo, "it is in the host's own network, where nothing is fenced")
		i.end(Allowed, "", "")
	case i.fenced != nil:
		i.fencedOn()
		return true
	case i.holder.NetworkMode == "none" || len(i.networks) == 0:
		i.step(StepNetwork, StepFail, "it has no network")
		i.end(Denied, StepNetwork, "attach it to a network")
	default:
		i.unfenced()
	}
	return false
}

// fencedOn tells of the networks that are fenced and of those that are not.
func (i *Inquiry) fencedOn() {
	var names, internal []string
	for _, n := range i.networks {
		if i.bridge(n.Bridge) != nil {
			names = append(names, n.Name)
			if n.Internal {
				internal = append(internal, n.Name)
			}
		}
	}
	i.step(StepNetwork, StepOK, "%s %s fenced", strings.Join(names, ", "), areOrIs(names))
	for _, n := range i.free {
		i.step(StepNetwork, StepInfo, "%s", i.fates.open(n))
	}
	if len(internal) > 0 && len(internal) == len(i.networks) {
		i.step(StepNetwork, StepInfo, "%s %s internal: Docker itself lets nothing out of there", strings.Join(internal, ", "), areOrIs(internal))
	}
}

func areOrIs(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}

// unfenced answers for a container that has no address in the ruleset.
func (i *Inquiry) unfenced() {
	for _, n := range i.free {
		i.step(StepNetwork, StepInfo, "%s", i.fates.open(n))
	}
	if len(i.free) > 0 {
		i.end(Allowed, "", "")
		return
	}
	i.step(StepNetwork, StepFail, "its address is not known, or not its own: what comes from there is denied")
	i.end(Denied, StepNetwork, "see `dockerwall health` for what is wrong with it or its network, or create the container anew")
}

// mode says what becomes of what the policy denies.
func (i *Inquiry) mode() {
	says := ""
	switch _, _, origin := i.state.modeOf(i.holder); origin {
	case OriginImplied, policy.LabelMode:
	case OriginOverlay:
		says = " (" + switched(*i.state.Overlay.Containers[i.holder.ID].Mode) + ")"
	default:
		says = " (" + origin + ")"
	}
	switch {
	case i.fenced.Mode == nft.Off:
		i.step(StepMode, StepInfo, "off%s: nothing is denied", says)
	case i.rules.DryRun && i.state.Overlay.Enforce != nil:
		i.step(StepMode, StepInfo, "the whole host was set to audit at run time: nothing is denied, only logged and counted")
	case i.rules.DryRun:
		i.step(StepMode, StepInfo, "DRY_RUN: nothing is denied, only logged and counted")
	case i.fenced.Mode == nft.Audit:
		i.step(StepMode, StepInfo, "audit%s: nothing is denied, only logged and counted", says)
	default:
		i.step(StepMode, StepOK, "enforce%s", says)
	}
}

// switched says how a mode was set at run time.
func switched(s overlay.Switch) string {
	out := "set"
	if s.Paused {
		out = "paused"
	}
	out += fmt.Sprintf(" at run time by uid %d", s.By)
	if !s.Until.IsZero() {
		out += ", until " + s.Until.UTC().Format("2006-01-02 15:04:05Z")
	}
	if s.Confirm {
		out += " unless it is confirmed"
	}
	return out
}

func (i *Inquiry) bridge(name string) *nft.Bridge {
	n := slices.IndexFunc(i.rules.Bridges, func(b nft.Bridge) bool { return b.Name == name && name != "" })
	if n < 0 {
		return nil
	}
	return &i.rules.Bridges[n]
}

// passage is how the container sends to an address: from which endpoint, and whether that stays on its network.
type passage struct {
	nft.Endpoint
	host  bool   // the address is the host's own
	stays bool   // on the endpoint's network
	free  string // a network of the container's on which nothing is fenced, that the address is on
}

// passage is false if the container has no address of the family.
func (i *Inquiry) passage(dst netip.Addr) (passage, bool) {
	p := passage{host: i.opener.Host(dst)}
	for _, n := range i.free {
		if holds(plainPrefixes(n.Subnets), dst) {
			p.free = n.Name
		}
	}
	for _, e := range i.fenced.Endpoints {
		if e.Addr.Is4() != dst.Is4() || e.Addr.IsLinkLocalUnicast() != (dst.Is6() && dst.IsLinkLocalUnicast()) && e.Addr.Is6() {
			continue
		}
		b := i.bridge(e.Bridge)
		stays := !p.host && b != nil && (holds(b.Subnets, dst) || e.Addr.IsLinkLocalUnicast())
		if !p.Addr.IsValid() || stays && !p.stays {
			p.Endpoint, p.stays = e, stays
		}
	}
	return p, p.Addr.IsValid()
}

// destination finds the addresses and judges a packet to each.
func (i *Inquiry) destination() {
	switch d := i.question.Asks.Dest.(type) {
	case policy.Literal:
		i.addrs = plainAddrs([]netip.Addr{d.First})
		if i.trivial(i.addrs[0]) {
			return
		}
	case policy.Pattern:
		i.addrs = i.named(d.Name())
	case policy.Special:
		i.special(d)
	}
	i.out.Addrs = i.addrs
	i.judgeAll()
}

// special are the addresses of a word; "*", any address, has none.
func (i *Inquiry) special(d policy.Special) {
	switch d {
	case policy.DNS:
		i.question.Asks.Clause = policy.Clause{Ports: onePort(53)}
		i.addrs = plainAddrs(i.dns())
	case policy.All, policy.Internet:
	case policy.Host:
		for _, a := range plainAddrs(i.state.Interfaces.Addrs) {
			if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				i.addrs = append(i.addrs, a)
			}
		}
	}
}

// dns are the resolvers that the container is given.
func (i *Inquiry) dns() []netip.Addr {
	if len(i.holder.Resolvers) > 0 {
		return plainAddrs(i.holder.Resolvers)
	}
	return i.builder.resolvers
}

// named are the addresses that a name is known to have, else those it turned out to have now.
func (i *Inquiry) named(name string) []netip.Addr {
	out := slices.Clone(i.state.Names[name])
	for parent := range parents(name) {
		for _, n := range i.state.Below[parent] {
			if n.Name == name {
				out = append(out, n.Addr)
			}
		}
	}
	if len(out) == 0 {
		out = i.question.Now
	}
	return plainAddrs(out)
}

// trivial answers for addresses that no policy is asked about.
func (i *Inquiry) trivial(a netip.Addr) bool {
	own := slices.ContainsFunc(i.fenced.Endpoints, func(e nft.Endpoint) bool { return e.Addr == a })
	switch {
	case own, a.IsLoopback(), a.IsUnspecified():
		i.step(StepNetwork, StepOK, "%s is the container itself", a)
	case a.IsMulticast(), a == broadcast():
		i.step(StepNetwork, StepOK, "%s stays on the container's networks; the host and others do not get it", a)
	default:
		return false
	}
	i.out.Addrs = []netip.Addr{a}
	i.end(Allowed, "", "")
	return true
}

// apart tells of an address on another bridge network, to which Docker forwards nothing by itself: neither verdict nor token
// are about that.
func (i *Inquiry) apart(p probe) {
	if p.host || p.stays || p.free != "" {
		return
	}
	for _, n := range i.state.Docker.Networks {
		if n.Bridge != "" && holds(plainPrefixes(n.Subnets), p.packet.Dst) {
			i.step(StepNetwork, StepInfo, "%s is on %s: Docker itself keeps bridge networks apart; who is to reach it is best on that network too", p.packet.Dst, n.Name)
			return
		}
	}
}

func noAddress(a netip.Addr) string {
	family := "IPv6"
	if a.Is4() {
		family = "IPv4"
	}
	return fmt.Sprintf("it has no %s address on a fenced network, so it sends nothing to %s", family, a)
}
