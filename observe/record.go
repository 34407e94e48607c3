package observe

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

// Bounds of what is remembered. Whoever sends packets chooses their destinations, and whoever answers DNS the names.
const (
	maxSubjects = 2000
	maxOwn      = 1000 // records of one subject; those not seen for longest go
	maxAll      = 50000
	maxAsked    = 500  // names that one subject asked for
	maxReached  = 1000 // names and addresses that one subject reached for
	maxNames    = 4    // of one record
	maxText     = 255  // bytes of a name of a container, project or service
	maxImage    = 512  // bytes
	maxLabel    = 64 << 10
	// maxBytes is how much of a file all subjects take: with the baseline they are less than maxFile.
	maxBytes = 96 << 20
	// keepFor is how long what was not seen again is remembered: a job that runs every month stays known.
	keepFor = 90 * 24 * time.Hour
)

// Record is what one subject sent to one target without being allowed to.
type Record struct {
	Target
	Names          []string // what Dst was called, the latest first
	Host           bool     // Dst is the host's own
	Audit          bool     // the last of it passed all the same
	First, Last    time.Time
	Packets, Bytes uint64
}

// Observed is all that is remembered of one subject. It is its holder's own.
type Observed struct {
	Subject  Subject
	Since    time.Time // it was first seen to run
	Last     time.Time // it was last seen to run or to send
	Outbound string    // its label dockerwall.outbound when it was last seen to run, without what its image brought along
	// Records are in the order of their targets. One without an address stands for all that had no destination of its own.
	Records []Record
	Asked   []string // names it asked for, sorted
	// AskedLast is when it did last, as far as it is known who asks; zero for never.
	AskedLast time.Time
	// Contacts are what it reached because it may, in the order of their targets. Lost is how many connections beside them
	// were seen and are not among them, at least.
	Contacts []Contact
	Lost     uint64
}

// identity is what makes a subject the same when its container is created anew.
type identity struct{ name, image string }

// observed is an [Observed] in the making.
type observed struct {
	subject  Subject
	since    time.Time
	last     time.Time
	outbound string
	records  map[Target]*Record
	asked    map[string]time.Time // when last, by name
	// askedLast is the latest of those.
	askedLast time.Time
	reached   map[string]time.Time // names and addresses that are no news any more
	contacts  map[route]*Contact
	lost      uint64 // connections that are not among contacts
	firsts    uint64 // news since the start
	bytes     int    // that it takes in a file, at most, when it was weighed last
	fixed     int    // of them, that cannot be trimmed
}

func newObserved(s Subject, since time.Time) *observed {
	return &observed{
		subject: s, since: since, last: since,
		records: map[Target]*Record{}, asked: map[string]time.Time{}, reached: map[string]time.Time{}, contacts: map[route]*Contact{},
	}
}

// shortened is a subject with texts of bounded length; the zero value stays.
func shortened(s Subject) Subject {
	return Subject{
		Name: plain.Text(s.Name, maxText), Image: plain.Text(s.Image, maxImage),
		Project: plain.Text(s.Project, maxText), Service: plain.Text(s.Service, maxText),
	}
}

// canonical is a name as labels spell it, "" for what no label can name.
func canonical(name string) string {
	p, err := policy.ParsePattern(name)
	if err != nil || p.Wild() {
		return ""
	}
	return p.Name()
}

// namesOf are the first few of names as labels spell them. Those that the target's record has need no reading.
func (h *observed) namesOf(t Target, names []string) []string {
	if r := h.records[t]; r != nil && len(names) <= len(r.Names) && slices.Equal(names, r.Names[:len(names)]) {
		return names
	}
	out := make([]string, 0, maxNames)
	for _, name := range names {
		if name = canonical(name); name != "" && len(out) < maxNames {
			out = append(out, name)
		}
	}
	return out
}

// add counts a denial.
func (h *observed) add(t Target, d Denial, names []string) {
	r := h.records[t]
	if r == nil {
		r = &Record{Target: t, First: d.Time}
		h.records[t] = r
	}
	r.Names = h.merged(names, r.Names)
	r.Host, r.Audit = d.Host, d.Audit
	r.Last = later(r.Last, d.Time)
	r.Packets += d.Packets
	r.Bytes += d.Bytes
	h.last = later(h.last, d.Time)
}

