package nft

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// TestADaemonThatDiesBetweenBatches leaves a table that is the old one, the new one, or one with sets besides that nothing
// looks up; the next daemon makes it what it wants.
func TestADaemonThatDiesBetweenBatches(t *testing.T) {
	n, ref, g := namespace(t), reference{namespace(t)}, newGenerator(t)
	r := g.ruleset()
	for step := range diffSteps / 4 {
		k := open(t, n)
		apply(t, k, r)
		r = g.next(r)
		died := g.Intn(4)
		diesAfter(t, k, r, died)
		if g.chance(30) {
			r = g.next(r)
		}
		k = open(t, n)
		apply(t, k, r)
		sameTable(t, n, ref, r, fmt.Sprintf("step %d, died after batch %d", step, died))
		_ = k.Close()
	}
}

// diesAfter sends so many of the batches that make r, and closes the connection.
func diesAfter(t *testing.T, k *Kernel, r Ruleset, batches int) {
	t.Helper()
	plan := Diff(k.last.table, r.Table())
	names, _, err := k.names(false, k.last.table, r.Table())
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range [][]Op{plan.Prepare, plan.Commit, plan.Cleanup}[:min(batches, 3)] {
		if err := k.commit(batch, names...); err != nil {
			t.Fatal(err)
		}
		names = nil
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestATableIsReadBackWhileOthersChangeNfTables without a pause: each change is a new generation, which interrupts dumps
// (EINTR) or has them miss elements.
func TestATableIsReadBackWhileOthersChangeNfTables(t *testing.T) {
	n, ref := namespace(t), reference{namespace(t)}
	r := sample()
	own := NameSet{Clause: Clause{Proto: UDP}}
	for i := range 2000 {
		own.Addrs = append(own.Addrs, NamedAddr{Addr: netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})})
	}
	r.Containers[0].Own.Allow.Names = append(r.Containers[0].Own.Allow.Names, own)
	lab.Nft(t, n, r.String(), "-f", "-") // nobody owns it
	k := open(t, n)
	apply(t, k, r)
	set := setName(chainOf(r.Containers[0].ID), false, names, v4, own.Clause)
	for i := range 5 {
		lab.Nft(t, n, fmt.Sprintf("add element inet dockerwall %s { 203.0.113.%d, 192.0.2.%d, 192.0.2.%d }\n", set, i, 2*i, 2*i+1), "-f", "-")
		k.Invalidate()
		stop := others(t, n)
		_, err := k.Apply(r)
		if n := stop(); err != nil || n == 0 {
			t.Fatalf("round %d, with %d changes of others: %v", i, n, err)
		}
		sameTable(t, n, ref, r, fmt.Sprintf("round %d", i))
	}
}

// others changes another table, one batch after another, until the function it returns is called, which tells how often.
func others(t *testing.T, n *lab.Namespace) func() int64 {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(n.FD()), nftables.AsLasting())
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			table := conn.AddTable(&nftables.Table{Name: "noise", Family: nftables.TableFamilyINet})
			set := &nftables.Set{Name: "s", Table: table, KeyType: nftables.TypeIPAddr}
			if err := conn.AddSet(set, nil); err != nil {
				return err
			}
			for i := uint32(0); ctx.Err() == nil; i++ {
				if err := conn.SetAddElements(set, []nftables.SetElement{{Key: binary.BigEndian.AppendUint32(nil, i)}}); err != nil {
					return err
				}
				if err := conn.Flush(); err != nil {
					return err
				}
				count.Add(1)
			}
			return nil
		}()
	}()
	for count.Load() == 0 && len(done) == 0 {
		runtime.Gosched()
	}
	return sync.OnceValue(func() int64 {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		conn.DelTable(&nftables.Table{Name: "noise", Family: nftables.TableFamilyINet})
		if err := conn.Flush(); err != nil {
			t.Error(err)
		}
		_ = conn.CloseLasting()
		return count.Load()
	})
}
