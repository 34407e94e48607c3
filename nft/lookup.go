package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Lookup is what the kernel's table says of packets of one container.
type Lookup struct {
	// Strange says in a sentence what of the table is not as the ruleset has it, sets of addresses aside; "" if nothing.
	// Then nobody can tell what becomes of the packets.
	Strange string
	Found   []Found // of each packet
}

// Found is what the kernel makes of a packet, told from the elements that its sets hold.
type Found struct {
	Judgement
	Hits []Hit // sets that hold its destination and count for it, denials and allows
}

// Hit is an element that has a packet's destination.
type Hit struct {
	Set  string
	Deny bool
	Name string // that put the address there, "" when no name did
}

// Lookup asks the kernel about packets that open a connection, sent by a container of r from one of its endpoints. r is
// the ruleset as committed: rules are compared with it, and of sets it tells which count. Each set is asked for its
// one element (NFT_MSG_GETSETELEM with a key), however large it is. It reads over a connection of its own and
// changes nothing.
func (k *Kernel) Lookup(r Ruleset, c Container, packets []Packet) (Lookup, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS})
	if err != nil {
		return Lookup{}, explainErrno(fmt.Errorf("look up packets: %w", err))
	}
	defer func() { _ = conn.Close() }()
	l := looker{liveReader: liveReader{conn: conn, family: unix.NFPROTO_INET}, rules: r, container: c, sets: map[setsKey][]matchSet{}}
	var out Lookup
	if out.Strange, err = l.strange(); err != nil {
		return Lookup{}, explainErrno(fmt.Errorf("look up packets of %s: %w", c.ID, err))
	}
	for _, p := range packets {
		found, err := l.judge(p)
		if err != nil {
			return Lookup{}, explainErrno(fmt.Errorf("look up packets of %s: %w", c.ID, err))
		}
		out.Found = append(out.Found, found)
	}
	return out, nil
}

// looker is one look at the kernel.
type looker struct {
	liveReader
	rules     Ruleset
	container Container
	sets      map[setsKey][]matchSet // compiled once
}

type setsKey struct {
	owner  string
	deny   bool
	family family
}

// judge lets the oracle decide with nothing but what the kernel holds of the packet.
func (l *looker) judge(p Packet) (Found, error) {
	held, err := l.members(p)
	if err != nil {
		return Found{}, err
	}
	var out Found
	if held.NotPublic, err = l.notPublic(p); err != nil {
		return Found{}, err
	}
	c := &held.Containers[0]
	if c.Mode != Off {
		if c.Own, err = l.source(chainOf(c.ID), c.Own, p, &out.Hits); err != nil {
			return Found{}, err
		}
		for _, s := range l.rules.Sources {
			if !slices.Contains(c.Shared, s.Name) {
				continue
			}
			if s, err = l.source(s.Name, s, p, &out.Hits); err != nil {
				return Found{}, err
			}
			held.Sources = append(held.Sources, s)
		}
	}
	out.Judgement = held.Judge(p)
	return out, nil
}

// members is the ruleset as far as the kernel's maps lead the packet to the container's chain; its sources are missing.
func (l *looker) members(p Packet) (Ruleset, error) {
	out := l.rules
	out.Containers, out.Sources, out.Ports = []Container{l.container}, nil, nil
	fenced, err := l.has(setBridges, ifname(p.In))
	if err != nil {
		return out, err
	}
	stays, err := l.has(mapSame, keyOf(ifname(p.In), ifname(p.In)))
	if err != nil {
		return out, err
	}
	out.Bridges = slices.DeleteFunc(slices.Clone(out.Bridges), func(b Bridge) bool { return b.Name == p.In && !fenced })
	for i := range out.Bridges {
		if b := &out.Bridges[i]; b.Name == p.In && !stays {
			b.Network = ""
		}
	}
	e, known, err := l.element(sourceMap(familyOf(p.Src)), keyOf(ifname(p.In), addrBytes(p.Src)))
	if err == nil && (!known || e.verdict.text(unix.NFTA_VERDICT_CHAIN) != chainOf(l.container.ID)) {
		out.Containers[0].Endpoints = nil
	}
	return out, err
}

// notPublic is the destination where _internet_ does not open it.
func (l *looker) notPublic(p Packet) ([]netip.Prefix, error) {
	if !l.rules.asksInternet() {
		return nil, nil
	}
	held, err := l.has(notPublicSet(familyOf(p.Dst)), addrBytes(p.Dst))
	if !held {
		return nil, err
	}
	return []netip.Prefix{netip.PrefixFrom(p.Dst, p.Dst.BitLen())}, nil
}

