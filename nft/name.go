package nft

import (
	"fmt"
	"regexp"
	"strings"
)

// TableName is the name of the tables that are ours, of family inet and, for what binds ports, of family bridge.
const TableName = "dockerwall"

// Names of what every table holds. A newer layout gets new names, so that it can be built beside the
// old one, which goes a batch later (DESIGN.md section 4).
const (
	chainPrerouting = "prerouting"
	chainForward    = "forward"
	chainInput      = "input"
	chainOutput     = "output"

	setBridges   = "bridges"
	setFree      = "free"
	setPorted    = "ported"
	setTransport = "transport"
	setICMP      = "icmps"
	setNeighbour = "neighbours"

	mapSame  = "same"
	mapHomes = "homes"
)

var sourcePattern = regexp.MustCompile(`^[a-z][a-z0-9]{0,31}$`)

// chainOf is the name of a container's chain and the prefix of all that is the container's own.
func chainOf(id string) string { return "c_" + id }

// Prefixes of the names of a network's chains, before the first 12 digits of its ID.
const (
	networkPrefix = "n_" // what stays on its bridge
	homePrefix    = "h_" // who may answer from there
)

// ContainerOf returns the 12-digit ID in the name of a container's chain, set or counter, "" for
// names that are not a container's.
func ContainerOf(name string) string {
	rest, ok := strings.CutPrefix(name, "c_")
	if !ok || len(rest) < 12 || !isID(rest[:12]) {
		return ""
	}
	if len(rest) > 12 && rest[12] != '_' {
		return ""
	}
	return rest[:12]
}

// family tells v4 objects from v6 ones by the digit their names end in.
type family uint8

const (
	v4 family = 4
	v6 family = 6
)

func families() [2]family { return [2]family{v4, v6} }

func (f family) String() string { return fmt.Sprint(uint8(f)) }

// clauseName is a clause as part of a set's name: "tcp_443", "8000_8080", "icmp".
func clauseName(c Clause) string {
	parts := []string{}
	if c.Proto != 0 {
		parts = append(parts, protoName(c.Proto))
	}
	if c.Ports != (Ports{}) {
		parts = append(parts, fmt.Sprint(c.Ports.First))
		if c.Ports.Last != c.Ports.First {
			parts = append(parts, fmt.Sprint(c.Ports.Last))
		}
	}
	return strings.Join(parts, "_")
}

// logPrefix is what nflog carries: chain (or "-"), reason and what was done, parted by spaces.
func logPrefix(chain string, reason Reason, pass bool) string {
	action := "drop"
	if pass {
		action = "accept"
	}
	return chain + " " + string(reason) + " " + action
}
