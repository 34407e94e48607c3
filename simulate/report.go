package simulate

import (
	"net/netip"
	"time"
)

// Report is what a change would do to what was seen.
type Report struct {
	Since      time.Time   `json:"since"` // the first subject is observed since then
	Until      time.Time   `json:"until"`
	Denied     Tally       `json:"denied"` // would be, and pass now
	Passed     Tally       `json:"passed"` // so far
	Containers []Container `json:"containers"`
	Notes      []string    `json:"notes"` // about the whole
}

// Tally is how much of something there is.
type Tally struct {
	Connections  uint64 `json:"connections"`
	Destinations int    `json:"destinations"`
}

// Container is what would become of one container's traffic.
type Container struct {
	Container string    `json:"container"`
	Image     string    `json:"image"`
	Project   string    `json:"project,omitempty"`
	Service   string    `json:"service,omitempty"`
	Running   bool      `json:"running"`
	Mode      string    `json:"mode"` // that it would have; "unfenced" for none
	Since     time.Time `json:"since"`
	Last      time.Time `json:"last"`
	Passed    Tally     `json:"passed"` // so far
	// Denied would be newly denied, Allowed newly allowed. Of Undecided nobody can tell: it passed, and nothing of the policy
	// of now allows it by the names that it was recorded with, nor would the other.
	Denied    []Flow   `json:"denied"`
	Allowed   []Flow   `json:"allowed"`
	Undecided []Flow   `json:"undecided"`
	Unchanged int      `json:"unchanged"` // destinations
	Lost      uint64   `json:"lost"`      // connections that were seen and not recorded, at least
	Notes     []string `json:"notes"`
}

// Flow is a destination of a container.
type Flow struct {
	Destination netip.Addr     `json:"destination"`
	Port        uint16         `json:"port,omitempty"`
	Protocol    string         `json:"protocol"`
	Via         netip.AddrPort `json:"via,omitzero"`
	Names       []string       `json:"names,omitempty"`
	Connections uint64         `json:"connections"` // of what was denied, packets
	Last        time.Time      `json:"last"`
	Token       string         `json:"token,omitempty"` // that would allow it; "" when none would
	// By is the denial that denies it, with where it stands, if one does.
	By string `json:"by,omitempty"`
}

func (t *Tally) add(n uint64) {
	t.Connections += n
	t.Destinations++
}

// Changed says whether there is anything to tell of the container.
func (c Container) Changed() bool { return len(c.Denied)+len(c.Allowed)+len(c.Undecided) > 0 }
