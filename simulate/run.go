package simulate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

// Run judges all that was seen by the policies of then and by those that change makes of them. The error says what of seen
// cannot be understood.
func Run(seen api.Observations, change Change) (Report, error) {
	before, err := newHost(seen)
	if err != nil {
		return Report{}, fmt.Errorf("read the observations: %w", err)
	}
	after := before.copied()
	unseen, err := change.apply(after)
	if err != nil {
		return Report{}, err
	}
	r := replay{seen: seen}
	var known, problems []reconcile.Problem
	r.before, known = before.trial()
	r.after, problems = after.trial()
	r.report = Report{Until: seen.Until, Notes: []string{}, Containers: []Container{}}
	for _, what := range unseen {
		r.report.Notes = append(r.report.Notes, "nothing was observed of "+what+": what it would send is not known")
	}
	if after.state.Config.DryRun {
		r.report.Notes = append(r.report.Notes, "DRY_RUN is on, so nothing would be denied; --enforce says what would be without it")
	}
	for i, s := range seen.Subjects {
		if err := r.subject(after.ids[i], s, fresh(after.ids[i], known, problems)); err != nil {
			return Report{}, fmt.Errorf("read the observations: %s: %w", s.Container, err)
		}
	}
	return r.report, nil
}

// fresh are the problems with a container's policy that a change brings.
func fresh(id string, known, now []reconcile.Problem) []string {
	old := map[policy.Problem]bool{}
	for _, p := range known {
		if p.ID == id {
			old[p.Problem] = true
		}
	}
	out := []string{}
	for _, p := range now {
		if p.ID == id && p.Label != "" && !old[p.Problem] {
			out = append(out, p.Problem.String())
		}
	}
	return out
}

// replay is one comparison.
type replay struct {
	seen          api.Observations
	before, after reconcile.Trial
	report        Report
	explained     int
}

// subject judges one and adds it to the report.
func (r *replay) subject(id string, s api.ObservedSubject, notes []string) error {
	c := Container{
		Container: s.Container, Image: s.Image, Project: s.Project, Service: s.Service, Running: s.ID != "", Since: s.Since, Last: s.Last,
		Denied: []Flow{}, Allowed: []Flow{}, Undecided: []Flow{}, Lost: s.Lost, Notes: notes,
	}
	mode, fenced := r.after.Mode(id)
	if c.Mode = "unfenced"; fenced {
		c.Mode = map[nft.Mode]string{nft.Enforce: "enforce", nft.Audit: "audit", nft.Off: "off"}[mode]
	}
	for _, record := range s.Records {
		if err := r.record(id, &c, record); err != nil {
			return err
		}
	}
	if r.report.Since.IsZero() || s.Since.Before(r.report.Since) {
		r.report.Since = s.Since
	}
	r.report.Passed.Connections += c.Passed.Connections
	r.report.Passed.Destinations += c.Passed.Destinations
	for _, f := range c.Denied {
		r.report.Denied.add(f.Connections)
	}
	r.report.Containers = append(r.report.Containers, c)
	return nil
}

func (r *replay) record(id string, c *Container, record api.ObservedRecord) error {
	f, err := flowOf(record)
	if err != nil {
		return err
	}
	was, _ := r.before.Passes(id, f)
	will, _ := r.after.Passes(id, f)
	passes := record.Verdict == api.VerdictAllowed || record.Verdict == api.VerdictAudit && was // what passed in audit alone may be enforced now
	out := Flow{
		Destination: record.Destination, Port: record.Port, Protocol: record.Protocol, Via: record.Via, Names: record.Names,
		Connections: record.Count, Last: record.Last, Token: record.Token,
	}
	if record.Verdict != api.VerdictDenied {
		c.Passed.add(record.Count)
	}
	switch {
	case passes && was && !will:
		if out.By = r.deniedBy(id, record); out.By != "" {
			out.Token = ""
		}
		c.Denied = append(c.Denied, out)
	case !passes && !was && will:
		c.Allowed = append(c.Allowed, out)
	case passes && !was && !will:
		c.Undecided = append(c.Undecided, out)
	default:
		c.Unchanged++
	}
	return nil
}

// flowOf is the connection that a record is about.
func flowOf(r api.ObservedRecord) (flows.Flow, error) {
	proto, ok := packet.ParseProtocol(r.Protocol)
	d := r.Destination
	switch {
	case !ok:
		return flows.Flow{}, fmt.Errorf("%q is no protocol", r.Protocol)
	case !d.IsValid() || d != d.Unmap().WithZone(""):
		return flows.Flow{}, fmt.Errorf("%q is no destination", d)
	case !slices.Contains([]string{api.VerdictAllowed, api.VerdictAudit, api.VerdictDenied}, r.Verdict):
		return flows.Flow{}, fmt.Errorf("%q is no verdict", r.Verdict)
	}
	f := flows.Flow{Proto: proto, To: netip.AddrPortFrom(d, r.Port)}
	if f.Dst = f.To; r.Via.IsValid() {
		if r.Via.Addr() != r.Via.Addr().Unmap().WithZone("") || r.Via.Addr().Is4() != d.Is4() {
			return flows.Flow{}, fmt.Errorf("%q is no destination before %v", r.Via, d)
		}
		f.Dst = r.Via
	}
	return f, nil
}

// maxExplained bounds the records of which it is looked up what denies them.
const maxExplained = 500

// deniedBy is the token with "!" that denies a record after the change, as `explain` finds it.
func (r *replay) deniedBy(id string, record api.ObservedRecord) string {
	if r.explained++; r.explained > maxExplained {
		return ""
	}
	return r.after.DeniedBy(id, reconcile.Destination{Addr: record.Destination, Port: record.Port, Proto: protoOf(record)})
}

func protoOf(r api.ObservedRecord) uint8 {
	p, _ := packet.ParseProtocol(r.Protocol)
	return p
}

// Worst orders containers: those with most newly denied connections first.
func (r Report) Worst() []Container {
	return slices.SortedStableFunc(slices.Values(r.Containers), func(a, b Container) int {
		sum := func(c Container) (n uint64) {
			for _, f := range c.Denied {
				n += f.Connections
			}
			return n
		}
		if x, y := sum(a), sum(b); x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Container, b.Container)
	})
}
