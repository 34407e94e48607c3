package nft

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
)

// tapped is a tap as the kernel holds it.
type tapped struct {
	known  bool
	holds  bool
	tables map[family]Table
}

// ApplyTap makes the tap's tables equal to t. Chains stay while there is a tap: taking a hook away makes the kernel
// drop all packets that wait in queues (nfqnl_nf_hook_drop).
func (k *Kernel) ApplyTap(t Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.removed {
		return ErrRemoved
	}
	if err := t.Validate(); err != nil {
		return fmt.Errorf("refuse DNS tap: %w", err)
	}
	for _, f := range k.features.families {
		if err := k.applyTap(f, t.table(f)); err != nil {
			k.tap.known = false
			return explainErrno(fmt.Errorf("commit table %s: %w", tapName(f), err))
		}
	}
	k.tap.known, k.tap.holds = true, t.holds()
	return k.beat()
}

// Beat says that the daemon lives, for the next three seconds. Without beats answers pass as if nobody read the queue. It
// does nothing while there is no queue.
func (k *Kernel) Beat() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beat()
}

// beat puts the elements in anew: adding one that is there extends nothing before 6.12, and deleting one that has
// just expired voids a batch, so it is added before.
func (k *Kernel) beat() error {
	if !k.tap.known || !k.tap.holds {
		return nil
	}
	alive := Set{Name: setAlive, Types: []keyType{typeProto}, Timeout: aliveFor}
	both := protoSet("", TCP, UDP).Elements
	for _, f := range k.features.families {
		table := &nftables.Table{Name: tapTable, Family: tapFamily(f)}
		err := k.send(table, tapName(f), []Op{addElements{alive, both}, delElements{alive, both}, addElements{alive, both}})
		if err != nil {
			k.tap.known = false
			return explainErrno(fmt.Errorf("keep table %s alive: %w", tapName(f), err))
		}
	}
	return nil
}

func (k *Kernel) applyTap(f family, wanted Table) error {
	table := &nftables.Table{Name: tapTable, Family: tapFamily(f)}
	old, gone := k.tap.tables[f], len(wanted.Fragments) == 0
	plan := Diff(old, wanted)
	switch {
	case !k.tap.known:
		// Whatever stands: what an older kernel let a daemon that was killed leave, or a stranger's change.
		k.conn.AddTable(&nftables.Table{Name: tapTable, Family: tapFamily(f), Flags: k.standingTap(f)})
		k.conn.DelTable(table)
		plan = Diff(Table{}, wanted)
	case gone && len(old.Fragments) > 0:
		k.conn.DelTable(table)
		plan = Plan{}
	case plan.Empty():
		return nil
	}
	if !gone {
		table.Flags = k.tapFlags()
		k.conn.AddTable(table)
	}
	if err := k.send(table, tapName(f), slices.Concat(plan.Commit, plan.Cleanup)); err != nil {
		return err
	}
	if k.tap.tables == nil {
		k.tap.tables = map[family]Table{}
	}
	k.tap.tables[f] = wanted
	return nil
}

// tapFlags make the kernel take the tables away when the daemon ends, however it does: without a reader they
// are of no use.
func (k *Kernel) tapFlags() nftables.TableFlags {
	if k.features.Owner {
		return nftables.TableFlagOwner
	}
	return 0
}

// standingTap is the flags that name a table which may stand: an owned one can only be ours.
func (k *Kernel) standingTap(f family) nftables.TableFlags {
	tables, err := k.conn.ListTablesOfFamily(tapFamily(f))
	if err != nil {
		return 0
	}
	for _, t := range tables {
		if t.Name == tapTable {
			return t.Flags
		}
	}
	return k.tapFlags()
}
