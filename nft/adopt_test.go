package nft

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// vandal changes a table that nobody owns, as a stranger with nft would.
type vandal struct {
	generator
	n *lab.Namespace
}

// strike runs a few commands, each on its own; one that nft refuses has no effect.
func (v vandal) strike(t *testing.T, table Table) []string {
	t.Helper()
	var done []string
	for range 1 + v.Intn(4) {
		text := v.command(table)
		cmd := v.n.Command(t.Context(), "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if _, err := cmd.CombinedOutput(); err == nil {
			done = append(done, text)
		}
	}
	return done
}

func (v vandal) command(table Table) string {
	f := pick(v.generator, table.Fragments)
	chain := "forward"
	if len(f.Chains) > 0 {
		chain = pick(v.generator, f.Chains).Name
	}
	set := pick(v.generator, table.Fragments[0].Sets)
	if len(f.Sets) > 0 {
		set = pick(v.generator, f.Sets)
	}
	commands := []string{
		"flush chain inet dockerwall %[1]s",
		"flush chain inet dockerwall %[1]s\ndelete chain inet dockerwall %[1]s",
		"flush table inet dockerwall\nflush map inet dockerwall source4\nflush map inet dockerwall source6\ndelete chain inet dockerwall %[1]s",
		"rename chain inet dockerwall %[1]s elsewhere",
		"add rule inet dockerwall %[1]s accept",
		"insert rule inet dockerwall %[1]s counter drop",
		"add chain inet dockerwall mine\nadd rule inet dockerwall mine jump %[1]s",
		"add chain inet dockerwall evil { type filter hook forward priority -300; policy accept; }\nadd rule inet dockerwall evil jump c_000000000003",
		"add chain inet dockerwall evil2 { type filter hook input priority filter - 10; policy drop; }\nadd rule inet dockerwall evil2 ip saddr @%[2]s counter accept",
		"add chain inet dockerwall nat { type nat hook prerouting priority -100; }\nadd rule inet dockerwall nat tcp dport 81 redirect to :82",
		"add chain inet dockerwall forward { policy drop; }",
		"add set inet dockerwall theirs { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8 } }",
		"add set inet dockerwall c_000000000003_theirs { type ipv4_addr; }",
		"add map inet dockerwall theirmap { type mark : verdict; elements = { 1 : jump %[1]s, 2 : jump c_000000000003 } }",
		"add map inet dockerwall objects { type ipv4_addr : counter; }",
		"add set inet dockerwall typed { typeof vlan id . ip saddr; }",
		"add counter inet dockerwall theirs",
		"add counter inet dockerwall c_000000000003_theirs",
		"flush set inet dockerwall %[2]s",
		"flush map inet dockerwall %[2]s",
		"flush map inet dockerwall same\nadd element inet dockerwall same { \"br-blue\" . \"br-blue\" : accept }",
		"flush map inet dockerwall source4\nadd element inet dockerwall source4 { \"br-blue\" . 172.18.0.2 : accept, \"br-x\" . 10.0.0.9 : jump %[1]s }",
		"flush map inet dockerwall invalid4\nadd element inet dockerwall invalid4 { \"br-blue\" . 172.18.0.2 : return }",
		"add element inet dockerwall %[2]s { 203.0.113.99 }",
		"add element inet dockerwall %[2]s { 2001:db8:99::/48 }",
		"flush table inet dockerwall\ndelete set inet dockerwall %[2]s",
		"flush table inet dockerwall\ndelete set inet dockerwall %[2]s\nadd set inet dockerwall %[2]s { type ipv6_addr; flags interval,timeout; }",
		"flush table inet dockerwall\ndelete set inet dockerwall sent4\nadd set inet dockerwall sent4 { type ifname . ipv4_addr; elements = { \"br-blue\" . 172.18.0.2 } }",
		"flush table inet dockerwall\ndelete counter inet dockerwall drop_unknown",
		"delete chain inet dockerwall c_000000000003",
		"delete table inet dockerwall",
		"add table inet dockerwall { flags dormant; }",
	}
	commands = append(commands, portVandalism()...)
	if len(set.Elements) > 0 {
		e := pick(v.generator, set.Elements)
		e.Comment = ""
		element := fmt.Sprintf("delete element inet dockerwall %s { %s }", set.Name, set.formatElement(e))
		commands = append(commands, element, element, element, element)
	}
	return strings.NewReplacer("%[1]s", chain, "%[2]s", set.Name).Replace(pick(v.generator, commands))
}

func TestStrangersChangesAreRepaired(t *testing.T) {
	n, ref, g := namespace(t), reference{namespace(t)}, newGenerator(t)
	v := vandal{g, n}
	r := g.ruleset()
	lab.Nft(t, n, r.String(), "-f", "-") // nobody owns it
	k := open(t, n)
	for step := range diffSteps / 2 {
		apply(t, k, r)
		done := v.strike(t, r.Table())
		k.Invalidate()
		if g.chance(70) {
			r = g.next(r)
		}
		if _, err := k.Apply(r); err != nil {
			t.Fatalf("step %d: %v\nafter a stranger's\n%s", step, err, strings.Join(done, "\n"))
		}
		sameTable(t, n, ref, r, fmt.Sprintf("step %d, after a stranger's\n%s", step, strings.Join(done, "\n")))
		if flags := lab.Nft(t, n, "", "-s", "list", "table", "inet", TableName) + listPorts(t, n); strings.Contains(flags, "dormant") {
			t.Fatalf("step %d: the table sleeps", step)
		}
		if k.Owned() { // made anew after it was deleted; strangers would be powerless
			_ = k.Close()
			lab.Nft(t, n, "flush ruleset\n"+r.String(), "-f", "-")
			k = open(t, n)
		}
	}
}

// TestATableThatWasPutToSleepIsWoken, and that is a change, though nothing in it differs.
func TestATableThatWasPutToSleepIsWoken(t *testing.T) {
	r := sample()
	n := loaded(t, r)
	k := open(t, n)
	apply(t, k, r)
	lab.Nft(t, n, "", "add", "table", "inet", TableName, "{ flags dormant; }")
	for _, asleep := range []bool{true, false} {
		k.Invalidate()
		if report := apply(t, k, r); report.Changed != asleep || report.Ops != 0 {
			t.Errorf("asleep %v: %+v", asleep, report)
		}
		if fences, err := k.Fences(); err != nil || !fences {
			t.Errorf("%v, it fences: %v", err, fences)
		}
	}
}
