package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
	"github.com/dockerwall/dockerwall/resolver"
	"github.com/dockerwall/dockerwall/sortby"
)

// Input is what a status is told from. All but Outcome may be zero, and is then not known.
type Input struct {
	Now, Since time.Time // Since is when the daemon started
	Applied    time.Time // when the table was last committed
	Version    string    // of the program
	Outcome    reconcile.Outcome
	Good       bool // the table stands and the loop runs, as far as is known
	Engine     api.Engine
	EngineAPI  string // the version negotiated, "1.47"
	DNSMode    string
	Reasons    []string         // sentences that say what keeps the fence from being whole, as the daemon's parts have them
	Host       []policy.Problem // that concern no container, beside the outcome's
	Leases     resolver.Leases
	Names      []resolver.NameStatus
	Services   map[string]map[string]string // labels of Swarm's services themselves, by service ID
	Counters   nft.Counters
	Gone       nft.Count                // denied to containers that are gone
	History    func(id string) []uint64 // of a container by its full ID; nil knows none
}

// Take tells the status. It is pure and total, and keeps nothing of the input.
func Take(in Input) api.Status {
	denied := in.Counters.Denied()
	out := api.Status{
		Time: in.Now, Since: in.Since, Version: in.Version, State: state(in), Applied: in.Applied, Docker: in.Engine,
		DNSMode: in.DNSMode, Degraded: slices.Concat(in.Reasons, nil),
		Denied: api.Count{Packets: denied.Packets + in.Gone.Packets, Bytes: denied.Bytes + in.Gone.Bytes},
	}
	byContainer := map[string][]api.Finding{}
	for _, p := range in.Outcome.Problems {
		byContainer[p.ID] = append(byContainer[p.ID], finding(p.Problem))
	}
	out.Host = slices.Concat(byContainer[""], findings(in.Host))
	host := newHost(in)
	out.Containers, out.Changes = host.containers(byContainer), changes(in, host.byID)
	out.HostChange = modeChange(in.Outcome.State.Overlay.Enforce)
	out.Degraded = append(out.Degraded, degraded(out, in.Outcome.Problems)...)
	if out.Degraded == nil {
		out.Degraded = []string{}
	}
	return out
}

func state(in Input) api.State {
	switch {
	case in.Outcome.Err != nil || !in.Good:
		return api.Failing
	case in.Outcome.Ruleset.DryRun:
		return api.DryRun
	}
	return api.Enforcing
}

// degraded counts the findings that keep the fence from being what it was meant to be.
func degraded(s api.Status, problems []reconcile.Problem) (out []string) {
	errs := countErrors(s.Host)
	where := []string{}
	for _, c := range s.Containers {
		if n := countErrors(c.Findings); n > 0 {
			errs += n
			where = append(where, c.Name)
		}
	}
	if errs > 0 {
		text := fmt.Sprintf("%d %s to correct", errs, plural(errs, "error"))
		if len(where) > 0 {
			text += " (" + list(where) + ")"
		}
		out = append(out, text)
	}
	for _, p := range problems {
		if p.Degrades && p.Severity != policy.Error {
			out = append(out, strings.TrimPrefix(p.Container+": "+p.Message, ": ")+" ("+p.Token+")")
		}
	}
	if most := 20; len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more; see the findings", len(out)-most))
	}
	return out
}

func countErrors(findings []api.Finding) (n int) {
	for _, f := range findings {
		if f.Severity == policy.Error.String() {
			n++
		}
	}
	return n
}

// list names the first few.
func list(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func findings(problems []policy.Problem) []api.Finding {
	out := make([]api.Finding, 0, len(problems))
	for _, p := range problems {
		out = append(out, finding(p))
	}
	sortby.Stable(out, func(x, y api.Finding) int { return cmp.Compare(x.Severity, y.Severity) }) // errors first
	return out
}

func finding(p policy.Problem) api.Finding {
	return api.Finding{Severity: p.Severity.String(), Label: p.Label, Position: p.Pos, Token: p.Token, Message: p.Message, Remedy: p.Remedy}
}
