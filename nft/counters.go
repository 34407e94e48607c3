package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Count is packets and bytes (of the IP packet, without link headers).
type Count struct{ Packets, Bytes uint64 }

func (c Count) plus(d Count) Count { return Count{c.Packets + d.Packets, c.Bytes + d.Bytes} }

// Counters are totals since the table was made; they survive commits and restarts of the daemon.
type Counters struct {
	Containers map[string]Traffic // by 12-digit ID
	Reasons    map[Reason]Count   // denied under a reason of its own, of all containers and of none
	placed     Count              // of Reasons[Invalid], what Containers have too
}

// Denied is all that was denied, or would have been, each packet once: of containers that are there, and of nobody. A
// container's own count has what was stray, multicast or invalid of it.
func (c Counters) Denied() Count {
	var out Count
	for _, t := range c.Containers {
		out = out.plus(t.Denied)
	}
	for _, reason := range []Reason{Unknown, Cutoff, Spoof, Invalid} {
		out = out.plus(c.Reasons[reason])
	}
	return Count{out.Packets - c.placed.Packets, out.Bytes - c.placed.Bytes}
}

// Traffic is what one container sent, and what of it was denied (or would be, in audit).
type Traffic struct{ Sent, Denied Count }

// Denial is one destination in a container's record of denied packets. Port is 0 for protocols
// without ports.
type Denial struct {
	Dst   netip.Addr
	Proto uint8
	Port  uint16
	Count
}

// Counters reads the totals, in six dumps whatever the number of containers. What was sent is read
// first: a packet denied meanwhile then counts as denied without having been sent, not as accepted.
func (k *Kernel) Counters() (Counters, error) {
	conn, err := dial(k.options, nftables.AsLasting())
	if err != nil {
		return Counters{}, explainErrno(fmt.Errorf("read counters: %w", err))
	}
	defer func() { _ = conn.CloseLasting() }()
	out := Counters{Containers: map[string]Traffic{}, Reasons: map[Reason]Count{}}
	for _, f := range families() {
		if err := out.addElements(conn, sentSet(f), addSent); err != nil {
			return Counters{}, err
		}
	}
	for _, f := range families() {
		err := out.addElements(conn, invalidSet(f), func(t *Traffic, c Count) {
			t.Denied, out.placed = t.Denied.plus(c), out.placed.plus(c)
		})
		if err != nil {
			return Counters{}, err
		}
	}
	for _, table := range []*nftables.Table{ours(), portsTable()} {
		objects, err := conn.GetNamedObjects(table)
		if err != nil {
			return Counters{}, fmt.Errorf("read counters: %w", err)
		}
		for _, o := range objects {
			out.add(o)
		}
	}
	return out, nil
}

