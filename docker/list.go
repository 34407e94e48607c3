package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"
)

// few is how many containers are asked for by ID; for more, all are listed.
const few = 16

// List returns the host as Docker has it now: it reads what events have marked since the last call and
// takes the rest from its cache, so that maps and slices of the Host must not be changed. Everything is
// read at the first call, after Invalidate, after a reconnect and while Run does not hold the event stream.
// Any error means no Host at all; what was marked is then read by the next call. It never asks for a
// container's inspect and so does not wait for a container that is starting.
func (c *Client) List(ctx context.Context) (Host, error) {
	c.listing.Lock()
	defer c.listing.Unlock()
	old, m := c.take()
	next, err := c.refresh(ctx, old, m.plan(old))
	if err != nil {
		c.putBack(m)
		return Host{}, err
	}
	c.mu.Lock()
	next.end(next.endedBy(c.marks.died)) // while Docker took its time
	c.cache = next
	c.mu.Unlock()
	c.inspect.follow(next.containers)
	return next.host(c.inspect.complete), nil
}

func (c *Client) take() (snapshot, marks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.marks
	c.marks = marks{}
	m.everything = m.everything || !c.connected
	return c.cache, m
}

func (c *Client) putBack(m marks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks.add(m)
}

// refresh reads what p says, containers beside networks, and then the containers that only a network knew.
func (c *Client) refresh(ctx context.Context, old snapshot, p plan) (snapshot, error) {
	next := old.next(p)
	whole := p.everything || len(p.containers) > few
	var containers []Container
	var reads []networkRead
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		containers, err = c.readContainers(gctx, p.containers, whole)
		return err
	})
	g.Go(func() (err error) {
		reads, err = c.readNetworks(gctx, p, old)
		return err
	})
	if err := g.Wait(); err != nil {
		return snapshot{}, err
	}
	next.putContainers(containers, p.containers, whole)
	next.putNetworks(reads)
	if err := c.lookUp(ctx, next, next.unknown(reads)); err != nil {
		return snapshot{}, err
	}
	next.stop(p.stopped)
	next.prune()
	return next, nil
}

// lookUp lists containers that a network shows and no listing had: the network was read a moment later.
func (c *Client) lookUp(ctx context.Context, next snapshot, ids []string) error {
	whole := len(ids) > few
	list, err := c.readContainers(ctx, ids, whole)
	if err != nil {
		return err
	}
	next.putContainers(list, ids, whole)
	return nil
}

// readContainers lists the containers of ids, or all. No IDs and not all is no request.
func (c *Client) readContainers(ctx context.Context, ids []string, all bool) ([]Container, error) {
	if !all && len(ids) == 0 {
		return nil, nil
	}
	options := container.ListOptions{All: true}
	if !all {
		options.Filters = filters.NewArgs()
		for _, id := range ids {
			options.Filters.Add("id", id)
		}
	}
	var out []Container
	err := c.ask(ctx, call{what: "list containers of Docker", endpoint: "GET /containers/json"}, func(ctx context.Context, e engine) error {
		list, err := e.ContainerList(ctx, options)
		for _, s := range list {
			if isID(s.ID) {
				out = append(out, containerFrom(s))
			}
		}
		return err
	})
	return out, err
}

// readNetworks reads p.networks and, where p asks for the list of networks, those whose endpoints are
// not known from before.
func (c *Client) readNetworks(ctx context.Context, p plan, old snapshot) ([]networkRead, error) {
	ids := p.networks
	var reads []networkRead
	if p.listNetworks {
		listed, err := c.listNetworks(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range listed {
			_, known := old.networks[n.ID]
			switch {
			case n.Bridge == "":
				reads = append(reads, networkRead{Network: n, at: time.Now()})
			case (p.everything || !known) && !slices.Contains(ids, n.ID):
				ids = append(ids, n.ID)
			}
		}
		ids = append(ids, old.vanished(listed, ids)...)
	}
	inspected, err := c.inspectNetworks(ctx, ids)
	return append(reads, inspected...), err
}

// vanished are the networks, by ID, that a new list has not and that are not to be read anyway: whether they are gone is
// asked about each, so that no empty list makes an end of them.
func (s snapshot) vanished(listed []Network, read []string) (out []string) {
	there := map[string]struct{}{}
	for _, n := range listed {
		there[n.ID] = struct{}{}
	}
	for id := range s.networks {
		if _, ok := there[id]; !ok && !slices.Contains(read, id) {
			out = append(out, id)
		}
	}
	return out
}

func (c *Client) listNetworks(ctx context.Context) ([]Network, error) {
	var out []Network
	err := c.ask(ctx, call{what: "list networks of Docker", endpoint: "GET /networks"}, func(ctx context.Context, e engine) error {
		list, err := e.NetworkList(ctx, network.ListOptions{})
		for _, n := range list {
			if err = plausible(n); err != nil {
				return err
			}
			out = append(out, networkFrom(n))
		}
		return err
	})
	return out, err
}

func (c *Client) inspectNetworks(ctx context.Context, ids []string) ([]networkRead, error) {
	reads := make([]networkRead, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, id := range ids {
		g.Go(func() (err error) {
			reads[i], err = c.inspectNetwork(ctx, id)
			return err
		})
	}
	return reads, g.Wait()
}

func (c *Client) inspectNetwork(ctx context.Context, id string) (networkRead, error) {
	r := networkRead{Network: Network{ID: id}}
	err := c.ask(ctx, call{what: "inspect network " + id + " of Docker", endpoint: "GET /networks/{id}"}, func(ctx context.Context, e engine) error {
		n, err := e.NetworkInspect(ctx, id, network.InspectOptions{})
		if err == nil && n.ID != id {
			return fmt.Errorf("the answer is about network %q", n.ID)
		}
		if err == nil {
			err = plausible(n)
		}
		r.Network, r.at = networkFrom(n), time.Now()
		return err
	})
	if notFound(err) {
		return networkRead{Network: Network{ID: id}, gone: true}, nil
	}
	return r, err
}

// plausible says what an answer about a network lacks that Docker always gives: without it, its bridge would be another's
// or nobody's. A swarm's network has no driver until the swarm has allocated it, which may never succeed (moby,
// daemon/cluster/convert, BasicNetworkFromGRPC); nor has it a bridge then.
func plausible(n network.Inspect) error {
	for what, is := range map[string]string{"ID": n.ID, "name": n.Name, "driver": n.Driver} {
		if is == "" && (what != "driver" || n.Scope != "swarm") {
			return fmt.Errorf("the answer has a network without %s (ID %q, name %q)", what, n.ID, n.Name)
		}
	}
	return nil
}

func notFound(err error) bool { return errors.Is(err, errdefs.ErrNotFound) }
