package docker

import (
	"net/netip"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

const (
	bridgeDriver     = "bridge"
	bridgeNameOption = "com.docker.network.bridge.name"
	defaultNetwork   = "bridge"          // the default network's name
	gatewayNetwork   = "docker_gwbridge" // Swarm's way out, made by libnetwork without any event
)

func containerFrom(s container.Summary) Container {
	mode := s.HostConfig.NetworkMode
	if mode == "default" { // Docker before 26 passes on what the client said
		mode = defaultNetwork
	}
	return Container{
		ID:           s.ID,
		Name:         properName(s.Names),
		Image:        s.Image,
		ImageID:      s.ImageID,
		State:        s.State,
		NetworkMode:  mode,
		Labels:       s.Labels,
		Networks:     attachedTo(s),
		Fixed:        fixedOf(s),
		EngineSocket: slices.ContainsFunc(s.Mounts, func(m container.MountPoint) bool { return ShowsSocket(m.Source) }),
	}
}

func attachedTo(s container.Summary) []string {
	if s.NetworkSettings == nil {
		return nil
	}
	var out []string
	for name, e := range s.NetworkSettings.Networks {
		if e != nil && e.NetworkID != "" {
			name = e.NetworkID
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// fixedOf are the addresses a container asked for (--ip, --ip6), under the names that attachedTo gives networks.
func fixedOf(s container.Summary) (out map[string][]netip.Addr) {
	if s.NetworkSettings == nil {
		return nil
	}
	for name, e := range s.NetworkSettings.Networks {
		if e == nil || e.IPAMConfig == nil {
			continue
		}
		if e.NetworkID != "" {
			name = e.NetworkID
		}
		for _, text := range []string{e.IPAMConfig.IPv4Address, e.IPAMConfig.IPv6Address} {
			if a := parseAddr(text); a.IsValid() {
				set(&out, name, append(out[name], a))
			}
		}
	}
	return out
}

// ShowsSocket says whether a path of the host is a container engine's socket or a directory that holds one: Docker's,
// Podman's or containerd's, with which a container can make others as it likes. /var/run is /run.
func ShowsSocket(source string) bool {
	source = path.Clean(source)
	if base := path.Base(source); base == "docker.sock" || base == "podman.sock" || base == "containerd.sock" {
		return true
	}
	return slices.Contains([]string{"/", "/run", "/var", "/var/run", "/run/podman", "/var/run/podman", "/run/containerd", "/var/run/containerd"}, source)
}

// properName is the container's own name: that of a legacy link has two slashes ("/other/alias").
func properName(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

func networkFrom(n network.Inspect) Network {
	out := Network{
		ID:       n.ID,
		Name:     n.Name,
		Driver:   n.Driver,
		Scope:    n.Scope,
		Bridge:   bridgeName(n),
		Internal: n.Internal,
	}
	for _, pool := range n.IPAM.Config {
		if subnet, err := netip.ParsePrefix(pool.Subnet); err == nil {
			out.Subnets = append(out.Subnets, subnet.Masked())
		}
		if gateway := parseAddr(pool.Gateway); gateway.IsValid() {
			out.Gateways = append(out.Gateways, gateway)
		}
		if part, err := netip.ParsePrefix(pool.IPRange); err == nil {
			out.Ranges = append(out.Ranges, part.Masked())
		}
		for _, text := range pool.AuxAddress {
			if a := parseAddr(text); a.IsValid() {
				out.Reserved = append(out.Reserved, a)
			}
		}
	}
	slices.SortFunc(out.Ranges, netip.Prefix.Compare)
	slices.SortFunc(out.Reserved, netip.Addr.Compare)
	slices.SortFunc(out.Subnets, netip.Prefix.Compare)
	slices.SortFunc(out.Gateways, netip.Addr.Compare)
	out.Subnets, out.Gateways = slices.Compact(out.Subnets), slices.Compact(out.Gateways)
	if out.Bridge != "" {
		out.Endpoints = endpointsFrom(n.Containers)
	}
	return out
}

// bridgeName is the interface's name by the rule of Docker's bridge driver
// (libnetwork/drivers/bridge/bridge_linux.go).
func bridgeName(n network.Inspect) string {
	switch {
	case n.Driver != bridgeDriver || n.ConfigOnly:
		return ""
	case n.Options[bridgeNameOption] != "":
		return n.Options[bridgeNameOption]
	case n.Name == defaultNetwork:
		return "docker0"
	case len(n.ID) < 12:
		return ""
	default:
		return "br-" + n.ID[:12]
	}
}

// endpointsFrom leaves out what is no container's: "ingress-sbox", build steps, "ep-…" of an endpoint
// that no sandbox has joined yet.
func endpointsFrom(attached map[string]network.EndpointResource) []Endpoint {
	var out []Endpoint
	for id, e := range attached {
		if !isID(id) {
			continue
		}
		out = append(out, Endpoint{
			ContainerID: id,
			EndpointID:  e.EndpointID,
			IPv4:        parseAddr(e.IPv4Address),
			IPv6:        parseAddr(e.IPv6Address),
			MAC:         e.MacAddress,
		})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ContainerID < out[j].ContainerID })
	return out
}

// parseAddr reads "172.18.0.2/16" and "172.18.0.2". What it cannot read is no address: a container
// is then an unknown source, which is denied.
func parseAddr(s string) netip.Addr {
	s, _, _ = strings.Cut(s, "/")
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// isID tells a container's or network's full ID, 64 hex digits.
func isID(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
