package nft

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
)

func TestSecondOwnerIsRefused(t *testing.T) {
	n := namespace(t)
	first, second := open(t, n), open(t, n)
	if !first.Features().Owner {
		lab.Cannot(t, "needs a kernel that knows owners of tables (6.9)")
	}
	apply(t, first, sample())
	if !first.Owned() {
		t.Error("the table is not owned")
	}
	before := list(t, n)
	_, err := second.Apply(Ruleset{})
	if !errors.Is(err, ErrOwned) || !strings.Contains(err.Error(), "second dockerwall daemon") {
		t.Errorf("got %v", err)
	}
	if err := second.Remove(); !errors.Is(err, ErrOwned) {
		t.Errorf("remove: got %v", err)
	}
	if diff := cmp.Diff(before, list(t, n)); diff != "" {
		t.Errorf("the table changed:\n%s", diff)
	}
	_ = first.Close()
	if _, err := second.Apply(Ruleset{}); err != nil {
		t.Errorf("after the owner went: %v", err)
	}
}

func TestOwnedTableOutlivesFlushRuleset(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	if !k.Features().Owner {
		lab.Cannot(t, "needs a kernel that knows owners of tables (6.9)")
	}
	apply(t, k, sample())
	before := list(t, n)
	_ = n.Command(t.Context(), "nft", "flush", "ruleset").Run()
	if diff := cmp.Diff(before, list(t, n)); diff != "" {
		t.Errorf("the table changed:\n%s", diff)
	}
}

func TestRemoveEndsTheTable(t *testing.T) {
	tests := map[string]string{
		"one of ours":          "",
		"one that nobody owns": sample().String(),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			n := namespace(t)
			if text != "" {
				lab.Nft(t, n, text, "-f", "-")
			}
			k := open(t, n)
			apply(t, k, sample())
			if err := k.Remove(); err != nil {
				t.Fatal(err)
			}
			if left := lab.Nft(t, n, "", "list", "ruleset"); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
			if _, err := k.Apply(sample()); !errors.Is(err, ErrRemoved) {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

func TestRefusedCommitLeavesTheTableAsItWas(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	r := sample()
	apply(t, k, r)
	before := list(t, n)
	bad := clone(r)
	bad.Containers[0].Own.Allow.Nets.Any = nets("10.0.0.0/8")
	bad.Containers = append(bad.Containers, Container{ID: "00000000000f", Own: Source{Allow: Matches{Nets: Literals{Any: nets("10.0.0.0/8")}}},
		Endpoints: []Endpoint{{"docker0", addrs("172.17.0.99")[0].First}}})
	next := compile(bad, k.last)
	next.table.Fragments = append(next.table.Fragments, &Fragment{Owner: "z", Chains: []Chain{{Name: "z", Rules: []Rule{rule(jump("nowhere"))}}}})
	if _, err := k.apply(next); err == nil {
		t.Fatal("a jump to nowhere was taken")
	}
	if diff := cmp.Diff(before, list(t, n)); diff != "" {
		t.Errorf("the table changed:\n%s", diff)
	}
	k.known = false
	if _, err := k.Apply(bad); err != nil {
		t.Errorf("the next commit: %v", err)
	}
	sameTable(t, n, reference{namespace(t)}, bad, "the next commit")
}

func TestInvalidRulesetIsRefusedBeforeTheKernel(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	r := sample()
	apply(t, k, r)
	before := list(t, n)
	r = clone(r)
	r.Containers[0].Own.Allow.Nets.Any = nets("10.0.0.0/8", "10.1.0.0/16")
	if _, err := k.Apply(r); err == nil || !strings.Contains(err.Error(), "container 000000000001: allow: ranges 10.0.0.0/8 and 10.1.0.0/16 overlap") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, list(t, n)); diff != "" {
		t.Errorf("the table changed:\n%s", diff)
	}
}

// helper is set in the environment of the child that runs without rights.
const helper = "NFT_TEST_HELPER"

func TestWithoutRightsTheRemedyIsNamed(t *testing.T) {
	if os.Getenv(helper) != "" {
		_, err := Open(Options{})
		if !IsPermission(err) || !strings.Contains(err.Error(), "cap_add: [NET_ADMIN]") {
			t.Fatalf("got %v", err)
		}
		return
	}
	n := namespace(t)
	if _, err := exec.LookPath("setpriv"); err != nil {
		lab.Cannot(t, "needs setpriv of util-linux")
	}
	cmd := n.Command(t.Context(), "setpriv", "--bounding-set=-all", "--inh-caps=-all", os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), helper+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestErrorsOfTheKernelNameTheRemedy(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	k.conn.AddChain(&nftables.Chain{Name: "x", Table: &nftables.Table{Name: "none", Family: nftables.TableFamilyINet}})
	if err := k.conn.Flush(); err == nil {
		t.Error("a chain without table was taken")
	}
	if _, err := k.Apply(sample()); err != nil {
		t.Errorf("after a refused batch: %v", err)
	}
}
