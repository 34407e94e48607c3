package nft

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Features are what a kernel may lack; found by trying, because distributions carry patches back.
type Features struct {
	// Owner: tables know the flags owner and persist (5.12 and 6.9). Without them anybody can change
	// the table; such changes are seen and repaired.
	Owner bool
	// ElementLimit: an element can carry a counter and a limit (5.11).
	ElementLimit bool
	// Ports: table bridge dockerwall can be made; see [Ruleset.BindPorts]. A kernel may be without nf_tables for bridges
	// (CONFIG_NF_TABLES_BRIDGE).
	Ports bool
	// Taps are the modes of [Tap] that the kernel's rules can express, best first; whether a queue has a
	// reader is another matter. Empty without fib, conntrack marks and the like.
	Taps []TapMode

	families []family // that a tap can have: IPv6 may be left out of a kernel
}

// probeTable is the scratch table; it is deleted in the batch that makes it.
const probeTable = "dockerwall-probe"

// probe fails when the table cannot be built at all.
func probe(conn *nftables.Conn) (Features, error) {
	if err := try(conn, 0, false); err != nil {
		return Features{}, err
	}
	features := Features{
		Owner:        try(conn, nftables.TableFlagOwner|nftables.TableFlagPersist, false) == nil,
		ElementLimit: try(conn, 0, true) == nil,
		Ports:        tryPorts(conn) == nil,
	}
	for _, f := range families() {
		if tryTap(conn, f, TapCopy) == nil {
			features.families = append(features.families, f)
		}
	}
	for _, mode := range []TapMode{TapNFTQueue, TapXTQueue, TapCopy} {
		if tryTap(conn, v4, mode) == nil {
			features.Taps = append(features.Taps, mode)
		}
	}
	return features, nil
}

// tryTap makes a tap's whole table under another name and deletes it in the same batch.
func tryTap(conn *nftables.Conn, f family, mode TapMode) error {
	table := conn.AddTable(&nftables.Table{Name: probeTable, Family: tapFamily(f)})
	plan := Diff(Table{}, Tap{Mode: mode, Mark: 1}.table(f))
	for _, op := range plan.Commit {
		if err := op.write(conn, table); err != nil {
			return errors.Join(err, conn.Flush())
		}
	}
	conn.DelTable(table)
	return conn.Flush()
}

// tryPorts makes the bridge table under another name, with one port, and deletes it in the same batch.
func tryPorts(conn *nftables.Conn) error {
	table := conn.AddTable(&nftables.Table{Name: probeTable, Family: nftables.TableFamilyBridge})
	port := Port{Name: "probe", MAC: MAC{2}, Addrs: []netip.Addr{netip.IPv6LinkLocalAllNodes()}}
	wanted := Ruleset{BindPorts: true, Ports: []Port{port}}.Table().Ports
	for _, op := range diffFragments(nil, wanted).Commit {
		if err := op.write(conn, table); err != nil {
			return errors.Join(err, conn.Flush())
		}
	}
	conn.DelTable(table)
	return conn.Flush()
}

func try(conn *nftables.Conn, flags nftables.TableFlags, elementLimit bool) error {
	table := conn.AddTable(&nftables.Table{Name: probeTable, Family: nftables.TableFamilyINet, Flags: flags})
	if err := fill(conn, table, elementLimit); err != nil {
		return errors.Join(err, conn.Flush())
	}
	conn.DelTable(table)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("try a scratch table: %w", err)
	}
	return nil
}

// fill puts into the scratch table one of each thing that our rules need and old kernels lack.
func fill(conn *nftables.Conn, table *nftables.Table, elementLimit bool) error {
	set := deniedSet("probe", v4).netlink(table)
	if err := conn.AddSet(set, nil); err != nil {
		return err
	}
	box := Set{Name: "box", Types: []keyType{typeIPv4, typeProto, typeService}, Interval: true}.netlink(table)
	if err := conn.AddSet(box, nil); err != nil {
		return err
	}
	chain := conn.AddChain(&nftables.Chain{Name: "probe", Table: table})
	record := record(set.Name, elementLimit, daddr(v4), l4proto(), thDport())
	for _, c := range [][]clause{{record}, {unknownBridge()}, {ctNew()}, {logLimit(), log("probe", 0)}, {rejectAdmin()}} {
		var exprs []expr.Any
		for _, part := range c {
			exprs = append(exprs, part.exprs()...)
		}
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	return nil
}

// IsPermission says whether err means missing rights.
func IsPermission(err error) bool { return errors.Is(err, unix.EPERM) }
