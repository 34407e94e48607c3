package main

import (
	"fmt"
	"net/netip"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/metrics"
	"github.com/dockerwall/dockerwall/site"
)

// listen makes the listener of the metrics and of what else is on their port.
func (f *fence) listen(s settings, socket api.Options) error {
	pages, err := f.pages(s, socket)
	if err != nil {
		return err
	}
	f.scrapes, err = metrics.NewServer(metrics.ServerOptions{Addr: s.metricsAddr, Metrics: f.metrics, Pages: pages, Logger: f.logger})
	if err != nil {
		return usageError{err}
	}
	return nil
}

// pages is what people see on the port of the metrics: what the socket tells, too.
func (f *fence) pages(s settings, socket api.Options) (*site.Handler, error) {
	allow, err := site.ParseAllow(s.webAllow)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", s.spelled("web-allow"), err)}
	}
	return site.New(site.Options{
		Status: socket.Status, Suggest: socket.Suggest, Denials: socket.Denials, Healthy: f.healthy,
		Managed: f.managed, Allow: allow, Logger: f.logger,
	})
}

// managed is where containers are; nil while the Engine has not said.
func (f *fence) managed() []netip.Prefix {
	outcome, good := f.loop.Last()
	if !good {
		return nil
	}
	return whereContainersAre(outcome.State.Docker)
}

// whereContainersAre are the subnets of all networks, fenced or not, and the addresses outside of them. It is not nil.
func whereContainersAre(h docker.Host) []netip.Prefix {
	out := []netip.Prefix{}
	for _, n := range h.Networks {
		out = append(out, n.Subnets...)
		for _, e := range n.Endpoints {
			for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
				if a.IsValid() {
					out = append(out, netip.PrefixFrom(a, a.BitLen()))
				}
			}
		}
	}
	return out
}
