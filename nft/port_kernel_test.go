package nft

import (
	"context"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func TestTheBridgeTableStandsWhileItIsWanted(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	bound, free := sample(), sample()
	free.BindPorts = false
	for _, step := range []struct {
		r      Ruleset
		forget bool
	}{{free, false}, {bound, false}, {free, false}, {bound, false}, {free, true}, {bound, true}, {Ruleset{BindPorts: true}, false}} {
		if step.forget {
			k.Invalidate()
		}
		apply(t, k, step.r)
		if stands := listPorts(t, n) != ""; stands != step.r.BindPorts {
			t.Errorf("wanted %v, stands %v", step.r.BindPorts, stands)
		}
		if again := apply(t, k, step.r); again.Ops > 0 {
			t.Errorf("the same again made %d operations", again.Ops)
		}
	}
}

func TestBothTablesAreOwnedAndOutliveTheDaemon(t *testing.T) {
	n := namespace(t)
	k := open(t, n)
	if !k.Features().Owner || !k.Features().Ports {
		lab.Cannot(t, "needs a kernel that knows owners of tables (6.9) and bridges")
	}
	apply(t, k, sample())
	before := list(t, n)
	for _, family := range []string{"inet", "bridge"} {
		if _, err := n.Command(t.Context(), "nft", "delete", "table", family, TableName).CombinedOutput(); err == nil {
			t.Errorf("a stranger deleted table %s", family)
		}
	}
	_ = k.Close()
	if list(t, n) != before {
		t.Error("the tables went with the daemon")
	}
	next := open(t, n)
	if report := apply(t, next, sample()); !report.Adopted {
		t.Error("not adopted")
	}
	if _, err := n.Command(t.Context(), "nft", "delete", "table", "bridge", TableName).CombinedOutput(); err == nil {
		t.Error("a stranger deleted the adopted table")
	}
}

func TestRemoveTakesABridgeTableThatStandsAlone(t *testing.T) {
	n := namespace(t)
	lab.Nft(t, n, Table{Ports: sample().Table().Ports}.String()+"delete table inet dockerwall\n", "-f", "-")
	if listPorts(t, n) == "" {
		t.Fatal("not made")
	}
	if err := open(t, n).Remove(); err != nil {
		t.Fatal(err)
	}
	if left := lab.Nft(t, n, "", "list", "ruleset"); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

func TestAStrangersChangeOfTheBridgeTableIsToldOf(t *testing.T) {
	n := namespace(t)
	lab.Nft(t, n, sample().String(), "-f", "-") // nobody owns it
	k := open(t, n)
	apply(t, k, sample())
	told := make(chan bool, 64)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- k.Watch(ctx, func(lost bool) {
			select {
			case told <- lost:
			default:
			}
		})
	}()
	// The subscription may come later than the first changes: they go on until one is told of.
	for tries := 0; len(told) == 0 && tries < 500; tries++ {
		lab.Nft(t, n, "", "add", "element", "bridge", TableName, setMACs, "{ 02:00:00:00:00:99 }")
		lab.Nft(t, n, "", "delete", "element", "bridge", TableName, setMACs, "{ 02:00:00:00:00:99 }")
	}
	if len(told) == 0 {
		t.Error("nobody was told")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