// merged are a few of fresh and then of old, each once. Where there is no room for all, names that the subject asked for
// stay: others give their names to any address. The arguments are not changed.
func (h *observed) merged(fresh, old []string) []string {
	if len(fresh) == 0 {
		return old
	}
	out := make([]string, 0, len(fresh)+len(old))
	for _, list := range [][]string{fresh, old} {
		for _, name := range list {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	for n := len(out) - 1; n >= 0 && len(out) > maxNames; n-- {
		if _, asked := h.asked[out[n]]; !asked {
			out = slices.Delete(out, n, n+1)
		}
	}
	return out[:min(len(out), maxNames)]
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// trim leaves the n records that were seen last.
func (h *observed) trim(n int) {
	if len(h.records) <= n {
		return
	}
	all := sortby.Collect(maps.Values(h.records), func(a, b *Record) int {
		return cmp.Or(b.Last.Compare(a.Last), compareTargets(a.Target, b.Target))
	})
	for _, r := range all[n:] {
		delete(h.records, r.Target)
	}
}

// What a line takes at most besides texts that others choose: times, numbers and the names of fields.
const (
	subjectBytes = 400
	recordBytes  = 400
	nameBytes    = 48
	escaped      = 6 // times as long as its text a JSON string may be
)

// weigh says anew how much it takes in a file. Names need no escapes.
func (h *observed) weigh() {
	u := h.subject
	h.fixed = subjectBytes + escaped*(len(u.Name)+len(u.Image)+len(u.Project)+len(u.Service)) + jsonBytes(h.outbound)
	h.bytes = h.fixed
	for _, r := range h.records {
		h.bytes += recordBytes
		for _, name := range r.Names {
			h.bytes += nameBytes + len(name)
		}
	}
	for _, c := range h.contacts {
		h.bytes += recordBytes
		for _, name := range c.Names {
			h.bytes += nameBytes + len(name)
		}
	}
	for _, m := range []map[string]time.Time{h.asked, h.reached} {
		for name := range m {
			h.bytes += nameBytes + len(name)
		}
	}
}

func jsonBytes(text string) int {
	out, _ := json.Marshal(text)
	return len(out)
}

// spare is how much of it can be forgotten.
func (h *observed) spare() int { return h.bytes - h.fixed }

// forget removes what was not seen since then.
func (h *observed) forget(then time.Time) (changed bool) {
	for t, r := range h.records {
		if r.Last.Before(then) {
			delete(h.records, t)
			changed = true
		}
	}
	for r, c := range h.contacts {
		if c.Last.Before(then) {
			delete(h.contacts, r)
			changed = true
		}
	}
	for _, m := range []map[string]time.Time{h.asked, h.reached} {
		for name, at := range m {
			if at.Before(then) {
				delete(m, name)
				changed = true
			}
		}
	}
	return changed
}

// note remembers a name in one of the maps and says whether it is new there. Where there is no room, those not seen for
// longest go, many at a time: whoever makes names up pays little of our time.
func note(m map[string]time.Time, name string, at time.Time, limit int) bool {
	_, known := m[name]
	if !known && len(m) >= limit {
		trimNames(m, limit*7/8)
	}
	m[name] = later(m[name], at)
	return !known
}

// trimNames leaves the n names that were seen last.
func trimNames(m map[string]time.Time, n int) {
	names := sortby.Collect(maps.Keys(m), func(a, b string) int {
		return cmp.Or(m[a].Compare(m[b]), cmp.Compare(a, b))
	})
	for _, old := range names[:len(m)-n] {
		delete(m, old)
	}
}

func (h *observed) export() Observed {
	out := Observed{
		Subject: h.subject, Since: h.since, Last: h.last, Outbound: h.outbound,
		Records: make([]Record, 0, len(h.records)), Asked: slices.Sorted(maps.Keys(h.asked)), AskedLast: h.askedLast,
		Contacts: h.exportContacts(), Lost: h.lost,
	}
	for _, r := range h.records {
		out.Records = append(out.Records, *r)
	}
	sortby.Func(out.Records, func(a, b Record) int { return compareTargets(a.Target, b.Target) })
	return out
}

// reachable says whether a target is one that could be allowed, and so be news.
func reachable(a netip.Addr) bool { return a.IsValid() && !a.IsMulticast() && !a.IsUnspecified() }
