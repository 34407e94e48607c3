package status

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// maxChanges is how many sentences there are of what was changed at run time; one more stands for the rest.
const maxChanges = 20

func modeChange(s *overlay.Switch) *api.ModeChange {
	if s == nil {
		return nil
	}
	return &api.ModeChange{Paused: s.Paused, Confirm: s.Confirm, Stamp: stamp(s.Stamp)}
}

func stamp(s overlay.Stamp) api.Stamp { return api.Stamp{UID: s.By, At: s.At, Until: s.Until} }

// grantOf is who added a token at run time, nil of any other.
func grantOf(t reconcile.Sourced, said overlay.Container) *api.Stamp {
	if t.Origin != reconcile.OriginOverlay {
		return nil
	}
	for _, g := range said.Grants {
		if g.Token == t.Token {
			out := stamp(g.Stamp)
			return &out
		}
	}
	return nil
}

// changes say what was changed at run time of the whole host, and of modes of containers for a while.
func changes(in Input, byID map[string]docker.Container) (out []string) {
	o := in.Outcome.State.Overlay
	if s := o.Enforce; s != nil {
		words := "the whole host is enforced"
		if s.Mode != policy.ModeEnforce {
			words = "the whole host is in audit"
		}
		out = append(out, words+" at run time"+byAndUntil(*s)+", instead of what DRY_RUN says; "+undo("dockerwall "+s.Mode.String()+" --as-configured", *s))
	}
	for _, id := range slices.Sorted(maps.Keys(o.Containers)) {
		c := o.Containers[id]
		if c.Mode == nil || c.Mode.Until.IsZero() {
			continue
		}
		if now := byID[id].Name; now != "" { // it may have been renamed since
			c.Name = now
		}
		words := c.Name + " is paused: all it sends passes"
		if !c.Mode.Paused {
			words = c.Name + " has mode " + c.Mode.Mode.String()
		}
		end := undo("dockerwall revoke "+c.Name, *c.Mode)
		if !c.Mode.Confirm && len(c.Grants) > 0 {
			end += ", and takes back what was allowed and denied at run time"
		}
		out = append(out, words+byAndUntil(*c.Mode)+"; "+end)
	}
	if more := len(out) - maxChanges; more > 0 {
		out = append(out[:maxChanges], fmt.Sprintf("and %d more", more))
	}
	return out
}

func byAndUntil(s overlay.Switch) string {
	out := fmt.Sprintf(", by uid %d", s.By)
	if !s.Until.IsZero() {
		out += ", until " + s.Until.UTC().Format("2006-01-02 15:04:05Z")
	}
	return out
}

// undo is the command that ends something at once.
func undo(command string, s overlay.Switch) string {
	if s.Confirm {
		return "then it goes back, unless the same command without --confirm confirms it"
	}
	return "`" + command + "` ends that"
}
