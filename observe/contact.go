package observe

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/sortby"
)

// Contact is what one subject reached at one target because nothing denied it.
type Contact struct {
	Target
	// Via is what it asked for where the host sent it on to Target (a published port), else the zero value.
	Via         netip.AddrPort
	Names       []string // what Dst was called, the latest first
	Host        bool     // Dst is the host's own
	First, Last time.Time
	Connections uint64 // that were seen
}

// route is what makes a [Contact] another one.
type route struct {
	Target
	via netip.AddrPort
}

// Opened are connections that a subject was seen to have opened: Connections of them for the first time, none of them if
// they only go on.
type Opened struct {
	Subject Subject
	Contact
}

// staleFor is how long the file may be behind the counts of contacts that it knows: each write is of all of it.
const staleFor = 10 * time.Minute

// AddContacts remembers what was seen, and how many connections of whom were seen and are not told one by one.
func (s *Store) AddContacts(at time.Time, opened []Opened, lost map[Subject]uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grown := map[*observed]bool{}
	for i := range opened {
		h := s.of(opened[i].Subject, at)
		if s.contact(h, opened[i].Contact, at) {
			grown[h] = true
		}
	}
	for subject, n := range lost {
		s.of(subject, at).lost += n
		s.behind(at)
	}
	for h := range grown {
		if len(h.contacts) > maxOwn {
			h.trimContacts(maxOwn * 7 / 8)
		}
		h.weigh()
	}
	if len(grown) > 0 {
		s.dirty = true
		s.shrinkContacts()
		s.lighten()
	}
}

// contact takes in one, and says whether there is more to keep.
func (s *Store) contact(h *observed, seen Contact, at time.Time) (grown bool) {
	seen.Dst = seen.Dst.Unmap().WithZone("")
	key := route{seen.Target, seen.Via}
	names := h.contactNames(key, seen.Names)
	c := h.contacts[key]
	if c == nil {
		c = &Contact{Target: seen.Target, Via: seen.Via, First: at}
		h.contacts[key] = c
		grown = true
	}
	merged := h.merged(names, c.Names)
	grown = grown || !slices.Equal(merged, c.Names)
	c.Names, c.Host, c.Last = merged, seen.Host, later(c.Last, at)
	c.Connections += seen.Connections
	h.last = later(h.last, at)
	s.behind(at)
	return grown
}

// behind notes that the file has lower counts. The caller holds the lock.
func (s *Store) behind(at time.Time) {
	if s.stale.IsZero() {
		s.stale = at
	}
}

// settle has the next write have all counts.
func (s *Store) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = s.dirty || !s.stale.IsZero()
}

// Reached says whether a subject is known to have reached a target.
func (s *Store) Reached(o Opened) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	subject := shortened(o.Subject)
	h := s.subjects[identity{subject.Name, subject.Image}]
	return h != nil && h.contacts[route{o.Target, o.Via}] != nil
}

// contactNames is namesOf of a contact.
func (h *observed) contactNames(key route, names []string) []string {
	if c := h.contacts[key]; c != nil && len(names) <= len(c.Names) && slices.Equal(names, c.Names[:len(names)]) {
		return names
	}
	var out []string
	for _, name := range names {
		if name = canonical(name); name != "" && len(out) < maxNames {
			out = append(out, name)
		}
	}
	return out
}

// trimContacts leaves the n that were seen last; the connections of the others are lost.
func (h *observed) trimContacts(n int) {
	if len(h.contacts) <= n {
		return
	}
	all := sortby.Collect(maps.Values(h.contacts), func(a, b *Contact) int {
		return cmp.Or(b.Last.Compare(a.Last), compareContacts(*a, *b))
	})
	for _, c := range all[n:] {
		h.lost += c.Connections
		delete(h.contacts, route{c.Target, c.Via})
	}
}

// shrinkContacts is shrink of contacts.
func (s *Store) shrinkContacts() {
	s.level(func(h *observed) int { return len(h.contacts) }, (*observed).trimContacts)
}

func (h *observed) exportContacts() []Contact {
	out := make([]Contact, 0, len(h.contacts))
	for _, c := range h.contacts {
		out = append(out, *c)
	}
	sortby.Func(out, compareContacts)
	return out
}

func compareContacts(a, b Contact) int {
	return cmp.Or(compareTargets(a.Target, b.Target), a.Via.Compare(b.Via))
}

// lineContact is a contact in the file.
type lineContact struct {
	Dst         netip.Addr     `json:"to"`
	Port        uint16         `json:"port,omitempty"`
	Proto       uint8          `json:"proto"`
	Via         netip.AddrPort `json:"via,omitzero"`
	Names       []string       `json:"names,omitempty"`
	Host        bool           `json:"host,omitempty"`
	First       time.Time      `json:"first"`
	Last        time.Time      `json:"last"`
	Connections uint64         `json:"connections"`
}

func (h *observed) contactLines() []lineContact {
	var out []lineContact
	for _, c := range h.exportContacts() {
		out = append(out, lineContact{c.Dst, c.Port, c.Proto, c.Via, c.Names, c.Host, c.First.UTC(), c.Last.UTC(), c.Connections})
	}
	return out
}

func (d *decoder) contact(h *observed, l lineContact) error {
	t := Target{l.Dst, l.Port, l.Proto}
	key := route{t, l.Via}
	via := l.Via.Addr()
	if h.contacts[key] != nil || len(l.Names) > maxNames || !l.Dst.IsValid() || plainAddr(l.Dst) != l.Dst || plainAddr(via) != via {
		return fmt.Errorf("the contact with %v is recorded twice, or wrongly", t)
	}
	for _, name := range l.Names {
		if canonical(name) != name {
			return fmt.Errorf("%q is no name", name)
		}
	}
	h.contacts[key] = &Contact{
		Target: t, Via: l.Via, Names: l.Names, Host: l.Host, First: d.past(l.First), Last: d.past(l.Last), Connections: l.Connections,
	}
	return nil
}

func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
