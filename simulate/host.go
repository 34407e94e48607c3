package simulate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// Labels of docker compose.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
)

// host is a State in the making, in which each observed subject is a container that runs.
type host struct {
	seen  api.Observations
	state reconcile.State
	ids   []string // of the subjects' containers
}

// newHost is the host as it was observed. What in seen is none of the daemon's is an error.
func newHost(seen api.Observations) (*host, error) {
	h := &host{seen: seen}
	if err := h.settings(); err != nil {
		return nil, err
	}
	for _, n := range seen.Host.Networks {
		h.state.Docker.Networks = append(h.state.Docker.Networks, docker.Network{
			ID: n.ID, Name: n.Name, Driver: "bridge", Scope: "local", Bridge: n.Bridge, Subnets: slices.Clone(n.Subnets),
		})
	}
	h.state.ImageLabels = map[string]map[string]string{}
	h.state.Names = map[string][]netip.Addr{}
	h.state.Overlay.Containers = map[string]overlay.Container{}
	taken := map[string]bool{}
	for i, s := range seen.Subjects {
		id := idOf(s)
		if taken[id[:12]] {
			return nil, fmt.Errorf("%s (%s) is there twice", s.Container, s.Image)
		}
		taken[id[:12]] = true
		if err := h.subject(i, id, s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Container, err)
		}
	}
	if seen.Host.TrustImages {
		h.state.ImageLabels = nil
	}
	return h, nil
}

// fullID is the ID of a container.
var fullID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// idOf is a subject's ID, or one made up.
func idOf(s api.ObservedSubject) string {
	if fullID.MatchString(s.ID) {
		return s.ID
	}
	sum := sha256.Sum256([]byte(s.Container + "\x00" + s.Image))
	return hex.EncodeToString(sum[:])
}

func (h *host) settings() error {
	o := h.seen.Host
	h.state.Interfaces.Addrs = slices.Clone(o.Addresses)
	h.state.Resolvers.Containers = slices.Clone(o.Resolvers)
	h.state.Config.Networks, _ = policy.ParseNetworks(o.GatewayNetworks)
	h.state.Config.DryRun, h.state.Config.PrivateNames = o.DryRun, o.PrivateNames
	h.state.Operator.Groups = map[policy.Group]operator.Group{}
	for _, g := range o.Groups {
		asks, problems := policy.Parse(g.Outbound)
		if !policy.IsGroup(g.Name) || len(problems) > 0 && asks.Void {
			return fmt.Errorf("group %q cannot be understood", g.Name)
		}
		h.state.Operator.Groups[policy.Group(g.Name)] = operator.Group{Name: policy.Group(g.Name), File: g.File, Policy: asks}
	}
	for _, r := range o.Rules {
		rule, err := ruleOf(r, h.state.Operator.Grammar())
		if err != nil {
			return fmt.Errorf("the rule at %s:%d: %w", r.File, r.Line, err)
		}
		h.state.Operator.Rules = append(h.state.Operator.Rules, rule)
	}
	h.preset(o.DefaultOutbound)
	return nil
}

// preset is DEFAULT_OUTBOUND.
func (h *host) preset(text string) {
	h.state.Config.DefaultText = text
	h.state.Config.Default, _ = policy.Parse(text)
}

func ruleOf(r api.ObservedRule, g policy.Grammar) (operator.Rule, error) {
	asks, _ := g.Parse(r.Outbound)
	out := operator.Rule{File: r.File, Line: r.Line, Policy: asks, Reject: r.Reject, Match: operator.Match(r.Match)}
	if r.Mode != "" {
		mode, err := modeOf(r.Mode)
		if err != nil {
			return operator.Rule{}, err
		}
		out.Mode = &mode
	}
	return out, nil
}

func modeOf(text string) (policy.Mode, error) {
	for _, m := range []policy.Mode{policy.ModeEnforce, policy.ModeAudit, policy.ModeOff} {
		if m.String() == text {
			return m, nil
		}
	}
	return policy.ModeEnforce, fmt.Errorf("%q is no mode", text)
}

