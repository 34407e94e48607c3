package reconcile

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
)

// Engine tells what containers and networks there are. List may answer from what it knows when no event
// said otherwise; Invalidate makes the next one read everything.
type Engine interface {
	List(context.Context) (docker.Host, error)
	ImageLabels(context.Context) (map[string]map[string]string, error)
	Invalidate()
}

// Resolver keeps names resolved.
type Resolver interface {
	Want(allow, deny []string)
	Names() map[string][]netip.Addr
	Denied() map[string][]netip.Addr // as in State
	// Resolvers are those that containers may ask unless they bring their own.
	Resolvers() []netip.Addr
}

// Gather is where a State comes from.
type Gather struct {
	Config     Config
	Engine     Engine
	Resolver   Resolver
	Interfaces func() (hostnet.Interfaces, error) // hostnet.Read
	TrustImage bool                               // TRUST_IMAGE_LABELS

	read map[string]*labels // of the last State, so that a label is read once
}

// State takes all that a ruleset depends on, now. Interfaces are read before networks are listed, so
// that a bridge Docker has just made is not taken for a stranger's. Of any error nothing comes but the
// error: half a state would fence wrongly. One goroutine at a time may call it.
func (g *Gather) State(ctx context.Context) (State, error) {
	interfaces, err := g.Interfaces()
	if err != nil {
		return State{}, fmt.Errorf("read interfaces: %w", err)
	}
	host, err := g.Engine.List(ctx)
	if err != nil {
		return State{}, fmt.Errorf("list containers and networks: %w", err)
	}
	state := State{Config: g.Config, Docker: host, Interfaces: interfaces, Resolvers: g.Resolver.Resolvers()}
	if !g.TrustImage {
		if state.ImageLabels, err = g.Engine.ImageLabels(ctx); err != nil {
			return State{}, fmt.Errorf("list images: %w", err)
		}
		if state.ImageLabels == nil { // that there are none is no reason to trust them
			state.ImageLabels = map[string]map[string]string{}
		}
	}
	g.read = state.readAll(g.read)
	state.read = g.read
	// Asked for before looked up: a name that is new to the resolver may have an address already, from
	// the table that an earlier daemon left.
	g.Resolver.Want(Names(state))
	state.Names, state.Denied = g.Resolver.Names(), g.Resolver.Denied()
	return state, nil
}
