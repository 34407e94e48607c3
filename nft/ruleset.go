package nft

import "net/netip"

// Ruleset is the wanted content of table inet dockerwall: plain values, no handles, no clock. The
// zero value is a table that fences nothing. It is JSON: the form in which it survives a reboot.
type Ruleset struct {
	// DryRun turns every denial of the table into log-and-accept, unknown sources included.
	DryRun bool `json:"dryRun,omitempty"`
	// FenceUnknown denies what comes from a bridge named br-* that is neither in Bridges nor in Free.
	FenceUnknown bool `json:"fenceUnknown,omitempty"`
	// LogGroup is the nflog group that denied packets are copied to.
	LogGroup uint16 `json:"logGroup"`
	// NoElementLimit leaves the per-destination log limit out (kernels before 5.11 take one
	// expression an element); then only the per-container limit holds.
	NoElementLimit bool `json:"noElementLimit,omitempty"`
	// BindPorts makes table bridge dockerwall, which binds MACs and addresses to Ports. It is false for kernels that
	// cannot hold it.
	BindPorts bool `json:"bindPorts,omitempty"`

	Bridges   []Bridge       `json:"bridges,omitempty"`   // fenced, sorted by Name
	Ports     []Port         `json:"ports,omitempty"`     // of fenced bridges, sorted by Name; see BindPorts
	Free      []string       `json:"free,omitempty"`      // bridges left alone, sorted
	NotPublic []netip.Prefix `json:"notPublic,omitempty"` // what Internet never opens, merged by the compiler

	Sources    []Source    `json:"sources,omitempty"`    // shared by containers, sorted by Name
	Containers []Container `json:"containers,omitempty"` // sorted by ID
}

// Bridge is a fenced bridge: what its containers send to one another is always allowed.
type Bridge struct {
	Name    string         `json:"name"`
	Network string         `json:"network,omitempty"` // the first 12 hex digits of its ID; empty if not known
	Subnets []netip.Prefix `json:"subnets,omitempty"`
	MAC     MAC            `json:"mac,omitzero"`    // the host's own on it; none if not known
	Addrs   []netip.Addr   `json:"addrs,omitempty"` // the host's own on it, sorted
}

// Source is one origin of policy: a container's own label, or one that containers share.
type Source struct {
	Name  string  `json:"name,omitempty"`  // "default", "resolvers", "p3f2a91b0c4d5"; empty for a container's own
	Title string  `json:"title,omitempty"` // for people, such as "group @pypi"; never part of a rule
	Allow Matches `json:"allow,omitzero"`
	Deny  Matches `json:"deny,omitzero"`
}

// Matches is a set of destinations. Any denial beats any allow; the order within is of no matter.
type Matches struct {
	All       []Clause     `json:"all,omitempty"`       // *: everything
	Host      []Clause     `json:"host,omitempty"`      // _host_: this host, also published ports after DNAT
	Internet  []Clause     `json:"internet,omitempty"`  // _internet_: what NotPublic does not hold
	Resolvers []netip.Addr `json:"resolvers,omitempty"` // _dns_: port 53, tcp and udp, of these
	Addrs     Literals     `json:"addrs,omitzero"`      // single addresses: the only literals that open the host
	Nets      Literals     `json:"nets,omitzero"`       // prefixes and ranges
	Names     []NameSet    `json:"names,omitempty"`     // addresses that names mean now, by clause
}

// Literals are addresses by kind of clause. Ranges of one list are disjoint, and so are boxes.
type Literals struct {
	Any   []Range `json:"any,omitempty"`
	ICMP  []Range `json:"icmp,omitempty"`
	Boxes []Box   `json:"boxes,omitempty"`
}

// Range is an inclusive range of addresses of one family.
type Range struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
}

// Box is a range of addresses with a protocol (TCP or UDP) and ports.
type Box struct {
	Range
	Proto uint8 `json:"proto"`
	Ports Ports `json:"ports"`
}

// Ports is an inclusive range of ports. In a [Clause] the zero value means every port.
type Ports struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

// IANA protocol numbers that a clause or a packet carries.
const (
	ICMP   uint8 = 1 // in a Clause: ICMP and ICMPv6
	TCP    uint8 = 6
	UDP    uint8 = 17
	ICMPv6 uint8 = 58
	SCTP   uint8 = 132
)

// Clause narrows a match. The zero value narrows nothing; ports with Proto 0 mean tcp and udp.
type Clause struct {
	Proto uint8 `json:"proto,omitempty"`
	Ports Ports `json:"ports,omitzero"`
}

// NameSet holds the addresses of all names of a source that carry the same clause.
type NameSet struct {
	Clause Clause      `json:"clause,omitzero"`
	Addrs  []NamedAddr `json:"addrs,omitempty"` // sorted by Addr, each once
}

// NamedAddr is an address and one of the names that put it there.
type NamedAddr struct {
	Addr netip.Addr `json:"addr"`
	Name string     `json:"name,omitempty"`
}

// Mode is what becomes of a packet that the policy denies.
type Mode uint8

// The modes of a container.
const (
	Enforce Mode = iota // denied
	Audit               // allowed, but logged and counted as denied
	Off                 // allowed, not looked at
)

// Container is one fenced container.
type Container struct {
	ID        string     `json:"id"`             // the first 12 hex digits of its ID
	Name      string     `json:"name,omitempty"` // for people; never part of a rule
	Mode      Mode       `json:"mode,omitempty"`
	Reject    bool       `json:"reject,omitempty"` // tcp reset or icmp admin-prohibited instead of silence
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Own       Source     `json:"own,omitzero"`
	Shared    []string   `json:"shared,omitempty"` // names of the sources it also follows, sorted
}

// Endpoint is an address of a container on a fenced bridge.
type Endpoint struct {
	Bridge string     `json:"bridge"`
	Addr   netip.Addr `json:"addr"`
}
