package nft

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Count is packets and bytes (of the IP packet, without link headers).
type Count struct{ Packets, Bytes uint64 }

func (c Count) plus(d Count) Count { return Count{c.Packets + d.Packets, c.Bytes + d.Bytes} }

// Counters are totals since the table was made; they survive commits and restarts of the daemon.
type Counters struct {
	Containers map[string]Traffic // by 12-digit ID
	Reasons    map[Reason]Count   // denied under a reason of its own, of all containers and of none
	// Parts are the counters that what was denied to containers is the sum of, each as the kernel has it.
	Parts []Part
	Sent  []Part // likewise of what they sent, one for each address
}

// Part is one of the kernel's counters of what a container sent or was denied. It begins anew when its container comes anew
// or, of what was sent and with Invalid, its address.
type Part struct {
	ID      string // of the container, 12 digits
	Name    string // of the counter: no other has it
	Invalid bool   // denied packets that conntrack could not place; they are under that reason too
	Count
}

// Denied is all that was denied, or would have been, each packet once: of containers that are there, and of nobody. A
// container's own count has what was stray, multicast or invalid of it. Stray segments toward containers are left out:
// they are not told from those that containers sent.
func (c Counters) Denied() Count {
	var out Count
	for _, reason := range []Reason{Unknown, Cutoff, Spoof, Invalid} {
		out = out.plus(c.Reasons[reason])
	}
	for _, p := range c.Parts {
		if !p.Invalid { // else it has a reason
			out = out.plus(p.Count)
		}
	}
	return out
}

// Traffic is what one container sent, and what of it was denied (or would be, in audit). Invalid is the part of Denied
// that conntrack could not place.
type Traffic struct{ Sent, Denied, Invalid Count }

// Denial is one destination in a container's record of denied packets. Port is 0 for protocols
// without ports.
type Denial struct {
	Dst   netip.Addr
	Proto uint8
	Port  uint16
	Count
}

// Counters reads the totals, in six dumps whatever the number of containers. What was sent is read
// first: a packet denied meanwhile then counts as denied without having been sent, not as accepted. What conntrack could
// not place is read last: the total of that reason is then never more than what its sources account for.
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
	for _, table := range []*nftables.Table{ours(), portsTable()} {
		objects, err := steady(conn, func() ([]nftables.Obj, error) { return conn.GetNamedObjects(table) })
		if err != nil {
			return Counters{}, fmt.Errorf("read counters: %w", err)
		}
		for _, o := range objects {
			out.add(o)
		}
	}
	for _, f := range families() {
		if err := out.addElements(conn, invalidSet(f), addInvalid); err != nil {
			return Counters{}, err
		}
	}
	return out, nil
}

// steadyAttempts is more than readAttempts: what is asked for here is small, and a host that learns addresses commits often.
const steadyAttempts = 20

// steady is a dump of one moment: one taken during a commit misses or repeats what it lists without any sign of it, and a
// counter that is missing once, or there twice, would be taken for one that began anew.
func steady[T any](conn *nftables.Conn, dump func() (T, error)) (T, error) {
	var none T
	for range steadyAttempts {
		before, err := conn.GetGen()
		if err != nil {
			return none, fmt.Errorf("read generation: %w", err)
		}
		out, err := dump()
		if err != nil {
			return none, err
		}
		if after, err := conn.GetGen(); err == nil && after.ID == before.ID {
			return out, nil
		}
	}
	return none, ErrChanging
}

// CountersOf reads the totals of one container, for the moment before it goes: a few small requests rather than dumps of
// everything. Of a container that is off only what its endpoints have is read.
func (k *Kernel) CountersOf(c Container) (Counters, error) {
	conn, err := dial(k.options, nftables.AsLasting())
	if err != nil {
		return Counters{}, explainErrno(fmt.Errorf("read counters of %s: %w", c.ID, err))
	}
	defer func() { _ = conn.CloseLasting() }()
	out := Counters{Containers: map[string]Traffic{}, Reasons: map[Reason]Count{}}
	for _, e := range c.Endpoints {
		f := familyOf(e.Addr)
		key := []nftables.SetElement{{Key: []byte(keyOf(ifname(e.Bridge), addrBytes(e.Addr)))}}
		if err := out.addElements(conn, sentSet(f), addSent, key...); err != nil {
			return Counters{}, err
		}
		if err := out.addElements(conn, invalidSet(f), addInvalid, key...); err != nil {
			return Counters{}, err
		}
	}
	if c.Mode == Off {
		return out, nil
	}
	counter, err := conn.GetObject(&nftables.NamedObj{Table: ours(), Name: chainOf(c.ID) + "_drop", Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	if err != nil {
		return Counters{}, fmt.Errorf("read counter of %s: %w", c.ID, err)
	}
	out.add(counter)
	return out, nil
}

func addSent(c *Counters, p Part) {
	t := c.Containers[p.ID]
	t.Sent = t.Sent.plus(p.Count)
	c.Containers[p.ID] = t
	c.Sent = append(c.Sent, p)
}

func addDenied(c *Counters, p Part) {
	t := c.Containers[p.ID]
	t.Denied = t.Denied.plus(p.Count)
	if p.Invalid {
		t.Invalid = t.Invalid.plus(p.Count)
	}
	c.Containers[p.ID] = t
	c.Parts = append(c.Parts, p)
}

func addInvalid(c *Counters, p Part) {
	p.Invalid = true
	addDenied(c, p)
}

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
		addDenied(c, Part{ID: id, Name: named.Name, Count: count})
	}
}

// addElements adds what elements of a set counted, all of them or those of the given keys; their
// comments name the container.
func (c *Counters) addElements(conn *nftables.Conn, name string, add func(*Counters, Part), keys ...nftables.SetElement) error {
	set := &nftables.Set{Table: ours(), Name: name}
	dump := func() ([]nftables.SetElement, error) { return conn.FindSetElements(set, keys) }
	var elements []nftables.SetElement
	var err error
	if len(keys) > 0 { // that is no dump
		elements, err = dump()
	} else {
		elements, err = steady(conn, dump)
	}
	if err != nil {
		return fmt.Errorf("read counters of %s: %w", name, err)
	}
	told := make(map[string]bool, len(elements)) // a set that grows larger may repeat one, see unresized
	for _, e := range elements {
		if id := ContainerOf(e.Comment); id != "" && e.Counter != nil && !told[string(e.Key)] {
			told[string(e.Key)] = true
			add(c, Part{ID: id, Name: name + " " + hex.EncodeToString(e.Key), Count: Count{e.Counter.Packets, e.Counter.Bytes}})
		}
	}
	return nil
}
