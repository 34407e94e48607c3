package reconcile

import (
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

func TestADenialOfDNSIsReportedWhereItDoesNotHold(t *testing.T) {
	one := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	local := []netip.Addr{netip.MustParseAddr("127.0.0.53")}
	preset, _ := policy.Parse("!_dns_")
	for name, c := range map[string]struct {
		label, mode, api string
		own              []netip.Addr // of --dns
		host             []netip.Addr
		set              bool
		preset           policy.Policy
		want             bool
	}{
		"Docker 27":                         {label: "!_dns_", mode: "web", api: "1.47"},
		"Docker 28":                         {label: "!_dns_", mode: "web", api: "1.48", want: true},
		"an API to come":                    {label: "!_dns_", mode: "web", api: "2.0", want: true},
		"an API that is not known":          {label: "!_dns_", mode: "web"},
		"Docker 20 with a loopback stub":    {label: "!_dns_", mode: "web", api: "1.41", host: local, want: true},
		"Docker 28 with --dns":              {label: "!_dns_", mode: "web", api: "1.48", own: one},
		"Docker 28 with dns in daemon.json": {label: "!_dns_", mode: "web", api: "1.48", set: true},
		"Docker 28 on the default bridge":   {label: "!_dns_", mode: "bridge", api: "1.48"},
		"Docker 28, host mode":              {label: "!_dns_", mode: "host", api: "1.48"},
		"Docker 28, another's network":      {label: "!_dns_", mode: "container:x", api: "1.48"},
		"DNS that is allowed":               {label: "_dns_", mode: "web", api: "1.48"},
		"denied to everybody":               {mode: "web", api: "1.48", preset: preset, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := State{Config: Config{Default: c.preset}, Resolvers: resolver.Servers{Host: c.host, Set: c.set}}
			asking := docker.Container{NetworkMode: c.mode, Resolvers: c.own, Labels: map[string]string{policy.LabelOutbound: c.label}}
			s.Docker.Containers = []docker.Container{asking}
			p, got := s.UnheldDNS(asking, c.api)
			if got != c.want || got && (p.Rule == "" || p.Message == "" || p.Remedy == "") {
				t.Errorf("%v, %v", got, p)
			}
		})
	}
}