// subject adds the i-th as a container.
func (h *host) subject(i int, id string, s api.ObservedSubject) error {
	c := docker.Container{
		ID: id, Name: s.Container, Image: s.Image, ImageID: "image of " + id, State: "running",
		Labels: map[string]string{}, Resolvers: s.Resolvers,
	}
	for key, value := range s.Labels {
		c.Labels[key] = value
	}
	if s.ID == "" && s.Project != "" {
		c.Labels[composeProject], c.Labels[composeService] = s.Project, s.Service
	}
	if !s.ImageGone {
		h.state.ImageLabels[c.ImageID] = s.ImageLabels
	}
	if err := h.added(id, s); err != nil {
		return err
	}
	h.attach(i, &c, s)
	h.names(s)
	h.ids = append(h.ids, id)
	h.state.Docker.Containers = append(h.state.Docker.Containers, c)
	return nil
}

// added is what was said of it at run time.
func (h *host) added(id string, s api.ObservedSubject) error {
	var out overlay.Container
	asks, _ := h.state.Operator.Grammar().Parse(s.Added)
	for _, t := range asks.Tokens {
		out.Grants = append(out.Grants, overlay.Grant{Token: t})
	}
	if s.Mode != "" {
		mode, err := modeOf(s.Mode)
		if err != nil {
			return err
		}
		out.Mode = &overlay.Switch{Mode: mode}
	}
	if len(out.Grants) > 0 || out.Mode != nil {
		h.state.Overlay.Containers[id] = out
	}
	return nil
}

// attach gives a container an address of each family on one of its networks, and all those it has; one that does not run
// is put on the first network that is fenced.
func (h *host) attach(i int, c *docker.Container, s api.ObservedSubject) {
	for n := range h.state.Docker.Networks {
		network := &h.state.Docker.Networks[n]
		at := slices.IndexFunc(s.Endpoints, func(e api.ObservedEndpoint) bool { return e.Network == network.Name })
		gone := s.ID == "" && len(c.Networks) == 0 && h.state.Config.Networks.Manages(network.Name)
		if at < 0 && !gone {
			continue
		}
		e := docker.Endpoint{ContainerID: c.ID, EndpointID: c.ID}
		e.IPv4, e.IPv6 = stand4(i), stand6(i)
		if at >= 0 {
			for _, a := range s.Endpoints[at].Addresses {
				if a.Is4() {
					e.IPv4 = a
				} else {
					e.IPv6 = a
				}
			}
		}
		network.Endpoints = append(network.Endpoints, e)
		c.Networks = append(c.Networks, network.ID)
	}
}

// stand4 and stand6 are addresses that no container has: it may have had one of a family that it has none of now.
func stand4(i int) netip.Addr { return netip.AddrFrom4([4]byte{240, 0, byte(i >> 8), byte(i)}) }

func stand6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0xff, 0xff, 0xff, 14: byte(i >> 8), 15: byte(i)})
}

// names remembers what names meant.
func (h *host) names(s api.ObservedSubject) {
	for _, r := range s.Records {
		for _, name := range r.Names {
			p, err := policy.ParsePattern(name)
			if err != nil || p.Wild() || slices.Contains(h.state.Names[p.Name()], r.Destination) {
				continue
			}
			h.state.Names[p.Name()] = append(h.state.Names[p.Name()], r.Destination)
		}
	}
}

// trial has the state judged. Denied names mean what they were recorded with, and no more is known of them.
func (h *host) trial() (reconcile.Trial, []reconcile.Problem) {
	s := h.state
	s.Denied = map[string][]netip.Addr{}
	for _, name := range reconcile.Names(s).Deny {
		s.Denied[name] = append([]netip.Addr{}, s.Names[name]...)
	}
	r, problems := reconcile.Build(s)
	return reconcile.NewTrial(s, r), problems
}

// copied can be changed without the other.
func (h *host) copied() *host {
	out := *h
	out.state.Docker.Containers = slices.Clone(h.state.Docker.Containers)
	return &out
}

// relabel gives a container other labels of ours, and those of a file besides.
func (h *host) relabel(i int, labels map[string]string) {
	c := &h.state.Docker.Containers[i]
	image := h.state.ImageLabels[c.ImageID]
	fresh := map[string]string{}
	for key, value := range c.Labels {
		if brought, own := image[key]; own && brought == value || !policy.IsLabel(key) {
			fresh[key] = value
		}
	}
	for key, value := range labels {
		fresh[key] = value
	}
	c.Labels = fresh
}
