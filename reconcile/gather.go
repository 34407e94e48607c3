package reconcile

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/resolver"
)

// Engine tells what containers and networks there are. List may answer from what it knows when no event
// said otherwise; Doubt makes the next one read a network again, Invalidate everything.
type Engine interface {
	List(context.Context) (docker.Host, error)
	ImageLabels(context.Context) (map[string]map[string]string, error)
	Doubt(network string)
	Invalidate()
}

// Resolver keeps names resolved, and knows what was learned beneath wildcards. Its maps are as in State.
type Resolver interface {
	Want(resolver.Wanted)
	Names() map[string][]netip.Addr
	Denied() map[string][]netip.Addr
	Below() map[string][]resolver.Named
	DeniedBelow() map[string][]resolver.Named
	Overflown() map[string]bool
	Servers() resolver.Servers
}

// Gather is where a State comes from.
type Gather struct {
	Config     Config
	Engine     Engine
	Resolver   Resolver
	Interfaces func() (hostnet.Interfaces, error) // hostnet.Read
	Ports      func() []hostnet.Port              // hostnet.Ports.List; without it none are known
	TrustImage bool                               // TRUST_IMAGE_LABELS
	// Operator and Overlay tell what counts now; nil is nothing.
	Operator func() operator.Policies
	Overlay  func() overlay.Overlay

	library *library // of the last State, so that a label is read once
	seats   seats    // likewise

	bridged  []docker.Network     // the managed ones of the last State that have a bridge
	unlisted map[string]time.Time // bridges that stand without a network in Docker's list, since when
}

// config is Config with what was changed at run time.
func (g *Gather) config() Config {
	if g.Overlay == nil {
		return g.Config
	}
	return g.Config.Under(g.Overlay())
}

// State takes all that a ruleset depends on, now. Interfaces are read before networks are listed, so
// that a bridge Docker has just made is not taken for a stranger's. Of any error nothing comes but the
// error: half a state would fence wrongly. One goroutine at a time may call it.
func (g *Gather) State(ctx context.Context) (State, error) {
	state, err := g.look(ctx)
	if err == nil {
		g.recall(&state)
	}
	return state, err
}

// look takes all but what names mean.
func (g *Gather) look(ctx context.Context) (State, error) {
	interfaces, err := g.Interfaces()
	if err != nil {
		return State{}, fmt.Errorf("read interfaces: %w", err)
	}
	host, err := g.list(ctx)
	if err != nil {
		return State{}, fmt.Errorf("list containers and networks: %w", err)
	}
	state := State{Config: g.Config, Docker: host, Interfaces: interfaces, Resolvers: g.Resolver.Servers()}
	if g.Operator != nil {
		state.Operator = g.Operator()
	}
	if g.Overlay != nil {
		state.Overlay = g.Overlay()
	}
	if err := g.keepUnlisted(&state); err != nil {
		return State{}, err
	}
	state.Ports = g.ports() // after Docker told of endpoints: their ports stood before
	g.seats = g.seats.take(host.Networks, state.Ports)
	state.seats = g.seats
	state.Docker.Networks, _ = less(state.Docker.Networks, state.seats.over(state.Ports))
	if !g.TrustImage {
		if state.ImageLabels, err = g.Engine.ImageLabels(ctx); err != nil {
			return State{}, fmt.Errorf("list images: %w", err)
		}
		if state.ImageLabels == nil { // that there are none is no reason to trust them
			state.ImageLabels = map[string]map[string]string{}
		}
	}
	if g.library == nil {
		g.library = &library{}
	}
	g.library = state.read(g.library)
	state.library = g.library
	return state, nil
}

// overlaid gives an earlier state what files and people say now, and says whether that is something else.
func (g *Gather) overlaid(s *State) bool {
	files, said := s.Operator, s.Overlay
	if g.Operator != nil {
		files = g.Operator()
	}
	if g.Overlay != nil {
		said = g.Overlay()
	}
	if samePolicies(s.Operator, files) && reflect.DeepEqual(s.Overlay, said) {
		return false
	}
	s.Operator, s.Overlay, s.library = files, said, nil
	*s = s.ready() // not from the last one, which may be in use
	return true
}

// samePolicies says whether two are one value, which stays as it is until they change.
func samePolicies(a, b operator.Policies) bool {
	return sameRules(a.Rules, b.Rules) && reflect.ValueOf(a.Groups).Pointer() == reflect.ValueOf(b.Groups).Pointer()
}

// list asks the Engine, and in particular whether endpoints are still there whose ports have gone.
func (g *Gather) list(ctx context.Context) (docker.Host, error) {
	networks, gone := g.seats.lost(g.ports())
	for _, id := range networks {
		g.Engine.Doubt(id)
	}
	host, err := g.Engine.List(ctx)
	if err == nil {
		g.seats = g.seats.forget(gone)
	}
	return host, err
}

func (g *Gather) ports() []hostnet.Port {
	if g.Ports == nil {
		return nil
	}
	return g.Ports()
}

// recall adds what names mean now, and returns what it asked for. They are asked for before they are looked up: a
// name that is new to the resolver may have an address already, from the table that an earlier daemon left.
func (g *Gather) recall(s *State) resolver.Wanted {
	wanted := Names(*s)
	g.Resolver.Want(wanted)
	s.Names, s.Denied = g.Resolver.Names(), g.Resolver.Denied()
	s.Below, s.DeniedBelow, s.Overflown = g.Resolver.Below(), g.Resolver.DeniedBelow(), g.Resolver.Overflown()
	return wanted
}
