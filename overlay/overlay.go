package overlay

import (
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/policy"
)

// Overlay is what counts at one instant; nothing of it has run out. The zero value changes nothing.
type Overlay struct {
	// Enforce says what becomes of the whole host's denials instead of DRY_RUN; nil says nothing.
	Enforce *Switch
	// Containers are those that something was said of, by their whole ID.
	Containers map[string]Container
}

// Container is what was said of one container.
type Container struct {
	Name   string // it had when that was said, for people
	Grants []Grant
	// Mode counts instead of the label's and of policy files'; nil says nothing.
	Mode *Switch
}

// Grant is a token that was added: an allow, or a denial.
type Grant struct {
	policy.Token
	Stamp
}

// Switch is a mode that was set.
type Switch struct {
	Mode policy.Mode
	// Paused says that it was set by a pause: all passes, and is recorded as in audit.
	Paused bool
	// Confirm says that at Until it goes back because nobody confirmed it, not because its time is over.
	Confirm bool
	Stamp
}

// Stamp says who said something, when, and until when it counts.
type Stamp struct {
	By    uint32    // uid of the peer on the socket
	At    time.Time // UTC, whole seconds
	Until time.Time // zero: until the container is removed, or it is taken back
}

// Lasting is what of o counts until somebody takes it back, denials that run out included, and the IDs of the containers that
// something else was said of.
func (o Overlay) Lasting() (out Overlay, passing []string) {
	for id, c := range o.Containers {
		kept := Container{Name: c.Name, Mode: c.Mode}
		for _, g := range c.Grants {
			if g.Deny || g.Until.IsZero() {
				kept.Grants = append(kept.Grants, g)
			}
		}
		if m := c.Mode; m != nil && !m.Until.IsZero() && (m.Mode != policy.ModeEnforce || m.Paused) {
			kept.Mode = nil
		}
		if len(kept.Grants) != len(c.Grants) || kept.Mode != c.Mode {
			passing = append(passing, id)
		}
		if out.Containers == nil {
			out.Containers = map[string]Container{}
		}
		out.Containers[id] = kept
	}
	slices.Sort(passing)
	out.Enforce = o.Enforce
	return out, passing
}
