package nft

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Live is our tables as the kernel holds them at one moment, rules included.
type Live struct {
	Exists bool // table inet dockerwall; that of ports may stand without it
	Owned  bool // the kernel keeps all but one process from changing the table
	// Table holds what bears a name of ours, and in chains of ours also rules that strangers put there.
	// It prints as the ruleset it was committed from does, but for titles.
	Table Table
	// Foreign is what else there is in the tables, as nft text, sorted by table, kind and name.
	Foreign []Foreign
	// Names are the addresses under each name that a policy allows or denies. An address that several
	// names share is under one of them, and a name of more than 128 bytes is cut.
	Names map[string][]netip.Addr
}

// Foreign is an object in a table of ours that is not of our making.
type Foreign struct {
	Kind, Name, Text string
	Ports            bool // it is in table bridge dockerwall
}

// String prints the tables in nft(8) syntax, as [Ruleset.String] does; "" if there is none. What cannot
// be said in that syntax is a comment, and foreign objects stand at the end under one.
func (l Live) String() string {
	var b strings.Builder
	if l.Exists {
		l.print(&b, Table{Fragments: l.Table.Fragments}, "inet "+TableName)
	}
	if l.Table.Ports != nil {
		l.print(&b, Table{Fragments: l.Table.Ports}, portsTableName)
	}
	return b.String()
}

// print writes one table with what is foreign in it.
func (l Live) print(b *strings.Builder, t Table, name string) {
	var own strings.Builder
	t.print(&own, name)
	b.WriteString(strings.TrimSuffix(own.String(), "}\n"))
	for _, f := range l.Foreign {
		if f.Ports == (name == portsTableName) {
			fmt.Fprintf(b, "\n\t# not of dockerwall's making\n%s", f.Text)
		}
	}
	b.WriteString("}\n")
}

// ErrChanging is returned by [ReadLive] when nf_tables changed during every attempt to read it.
var ErrChanging = errors.New("nf_tables keeps changing; try again")

// ReadLive reads the table. It writes nothing and needs CAP_NET_ADMIN, like any reader of nf_tables;
// another process may own the table. No table is no error.
func ReadLive(o Options) (Live, error) { return readTables(o, false) }

// ReadNames reads of the table what a daemon takes over that has just started: Exists, Owned and Names. It is
// quicker than ReadLive, which asks for the rules of each chain.
func ReadNames(o Options) (Live, error) { return readTables(o, true) }

func readTables(o Options, names bool) (Live, error) {
	conn, err := dialRaw(o)
	if err != nil {
		return Live{}, explainErrno(fmt.Errorf("open netlink socket: %w", err))
	}
	defer func() { _ = conn.Close() }()
	r := liveReader{conn: conn, names: names}
	for range readAttempts {
		live, same, err := r.attempt()
		if same {
			return live, err
		}
		if err != nil {
			return Live{}, explainErrno(fmt.Errorf("read live table: %w", err))
		}
	}
	return Live{}, fmt.Errorf("read live table: %w", ErrChanging)
}

// attempt reads the table once. Only the generation tells whether a dump is of one moment; an error
// within one that is not may come of the change.
func (r liveReader) attempt() (live Live, same bool, err error) {
	before, err := r.generation()
	if err != nil {
		return Live{}, false, err
	}
	fence, err := liveReader{r.conn, unix.NFPROTO_INET, r.names}.read()
	var ports liveObjects
	if !r.names && err == nil {
		ports, err = liveReader{r.conn, unix.NFPROTO_BRIDGE, false}.read()
	}
	after, err2 := r.generation()
	if err2 != nil {
		return Live{}, false, err2
	}
	if before != after {
		return Live{}, false, nil
	}
	if err != nil {
		return Live{}, false, err
	}
	if r.names {
		return Live{Exists: fence.exists, Owned: fence.owned, Names: fence.names()}, true, nil
	}
	return liveOf(fence, ports), true, nil
}

