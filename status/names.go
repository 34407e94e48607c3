package status

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
	"github.com/dockerwall/dockerwall/sortby"
)

// Bounds of what is told: names beneath one wildcard, and addresses of one name. A thousand containers may share a
// wildcard of thousands.
const (
	maxBeneath = 32
	maxAddrs   = 64
)

// names knows what patterns mean now; each is worked out once, however many containers have it.
type names struct {
	in     Input
	guard  resolver.Guard
	errors map[string]string   // why names have no addresses
	under  map[string][]string // names that somebody spells out, by what stands behind each of their dots
	done   map[asked]meaning
}

type asked struct {
	pattern policy.Pattern
	deny    bool
}

type meaning struct {
	names []api.ResolvedName
	more  int // that are left out
}

func newNames(in Input) *names {
	n := &names{in: in, guard: reconcile.Names(in.Outcome.State).Guard, errors: map[string]string{}, under: map[string][]string{}, done: map[asked]meaning{}}
	for _, s := range in.Names {
		n.errors[s.Name] = s.Error
		if s.Error == "" && s.Answered.IsZero() {
			n.errors[s.Name] = "not answered yet"
		}
	}
	for name := range in.Leases.Names {
		for _, parent, ok := strings.Cut(name, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
			n.under[parent] = append(n.under[parent], name)
		}
	}
	return n
}

// of are the names that a pattern means, sorted, and how many more there are. The slice is shared.
func (n *names) of(p policy.Pattern, deny bool) ([]api.ResolvedName, int) {
	key := asked{p, deny}
	m, ok := n.done[key]
	switch {
	case ok:
	case !p.Wild():
		m.names = []api.ResolvedName{n.name(p.Name(), n.in.Leases.Names[p.Name()], deny, false)}
	default:
		m = n.beneath(p.Name(), deny)
	}
	n.done[key] = m
	return m.names, m.more
}

// name is one with those of its addresses that count: all of them deny, the guard says which open.
func (n *names) name(name string, leases []resolver.Lease, deny, wild bool) api.ResolvedName {
	out := api.ResolvedName{Name: name, Deny: deny, Addrs: []api.NamedAddress{}, Error: n.errors[name]}
	refused := ""
	for _, l := range leases {
		if reason := n.guard.Refuse(l.Addr, name, wild); reason != "" && !deny {
			refused = "it means " + l.Addr.String() + ", which no DNS answer can open (" + reason + ")"
			continue
		}
		out.Addrs = append(out.Addrs, api.NamedAddress{Addr: l.Addr, Expires: l.Expires})
	}
	if deny {
		out.Addrs = n.remembered(name, out.Addrs)
	}
	out.Addrs = out.Addrs[:min(len(out.Addrs), maxAddrs)]
	switch {
	case len(out.Addrs) > 0:
		out.Error = ""
	case refused != "":
		out.Error = refused
	default:
		out.Error = cmp.Or(out.Error, "it has no addresses")
	}
	return out
}

// remembered adds what a denied name ever meant, which goes on being denied: that has no end.
func (n *names) remembered(name string, now []api.NamedAddress) []api.NamedAddress {
	seen := map[netip.Addr]bool{}
	out := []api.NamedAddress{}
	for _, a := range n.in.Outcome.State.Denied[name] {
		seen[a] = true
		out = append(out, api.NamedAddress{Addr: a})
	}
	for _, a := range now {
		if !seen[a.Addr] {
			out = append(out, api.NamedAddress{Addr: a.Addr})
		}
	}
	sortby.Func(out, func(x, y api.NamedAddress) int { return x.Addr.Compare(y.Addr) })
	return out
}

// beneath are the names learned beneath a wildcard and those that somebody spells out there, those that live longest
// first if there are too many.
func (n *names) beneath(parent string, deny bool) (out meaning) {
	known := map[string][]resolver.Lease{}
	if deny {
		for _, named := range n.in.Outcome.State.DeniedBelow[parent] {
			known[named.Name] = append(known[named.Name], resolver.Lease{Addr: named.Addr})
		}
	} else {
		for name, leases := range n.in.Leases.Below[parent] {
			known[name] = leases
		}
	}
	for _, name := range n.under[parent] {
		if leases := n.in.Leases.Names[name]; len(leases) > 0 && known[name] == nil {
			known[name] = leases
		}
	}
	for name, leases := range known {
		out.names = append(out.names, n.name(name, leases, deny, true))
	}
	if len(out.names) == 0 {
		out.names = []api.ResolvedName{{Name: "*." + parent, Deny: deny, Addrs: []api.NamedAddress{}, Error: "no name beneath it was asked for yet"}}
	}
	if len(out.names) > maxBeneath {
		sortby.Func(out.names, func(x, y api.ResolvedName) int {
			return cmp.Or(last(y).Compare(last(x)), strings.Compare(x.Name, y.Name))
		})
		out.more = len(out.names) - maxBeneath
		out.names = out.names[:maxBeneath]
	}
	sortby.Func(out.names, func(x, y api.ResolvedName) int { return strings.Compare(x.Name, y.Name) })
	return out
}

func last(n api.ResolvedName) (at time.Time) {
	for _, a := range n.Addrs {
		if a.Expires.After(at) {
			at = a.Expires
		}
	}
	return at
}
