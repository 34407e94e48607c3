package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// TapMode is what becomes of DNS answers on their way to a container.
type TapMode uint8

// The modes, best last. A copy comes too late for the first packet of many connections (measured).
const (
	TapOff      TapMode = iota // nobody looks at them
	TapCopy                    // they go on, and a copy is read from an nflog group
	TapXTQueue                 // they wait in a queue, by the xt target NFQUEUE through nft_compat
	TapNFTQueue                // they wait in a queue, by nft's own statement
)

// String is the mode as a setting and a metric's label spell it.
func (m TapMode) String() string {
	return [...]string{TapOff: "off", TapCopy: "copy", TapXTQueue: "xt", TapNFTQueue: "queue"}[m]
}

// Tap says which DNS answers are stopped or copied. It is tables "ip dockerwall-dns" and "ip6 dockerwall-dns", which
// are ours too, and hold nothing that could deny a packet. They are not part of table inet dockerwall because nft
// prints a table with an xt target as somebody else's, and because they end with the daemon where the kernel knows
// owners. The zero value is no tables.
//
// A queue is used only while the daemon says that it lives, see [Kernel.Beat]: what waits for a daemon that hangs
// would keep its clients from their answers.
//
// An answer passes if conntrack knows it as a reply (so somebody asked that server, from that address and port), if
// it was asked of port 53 of a server named here, and if it came in by an interface that routes to the server
// (fib) and is no bridge of Docker's: a container can forge the rest.
type Tap struct {
	Mode  TapMode
	Queue uint16 // queue number, or the nflog group
	// Mark is what the daemon's own questions carry (SO_MARK), 0 for none. The mark of their connections is
	// set to it too; their answers pass.
	Mark uint32
	// Fenced are the bridges whose containers' answers count, and Bridges all of Docker's; both sorted, each once.
	Fenced, Bridges []string
	// Resolvers are the servers whose answers go through the host, or come from it; Host those that
	// the host's own processes ask, dockerd among them. Both sorted, each once.
	Resolvers, Host []netip.Addr
	// Containers are servers which are containers; sorted, each once.
	Containers []TapServer
}

// TapServer is a resolver in a container: only what comes from its own bridge, address and port counts. Where
// addresses are not bound to ports, who shares that bridge can take the address, and is believed then.
type TapServer struct {
	Bridge string
	netip.AddrPort
}

// tapTable is the name of the tables, of family ip and ip6.
const tapTable = "dockerwall-dns"

// Sets of a tap's tables.
const (
	setFenced     = "fenced"
	setResolvers  = "resolvers"
	setHost       = "host"
	setContainers = "containers"
	setClients    = "clients"
	setAlive      = "alive"
)

// What one client's answers may cost the daemon: more than so many a second pass unread. Clients are containers, and
// the host for all that Docker asks from there; who they are is forgotten after clientIdle.
const (
	clientRate  = 2000 // a second
	clientBurst = 4000
	clientIdle  = 10 * time.Second
	maxClients  = 65535
)

// aliveFor is how long a queue is used after a beat.
const aliveFor = 3 * time.Second

// table compiles the tap for one family.
func (t Tap) table(f family) Table {
	if t.Mode == TapOff {
		return Table{}
	}
	servers := Set{Name: setContainers, Types: []keyType{typeIfname, addrType(f), typeService}}
	for _, s := range t.Containers {
		if isFamily(s.Addr(), f) {
			servers.Elements = append(servers.Elements, Element{Key: keyOf(ifname(s.Bridge), addrBytes(s.Addr()), portBytes(s.Port()))})
		}
	}
	sortElements(servers.Elements)
	addrs := func(name string, addrs []netip.Addr) Set {
		s := hashSet(f, unnamed(addrs))
		s.Name = name
		return s
	}
	sets := []Set{
		{Name: setBridges, Types: []keyType{typeIfname}, Elements: ifnames(t.Bridges)},
		{Name: setClients, Types: []keyType{addrType(f)}, Dynamic: true, Timeout: clientIdle, Size: maxClients}, servers,
		{Name: setFenced, Types: []keyType{typeIfname}, Elements: ifnames(t.Fenced)},
		addrs(setHost, t.Host), addrs(setResolvers, t.Resolvers), protoSet(setTransport, TCP, UDP),
	}
	if t.holds() {
		sets = append(sets, Set{Name: setAlive, Types: []keyType{typeProto}, Timeout: aliveFor})
		slices.SortFunc(sets, func(a, b Set) int { return strings.Compare(a.Name, b.Name) })
	}
	return Table{Fragments: []*Fragment{{Sets: sets, Chains: t.chains(f)}}}
}

