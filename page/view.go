package page

import (
	"fmt"
	"strings"

	"github.com/dockerwall/dockerwall/api"
)

// view is what the document shows: texts that are cleaned and cut already.
type view struct {
	Title string
	Live  bool
	At    string
	State state

	Status     bool // there is one
	Facts      []fact
	Degraded   []string
	Changes    []string // at run time
	Host       []finding
	Containers []container
	Folded     int // containers not shown

	DenialsKnown bool
	Denials      []denial
	DenialsMore  int

	Audit            bool // somebody is in audit, so that suggestions are of use
	SuggestionsKnown bool
	Suggestions      []suggestion
	SuggestionsMore  int
}

// state is a word and the class that colours it.
type state struct{ Word, Class string }

// fact is one entry of the strip at the top.
type fact struct{ Name, Value, Note string }

const (
	maxSentences   = 10 // of one list: what degrades the fence, findings of the host
	maxDenials     = 25
	maxSuggestions = 20
)

func newView(p Page) view {
	v := view{
		Title: "dockerwall", Live: p.Live, At: p.Now.UTC().Format("2006-01-02 15:04:05 UTC"),
		State: state{"STATUS NOT AVAILABLE", "idle"}, DenialsKnown: p.Denials != nil, SuggestionsKnown: p.Suggestions != nil,
	}
	v.Denials, v.DenialsMore = denials(p.Denials, p.Now)
	if p.Status == nil {
		return v
	}
	s := *p.Status
	v.Status, v.State = true, stateOf(s)
	v.Title = "dockerwall: " + strings.ToLower(v.State.Word)
	v.Facts = facts(s, p)
	v.Degraded = sentences(s.Degraded)
	v.Host, v.Changes = findings(s.Host), sentences(s.Changes)
	shown := choose(s.Containers)
	for _, c := range shown {
		v.Containers = append(v.Containers, newContainer(c, s.State == api.DryRun, p.Now))
	}
	v.Folded = len(s.Containers) - len(shown)
	v.Audit = audited(s)
	if v.Audit {
		v.Suggestions, v.SuggestionsMore = suggestions(p.Suggestions, s.State == api.DryRun)
	}
	return v
}

func stateOf(s api.Status) state {
	switch {
	case s.State == api.Failing || len(s.Degraded) > 0 && s.State != api.DryRun:
		return state{"DEGRADED", "bad"}
	case s.State == api.DryRun:
		return state{"AUDIT", "warn"}
	case s.State == api.Enforcing:
		return state{"ENFORCING", "good"}
	}
	return state{strings.ToUpper(clip(string(s.State), 20)), "idle"}
}

func facts(s api.Status, p Page) []fact {
	n, denied := map[string]uint64{}, uint64(0)
	for _, c := range s.Containers {
		n[c.Stands()]++
		denied += lastHour(c.History)
	}
	docker := fact{"Docker", "up", ""}
	if !s.Docker.Up {
		docker = fact{"Docker", "not connected", "the table stays as it is"}
	}
	table := fact{"Table committed", "never", ""}
	if !s.Applied.IsZero() {
		table.Value = ago(s.Applied, p.Now)
	}
	return []fact{
		table, docker, {"Fenced", number(n["fenced"]), fencedToo(n)}, {"Not fenced", number(n["unfenced"]), ""},
		{"Denied, last hour", number(denied), plural(denied, "packet")}, {"Version", clip(s.Version, 40), "for " + span(p.Now.Sub(s.Since))},
	}
}

// fencedToo is the noun of a number of fenced containers, and those beside them that are only watched.
func fencedToo(n map[string]uint64) string {
	out := plural(n["fenced"], "container")
	if audit := n["audit"]; audit > 0 {
		out += ", " + number(audit) + " in audit"
	}
	return out
}

// lastHour is what the half hour under way and the one before it have.
func lastHour(history []uint64) (n uint64) {
	for _, packets := range history[max(0, len(history)-2):] {
		n += packets
	}
	return n
}

func audited(s api.Status) bool {
	if s.State == api.DryRun {
		return true
	}
	for _, c := range s.Containers {
		if c.Mode == "audit" {
			return true
		}
	}
	return false
}

// finding is something to correct, in words.
type finding struct{ Class, Text, Remedy string }

func findings(list []api.Finding) (out []finding) {
	for _, f := range list[:min(len(list), maxSentences)] {
		one := finding{"warn", clip(f.Message, maxSentence), clip(f.Remedy, maxSentence)}
		if f.Severity == "error" {
			one.Class = "bad"
		}
		if f.Token != "" && !strings.Contains(f.Message, f.Token) {
			one.Text = clip(f.Token, maxName) + ": " + one.Text
		}
		out = append(out, one)
	}
	if more := len(list) - len(out); more > 0 {
		out = append(out, finding{Class: "idle", Text: fmt.Sprintf("and %d more", more)})
	}
	return out
}

func sentences(list []string) (out []string) {
	for _, s := range list[:min(len(list), maxSentences)] {
		out = append(out, clip(s, maxSentence))
	}
	if more := len(list) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}
