package overlay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Limits of what is kept. More is refused.
const (
	MaxContainers = 1000
	MaxTokens     = 256 // of one container
	MaxAll        = policy.MaxTokens
	MinFor        = time.Second
	MaxFor        = 366 * 24 * time.Hour
)

// ErrNothing is of what was not said at run time, and so cannot be taken back.
var ErrNothing = errors.New("nothing of it was added at run time")

// Wish is who wants something changed, of what, and for how long.
type Wish struct {
	ID   string        // the container's whole ID; "" is the host
	Name string        // the container's, for people
	For  time.Duration // 0 is for good
	By   uint32        // uid
}

// CheckFor says what is wrong with a time that something is to last.
func CheckFor(d time.Duration) error {
	if d < MinFor || d > MaxFor {
		return fmt.Errorf("%v: want a time from 1s to 366 days (%dh)", d, int(MaxFor.Hours()))
	}
	return nil
}

// Grant adds tokens, allows or denials; one that is there already gets a new time.
func (s *Store) Grant(w Wish, tokens []policy.Token) error {
	return s.of(w, func(one container, now instant) (container, error) {
		kept := slices.DeleteFunc(slices.Clone(one.grants), func(g grant) bool { return slices.Contains(tokens, g.Token) })
		for _, t := range tokens {
			kept = append(kept, grant{Grant{t, now.stamp(w)}, now.end(w.For)})
		}
		sortby.Func(kept, func(x, y grant) int { return x.Compare(y.Token) })
		one.grants = slices.CompactFunc(kept, func(x, y grant) bool { return x.Token == y.Token })
		return one, one.check()
	})
}

// check says whether a container has more than it may.
func (c container) check() error {
	if len(c.grants) > MaxTokens {
		return fmt.Errorf("%d tokens would be added at run time, at most %d can be: write prefixes, wildcards or a group, or a policy file", len(c.grants), MaxTokens)
	}
	_, problems := anyGroup().Parse(c.text())
	for _, p := range problems {
		if p.Severity == policy.Error {
			return errors.New(p.Message + "; " + p.Remedy)
		}
	}
	return nil
}

// text is the container's tokens as somebody would write them.
func (c container) text() string {
	words := make([]string, len(c.grants))
	for i, g := range c.grants {
		words[i] = g.String()
	}
	return strings.Join(words, ",")
}

// anyGroup takes each group for known: whether there is one is asked when it is said, and whenever it is to count.
func anyGroup() policy.Grammar {
	return policy.Grammar{Known: func(policy.Group) bool { return true }}
}

// Revoke takes tokens back, as they were said: denials with their "!". With none, it takes back all that was said of the
// container. It is [ErrNothing] if any of it was not.
func (s *Store) Revoke(w Wish, tokens []policy.Token) error {
	return s.of(w, func(one container, _ instant) (container, error) {
		if len(tokens) == 0 {
			if one.empty() {
				return one, ErrNothing
			}
			return container{}, nil
		}
		var left []grant
		found := map[policy.Token]bool{}
		for _, g := range one.grants {
			if slices.Contains(tokens, g.Token) {
				found[g.Token] = true
			} else {
				left = append(left, g)
			}
		}
		for _, t := range tokens {
			if !found[t] {
				return one, fmt.Errorf("%s: %w", t, ErrNothing)
			}
		}
		one.grants = left
		return one, nil
	})
}

// Pause has all pass for the time of the wish, and then what was before.
func (s *Store) Pause(w Wish) error {
	return s.turn(w, Switch{Mode: policy.ModeAudit, Paused: true})
}

// SetMode has a container, or the host, enforced or audited: for good, or with a time until that goes back to what was
// before, unless it is said for good meanwhile. A host that is to do what its settings say anyway is left to them.
func (s *Store) SetMode(w Wish, m policy.Mode) error {
	return s.turn(w, Switch{Mode: m, Confirm: w.For != 0})
}

// AsConfigured has the host do what its settings say. It is [ErrNothing] if it does.
func (s *Store) AsConfigured() error {
	return s.change(func(c content, _ instant) (content, error) {
		if c.host == (mode{}) {
			return c, ErrNothing
		}
		c.host = mode{}
		return c, nil
	})
}

func (s *Store) turn(w Wish, to Switch) error {
	apply := func(m mode, now instant) mode {
		to.Stamp = now.stamp(w)
		if w.For == 0 {
			return mode{set: &to}
		}
		return mode{m.set, &turn{to, now.end(w.For)}}
	}
	if w.ID != "" {
		return s.of(w, func(one container, now instant) (container, error) {
			one.mode = apply(one.mode, now)
			return one, nil
		})
	}
	return s.change(func(c content, now instant) (content, error) {
		said := c.host
		c.host = apply(said, now)
		configured := (to.Mode == policy.ModeAudit) == s.opt.DryRun
		switch {
		case configured && w.For == 0:
			c.host = mode{}
		case configured && said == mode{}:
			c.host = said
		}
		return c, nil
	})
}

// of changes one container.
func (s *Store) of(w Wish, change func(container, instant) (container, error)) error {
	return s.change(func(c content, now instant) (content, error) {
		one, known := c.containers[w.ID]
		one.name = w.Name
		one, err := change(one, now)
		if err != nil {
			return c, err
		}
		out := c.with(w.ID, one)
		switch {
		case !known && len(out.containers) > MaxContainers:
			return c, fmt.Errorf("something was changed of %d containers already, more cannot be: `dockerwall revoke` takes it back", MaxContainers)
		case out.tokens() > MaxAll:
			return c, fmt.Errorf("%d tokens would be added at run time to all containers, at most %d can be: write policy files", out.tokens(), MaxAll)
		}
		return out, nil
	})
}

// Keep has Run forget what was said of containers that are not among these, which a listing had that is believed. It does
// not wait for that.
func (s *Store) Keep(there func(id string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = nil
	for id := range s.content.containers {
		if there(id) {
			continue
		}
		if s.gone == nil {
			s.gone = map[string]bool{}
		}
		s.gone[id] = true
	}
	if s.gone != nil {
		s.rouse()
	}
}

// bury takes out the containers that are gone. The caller holds mu.
func (s *Store) bury() {
	c := s.content
	for id := range s.gone {
		one, known := c.containers[id]
		if !known {
			continue
		}
		s.opt.Logger.Info("a container is gone, and with it what was changed of it at run time", "container", one.name, "id", id, "tokens", one.text())
		c, s.unsaved = c.with(id, container{}), true
	}
	if s.gone != nil {
		s.gone = nil
		s.swap(c)
	}
}
