package nft

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableDormant is NFT_TABLE_F_DORMANT of nf_tables.h: none of the table's base chains is at its hook.
const tableDormant = 1

// strange says what of the table, but for what its sets hold, is not as the ruleset has it.
func (l *looker) strange() (string, error) {
	tables, err := l.request(unix.NFT_MSG_GETTABLE, 0, nameOf(unix.NFTA_TABLE_NAME, TableName))
	switch {
	case errors.Is(err, unix.ENOENT) || err == nil && len(tables) == 0:
		return "there is no table inet " + TableName + ": nothing is fenced", nil
	case err != nil:
		return "", fmt.Errorf("table: %w", err)
	case tables[0].number(unix.NFTA_TABLE_FLAGS)&tableDormant != 0:
		return "table inet " + TableName + " is dormant: nothing is fenced", nil
	}
	fragment := l.fragment()
	sets, err := l.definitions(fragment)
	if err != nil {
		return "", err
	}
	for _, want := range l.chains(fragment) {
		have, err := l.chain(want.Name, sets)
		if err != nil {
			return "", err
		}
		if have == nil || !want.same(*have) {
			return "chain " + want.Name + " of table inet " + TableName + " is not as it was committed", nil
		}
	}
	return "", nil
}

// fragment is the container's part of the table, as it should be.
func (l *looker) fragment() *Fragment {
	shared := map[string]*compiledSource{}
	for _, s := range l.rules.Sources {
		if slices.Contains(l.container.Shared, s.Name) {
			shared[s.Name], _ = compileSource(s)
		}
	}
	return l.rules.containerFragment(&l.container, shared)
}

// definitions are the sets that rules of the chains look up, without their elements. They are asked for one by one: a
// host has thousands.
func (l *looker) definitions(of *Fragment) (map[string]*liveSet, error) {
	all := slices.Concat(of.Sets, l.rules.fixedSets(), []Set{{Name: mapSame}, {Name: mapHomes}})
	for _, f := range families() {
		members := newMembers(f)
		all = append(append(all, members.sets[:]...), Set{Name: alsoSet(f)}, Set{Name: notPublicSet(f)})
		for _, s := range l.rules.Sources {
			if !slices.Contains(l.container.Shared, s.Name) {
				continue
			}
			for _, m := range slices.Concat(l.setsOf(setsKey{s.Name, true, f}, s.Deny), l.setsOf(setsKey{s.Name, false, f}, s.Allow)) {
				all = append(all, m.Set)
			}
		}
	}
	out := make(map[string]*liveSet, len(all))
	for _, s := range all {
		sets, err := l.request(unix.NFT_MSG_GETSET, 0, nameOf(unix.NFTA_SET_TABLE, TableName), nameOf(unix.NFTA_SET_NAME, s.Name))
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("set %s: %w", s.Name, err)
		}
		for _, a := range sets {
			out[s.Name] = newLiveSet(a)
		}
	}
	return out, nil
}

// chains are those that a packet of the container goes through, as they should be.
func (l *looker) chains(of *Fragment) []Chain {
	known := l.rules.knownRules()
	return append([]Chain{
		{Name: chainForward, Hook: Forward, Priority: hookPriority, Rules: l.rules.forwardRules(known)},
		{Name: chainInput, Hook: Input, Priority: hookPriority, Rules: l.rules.inputRules(known)},
	}, of.Chains...)
}

// chain reads one chain with its rules; nil if there is none.
func (l *looker) chain(name string, sets map[string]*liveSet) (*Chain, error) {
	heads, err := l.request(unix.NFT_MSG_GETCHAIN, 0, nameOf(unix.NFTA_CHAIN_TABLE, TableName), nameOf(unix.NFTA_CHAIN_NAME, name))
	switch {
	case errors.Is(err, unix.ENOENT) || err == nil && len(heads) == 0:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("chain %s: %w", name, err)
	}
	live := liveChain{name: name, attributes: heads[0]}
	live.rules, err = l.request(unix.NFT_MSG_GETRULE, netlink.Dump, nameOf(unix.NFTA_RULE_TABLE, TableName), nameOf(unix.NFTA_RULE_CHAIN, name))
	if err != nil {
		return nil, fmt.Errorf("rules of chain %s: %w", name, err)
	}
	out := live.chain(sets, true)
	return &out, nil
}

// same says whether two chains do the same, by what they print.
func (c Chain) same(d Chain) bool {
	return c.Hook == d.Hook && c.Priority == d.Priority &&
		slices.EqualFunc(c.Rules, d.Rules, func(a, b Rule) bool { return a.text == b.text })
}