func (l *looker) source(owner string, s Source, p Packet, hits *[]Hit) (Source, error) {
	var err error
	if s.Deny, err = l.matches(setsKey{owner, true, familyOf(p.Dst)}, s.Deny, p, hits); err != nil {
		return s, err
	}
	s.Allow, err = l.matches(setsKey{owner, false, familyOf(p.Dst)}, s.Allow, p, hits)
	return s, err
}

// matches is m with those of its addresses that the kernel holds of the packet; what is said by rules alone stays.
func (l *looker) matches(key setsKey, m Matches, p Packet, hits *[]Hit) (Matches, error) {
	out := Matches{All: m.All, Host: m.Host, Internet: m.Internet}
	for _, s := range l.setsOf(key, m) {
		e, held, err := l.element(s.Name, s.key(p))
		if err != nil {
			return out, err
		}
		if !held {
			continue
		}
		if one := (Matches{}).with(s, p, e.comment); l.rules.covers(one, p, key.deny) {
			*hits = append(*hits, Hit{Set: s.Name, Deny: key.deny, Name: e.comment})
		}
		out = out.with(s, p, e.comment)
	}
	return out, nil
}

// setsOf are the sets of matches, compiled once.
func (l *looker) setsOf(key setsKey, m Matches) []matchSet {
	sets, ok := l.sets[key]
	if !ok {
		sets = matchSets(key.owner, key.deny, m, key.family)
		l.sets[key] = sets
	}
	return sets
}

// key is what a rule looks up in the set.
func (m matchSet) key(p Packet) string {
	if m.kind == addrBox || m.kind == netBox {
		return keyOf(addrBytes(p.Dst), protoBytes(p.Proto), portBytes(p.DstPort))
	}
	return addrBytes(p.Dst)
}

// with is m and the packet's destination, as a set that holds it says.
func (m Matches) with(s matchSet, p Packet, name string) Matches {
	at := Range{p.Dst, p.Dst}
	box := Box{at, p.Proto, Ports{p.DstPort, p.DstPort}}
	switch s.kind {
	case addrAny:
		m.Addrs.Any = append(m.Addrs.Any, at)
	case addrICMP:
		m.Addrs.ICMP = append(m.Addrs.ICMP, at)
	case addrBox:
		m.Addrs.Boxes = append(m.Addrs.Boxes, box)
	case resolvers:
		m.Resolvers = append(m.Resolvers, p.Dst)
	case netAny:
		m.Nets.Any = append(m.Nets.Any, at)
	case netICMP:
		m.Nets.ICMP = append(m.Nets.ICMP, at)
	case netBox:
		m.Nets.Boxes = append(m.Nets.Boxes, box)
	case names:
		m.Names = append(m.Names, NameSet{Clause: s.clause, Addrs: []NamedAddr{{p.Dst, name}}})
	}
	return m
}

func (l *looker) has(set, key string) (bool, error) {
	_, ok, err := l.element(set, key)
	return ok, err
}

// element asks a set for the element that a key falls into; false also when there is no such set.
func (l *looker) element(set, key string) (liveElement, bool, error) {
	value, err := nest(unix.NFTA_DATA_VALUE, []byte(key))
	for _, kind := range []uint16{unix.NFTA_SET_ELEM_KEY, unix.NFTA_LIST_ELEM} {
		if err == nil {
			value, err = nest(unix.NLA_F_NESTED|kind, value)
		}
	}
	if err != nil {
		return liveElement{}, false, err
	}
	lists, err := l.request(unix.NFT_MSG_GETSETELEM, 0,
		nameOf(unix.NFTA_SET_ELEM_LIST_TABLE, TableName), nameOf(unix.NFTA_SET_ELEM_LIST_SET, set),
		netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_SET_ELEM_LIST_ELEMENTS, Data: value})
	if errors.Is(err, unix.ENOENT) {
		return liveElement{}, false, nil
	}
	if err != nil {
		return liveElement{}, false, fmt.Errorf("element of %s: %w", set, err)
	}
	for _, list := range lists {
		for _, b := range listOf(list.at(unix.NFTA_SET_ELEM_LIST_ELEMENTS)) {
			return newLiveElement(attributesOf(b)), true, nil
		}
	}
	return liveElement{}, false, nil
}

func nest(kind uint16, data []byte) ([]byte, error) {
	return netlink.MarshalAttributes([]netlink.Attribute{{Type: kind, Data: data}})
}
