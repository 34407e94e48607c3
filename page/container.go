package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

const (
	maxContainers = 100
	maxNetworks   = 5
	maxNames      = 10
	maxAddrs      = 4 // of one name
)

// container is one row.
type container struct {
	Name, Image string
	Stack       string // project and service
	State       state
	Why         string // it is not fenced, or whose fence it has
	Networks    string
	Label       string // as it stands, cut
	Findings    []finding
	Summary     string // of Names
	Names       []name
	Sent        string // packets
	SentBytes   string
	Denied      string
	DeniedBytes string
	History     *spark
}

// name is a name that is allowed or denied, with its addresses.
type name struct {
	Name  string
	Deny  bool
	Addrs []address
	Note  string
}

type address struct{ Addr, Left string }

// choose is the containers to show, in the order given: where they are too many, those with something to correct and
// those that were denied most.
func choose(all []api.Container) []api.Container {
	if len(all) <= maxContainers {
		return all
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(mistakes(all[b]), mistakes(all[a])), cmp.Compare(all[b].Denied.Packets, all[a].Denied.Packets))
	})
	order = order[:maxContainers]
	slices.Sort(order)
	out := make([]api.Container, 0, maxContainers)
	for _, i := range order {
		out = append(out, all[i])
	}
	return out
}

func mistakes(c api.Container) (n int) {
	for _, f := range c.Findings {
		if f.Severity == "error" {
			n++
		}
	}
	return n
}

func newContainer(c api.Container, dryRun bool, now time.Time) container {
	out := container{
		Name: clip(c.Name, maxName), Image: clip(c.Image, maxName), State: modeOf(c.Mode),
		Networks: list(c.Networks, maxNetworks), Label: clip(c.Outbound, maxLabel), Findings: findings(c.Findings),
		Sent: number(c.Sent.Packets), SentBytes: size(c.Sent.Bytes), Denied: number(c.Denied.Packets), DeniedBytes: size(c.Denied.Bytes),
		History: newSpark(c.History),
	}
	for _, part := range []string{c.Project, c.Service} {
		if part != "" {
			out.Stack = strings.TrimPrefix(out.Stack+" / "+clip(part, maxName), " / ")
		}
	}
	switch {
	case c.Unfenced != "":
		out.Why = clip(c.Unfenced, maxSentence)
	case c.Shares != "":
		out.Why = "has the network and the policy of " + clip(c.Shares, maxName)
	case c.Alone():
		out.Why = "has no network"
	}
	if c.Deny == "reject" && c.Mode == "enforce" {
		out.State.Word += ", rejects"
	}
	switch {
	case c.Mode == "unfenced" || c.Shares != "":
		out.Sent, out.SentBytes, out.Denied, out.DeniedBytes = "", "not counted", "", "not counted"
	case dryRun || c.Mode == "audit":
		out.DeniedBytes += ", passed"
	}
	out.Summary, out.Names = names(c.Names, c.MoreNames, now)
	return out
}

func modeOf(mode string) state {
	switch mode {
	case "enforce":
		return state{"enforced", "good"}
	case "audit":
		return state{"audit", "warn"}
	case "off":
		return state{"off", "idle"}
	case "unfenced":
		return state{"not fenced", "bad"}
	}
	return state{clip(mode, 20), "idle"}
}

func list(texts []string, limit int) string {
	var out []string
	for _, t := range texts[:min(len(texts), limit)] {
		out = append(out, clip(t, maxName))
	}
	if more := len(texts) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}

// names are the names of a container, with so many more beneath wildcards, and what they sum up to: "3 names, 7 addresses".
func names(all []api.ResolvedName, beneath int, now time.Time) (summary string, out []name) {
	if len(all) == 0 {
		return "", nil
	}
	addrs, failed := uint64(0), 0
	for i, n := range all {
		addrs += uint64(len(n.Addrs))
		if n.Error != "" {
			failed++
		}
		if i < maxNames {
			out = append(out, newName(n, now))
		}
	}
	if more := len(all) - len(out) + max(0, beneath); more > 0 {
		out = append(out, name{Note: fmt.Sprintf("and %d more names", more)})
	}
	total := uint64(len(all) + max(0, beneath))
	summary = fmt.Sprintf("%s %s, %s %s", number(total), plural(total, "name"), number(addrs), map[bool]string{true: "address", false: "addresses"}[addrs == 1])
	if failed > 0 {
		summary += fmt.Sprintf(", %d without", failed)
	}
	return summary, out
}

func newName(n api.ResolvedName, now time.Time) name {
	out := name{Name: clip(n.Name, maxDNS), Deny: n.Deny, Note: clip(n.Error, maxSentence)}
	for _, a := range n.Addrs[:min(len(n.Addrs), maxAddrs)] {
		one := address{Addr: addressText(a.Addr)}
		if !a.Expires.IsZero() {
			one.Left = span(a.Expires.Sub(now))
		}
		out.Addrs = append(out.Addrs, one)
	}
	if more := len(n.Addrs) - len(out.Addrs); more > 0 {
		out.Note = strings.TrimSuffix(fmt.Sprintf("and %d more addresses; %s", more, out.Note), "; ")
	}
	return out
}
