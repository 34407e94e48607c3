package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Live is table inet dockerwall as the kernel holds it at one moment, rules included.
type Live struct {
	Exists bool
	Owned  bool // the kernel keeps all but one process from changing the table
	// Table holds what bears a name of ours, and in chains of ours also rules that strangers put there.
	// It prints as the ruleset it was committed from does, but for titles.
	Table Table
	// Foreign is what else there is in the table, as nft text, sorted by kind and name.
	Foreign []Foreign
	// Names are the addresses under each name that a policy allows or denies. An address that several
	// names share is under one of them, and a name of more than 128 bytes is cut.
	Names map[string][]netip.Addr
}

// Foreign is an object in our table that is not of our making.
type Foreign struct{ Kind, Name, Text string }

// String prints the table in nft(8) syntax, as [Ruleset.String] does; "" if there is none. What cannot
// be said in that syntax is a comment, and foreign objects stand at the end under one.
func (l Live) String() string {
	if !l.Exists {
		return ""
	}
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(l.Table.String(), "}\n"))
	for _, f := range l.Foreign {
		fmt.Fprintf(&b, "\n\t# not of dockerwall's making\n%s", f.Text)
	}
	b.WriteString("}\n")
	return b.String()
}

// ErrChanging is returned by [ReadLive] when nf_tables changed during every attempt to read it.
var ErrChanging = errors.New("nf_tables keeps changing; try again")

// ReadLive reads the table. It writes nothing and needs CAP_NET_ADMIN, like any reader of nf_tables;
// another process may own the table. No table is no error.
func ReadLive(o Options) (Live, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: o.NetNS})
	if err != nil {
		return Live{}, explainErrno(fmt.Errorf("open netlink socket: %w", err))
	}
	defer func() { _ = conn.Close() }()
	r := liveReader{conn}
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
	objects, err := r.read()
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
	return objects.live(), true, nil
}

// live sorts what was read into what is ours and what is foreign.
func (o liveObjects) live() Live {
	out := Live{Exists: o.exists, Owned: o.owned, Names: o.names()}
	fragments, known, sets := map[string]*Fragment{}, newLayout(), o.setsByName()
	for _, c := range o.counters {
		if known.hasCounter(c) {
			f := fragmentOf(fragments, c)
			f.Counters = append(f.Counters, c)
		} else {
			out.Foreign = append(out.Foreign, Foreign{"counter", c, fmt.Sprintf("\tcounter %s {\n\t}\n", quoted(c))})
		}
	}
	for _, s := range o.sets {
		if set, ok := s.ours(); ok && known.hasSet(s.name) {
			f := fragmentOf(fragments, s.name)
			f.Sets = append(f.Sets, set)
		} else if s.flags&unix.NFT_SET_ANONYMOUS == 0 {
			out.Foreign = append(out.Foreign, Foreign{s.kind(), s.name, s.text()})
		}
	}
	for _, c := range o.chains {
		chain := c.chain(sets, known.hasChain(c.name))
		if known.hasChain(c.name) {
			f := fragmentOf(fragments, c.name)
			f.Chains = append(f.Chains, chain)
		} else {
			out.Foreign = append(out.Foreign, Foreign{"chain", c.name, chainText(chain)})
		}
	}
	out.Foreign = append(out.Foreign, o.others...)
	out.Table = known.table(fragments)
	out.sort()
	return out
}

func (l *Live) sort() {
	slices.SortFunc(l.Foreign, func(a, b Foreign) int {
		return strings.Compare(a.Kind+" "+a.Name, b.Kind+" "+b.Name)
	})
	titles := l.Table.titles()
	for _, f := range l.Table.Fragments {
		f.Title = titles[f.Owner]
	}
}

// titles names containers and networks by what the maps say of them.
func (t Table) titles() map[string]string {
	out := map[string]string{}
	for _, name := range []string{sourceMap(v4), sourceMap(v6), mapSame} {
		set := t.set(name)
		if set == nil {
			continue
		}
		for _, e := range set.Elements {
			switch {
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
