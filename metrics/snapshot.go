package metrics

import "net/netip"

// Snapshot is the state of the fence at one instant. The zero value is a daemon that fences nothing.
//
// The kernel's counters cannot be read at one instant. Read first what was sent, then the denied
// totals, then the destinations: a packet denied in between is then told at the next scrape. In
// another order it may count as accepted, or as denied to "other", for good; sums stay exact.
type Snapshot struct {
	Containers []Container
	// Reasons are packets denied without a container, by reason: invalid, unknown, stray, multicast, cut, spoof.
	Reasons   map[string]uint64
	FlowsCut  uint64 // since the start
	Enforcing bool   // the table in the kernel is the wanted one
	DryRun    bool   // nothing is denied, only counted
	DockerUp  bool   // the Engine answers and its events arrive

	// How many containers stand how; a container is in one of them.
	Fenced   int // by its policy
	Audited  int // dockerwall.mode=audit: counted, not denied
	Off      int // dockerwall.mode=off
	Unfenced int // where we cannot or must not: host mode, macvlan, an unmanaged network

	LabelErrors []LabelErrors
	Findings    map[string]int // by severity
	// PolicyErrors are what keeps files of the operator from counting as they are.
	PolicyErrors int
	Sets         []Set // one of a kind
	FirstSeen    []FirstSeen
	Changes      Changes
	// ResolverQueries are questions to resolvers since the start, by result.
	ResolverQueries map[string]uint64
	DNS             DNS
}

// Container is what one fenced container sent.
type Container struct {
	ID          string // 64 hex digits
	Name, Image string
	Sent        []Part // accepted and denied
	Drops       []Part
	Denied      []Denied
	Unread      bool // Denied was not read, for want of time
	Partial     bool // Sent and Drops are some of it, and Denied was not read: the next snapshot has the rest

	Project string // of docker compose, "" outside of it
	Service string // of docker compose or Swarm
	Network string // names of its networks, by comma
	Mode    string // one of the Mode constants
	Audited bool   // what is denied passes all the same: by its mode, or in a dry run
}

// Part is one of the kernel's counters that a container's total is the sum of. It may begin anew, and go with an address of
// the container; what it counted stays in the total.
type Part struct {
	Name           string // of the counter: the container has no other of that name
	Invalid        bool   // denied packets that conntrack could not place
	Packets, Bytes uint64
}

// Denied is what the kernel counted of one container to one destination.
type Denied struct {
	Dst     netip.Addr
	Port    uint16 // 0 unless tcp, udp or sctp
	Proto   uint8  // IANA number
	Packets uint64
	Bytes   uint64
	Names   []string // DNS names known for Dst, in any order
}

// LabelErrors is how many findings the labels of one container have.
type LabelErrors struct {
	ID, Name string
	Count    int
}
