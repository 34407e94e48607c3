package nft

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// claim returns a table as it is to be named in a batch: owned and persistent where the kernel has both flags,
// so that nobody else can change it while we live and it stays when we do not. A table that stands
// keeps its flags, which cannot be added later, but one that a daemon has left can be owned again, and one that a stranger
// has put to sleep is woken.
func (k *Kernel) claim(table *nftables.Table) (named *nftables.Table, asleep bool, err error) {
	if k.features.Owner {
		table.Flags = nftables.TableFlagOwner | nftables.TableFlagPersist
	}
	standing, err := k.standing(table.Family)
	if err != nil || standing == nil {
		return table, false, err
	}
	table.Flags = standing.Flags &^ nftables.TableFlagDormant
	if standing.Flags&nftables.TableFlagPersist != 0 {
		table.Flags |= nftables.TableFlagOwner // of one whose owner has died (nf_tables_api.c, nft_table_is_orphan)
	}
	port, err := k.conn.GetPortID()
	if err != nil {
		return nil, false, fmt.Errorf("read netlink port: %w", err)
	}
	if standing.Flags&nftables.TableFlagOwner != 0 && standing.Owner != 0 && standing.Owner != port {
		return nil, false, fmt.Errorf("%w (netlink port %d)", ErrOwned, standing.Owner)
	}
	return table, standing.Flags&nftables.TableFlagDormant != 0, nil
}

// Owner is the netlink port of another process that owns the table, 0 if none does: no table, one without owner, one whose
// owner has died, or ours.
func (k *Kernel) Owner() (uint32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	standing, err := k.standing(nftables.TableFamilyINet)
	if err != nil || standing == nil || standing.Flags&nftables.TableFlagOwner == 0 {
		return 0, explainErrno(err)
	}
	port, err := k.conn.GetPortID()
	if err != nil || standing.Owner == port {
		return 0, err
	}
	return standing.Owner, nil
}

// ErrOwned is returned when another process owns the table.
var ErrOwned = errors.New("table dockerwall is owned by another process: is a second dockerwall daemon running? stop one of them")

// Owned says whether the kernel keeps others from changing the table: false for one that was made
// without ownership, by an older kernel or another program.
func (k *Kernel) Owned() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	standing, err := k.standing(nftables.TableFamilyINet)
	return err == nil && standing != nil && standing.Flags&nftables.TableFlagOwner != 0
}

// standing returns our table of a family as the kernel lists it, nil if there is none.
func (k *Kernel) standing(f nftables.TableFamily) (*nftables.Table, error) {
	tables, err := k.conn.ListTablesOfFamily(f)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == TableName {
			return t, nil
		}
	}
	return nil, nil
}

// Exists says whether a table of our name stands, whoever made it.
func (k *Kernel) Exists() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	standing, err := k.standing(nftables.TableFamilyINet)
	return standing != nil, explainErrno(err)
}

// Fences says whether a table of our name stands and looks at packets in both hooks. An empty or
// dormant one does not.
func (k *Kernel) Fences() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	standing, err := k.standing(nftables.TableFamilyINet)
	if err != nil || standing == nil || standing.Flags&nftables.TableFlagDormant != 0 {
		return false, explainErrno(err)
	}
	base, err := liveReader{conn: k.raw, family: unix.NFPROTO_INET}.baseChains()
	if err != nil {
		return false, explainErrno(fmt.Errorf("read base chains: %w", err))
	}
	return fences(base, Forward) && fences(base, Input), nil
}

// fences says whether a base chain of ours is at the hook and has rules.
func fences(chains []Chain, h Hook) bool {
	return slices.ContainsFunc(chains, func(c Chain) bool { return c.Hook == h && len(c.Rules) > 0 })
}
