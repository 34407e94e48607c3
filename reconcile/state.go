package reconcile

import (
	"net/netip"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// State is all that a ruleset depends on: plain values, taken at one instant.
type State struct {
	Config Config
	Docker docker.Host
	// ImageLabels are the labels of each image by its ID; a container's label that equals its image's
	// is ignored, and of a container whose image is missing only denials count. Nil trusts images.
	ImageLabels map[string]map[string]string
	Interfaces  hostnet.Interfaces
	Ports       []hostnet.Port // nil while they are not known
	// Names are the addresses that names mean now. A wildcard takes those of every name it matches.
	Names map[string][]netip.Addr
	// Denied are the addresses that denied names have ever had while denied, which count besides Names; nil
	// of a name whose addresses are not known. While they are not, no allow of the source that denies it counts.
	Denied map[string][]netip.Addr
	// Below are the addresses learned beneath wildcards, by what stands behind the "*."; DeniedBelow those that count
	// against denied ones.
	Below, DeniedBelow map[string][]resolver.Named
	// Overflown are denied names and wildcards ("*.example.com") of which Denied or DeniedBelow cannot hold all: they
	// deny what they hold, and no allow of their source counts.
	Overflown map[string]bool
	// Resolvers are those that Docker gives containers which bring none of their own, and who else is asked.
	Resolvers resolver.Servers
	// Operator is what files of the operator ask for, and which groups there are; Overlay what was changed at run time.
	Operator operator.Policies
	Overlay  overlay.Overlay

	library *library // what is asked for; nil is read from the rest
	seats   seats    // of the endpoints

	unlisted []string // bridges of networks that Docker does not list any more
}

// Config is what the operator set.
type Config struct {
	Networks policy.Networks // GATEWAY_NETWORKS
	// DefaultText is DEFAULT_OUTBOUND as it is written: which groups there are decides what it means. Default is the same
	// without groups, for who has no text.
	DefaultText string
	Default     policy.Policy
	DryRun      bool   // DRY_RUN
	LogGroup    uint16 // nflog group of denied packets
	// PrivateNames are zones in which wildcards may open private ranges.
	PrivateNames []string
	// NoElementLimit is set for kernels that take one expression an element.
	NoElementLimit bool
	// BindPorts is set for kernels that can bind addresses to ports.
	BindPorts bool
}
