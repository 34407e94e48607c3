package nft

import (
	"errors"
	"fmt"

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
func (k *Kernel) Fills() ([]Fill, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS})
	if err != nil {
		return nil, explainErrno(fmt.Errorf("count elements: %w", err))
	}
	defer func() { _ = conn.Close() }()
	cut, clients := Fill{Kind: "cut", Size: cutSize}, Fill{Kind: "clients", Size: maxClients}
	for _, f := range families() {
		for _, ported := range []bool{false, true} {
			if err := cut.fullest(conn, unix.NFPROTO_INET, TableName, cutSet(f, ported).Name); err != nil {
				return nil, err
			}
		}
		if err := clients.fullest(conn, byte(tapFamily(f)), tapTable, setClients); err != nil {
			return nil, err
		}
	}
	return []Fill{cut, clients}, nil
}

// fullest counts the elements of one set and keeps the larger number.
func (f *Fill) fullest(conn *netlink.Conn, family byte, table, set string) error {
	messages, err := conn.Execute(dumpRequest(family, unix.NFT_MSG_GETSETELEM, table, set))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("count elements of %s: %w", set, err)
	}
	n := 0
	for _, m := range messages {
		n += elementsIn(m)
	}
	f.Elements = max(f.Elements, n)
	return nil
}

// elementsIn counts the elements in one message of a dump.
func elementsIn(m netlink.Message) (n int) {
	if len(m.Data) < 4 {
		return 0
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		if a.Type() == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			each(a.Bytes(), func(*netlink.AttributeDecoder) { n++ })
		}
	})
	return n
}
