package docker

import "net/netip"

// Host is what the Engine said of this host at one instant. Both slices are sorted by ID.
// A Host that List returned belongs to its caller.
type Host struct {
	Containers []Container
	Networks   []Network
}

// Container is one container, running or not.
type Container struct {
	ID          string // 64 hex digits
	Name        string // without the leading slash; names given by legacy links are left out
	Image       string // the reference it was created from, or what its ImageUnsure says
	ImageID     string // "sha256:…"
	State       string // "created", "running", "paused", "exited", …
	NetworkMode string // HostConfig.NetworkMode: "bridge", "host", "none", "container:<id>", a network's name or ID; "default" is given as "bridge"
	Labels      map[string]string
	// Networks are those it is attached to, by ID, or by name where the Engine gives no ID (before the
	// first start); sorted. None with network_mode container:X.
	Networks []string
	// Fixed are the addresses it asked for, by network as in Networks; nil for none.
	Fixed map[string][]netip.Addr
	// EngineSocket says that a mount shows it the socket of a container engine.
	EngineSocket bool
	// Resolvers and what follows are only in the container's inspect, which blocks during a start: zero
	// while not known.
	Resolvers  []netip.Addr // the servers of --dns, nil when it has none of its own
	Privileged bool
	CapAdd     []string // "NET_ADMIN", "ALL", in capitals without CAP_, sorted
	PidMode    string   // "host", "container:<id>" or ""
	Restarts   bool     // it has a restart policy: the Engine starts it by itself
	// ImageUnsure says that Image is the image's ID where it may have been created from a reference, which means another
	// image by now; the inspect tells.
	ImageUnsure bool
}

// Network is one network of the Engine.
type Network struct {
	ID       string
	Name     string
	Driver   string // "bridge", "overlay", "macvlan", …
	Scope    string // "local", "swarm"
	Bridge   string // interface name on the host, "" unless Driver is "bridge"
	Internal bool
	Subnets  []netip.Prefix // IPAM subnets, v4 and v6, masked
	Gateways []netip.Addr
	Ranges   []netip.Prefix // parts of Subnets; where a subnet has one, Docker chooses addresses from there only
	Reserved []netip.Addr   // auxiliary addresses, which Docker does not choose
	// Endpoints are the containers attached now, sorted by ContainerID; only of networks with a Bridge.
	Endpoints []Endpoint
}

// Endpoint is one attachment of a container to a network.
type Endpoint struct {
	ContainerID string     // 64 hex digits; "ingress-sbox" and the like are left out
	EndpointID  string     // new each time the container is attached, so it tells a restart from no change
	IPv4, IPv6  netip.Addr // invalid when the endpoint has none
	MAC         string     // "02:42:ac:11:00:02", may be empty
}
