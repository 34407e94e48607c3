package overlay

import (
	"maps"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/policy"
)

// content is all that was said and did not run out. A change makes a new one: what is reachable from one is not changed.
type content struct {
	host       mode
	containers map[string]container // by whole ID
}

type container struct {
	name   string
	grants []grant // in the order of tokens, each once
	mode   mode
}

// grant is a token with its end since boot; 0 is never.
type grant struct {
	Grant
	end time.Duration
}

// mode is what was said of one: for good, and for a while, which goes before it and then back to it.
type mode struct {
	set  *Switch // has no end
	temp *turn
}

type turn struct {
	Switch
	end time.Duration
}

// now is what counts of it; nil is nothing.
func (m mode) now() *Switch {
	if m.temp != nil {
		return &m.temp.Switch
	}
	return m.set
}

func (c container) empty() bool { return len(c.grants) == 0 && c.mode == mode{} }

// with is the content in which a container is another one.
func (c content) with(id string, one container) content {
	out := content{host: c.host, containers: maps.Clone(c.containers)}
	if out.containers == nil {
		out.containers = map[string]container{}
	}
	if one.empty() {
		delete(out.containers, id)
	} else {
		out.containers[id] = one
	}
	return out
}

// tokens are how many there are.
func (c content) tokens() (n int) {
	for _, one := range c.containers {
		n += len(one.grants)
	}
	return n
}

// next is the earliest end that is to come; 0 is none.
func (c content) next() (first time.Duration) {
	take := func(end time.Duration) {
		if end != 0 && (first == 0 || end < first) {
			first = end
		}
	}
	if c.host.temp != nil {
		take(c.host.temp.end)
	}
	for _, one := range c.containers {
		if one.mode.temp != nil {
			take(one.mode.temp.end)
		}
		for _, g := range one.grants {
			take(g.end)
		}
	}
	return first
}

// ended is something whose time is over. ID is "" of the host; without a Switch it is a token.
type ended struct {
	id, name string
	token    policy.Token
	turn     *Switch
	stamp    Stamp
}

// without is the content without what is over, and what that is.
func (c content) without(now instant) (content, []ended) {
	var over []ended
	out := c
	if t := c.host.temp; t != nil && now.over(t.end) {
		out.host.temp = nil
		over = append(over, ended{turn: &t.Switch, stamp: t.Stamp})
	}
	for _, id := range slices.Sorted(maps.Keys(c.containers)) {
		one := c.containers[id]
		was := len(over)
		if t := one.mode.temp; t != nil && now.over(t.end) {
			one.mode.temp = nil
			over = append(over, ended{id: id, name: one.name, turn: &t.Switch, stamp: t.Stamp})
		}
		var left []grant
		for _, g := range one.grants {
			if now.over(g.end) {
				over = append(over, ended{id: id, name: one.name, token: g.Token, stamp: g.Stamp})
			} else {
				left = append(left, g)
			}
		}
		if len(over) > was {
			one.grants = left
			out = out.with(id, one)
		}
	}
	return out, over
}

// overlay is the content as others see it.
func (c content) overlay() Overlay {
	out := Overlay{Enforce: c.host.now()}
	for id, one := range c.containers {
		if out.Containers == nil {
			out.Containers = make(map[string]Container, len(c.containers))
		}
		seen := Container{Name: one.name, Mode: one.mode.now()}
		for _, g := range one.grants {
			seen.Grants = append(seen.Grants, g.Grant)
		}
		out.Containers[id] = seen
	}
	return out
}
