package nft

import (
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// liveReader dumps nf_tables as attributes. The library's own readers leave out expressions that they
// do not know, and fail or panic on sets and objects of types that they do not know.
type liveReader struct {
	conn   *netlink.Conn
	family byte // NFPROTO_*, of the table that is read
	names  bool // only tables, and sets of what names mean
}

// liveObjects is all that is in one table.
type liveObjects struct {
	exists, owned bool
	counters      []string
	sets          []*liveSet
	chains        []*liveChain // in the order they were made
	others        []Foreign
}

func (o liveObjects) setsByName() map[string]*liveSet {
	out := make(map[string]*liveSet, len(o.sets))
	for _, s := range o.sets {
		out[s.name] = s
	}
	return out
}

// request asks for one kind of object; fields of names narrow the answer.
func (r liveReader) request(message uint16, flags netlink.HeaderFlags, fields ...netlink.Attribute) ([]attributes, error) {
	payload, err := netlink.MarshalAttributes(fields)
	if err != nil {
		return nil, err
	}
	replies, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message), Flags: netlink.Request | flags},
		Data:   append([]byte{r.family, unix.NFNETLINK_V0, 0, 0}, payload...),
	})
	if err != nil {
		return nil, err
	}
	out := make([]attributes, 0, len(replies))
	for _, m := range replies {
		if len(m.Data) >= 4 {
			out = append(out, attributesOf(m.Data[4:]))
		}
	}
	return out, nil
}

func nameOf(attribute uint16, name string) netlink.Attribute {
	return netlink.Attribute{Type: attribute, Data: []byte(name + "\x00")}
}

// generation counts the commits to all of nf_tables in the namespace.
func (r liveReader) generation() (uint64, error) {
	replies, err := r.request(unix.NFT_MSG_GETGEN, 0)
	if err != nil || len(replies) == 0 {
		return 0, err
	}
	return replies[0].number(unix.NFTA_GEN_ID), nil
}

func (r liveReader) read() (liveObjects, error) {
	var out liveObjects
	for _, step := range []struct {
		what string
		read func(*liveObjects) error
	}{
		{"tables", r.tables}, {"objects", r.objects}, {"sets", r.sets}, {"chains", r.chains},
		{"rules", r.rules}, {"flowtables", r.flowtables},
	} {
		if err := step.read(&out); err != nil {
			return out, fmt.Errorf("list %s: %w", step.what, err)
		}
		if !out.exists || r.names && step.what == "sets" {
			break
		}
	}
	return out, nil
}

func (r liveReader) tables(out *liveObjects) error {
	tables, err := r.request(unix.NFT_MSG_GETTABLE, netlink.Dump)
	for _, t := range tables {
		if t.text(unix.NFTA_TABLE_NAME) == TableName {
			out.exists = true
			out.owned = t.number(unix.NFTA_TABLE_FLAGS)&tableOwner != 0
		}
	}
	return err
}

// tableOwner is NFT_TABLE_F_OWNER of nf_tables.h.
const tableOwner = 2

func (r liveReader) objects(out *liveObjects) error {
	objects, err := r.request(unix.NFT_MSG_GETOBJ, netlink.Dump, nameOf(unix.NFTA_OBJ_TABLE, TableName))
	for _, o := range objects {
		name, kind := o.text(unix.NFTA_OBJ_NAME), o.number(unix.NFTA_OBJ_TYPE)
		if kind == unix.NFT_OBJECT_COUNTER {
			out.counters = append(out.counters, name)
		} else {
			out.addOther(objectKind(kind), name)
		}
	}
	return err
}

// addOther notes an object of a kind that we never make; what it holds is not read.
func (o *liveObjects) addOther(kind, name string) {
	text := fmt.Sprintf("\t%s %s {\n\t\t# not shown\n\t}\n", kind, quoted(name))
	o.others = append(o.others, Foreign{Kind: kind, Name: name, Text: text})
}