// liveOf puts both tables together.
func liveOf(fence, ports liveObjects) Live {
	out := Live{Exists: fence.exists, Owned: fence.owned, Names: fence.names()}
	out.Table.Fragments, out.Foreign = fence.sorted(newLayout())
	if ports.exists {
		var foreign []Foreign
		out.Table.Ports, foreign = ports.sorted(newPortLayout())
		for _, f := range foreign {
			f.Ports = true
			out.Foreign = append(out.Foreign, f)
		}
	}
	titles := out.Table.titles()
	maps.Copy(titles, out.Table.serving(titles))
	for _, f := range append(slices.Clone(out.Table.Fragments), out.Table.Ports...) {
		f.Title = titles[f.Owner]
	}
	return out
}

// sorted tells what is ours, in fragments as a compiled table has them, and what is foreign.
func (o liveObjects) sorted(known layout) ([]*Fragment, []Foreign) {
	into, sets := fragments{known.owner, map[string]*Fragment{}}, o.setsByName()
	if known.ports {
		into.of("") // its presence says that the table stands
	}
	foreign := slices.Clone(o.others)
	stranger := func(kind, name, text string) { foreign = append(foreign, Foreign{Kind: kind, Name: name, Text: text}) }
	for _, c := range o.counters {
		if known.hasCounter(c) {
			f := into.of(c)
			f.Counters = append(f.Counters, c)
		} else {
			stranger("counter", c, fmt.Sprintf("\tcounter %s {\n\t}\n", quoted(c)))
		}
	}
	for _, s := range o.sets {
		if set, ok := s.ours(); ok && known.hasSet(s.name) {
			f := into.of(s.name)
			f.Sets = append(f.Sets, set)
		} else if s.flags&unix.NFT_SET_ANONYMOUS == 0 {
			stranger(s.kind(), s.name, s.text())
		}
	}
	for _, c := range o.chains {
		chain := c.chain(sets, known.hasChain(c.name))
		if known.hasChain(c.name) {
			f := into.of(c.name)
			f.Chains = append(f.Chains, chain)
		} else {
			stranger("chain", c.name, chainText(chain))
		}
	}
	sort.Slice(foreign, func(i, j int) bool { return foreign[i].Kind+" "+foreign[i].Name < foreign[j].Kind+" "+foreign[j].Name })
	return known.sorted(into.all), foreign
}

// titles names containers, networks and ports by what the maps say of them.
func (t Table) titles() map[string]string {
	out := map[string]string{}
	if t.Ports != nil {
		for _, e := range setNamed(t.Ports[0].Sets, mapAdverts).Elements {
			out[e.Verdict.Jump] = "port " + comment(strings.TrimRight(e.Key, "\x00"))
		}
	}
	for _, name := range []string{sourceMap(v4), sourceMap(v6), mapSame, mapHomes} {
		set := t.set(name)
		if set == nil {
			continue
		}
		for _, e := range set.Elements {
			switch {
			case name == mapHomes:
				out[e.Verdict.Jump] = homesTitle(strings.TrimRight(e.Key, "\x00"))
			case name == mapSame:
				out[e.Verdict.Jump] = "network on " + comment(strings.TrimRight(e.Key[:min(16, len(e.Key))], "\x00"))
			case e.Comment != "":
				out[e.Verdict.Jump] = "container " + comment(e.Comment)
			}
		}
	}
	return out
}

// names reads the comments of the sets of names.
func (o liveObjects) names() map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, s := range o.sets {
		if kindOfSet(s.name) != names.String() {
			continue
		}
		for _, e := range s.elements {
			if a := addrFrom(e.key); a.IsValid() && e.comment != "" {
				out[e.comment] = append(out[e.comment], a)
			}
		}
	}
	for name, addrs := range out {
		slices.SortFunc(addrs, netip.Addr.Compare)
		out[name] = slices.Compact(addrs)
	}
	return out
}
