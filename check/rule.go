package check

import (
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/sortby"
)

// The rules of this package, besides those of packages policy and reconcile.
const (
	RuleApex          = "wildcard-without-apex"
	RuleAudit         = "mode-audit"
	RuleBuildLabels   = "build-labels"
	RuleComposeOnly   = "needs-compose"
	RuleCovered       = "covered-token"
	RuleDeployLabels  = "deploy-labels"
	RuleExternal      = "external-network"
	RuleHostInRange   = "host-in-range"
	RuleLikeALabel    = "like-a-label"
	RuleLoopback      = "loopback"
	RuleMixedScript   = "mixed-script"
	RuleNoNetwork     = "no-network"
	RuleNotText       = "not-text"
	RuleOff           = "mode-off"
	RuleSharedNetwork = "shared-network"
	RuleTwice         = "label-twice"
	RuleUnresolved    = "unresolved-name"
	RuleVariable      = "variable"
)

// Rule is one thing that is looked for. IDs do not change.
type Rule struct {
	ID       string
	Severity Severity // that most of its findings have
	Title    string   // what is wrong, in a few words
	Help     string   // why it matters
}

// Rules are all there are, by ID.
func Rules() []Rule {
	all := slices.Concat(ownRules(), policyRules(), fileRules(), hostRules())
	sortby.Func(all, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) })
	return all
}
