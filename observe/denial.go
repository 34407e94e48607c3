package observe

import (
	"net/netip"
	"time"
)

// Subject is who was observed. The zero value stands for packets of nobody we know. It is comparable.
type Subject struct {
	Name    string // of the container
	Image   string // the reference it was created from
	Project string // of docker compose, "" outside of it
	Service string // of docker compose or Swarm
}

// Target is where packets went. Dst is invalid for what has no destination of its own. It is comparable.
type Target struct {
	Dst   netip.Addr
	Port  uint16 // of tcp, udp and sctp
	Proto uint8  // IANA number
}

// Denial is what was denied of one subject to one target since the Denial about them before.
type Denial struct {
	ID             uint64 // grows by one with each that a [Feed] publishes
	Time           time.Time
	Subject        Subject
	ContainerID    string // 64 hex digits, 12 from a [Ledger]; "" when nobody knows whose it is
	Target         Target
	Names          []string // what Dst is called, the latest first
	Host           bool     // Dst is the host's own
	Token          string   // that would allow it, "" when none does
	Reason         string   // as nft names them, or api's "other"
	Audit          bool     // it passed all the same
	Packets, Bytes uint64
	Source         netip.Addr // of packets of nobody we know
	Interface      string     // likewise
	First          bool       // the subject never reached for it before
	Lost           uint64     // Denials before it that who follows lost, see [Feed.Follow]
}

// ReasonOther is the reason of packets that have no destination of their own.
const ReasonOther = "other"
