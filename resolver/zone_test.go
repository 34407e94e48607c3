package resolver

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkBelow checks what must hold of a below at any time: its books, and its bounds.
func checkBelow(t interface {
	Helper()
	Errorf(string, ...any)
}, b *below) {
	t.Helper()
	for parent, z := range b.allow {
		size, warm := 0, 0
		var list []Named
		for name, e := range z.names {
			size += len(e.leases)
			if b.warm[name] != nil {
				warm++
			}
			for addr := range e.leases {
				list = append(list, Named{addr, name})
			}
			if b.names[name] != e || e.name != name || !slices.Contains(e.zones, z) || !strings.HasSuffix(name, "."+parent) {
				t.Errorf("*.%s holds %q: %+v", parent, name, e)
			}
		}
		if z.size != size || z.warm != warm {
			t.Errorf("*.%s counts %d addresses and %d warm names, has %d and %d", parent, z.size, z.warm, size, warm)
		}
		if list = uniqueNamed(list); z.list != nil && !slices.Equal(z.list, list) {
			t.Errorf("*.%s lists %v, has %v", parent, z.list, list)
		}
		if most := maxZoneAddrs + maxHops*defaultNameAddrs; z.size > most {
			t.Errorf("*.%s has %d addresses", parent, z.size)
		}
	}
	var next time.Time
	for name, e := range b.names {
		checkLearned(t, b, name, e)
		next = sooner(next, e.next())
	}
	if !next.IsZero() && (b.lapse.IsZero() || b.lapse.After(next)) {
		t.Errorf("looks for what lapses at %v, but some does at %v", b.lapse, next)
	}
	if len(b.warm) > maxWarm {
		t.Errorf("%d warm names", len(b.warm))
	}
	for parent, d := range b.deny {
		if len(d.addrs) > maxDeniedBelow || d.sorted != nil && len(d.sorted) != len(d.addrs) {
			t.Errorf("*.%s denies %d addresses, lists %d", parent, len(d.addrs), len(d.sorted))
		}
	}
}

func checkLearned(t interface{ Errorf(string, ...any) }, b *below, name string, e *learned) {
	if len(e.zones) == 0 || len(e.leases) == 0 || len(e.leases) > defaultNameAddrs {
		t.Errorf("%q has %d addresses, in %d zones", name, len(e.leases), len(e.zones))
	}
	if w := b.warm[name]; (w != nil) == e.cold || w != nil && w != e {
		t.Errorf("%q is cold: %t, and warm: %t", name, e.cold, w != nil)
	}
	allowed := slices.Collect(maps.Values(b.allow))
	for i, z := range e.zones {
		if !slices.Contains(allowed, z) || z.names[name] != e || slices.Contains(e.zones[:i], z) {
			t.Errorf("%q is in a zone that does not have it", name)
		}
	}
}

// TestTheBooksOfWildcardsAreInOrder does what may happen, in any order, and checks after each step. What a wildcard has was
// heard beneath it, and is none that the guard refuses; what a denied one has is never less.
func TestTheBooksOfWildcardsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{b: newBelow(Limits{AnswerAddrs: 4, NameAddrs: 6}), now: epoch, heard: map[Named]bool{}, denied: map[string]map[netip.Addr]bool{}}
		t.Repeat(map[string]func(*rapid.T){
			"hear":    m.hear,
			"observe": m.observe,
			"fail":    m.fail,
			"want":    m.want,
			"pass":    m.pass,
			"expire":  m.expire,
			"due":     func(*rapid.T) { m.b.due(m.now) },
			"renew":   func(*rapid.T) { m.b.renew(m.now) },
			"list": func(*rapid.T) {
				for _, z := range m.b.allow {
					z.addrs()
				}
				for _, d := range m.b.deny {
					d.named()
				}
			},
			"": m.check,
		})
	})
}

// machine is a below and what is known of it otherwise.
type machine struct {
	b      *below
	now    time.Time
	heard  map[Named]bool
	denied map[string]map[netip.Addr]bool // that each denied wildcard must know
}

