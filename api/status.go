package api

import (
	"net/netip"
	"time"
)

// Status is the state of the fence and of every container, as the daemon sees it. Texts that came from labels, names and
// DNS are as they were: whoever prints them cleans them.
type Status struct {
	Time    time.Time `json:"time"`    // when it was taken
	Since   time.Time `json:"since"`   // when the daemon started
	Version string    `json:"version"` // of the program
	State   State     `json:"state"`
	// Degraded says, one sentence each, what keeps the fence from being whole; empty when nothing does. The findings of
	// severity error are counted in one of them.
	Degraded []string  `json:"degraded"`
	Applied  time.Time `json:"applied,omitzero"` // when the table was last committed
	Docker   Engine    `json:"docker"`
	DNSMode  string    `json:"dnsMode"` // queue, xt, copy or ask
	// Denied is what was denied (or would have been) to containers that run, and since the daemon started to those that are
	// gone, and of nobody; not what came toward containers.
	Denied     Count       `json:"denied"`
	Containers []Container `json:"containers"` // running ones, by name
	// Host are findings that concern no container.
	Host []Finding `json:"host"`
	// Changes say what was changed at run time of the whole host, and who is paused, one sentence each.
	Changes []string `json:"changes,omitempty"`
	// HostChange is set while State is what was said at run time, instead of DRY_RUN.
	HostChange *ModeChange `json:"hostChange,omitempty"`
}

// State is what the daemon does.
type State string

// The states.
const (
	Enforcing State = "enforcing"
	DryRun    State = "audit"    // DRY_RUN: nothing is denied
	Failing   State = "degraded" // the wanted table is not in the kernel, or nobody keeps it so: the loop hangs
)

// Engine is the Docker Engine as the daemon sees it.
type Engine struct {
	Host string `json:"host"` // "unix:///var/run/docker.sock"
	Up   bool   `json:"up"`
}

// Count is packets and their bytes.
type Count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Container is one running container.
type Container struct {
	ID       string       `json:"id"` // 64 hex digits
	Name     string       `json:"name"`
	Image    string       `json:"image"`
	Project  string       `json:"project,omitempty"` // of docker compose
	Service  string       `json:"service,omitempty"` // of docker compose or Swarm
	Networks []string     `json:"networks"`          // names
	Addrs    []netip.Addr `json:"addresses"`         // on fenced networks
	// Mode is enforce, audit, off or unfenced; Unfenced says why in the last case. A container without a network, which
	// has nothing to send by, is in the mode that it asks for.
	Mode     string `json:"mode"`
	Unfenced string `json:"unfenced,omitempty"`
	// ModeOrigin is where the mode is said: "dockerwall.mode", a rule of a file as "10-shop.yaml:12", "added at run time", or
	// "implied"; ModeChange is who said it at run time, and for how long, if anybody did.
	ModeOrigin string      `json:"modeOrigin,omitempty"`
	ModeChange *ModeChange `json:"modeChange,omitempty"`
	// Shares is the container whose network, and policy, this one has: what it sends is counted there.
	Shares   string         `json:"shares,omitempty"`
	Deny     string         `json:"deny"`     // drop or reject
	Outbound string         `json:"outbound"` // the label as it stands on the container
	Policy   []PolicyToken  `json:"policy"`
	Names    []ResolvedName `json:"names"`
	// MoreNames is how many more there are beneath wildcards, which are left out.
	MoreNames int       `json:"moreNames,omitempty"`
	Sent      Count     `json:"sent"`   // beyond its networks, what was denied included
	Denied    Count     `json:"denied"` // or would have been, in audit
	Findings  []Finding `json:"findings"`
	History   []uint64  `json:"history"` // packets denied in each half hour of the last day, oldest first; 48
}

// Stands is how the container counts, in the words of the metric dockerwall_containers: fenced, audit, off or unfenced. It
// is "" for one that sends nothing of its own, as it has no network, or another's.
func (c Container) Stands() string {
	switch {
	case c.Mode == "unfenced":
		return c.Mode
	case c.Shares != "" || c.Alone():
		return ""
	case c.Mode == "enforce":
		return "fenced"
	}
	return c.Mode
}

// Alone says that the container has no network.
func (c Container) Alone() bool {
	return len(c.Networks) == 0 || len(c.Addrs) == 0 && len(c.Networks) == 1 && c.Networks[0] == "none"
}

// PolicyToken is a token that counts for a container, and where it stands.
type PolicyToken struct {
	Token string `json:"token"`
	// Origin is "dockerwall.outbound", "DEFAULT_OUTBOUND", a rule of a file as "10-shop.yaml:12", "added at run time" or
	// "implied"; of a token of a group, that with "@name in " before it, or "@name, " before "added at run time".
	Origin string `json:"origin"`
	// Grant is who added it at run time, and for how long; nil if nobody did.
	Grant *Stamp `json:"grant,omitempty"`
}

// Stamp is who said something at run time, and when it ends by itself.
type Stamp struct {
	UID   uint32    `json:"uid"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"` // zero is never
}

// ModeChange is a mode that was set at run time.
type ModeChange struct {
	Paused bool `json:"paused,omitempty"`
	// Confirm says that it goes back when it ends because nobody confirmed it.
	Confirm bool `json:"confirm,omitempty"`
	Stamp
}

// ResolvedName is a name that the container may reach, or must not, and its addresses now.
type ResolvedName struct {
	Name  string         `json:"name"`
	Token string         `json:"token"` // that asks for it
	Deny  bool           `json:"deny,omitempty"`
	Addrs []NamedAddress `json:"addresses"`
	Error string         `json:"error,omitempty"` // why there are none
}

// NamedAddress is an address of a name; Expires is zero when nobody knows.
type NamedAddress struct {
	Addr    netip.Addr `json:"address"`
	Expires time.Time  `json:"expires,omitzero"`
}

// Finding is something to correct.
type Finding struct {
	Severity string `json:"severity"` // error or warning
	Label    string `json:"label,omitempty"`
	Position int    `json:"position,omitempty"` // 1-based, in characters; 0 when it is about all of it
	Token    string `json:"token,omitempty"`
	Message  string `json:"message"`
	Remedy   string `json:"remedy,omitempty"`
}
