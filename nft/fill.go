package nft

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// DeniedSize is how many destinations of each family the record of a container holds.
const DeniedSize = deniedSize

// Fill is how full the fullest of some sets is.
type Fill struct {
	Kind     string // cut: flows that stay cut; clients: who asks resolvers, see [Tap]
	Elements int
	Size     int
}

// Fills reads how full the sets are that the packet path or [Kernel.Cut] fill and all containers share. Sets that do not
// stand are empty. What is beyond a full set of flows is not kept cut; answers to who is beyond a full set of clients
// are not held back.
//
// A kernel before 6.17 does not say how many elements a set has: they are listed then, which takes a second for 200,000
// (measured). That ends with the context, without an answer.
func (k *Kernel) Fills(ctx context.Context) ([]Fill, error) { return k.count(ctx, elementsOf) }

func (k *Kernel) count(ctx context.Context, told func(netlink.Message) (int, bool)) ([]Fill, error) {
	conn, err := dialRaw(k.options)
	if err != nil {
		return nil, explainErrno(fmt.Errorf("count elements: %w", err))
	}
	defer func() { _ = conn.Close() }()
	return counting{conn, ctx.Err, told}.fills()
}

// dumpBuffer is as much of a dump as the kernel gives at once (af_netlink.c, netlink_recvmsg). It looks for the place to go
// on from the beginning of the set each time, so that messages of 4 kB take eight times as long.
const dumpBuffer = 32 << 10

// counting counts elements over one connection, which must not be used after an error.
type counting struct {
	conn *netlink.Conn
	done func() error                                 // why to end, nil to go on
	told func(set netlink.Message) (n int, told bool) // what the kernel says of a set
}

func (c counting) fills() ([]Fill, error) {
	cut, clients := Fill{Kind: "cut", Size: cutSize}, Fill{Kind: "clients", Size: maxClients}
	for _, f := range families() {
		for _, ported := range []bool{false, true} {
			if err := c.fullest(&cut, unix.NFPROTO_INET, TableName, cutSet(f, ported).Name); err != nil {
				return nil, err
			}
		}
		if err := c.fullest(&clients, byte(tapFamily(f)), tapTable, setClients); err != nil {
			return nil, err
		}
	}
	return []Fill{cut, clients}, nil
}

// fullest counts the elements of one set and keeps the larger number.
func (c counting) fullest(f *Fill, family byte, table, set string) error {
	n, err := c.elements(family, table, set)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("count elements of %s: %w", set, err)
	}
	f.Elements = max(f.Elements, n)
	return nil
}

// elements asks how many there are, else has them listed. What is listed is let go message by message.
func (c counting) elements(family byte, table, set string) (n int, err error) {
	if err := c.done(); err != nil {
		return 0, err
	}
	ask := dumpRequest(family, unix.NFT_MSG_GETSET, table, set)
	ask.Header.Flags = netlink.Request // for this set only
	answer, err := c.conn.Execute(ask)
	if err != nil {
		return 0, err
	}
	for _, m := range answer {
		if n, told := c.told(m); told {
			return n, nil
		}
	}
	if _, err := c.conn.Send(dumpRequest(family, unix.NFT_MSG_GETSETELEM, table, set)); err != nil {
		return 0, err
	}
	return c.listed()
}

// listed counts what is being listed. Who leaves the loop has all the rest of it read, unless reading fails.
func (c counting) listed() (n int, err error) {
	for m, err := range c.conn.ReceiveIter() {
		if end := c.done(); end != nil {
			_ = c.conn.SetReadDeadline(time.Unix(1, 0))
			return 0, end
		}
		if err != nil {
			return 0, err
		}
		n += elementsIn(m)
	}
	return n, nil
}

// setAttrCount is NFTA_SET_COUNT of nf_tables.h (Linux 6.17). Elements that have timed out count for the second or so until
// they are collected, as they do for what is added.
const setAttrCount = 20

// elementsOf is how many elements a set has, false where the kernel does not say.
func elementsOf(set netlink.Message) (n int, told bool) {
	if len(set.Data) < 4 {
		return 0, false
	}
	each(set.Data[4:], func(a *netlink.AttributeDecoder) {
		if a.Type() == setAttrCount {
			n, told = int(a.Uint32()), true
		}
	})
	return n, told
}

// elementsIn counts the elements in one message of a dump.
func elementsIn(m netlink.Message) (n int) {
	if len(m.Data) < 4 {
		return 0
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			a.Do(func(list []byte) error { // Bytes would copy it
				in, err := netlink.NewAttributeDecoder(list)
				if err == nil {
					n += in.Len()
				}
				return err
			})
		}
	})
	return n
}
