package reconcile

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// Names of the sources that containers share.
const (
	sourceDefault   = "default"
	sourceResolvers = "resolvers"
)

// Build turns a state into the ruleset it asks for and what is wrong with it. It is pure and total:
// order of input does not matter, a problem never widens, and what the kernel or nft would refuse (a
// bridge's name, an ID that is none) is left out and reported, never passed on: one stranger must not
// void everybody's commit.
//
// Labels that a container has from its image are ignored, see [policy.ParseLabels]. Of a container whose image
// is not in ImageLabels nobody can tell which those are. Then what only narrows counts, that is denials and
// dockerwall.deny, and allows and dockerwall.mode do not; that is an Error which says how to get them back.
func Build(s State) (nft.Ruleset, []Problem) {
	b := newBuilder(s)
	b.networks()
	b.containers()
	b.sources()
	slices.SortFunc(b.problems, compareProblems)
	return b.rules, slices.Compact(b.problems)
}

// Boot is the ruleset of a host whose Engine has not answered yet: nobody's source is known, so what
// comes from any bridge that may be Docker's is denied, docker0's and docker_gwbridge's if those networks
// are managed. Bridges that stand now under a name that Docker does not give by itself stay free: they
// may be the host's own, and the way an administrator comes in by.
func Boot(c Config, now hostnet.Interfaces) nft.Ruleset {
	b := builder{state: State{Config: c, Interfaces: now}, rules: State{Config: c}.skeleton()}
	b.foreignBridges()
	r := b.rules
	for _, n := range usual() {
		if c.Networks.Manages(n.Name) {
			r.Bridges = append(r.Bridges, b.bridge(n.Bridge))
		}
	}
	return r
}

func (s State) skeleton() nft.Ruleset {
	return nft.Ruleset{
		DryRun: s.Config.Under(s.Overlay).DryRun, LogGroup: s.Config.LogGroup, NoElementLimit: s.Config.NoElementLimit,
		FenceUnknown: !s.Config.Networks.Only(), BindPorts: s.Config.BindPorts,
	}
}

func newBuilder(s State) builder {
	s = s.ready()
	return builder{
		state: s, rules: s.skeleton(), resolvers: plainAddrs(s.Resolvers.Containers), addresses: newAddresses(s),
		made: map[*text]*made{}, shared: map[string]nft.Source{},
	}
}

type builder struct {
	state      State
	rules      nft.Ruleset
	problems   []Problem
	fenced     []docker.Network          // by bridge
	endpoints  map[string][]nft.Endpoint // by container ID
	unfenced   map[string]string         // container ID -> an unmanaged network it sits on
	bridgeless map[string]docker.Network // by ID and by name
	resolvers  []netip.Addr              // that Docker gives
	addresses  addresses
	made       map[*text]*made
	shared     map[string]nft.Source // that somebody follows, by name
}

// sources are what containers share: what they follow, the resolvers Docker gives them, and DEFAULT_OUTBOUND, which the
// next one follows.
func (b *builder) sources() {
	if t := b.state.library.preset; t != nil {
		b.source(t, nil)
		b.shared[sourceDefault] = b.made[t].source
	}
	for _, p := range b.state.library.wrong {
		b.report(Problem{Problem: p})
	}
	b.shared[sourceResolvers] = nft.Source{Name: sourceResolvers, Allow: nft.Matches{Resolvers: b.resolvers}}
	for _, s := range b.shared {
		b.rules.Sources = append(b.rules.Sources, s)
	}
	slices.SortFunc(b.rules.Sources, func(x, y nft.Source) int { return strings.Compare(x.Name, y.Name) })
}

// source makes a text that containers share, once.
func (b *builder) source(t *text, against []*text) *made {
	m, ok := b.made[t]
	if !ok {
		m = b.make(t, against, b.resolvers)
		b.made[t] = m
		if t.common {
			for _, p := range m.problems {
				b.report(Problem{Problem: p})
			}
		}
	}
	return m
}

// containers compiles each container with an endpoint on a fenced network.
func (b *builder) containers() {
	sorted := slices.Clone(b.state.Docker.Containers)
	slices.SortFunc(sorted, func(x, y docker.Container) int { return strings.Compare(x.ID, y.ID) })
	b.rules.Containers = make([]nft.Container, 0, len(sorted))
	b.indexBridgeless()
	for i, c := range sorted {
		b.outside(c)
		ends := b.endpoints[c.ID]
		switch {
		case len(ends) == 0:
			b.unmanaged(c)
			continue
		case !isShortID(short(c.ID)):
			b.reportOn(c, policy.Problem{
				Severity: policy.Error, Rule: RuleContainerID, Token: c.ID, Message: "the container's ID is none of Docker's, so it cannot be told from others; all it sends is denied",
				Remedy: "create the container anew",
			})
			continue
		case i > 0 && short(sorted[i-1].ID) == short(c.ID):
			b.reportOn(c, policy.Problem{
				Severity: policy.Error, Rule: RuleContainerID, Token: short(c.ID), Message: "another container's ID begins with the same 12 digits; all that this one sends is denied",
				Remedy: "create the container anew",
			})
			continue
		}
		b.freeWayOut(c)
		b.rules.Containers = append(b.rules.Containers, b.container(c, ends))
	}
}

func (b *builder) container(c docker.Container, ends []nft.Endpoint) nft.Container {
	for _, p := range b.state.labels(c).problems {
		b.reportOn(c, p)
	}
	b.groupless(c)
	mode, reject, _ := b.state.modeOf(c)
	out := nft.Container{ID: short(c.ID), Name: c.Name, Mode: modeOf(mode), Reject: reject, Endpoints: ends}
	out.Shared = make([]string, 0, 1+len(b.state.library.asked[c.ID]))
	resolvers, own := b.resolvers, len(c.Resolvers) > 0
	if own {
		resolvers = plainAddrs(c.Resolvers)
	} else {
		out.Shared = append(out.Shared, sourceResolvers)
	}
	list := b.state.library.asked[c.ID]
	var few [8]bool // most have no more texts
	lost := append(few[:0], make([]bool, len(list))...)
	deniesDNS := false
	for i, a := range list {
		deniesDNS = deniesDNS || a.compiled.deniesDNS
		if a.within >= 0 && lost[a.within] && a.group {
			continue
		}
		var m *made
		if a.source == "" {
			m = b.make(a.text, against(list, i), resolvers)
			out.Own = m.source
		} else if m = b.source(a.text, against(list, i)); len(a.tokens) > 0 {
			b.shared[a.source] = m.source
			out.Shared = append(out.Shared, a.source)
		}
		lost[i] = m.lost
		for _, p := range m.problems {
			if !a.common {
				b.reportOn(c, p)
			}
		}
	}
	if own {
		out.Own.Allow.Resolvers = resolvers
		if deniesDNS {
			out.Own.Deny.Resolvers = resolvers
		}
	}
	slices.Sort(out.Shared)
	out.Shared = slices.Compact(out.Shared)
	return out
}

func modeOf(m policy.Mode) nft.Mode {
	switch m {
	case policy.ModeAudit:
		return nft.Audit
	case policy.ModeOff:
		return nft.Off
	default:
		return nft.Enforce
	}
}

// short is the part of an ID that names its objects.
func short(id string) string { return id[:min(12, len(id))] }

func isShortID(id string) bool { return id != "" && nft.ContainerOf("c_"+id) == id }
