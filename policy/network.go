package policy

import (
	"slices"
	"strconv"
	"strings"
)

// Networks says which Docker networks are managed. The zero value manages every one.
type Networks struct{ only, except []string } // sorted, without repetition

// ParseNetworks reads GATEWAY_NETWORKS: names of networks separated by commas or newlines. Empty
// means every network; names mean only those; "!name" means all but that one; with both, only the
// named ones without the excluded. It never frees a network by mistake: what cannot be understood is
// left out, and if that could be a name, every network is managed that is not excluded.
func ParseNetworks(text string) (Networks, []Problem) {
	var n Networks
	var r reports
	unclear := false
	s := scanner{text: text}
	for token, pos := s.next(); token != ""; token, pos = s.next() {
		name, except := strings.CutPrefix(token, "!")
		name = strings.TrimSpace(name)
		if bad := checkNetwork(name); bad != nil {
			if !except {
				unclear = true
				bad.what += ", and every network is managed until that is corrected"
			}
			r.add(Problem{Rule: RuleNetworks, Pos: pos, Token: clean(token), Message: bad.what, Remedy: bad.remedy})
			continue
		}
		n.add(name, except)
		if n.contradicts(name) {
			r.add(Problem{Severity: Warning, Rule: RuleNetworks, Pos: pos, Token: clean(token), Message: "the network is both named and excluded, and is not managed", Remedy: "remove one of the two"})
		}
	}
	if unclear {
		n.only = nil
	}
	return n, r.list()
}

// checkNetwork is lenient, as Docker is, but refuses what is more likely a mistyped exclusion.
func checkNetwork(name string) *mistake {
	switch {
	case name == "":
		return &mistake{rule: RuleNetworks, what: `nothing follows the "!"`, remedy: "write the name of the network right after it"}
	case mayDeny(name):
		return &mistake{rule: RuleNetworks, what: `"!" stands only in front, once`, remedy: `write "!name" to exclude a network`}
	case strings.ContainsFunc(name, func(c rune) bool { return !strconv.IsPrint(c) }) || strings.ContainsRune(name, '\uFFFD'):
		return &mistake{rule: RuleNetworks, what: "the name has characters that are not printable", remedy: "write it as `docker network ls` shows it"}
	}
	return nil
}

func (n *Networks) add(name string, except bool) {
	list := &n.only
	if except {
		list = &n.except
	}
	if i, found := slices.BinarySearch(*list, name); !found {
		*list = slices.Insert(*list, i, name)
	}
}

func (n Networks) contradicts(name string) bool { return has(n.only, name) && has(n.except, name) }

// Manages says whether the network of that name is managed.
func (n Networks) Manages(name string) bool {
	return !has(n.except, name) && (!n.Only() || has(n.only, name))
}

// Only says whether networks are named, so that those not named are not managed.
func (n Networks) Only() bool { return len(n.only) > 0 }

// Names returns the names as they were given, sorted: those to manage, empty for every one, and those
// excluded. A caller can tell from them which have no network.
func (n Networks) Names() (only, except []string) {
	return slices.Clone(n.only), slices.Clone(n.except)
}

func has(sorted []string, name string) bool {
	_, found := slices.BinarySearch(sorted, name)
	return found
}
