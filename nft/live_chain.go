package nft

import (
	"fmt"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// liveChain is a chain as the kernel lists it.
type liveChain struct {
	name string
	attributes
	rules []attributes
}

// chain decodes c. A base chain that no layout of ours has gets its head as a first rule: what is
// wrong with it shows in its place.
func (c *liveChain) chain(sets map[string]*liveSet, ours bool) Chain {
	out := Chain{Name: quoted(c.name)}
	if c.has(unix.NFTA_CHAIN_HOOK) {
		head := c.head()
		priority := int32(attributesOf(c.attributes.at(unix.NFTA_CHAIN_HOOK)).number(unix.NFTA_HOOK_PRIORITY))
		for _, base := range baseChains() {
			if at := (Chain{Hook: base.hook, Priority: base.priority}); ours && priority == base.priority && head == at.hookText() {
				out.Hook, out.Priority = at.Hook, at.Priority
			}
		}
		if out.Hook == NoHook {
			out.Rules = append(out.Rules, Rule{text: head})
		}
	}
	for _, r := range c.rules {
		out.Rules = append(out.Rules, Rule{text: ruleText(r, sets), listed: r.at(unix.NFTA_RULE_EXPRESSIONS)})
	}
	return out
}

func chainText(c Chain) string {
	var b strings.Builder
	writeChain(&b, c, func(Rule) string { return "" })
	return b.String()
}

// head is the line that makes a base chain.
func (c *liveChain) head() string {
	hook := attributesOf(c.attributes.at(unix.NFTA_CHAIN_HOOK))
	policy := "accept"
	if c.number(unix.NFTA_CHAIN_POLICY) == 0 { // NF_DROP
		policy = "drop"
	}
	return fmt.Sprintf("type %s hook %s%s priority %s; policy %s;", quoted(c.text(unix.NFTA_CHAIN_TYPE)),
		hookName(hook.number(unix.NFTA_HOOK_HOOKNUM)), devices(hook), priorityText(int32(hook.number(unix.NFTA_HOOK_PRIORITY))), policy)
}

// hookName names a hook of the inet family (netfilter.h, enum nf_inet_hooks).
func hookName(n uint64) string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	if n >= uint64(len(names)) {
		return bracketed(fmt.Sprint("hook ", n))
	}
	return names[n]
}

func devices(hook attributes) string {
	var names []string
	if hook.has(unix.NFTA_HOOK_DEV) {
		names = append(names, fmt.Sprintf("%q", hook.text(unix.NFTA_HOOK_DEV)))
	}
	for _, b := range listOf(hook.at(hookDevs)) {
		names = append(names, fmt.Sprintf("%q", strings.TrimRight(string(b), "\x00")))
	}
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " device " + names[0]
	}
	return " devices = { " + strings.Join(names, ", ") + " }"
}

func priorityText(n int32) string {
	for _, base := range baseChains() {
		if base.priority == n {
			return base.text
		}
	}
	return fmt.Sprint(n - int32(*nftables.ChainPriorityFilter))
}

func ruleText(r attributes, sets map[string]*liveSet) string {
	text := decodeRule(expressionsOf(r.at(unix.NFTA_RULE_EXPRESSIONS)), sets)
	if note := userComment(r.at(unix.NFTA_RULE_USERDATA)); note != "" {
		text += fmt.Sprintf(" comment %q", note)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "# a rule without expressions"
	}
	return text
}
