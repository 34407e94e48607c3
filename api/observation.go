package api

import (
	"net/netip"
	"time"
)

// Observations are what containers were seen to send, and what policies were judged by then: enough to judge others, on
// another machine too.
type Observations struct {
	Until    time.Time         `json:"until"`
	Host     ObservedHost      `json:"host"`
	Subjects []ObservedSubject `json:"subjects"` // sorted by container and image
}

// ObservedHost is what of a host and its settings counts for policies.
type ObservedHost struct {
	Addresses       []netip.Addr      `json:"addresses"` // the host's own
	Resolvers       []netip.Addr      `json:"resolvers"` // that Docker gives containers
	Networks        []ObservedNetwork `json:"networks"`
	GatewayNetworks string            `json:"gatewayNetworks"` // GATEWAY_NETWORKS
	DefaultOutbound string            `json:"defaultOutbound"` // DEFAULT_OUTBOUND
	DryRun          bool              `json:"dryRun"`          // as it counts now
	TrustImages     bool              `json:"trustImages"`
	PrivateNames    []string          `json:"privateNames,omitempty"`
	Rules           []ObservedRule    `json:"rules,omitempty"`  // of policy files
	Groups          []ObservedGroup   `json:"groups,omitempty"` // sorted by name
}

// ObservedNetwork is a network of Docker with a bridge on the host.
type ObservedNetwork struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Bridge  string         `json:"bridge"`
	Subnets []netip.Prefix `json:"subnets"`
}

// ObservedRule is a rule of a policy file. Its fields are those of the file.
type ObservedRule struct {
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Match    ObservedMatch `json:"match"`
	Outbound string        `json:"outbound"` // what it allows and denies, as one text
	Mode     string        `json:"mode,omitempty"`
	Reject   *bool         `json:"reject,omitempty"`
}

// ObservedMatch says which containers a rule is for, by globs.
type ObservedMatch struct {
	Container    []string            `json:"container,omitempty"`
	Project      []string            `json:"project,omitempty"`
	Service      []string            `json:"service,omitempty"`
	SwarmService []string            `json:"swarmService,omitempty"`
	Image        []string            `json:"image,omitempty"`
	Network      []string            `json:"network,omitempty"`
	Labels       map[string][]string `json:"labels,omitempty"`
}

// ObservedGroup is a group and what it lists.
type ObservedGroup struct {
	Name     string `json:"name"`
	File     string `json:"file,omitempty"` // "" for one that comes with dockerwall
	Outbound string `json:"outbound"`
}

// ObservedSubject is a container by name and image, whether it runs or not.
type ObservedSubject struct {
	Container string    `json:"container"`
	Image     string    `json:"image"`
	Project   string    `json:"project,omitempty"`
	Service   string    `json:"service,omitempty"`
	Since     time.Time `json:"since"` // observed since
	Last      time.Time `json:"last"`  // seen to run or to send
	// ID is of the one that runs; "" when none does. Of one that runs no more only the label dockerwall.outbound is known.
	ID     string            `json:"id,omitempty"`
	Labels map[string]string `json:"labels"`
	// ImageLabels are the image's own; ImageGone says that nobody knows which these are.
	ImageLabels map[string]string  `json:"imageLabels,omitempty"`
	ImageGone   bool               `json:"imageGone,omitempty"`
	Endpoints   []ObservedEndpoint `json:"endpoints,omitempty"`
	Resolvers   []netip.Addr       `json:"resolvers,omitempty"` // its own (--dns)
	Added       string             `json:"added,omitempty"`     // tokens that were added at run time
	Mode        string             `json:"mode,omitempty"`      // that was set at run time
	Records     []ObservedRecord   `json:"records"`
	// Lost is how many connections were seen and are not among the records, at least.
	Lost uint64 `json:"lost,omitempty"`
}

// ObservedEndpoint is an attachment to a network.
type ObservedEndpoint struct {
	Network   string       `json:"network"` // name
	Addresses []netip.Addr `json:"addresses"`
}

// ObservedRecord is a destination that a subject sent to.
type ObservedRecord struct {
	Destination netip.Addr `json:"destination"`
	Port        uint16     `json:"port,omitempty"`
	Protocol    string     `json:"protocol"`
	// Via is what was asked for where the host sent it on to Destination, as to a published port.
	Via   netip.AddrPort `json:"via,omitzero"`
	Names []string       `json:"names,omitempty"` // that the address was the answer for
	// Verdict is allowed, denied, or audit when it would have been denied and passed.
	Verdict string `json:"verdict"`
	// Count is connections of what was allowed, else packets that would have opened some.
	Count uint64    `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Token string    `json:"token,omitempty"` // that allows it, "" when none does
}

// VerdictAllowed is the verdict of what was allowed, in an [ObservedRecord].
const VerdictAllowed = "allowed"
