package reconcile

import (
	"cmp"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// Problem is something a person should know: a token that could not be understood, a container that
// cannot be fenced. It never widens what is allowed.
type Problem struct {
	Container string // name, "" when it concerns the whole host
	ID        string // of the container
	// Degrades says that the fence is not what it was meant to be, though this is no Error.
	Degrades bool
	policy.Problem
}

func (b *builder) report(p Problem) { b.problems = append(b.problems, p) }

func (b *builder) reportOn(c docker.Container, p policy.Problem) {
	b.report(Problem{Container: c.Name, ID: c.ID, Problem: p})
}

func (b *builder) reportNetwork(n docker.Network, rule, message, remedy string) {
	b.report(Problem{Problem: policy.Problem{Severity: policy.Error, Rule: rule, Token: n.Name, Message: message, Remedy: remedy}})
}

// compareProblems orders by container, then as their texts have it.
func compareProblems(a, b Problem) int {
	return cmp.Or(
		strings.Compare(a.Container, b.Container), strings.Compare(a.ID, b.ID),
		strings.Compare(a.Label, b.Label), cmp.Compare(a.Pos, b.Pos), strings.Compare(a.Token, b.Token),
		strings.Compare(a.Message, b.Message), strings.Compare(a.Remedy, b.Remedy), cmp.Compare(a.Severity, b.Severity),
	)
}