func (t Tap) chains(f family) []Chain {
	forward, input, output := []Rule{}, t.own(ctMark(t.Mark), accept()), t.own(metaMark(t.Mark), setCtMark(t.Mark))
	fenced := in(setFenced, oifname())
	for _, p := range []uint8{UDP, TCP} {
		routed := []clause{notIn(setBridges, iifname()), fibSource()}
		forward = append(forward, t.answer(f, p, setResolvers, append(routed, fenced)...))
		input = append(input, t.answer(f, p, setHost, fromLoopback()), t.answer(f, p, setHost, routed...))
		output = append(output, t.answer(f, p, setResolvers, fenced))
	}
	contained := []clause{in(setTransport, l4proto()), ctReply(), in(setContainers, iifname(), anyFamily(saddr(f)), thSport())}
	forward = append(forward, rule(append(append([]clause{fenced}, contained...), t.stop(f)...)...))
	input = append(input, rule(append(contained, t.stop(f)...)...))
	return []Chain{
		{Name: chainForward, Hook: Forward, Priority: tapPriority, Rules: forward},
		{Name: chainInput, Hook: Input, Priority: tapPriority, Rules: input},
		{Name: "output", Hook: Output, Priority: tapPriority, Rules: output},
	}
}

// anyFamily is a field without a test of the packet's family, which the table's own says.
func anyFamily(f field) field {
	f.family = 0
	return f
}

// own is the rule for the daemon's own questions, if they are marked.
func (t Tap) own(clauses ...clause) []Rule {
	if t.Mark == 0 {
		return nil
	}
	return []Rule{rule(clauses...)}
}

// answer is a rule that stops answers over a protocol which were asked of port 53 of a server in a set.
func (t Tap) answer(f family, proto uint8, set string, way ...clause) Rule {
	clauses := append([]clause{originalDport(proto, Ports{53, 53}), ctReply(), in(set, anyFamily(originalDaddr(f)))}, way...)
	return rule(append(clauses, t.stop(f)...)...)
}

// holds says whether answers wait for the daemon.
func (t Tap) holds() bool { return t.Mode == TapNFTQueue || t.Mode == TapXTQueue }

// stop is the statement of the mode. The first one that a packet meets is the only one.
func (t Tap) stop(f family) []clause {
	alive, limited := in(setAlive, l4proto()), within(setClients, anyFamily(daddr(f)))
	switch t.Mode {
	case TapNFTQueue:
		return []clause{alive, limited, queue(t.Queue)}
	case TapXTQueue:
		return []clause{alive, limited, xtQueue(t.Queue)}
	default:
		return []clause{limited, logWhole(t.Queue), accept()}
	}
}

// String prints the tables as nft does; what nft has no words for is said as nft prints it.
func (t Tap) String() string {
	var b strings.Builder
	for _, f := range families() {
		if table := t.table(f); len(table.Fragments) > 0 {
			table.print(&b, tapName(f))
		}
	}
	return b.String()
}

func tapName(f family) string {
	if f == v4 {
		return "ip " + tapTable
	}
	return "ip6 " + tapTable
}

func tapFamily(f family) nftables.TableFamily {
	if f == v4 {
		return nftables.TableFamilyIPv4
	}
	return nftables.TableFamilyIPv6
}

// Validate says what the kernel would refuse of t, or take for something else.
func (t Tap) Validate() error {
	if t.Mode > TapNFTQueue {
		return fmt.Errorf("mode %d is not one", t.Mode)
	}
	bridges, addrs := slices.Concat(t.Fenced, t.Bridges), slices.Concat(t.Resolvers, t.Host)
	for _, s := range t.Containers {
		bridges, addrs = append(bridges, s.Bridge), append(addrs, s.Addr())
	}
	for _, name := range bridges {
		if err := validInterface(name); err != nil {
			return fmt.Errorf("bridge %q: %w", name, err)
		}
	}
	for _, a := range addrs {
		if err := validAddr(a); err != nil {
			return err
		}
	}
	return nil
}