// Traffic reads the totals of one container, for the moment before it goes: three small requests
// rather than dumps of everything.
func (k *Kernel) Traffic(c Container) (Traffic, error) {
	conn, err := dial(k.options, nftables.AsLasting())
	if err != nil {
		return Traffic{}, explainErrno(fmt.Errorf("read counters of %s: %w", c.ID, err))
	}
	defer func() { _ = conn.CloseLasting() }()
	out := Counters{Containers: map[string]Traffic{}, Reasons: map[Reason]Count{}}
	for _, e := range c.Endpoints {
		f := familyOf(e.Addr)
		key := []nftables.SetElement{{Key: []byte(keyOf(ifname(e.Bridge), addrBytes(e.Addr)))}}
		if err := out.addElements(conn, sentSet(f), addSent, key...); err != nil {
			return Traffic{}, err
		}
		if err := out.addElements(conn, invalidSet(f), addDenied, key...); err != nil {
			return Traffic{}, err
		}
	}
	if c.Mode == Off {
		return out.Containers[c.ID], nil
	}
	counter, err := conn.GetObject(&nftables.NamedObj{Table: ours(), Name: chainOf(c.ID) + "_drop", Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	if err != nil {
		return Traffic{}, fmt.Errorf("read counter of %s: %w", c.ID, err)
	}
	out.add(counter)
	return out.Containers[c.ID], nil
}

func addSent(t *Traffic, c Count)   { t.Sent = t.Sent.plus(c) }
func addDenied(t *Traffic, c Count) { t.Denied = t.Denied.plus(c) }

func (c *Counters) add(o nftables.Obj) {
	named, ok := o.(*nftables.NamedObj)
	if !ok {
		return
	}
	counter, ok := named.Obj.(*expr.Counter)
	if !ok {
		return
	}
	count := Count{counter.Packets, counter.Bytes}
	if reason, ok := strings.CutPrefix(named.Name, "drop_"); ok {
		c.Reasons[Reason(reason)] = count
	} else if id := ContainerOf(named.Name); id != "" {
		t := c.Containers[id]
		t.Denied = t.Denied.plus(count)
		c.Containers[id] = t
	}
}

// addElements adds what elements of a set counted, all of them or those of the given keys; their
// comments name the container.
func (c *Counters) addElements(conn *nftables.Conn, name string, add func(*Traffic, Count), keys ...nftables.SetElement) error {
	set := &nftables.Set{Table: ours(), Name: name}
	elements, err := conn.FindSetElements(set, keys)
	if err != nil {
		return fmt.Errorf("read counters of %s: %w", name, err)
	}
	for _, e := range elements {
		if id := ContainerOf(e.Comment); id != "" && e.Counter != nil {
			t := c.Containers[id]
			add(&t, Count{e.Counter.Packets, e.Counter.Bytes})
			c.Containers[id] = t
		}
	}
	return nil
}

// Denials reads a container's record of denied destinations, at most 1,024 of each family. What is
// not in it is in the container's total all the same.
func (k *Kernel) Denials(id string) ([]Denial, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS})
	if err != nil {
		return nil, explainErrno(fmt.Errorf("read denials: %w", err))
	}
	defer func() { _ = conn.Close() }()
	var out []Denial
	for _, f := range families() {
		name := deniedSet(chainOf(id), f).Name
		if set := k.lastSet(name); !set {
			continue
		}
		messages, err := conn.Execute(dumpRequest(unix.NFPROTO_INET, unix.NFT_MSG_GETSETELEM, TableName, name))
		if err != nil {
			return nil, fmt.Errorf("read denials of %s: %w", id, err)
		}
		for _, m := range messages {
			out = append(out, denialsIn(m, f)...)
		}
	}
	return out, nil
}

func (k *Kernel) lastSet(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last.table.set(name) != nil
}

// denialsIn decodes one message of a dump. The library decodes elements too, but not those that carry
// several expressions (NFTA_SET_ELEM_EXPRESSIONS, kernel 5.11).
func denialsIn(m netlink.Message, f family) []Denial {
	var out []Denial
	if len(m.Data) < 4 {
		return nil
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		if a.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return
		}
		each(a.Bytes(), func(a *netlink.AttributeDecoder) {
			if d, ok := denial(a.Bytes(), f); ok {
				out = append(out, d)
			}
		})
	})
	return out
}

// each visits the attributes in b; what is malformed ends it.
func each(b []byte, visit func(*netlink.AttributeDecoder)) {
	decoder, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return
	}
	decoder.ByteOrder = binary.BigEndian
	for decoder.Next() {
		visit(decoder)
	}
}

// setElemExpressions is NFTA_SET_ELEM_EXPRESSIONS of nf_tables.h.
const setElemExpressions = 11

func denial(element []byte, f family) (Denial, bool) {
	var d Denial
	var ok bool
	each(element, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			each(a.Bytes(), func(a *netlink.AttributeDecoder) { ok = d.readKey(string(a.Bytes()), f) })
		case unix.NFTA_SET_ELEM_EXPR:
			d.readCounter(a.Bytes())
		case setElemExpressions:
			each(a.Bytes(), func(a *netlink.AttributeDecoder) { d.readCounter(a.Bytes()) })
		}
	})
	return d, ok
}

func (d *Denial) readKey(key string, f family) bool {
	fields := fieldsOf(deniedSet("", f).Types, key)
	if fields == nil {
		return false
	}
	d.Dst, d.Proto, d.Port = addrFrom(fields[0]), fields[1][0], binary.BigEndian.Uint16([]byte(fields[2]))
	return true
}

// readCounter takes the values of an expression that is a counter.
func (d *Denial) readCounter(expression []byte) {
	var name string
	each(expression, func(a *netlink.AttributeDecoder) {
		switch {
		case a.Type() == unix.NFTA_EXPR_NAME:
			name = a.String()
		case a.Type() == unix.NFTA_EXPR_DATA && name == "counter":
			each(a.Bytes(), func(a *netlink.AttributeDecoder) {
				switch a.Type() {
				case unix.NFTA_COUNTER_PACKETS:
					d.Packets = a.Uint64()
				case unix.NFTA_COUNTER_BYTES:
					d.Bytes = a.Uint64()
				}
			})
		}
	})
}