func (m *machine) answer(t *rapid.T) Answer {
	name := rapid.SampledFrom([]string{"a.example.org", "b.example.org", "a.b.example.org", "example.org", "badexample.org", "a.example.net"}).Draw(t, "name")
	a := Answer{Name: name, Families: rapid.SampledFrom([]Family{0, IPv4, IPv6, both}).Draw(t, "families"), Hint: rapid.Bool().Draw(t, "hint")}
	for range rapid.IntRange(1, 8).Draw(t, "addresses") {
		addr := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "127.0.0.1", "10.0.0.1", "198.51.100.1", "198.51.100.2"}).Draw(t, "address")
		a.Addrs = append(a.Addrs, Record{netip.MustParseAddr(addr), rapid.SampledFrom([]time.Duration{0, 10 * time.Minute, 2 * time.Hour}).Draw(t, "ttl")})
	}
	return a
}

// note takes down what an answer entitles to, and binds to.
func (m *machine) note(a Answer) {
	for _, r := range a.Addrs {
		m.heard[Named{r.Addr, a.Name}] = true
		for parent := range m.b.deny {
			if strings.HasSuffix(a.Name, "."+parent) {
				m.denied[parent][r.Addr] = true
			}
		}
	}
}

func (m *machine) hear(t *rapid.T) {
	a := m.answer(t)
	m.note(a)
	m.b.hear(a, m.now)
	m.b.fit(a)
}

func (m *machine) observe(t *rapid.T) {
	a := m.answer(t)
	m.note(a)
	m.b.observe(a, m.now)
}

func (m *machine) fail(t *rapid.T) {
	a := m.answer(t)
	m.b.failed(Failure{Name: a.Name, Families: a.Families}, m.now)
}

func (m *machine) want(t *rapid.T) {
	parents := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"org", "example.org", "b.example.org", "net"}), rapid.ID[string])
	allow, deny := parents.Draw(t, "allow"), parents.Draw(t, "deny")
	m.b.want(allow, deny, new(Cache))
	was := m.denied
	m.denied = map[string]map[netip.Addr]bool{}
	for _, parent := range deny {
		if m.denied[parent] = was[parent]; m.denied[parent] == nil {
			m.denied[parent] = map[netip.Addr]bool{}
		}
	}
}

func (m *machine) pass(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 6 * time.Minute, time.Hour, 25 * time.Hour}).Draw(t, "time"))
}

func (m *machine) expire(t *rapid.T) {
	used := map[netip.Addr]bool{netip.MustParseAddr("192.0.2.1"): rapid.Bool().Draw(t, "used")}
	lapsed := m.b.lapsed(m.now)
	if changed := m.b.expire(m.now, used); changed && len(lapsed) == 0 {
		t.Errorf("something went of which nothing has lapsed")
	}
	for _, addr := range m.b.lapsed(m.now) {
		t.Errorf("%s is left", addr)
	}
	var next time.Time
	for _, e := range m.b.names {
		next = sooner(next, e.next())
	}
	if m.b.lapse != next {
		t.Errorf("looks for what lapses at %v, the next does at %v", m.b.lapse, next)
	}
}

func (m *machine) check(t *rapid.T) {
	checkBelow(t, m.b)
	for parent, z := range m.b.allow {
		for name, e := range z.names {
			for addr := range e.leases {
				if !m.heard[Named{addr, name}] || m.b.guard.Refuse(addr, name, true) != "" {
					t.Errorf("*.%s opens %s as %q", parent, addr, name)
				}
			}
			if len(e.leases) > 6 {
				t.Errorf("%q has %d addresses", name, len(e.leases))
			}
		}
		if z.size > maxZoneAddrs {
			t.Errorf("*.%s has %d addresses", parent, z.size)
		}
	}
	for parent, addrs := range m.denied {
		for addr := range addrs {
			if m.b.deny[parent].addrs[addr] == "" {
				t.Errorf("*.%s does not deny %s", parent, addr)
			}
		}
	}
}
