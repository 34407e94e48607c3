package api

import (
	"net/netip"
	"strings"
	"time"
)

// Denial is what was denied to one destination since the last Denial about it. The packets of a container's Denials add
// up to the kernel's counter of it.
type Denial struct {
	ID          uint64    `json:"id"` // grows by one with each, in the life of a daemon; 0 is none
	Time        time.Time `json:"time"`
	Container   string    `json:"container,omitempty"` // name; "" when nobody knows whose it is
	ContainerID string    `json:"containerID,omitempty"`
	Image       string    `json:"image,omitempty"`
	// Destination is where to; invalid for packets that have no record of their own (see Reason "other").
	Destination netip.Addr `json:"destination,omitzero"`
	Port        uint16     `json:"port,omitempty"` // of tcp, udp and sctp
	Protocol    string     `json:"protocol,omitempty"`
	Names       []string   `json:"names,omitempty"`     // that the address was the answer for, the name asked for first
	Source      string     `json:"source,omitempty"`    // address, where there is no container
	Interface   string     `json:"interface,omitempty"` // where there is no container
	// Reason is denied (the policy allows it not), unknown, invalid, cut or spoof; "other" is all else of a container that
	// has no destination of its own: stray segments, multicast, and what came after its record was full.
	Reason string `json:"reason"`
	// Verdict is denied, or audit when it passed all the same.
	Verdict string `json:"verdict"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Token is what would allow it in the container's label; "" when nothing would.
	Token string `json:"token,omitempty"`
	// First says that this container never reached for it before, as far as is remembered.
	First bool `json:"first,omitempty"`
	// Lost is how many Denials before this one are missing, because their reader was too slow.
	Lost uint64 `json:"lost,omitempty"`
}

// The verdicts of a [Denial].
const (
	VerdictDenied = "denied"
	VerdictAudit  = "audit"
)

// ReasonOther is the reason of packets that have no destination of their own.
const ReasonOther = "other"

// Why is the reason in words for people. Of what a policy denies they say what it lacks.
func (d Denial) Why() string {
	switch d.Reason {
	case "denied":
		return d.lacks()
	case "unknown":
		return "unknown source"
	case "invalid":
		return "invalid packet"
	case "cut":
		return "cut connection"
	case "spoof":
		return "another's address"
	case ReasonOther:
		return "noise, or record full"
	}
	return d.Reason
}

func (d Denial) lacks() string {
	switch {
	case strings.HasPrefix(d.Token, "_host_"):
		return "host service"
	case d.Port == 53:
		return "dns bypass"
	case d.Destination.IsPrivate() && len(d.Names) == 0:
		return "private range"
	}
	return "no rule"
}