func (r liveReader) sets(out *liveObjects) error {
	sets, err := r.request(unix.NFT_MSG_GETSET, netlink.Dump, nameOf(unix.NFTA_SET_TABLE, TableName))
	if err != nil {
		return err
	}
	for _, a := range sets {
		s := newLiveSet(a)
		out.sets = append(out.sets, s)
		if s.flags&unix.NFT_SET_EVAL != 0 || r.names && kindOfSet(s.name) != names.String() {
			continue
		}
		if err := r.elements(s); err != nil {
			return fmt.Errorf("elements of %s: %w", s.name, err)
		}
	}
	return nil
}

// unresized is how many elements a hash set takes before the kernel makes its table larger (rhashtable:
// three quarters of 64 buckets). It does so after the commit and without a new generation, and a dump
// meanwhile misses elements or repeats them: a larger set counts as read when it reads alike twice.
const unresized = 48

// elements reads a set, a large one until it reads alike twice; see unresized.
func (r liveReader) elements(s *liveSet) error {
	var last []string
	for range readAttempts {
		lists, err := r.request(unix.NFT_MSG_GETSETELEM, netlink.Dump,
			nameOf(unix.NFTA_SET_ELEM_LIST_TABLE, TableName), nameOf(unix.NFTA_SET_ELEM_LIST_SET, s.name))
		if err != nil {
			return err
		}
		s.elements = nil
		s.read(lists)
		keys := make([]string, 0, len(s.elements))
		for _, e := range s.elements {
			keys = append(keys, e.key)
		}
		if len(keys) <= unresized || slices.Equal(keys, last) {
			break
		}
		last = keys
	}
	return nil
}

func (r liveReader) chains(out *liveObjects) error {
	chains, err := r.request(unix.NFT_MSG_GETCHAIN, netlink.Dump)
	for _, a := range chains {
		if a.text(unix.NFTA_CHAIN_TABLE) == TableName {
			out.chains = append(out.chains, &liveChain{name: a.text(unix.NFTA_CHAIN_NAME), attributes: a})
		}
	}
	return err
}

// baseChains reads those of the table that hooks call; what their rules say of sets is not read.
func (r liveReader) baseChains() ([]Chain, error) {
	var all liveObjects
	if err := r.chains(&all); err != nil {
		return nil, err
	}
	all.chains = slices.DeleteFunc(all.chains, func(c *liveChain) bool { return !c.has(unix.NFTA_CHAIN_HOOK) })
	if err := r.rules(&all); err != nil {
		return nil, err
	}
	known := newLayout()
	out := make([]Chain, 0, len(all.chains))
	for _, c := range all.chains {
		out = append(out, c.chain(nil, known.hasChain(c.name)))
	}
	return out, nil
}

// rules asks chain by chain: the kernel walks all rules of a longer dump anew for each part of it
// (measured with 2,000 chains: 9 s in one dump).
func (r liveReader) rules(out *liveObjects) error {
	for _, c := range out.chains {
		rules, err := r.request(unix.NFT_MSG_GETRULE, netlink.Dump, nameOf(unix.NFTA_RULE_TABLE, TableName), nameOf(unix.NFTA_RULE_CHAIN, c.name))
		if err != nil {
			return fmt.Errorf("of chain %s: %w", c.name, err)
		}
		c.rules = rules
	}
	return nil
}

func (r liveReader) flowtables(out *liveObjects) error {
	flowtables, err := r.request(unix.NFT_MSG_GETFLOWTABLE, netlink.Dump, nameOf(flowtableTable, TableName))
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	for _, a := range flowtables {
		out.addOther("flowtable", a.text(flowtableName))
	}
	return err
}

// dumpRequest asks for all objects of a kind in tables of a family (NFPROTO_*); the names are attributes 1, 2 and so on
// of the request.
func dumpRequest(family byte, kind uint16, names ...string) netlink.Message {
	attributes := make([]netlink.Attribute, 0, len(names))
	for i, name := range names {
		attributes = append(attributes, netlink.Attribute{Type: uint16(i + 1), Data: []byte(name + "\x00")})
	}
	data, _ := netlink.MarshalAttributes(attributes)
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{family, unix.NFNETLINK_V0, 0, 0}, data...),
	}
}
