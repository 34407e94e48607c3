package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	networkName = "shop"
	label       = "dockerwall.outbound"
	silence     = "1200ms" // after it, and a second SYN, nothing has answered
)

// destination is one thing a container tries to reach.
type destination struct {
	title string
	act   string // the probe's
	addrs []netip.Addr
	port  uint16
	proto string
	kind  kind
}

// kind is what the destination is to the container that tries it.
type kind int

const (
	elsewhere kind = iota
	nothing        // no destination's
	named          // www.example.com's addresses
	database       // the literal address and port of a label
	host
	neighbour
	resolver
)

// container is one of the demo's.
type container struct {
	*lab.Container
	name, label string
	opens       kind // what its label opens
	addr, addr6 netip.Addr
}

// reaches is what is expected of the fence.
func (c *container) reaches(d destination) bool {
	return d.kind == neighbour || d.kind == resolver || (d.kind == c.opens && c.label != "")
}

func cast() []*container {
	return []*container{
		{name: "by-name", label: "www.example.com", opens: named},
		{name: "by-address", label: "203.0.113.20:5432/tcp", opens: database},
		{name: "no-label"},
	}
}

// names are what the lab's DNS server answers.
func (d *demo) names() {
	d.lab.DNS.Set("www.example.com", netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:1::10"))
	d.lab.DNS.Set("www.example.net", netip.MustParseAddr("203.0.113.30"))
}

// destinations are tried in this order; next is the neighbour's address.
func (d *demo) destinations(next netip.Addr) []destination {
	tcp := func(kind kind, title, to string, addrs ...string) destination {
		out := destination{kind: kind, title: title, act: "tcp " + to + " -timeout " + silence, proto: "tcp"}
		for _, a := range addrs {
			out.addrs = append(out.addrs, netip.MustParseAddr(a))
		}
		_, _ = fmt.Sscan(to[strings.LastIndex(to, ":")+1:], &out.port)
		return out
	}
	gateway := d.gateway.String()
	return []destination{
		tcp(named, "www.example.com:443", "www.example.com:443", "203.0.113.10", "2001:db8:1::10"),
		tcp(named, "203.0.113.10:80, its address", "203.0.113.10:80", "203.0.113.10"),
		tcp(elsewhere, "www.example.net:443", "www.example.net:443", "203.0.113.30"),
		tcp(database, "203.0.113.20:5432", "203.0.113.20:5432", "203.0.113.20"),
		tcp(elsewhere, "203.0.113.20:443, other port", "203.0.113.20:443", "203.0.113.20"),
		tcp(host, gateway+":8080, on the host", gateway+":8080", gateway),
		{kind: elsewhere, title: "203.0.113.53:53/udp, other DNS", act: "udp 203.0.113.53:53 -wait " + silence,
			addrs: []netip.Addr{netip.MustParseAddr("203.0.113.53")}, port: 53, proto: "udp"},
		tcp(neighbour, next.String()+":8080, neighbour", next.String()+":8080", next.String()),
		{kind: resolver, title: "DNS as Docker gives it", act: "lookup www.example.net",
			addrs: []netip.Addr{netip.MustParseAddr(lab.DNSAddr)}, port: 53, proto: "udp"},
	}
}

// try does all the acts in the container, one after the other.
func try(ctx context.Context, c *lab.Container, destinations []destination) ([]lab.Result, error) {
	args := []string{lab.ProbePath, "script"}
	for _, d := range destinations {
		args = append(args, d.act)
	}
	said, err := c.Exec(ctx, args...) // exits 1 if the last act failed
	results, parseErr := lab.Results(said)
	if parseErr != nil || len(results) != len(destinations) {
		return nil, fmt.Errorf("try %d destinations in a container: %d results: %w", len(destinations), len(results), err)
	}
	return results, nil
}

// start runs a container that answers on port 8080.
func (d *demo) start(ctx context.Context, c *container) (err error) {
	spec := lab.RunSpec{Name: c.name, Network: networkName, Cmd: []string{"serve", "8080"}}
	if c.label != "" {
		spec.Labels = map[string]string{label: c.label}
	}
	if c.Container, err = d.docker.Run(ctx, spec); err != nil {
		return err
	}
	if c.addr, err = c.Addr(ctx, networkName); err != nil {
		return err
	}
	c.addr6, err = c.Addr6(ctx, networkName)
	return err
}

func reached(r lab.Result) bool { return r.Outcome == result.OK }
