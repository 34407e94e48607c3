package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
)

// explainRig is the host of explainWorld in namespaces: container web sends real packets, through a real table.
type explainRig struct{ host, web, far *lab.Namespace }

func newExplainRig(t *testing.T) *explainRig {
	t.Helper()
	r := &explainRig{lab.NamespaceForTest(t), lab.NamespaceForTest(t), lab.NamespaceForTest(t)}
	for _, key := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		setSysctl(t, r.host, key, "1")
	}
	for _, n := range []*lab.Namespace{r.host, r.web} {
		setSysctl(t, n, "ipv6/conf/default/accept_dad", "0")
	}
	other, routed := "br-"+idOr("", "other")[:12], "br-"+idOr("", "routed")[:12]
	var b strings.Builder
	fmt.Fprintf(&b, "link add docker0 type bridge mcast_snooping 0\nlink add veth1 type veth peer name eth0 netns %s\nlink set veth1 master docker0\n", r.web.Path())
	fmt.Fprintf(&b, "link add %s type bridge\nlink add %s type bridge\nlink add wan type veth peer name eth0 netns %s\n", other, routed, r.far.Path())
	for _, link := range []string{"docker0", "veth1", other, routed, "wan"} {
		fmt.Fprintf(&b, "link set %s up\n", link)
	}
	fmt.Fprintf(&b, "addr add 172.17.0.1/16 dev docker0\naddr add fd00:17::1/64 dev docker0 nodad\naddr add 172.18.0.1/16 dev %s\n", other)
	b.WriteString("addr add 198.51.100.1/25 dev wan\naddr add 2001:db8:ffff::1/64 dev wan nodad\n")
	for _, at := range [][2]string{{"198.51.100.2", "wan"}, {"198.51.100.53", "wan"}, {"2001:db8:ffff::fe", "wan"}, {"2001:db8:ffff::53", "wan"}, {"172.18.0.2", other}} {
		fmt.Fprintf(&b, "neigh add %s lladdr 02:00:00:00:00:fe dev %s\n", at[0], at[1])
	}
	fmt.Fprintf(&b, "route add default via 198.51.100.2\nroute add ::/0 via 2001:db8:ffff::fe dev wan\nroute add 198.51.100.128/25 dev %s\n", routed)
	ip(t, r.host, b.String())
	ip(t, r.far, "link set eth0 up\n")
	ip(t, r.web, "link set eth0 up\naddr add 172.17.0.2/16 dev eth0\naddr add fd00:17::2/64 dev eth0 nodad\nroute add default via 172.17.0.1\nroute add ::/0 via fd00:17::1 dev eth0\n")
	return r
}

func ip(t *testing.T, n *lab.Namespace, batch string) {
	t.Helper()
	cmd := n.Command(context.Background(), "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s\n%s", err, out, batch)
	}
}

func setSysctl(t *testing.T, n *lab.Namespace, key, value string) {
	t.Helper()
	if err := n.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0) }); err != nil {
		t.Fatal(err)
	}
}

// bystanders note which packets of web come to a hook, before table dockerwall and after it.
func bystanders() string {
	var b strings.Builder
	b.WriteString("table inet bystanders {\n")
	for _, when := range []string{"before", "after"} {
		for _, family := range []string{"4", "6"} {
			fmt.Fprintf(&b, "\tset %[1]s%[2]s { type ipv%[2]s_addr . inet_proto . inet_service; flags dynamic; size 65535; }\n", when, family)
			fmt.Fprintf(&b, "\tset %[1]s%[2]s_bare { type ipv%[2]s_addr . inet_proto; flags dynamic; size 65535; }\n", when, family)
		}
		priority := map[string]string{"before": "filter - 11", "after": "filter + 1"}[when]
		for _, hook := range []string{"forward", "input"} {
			fmt.Fprintf(&b, "\tchain %[1]s_%[2]s { type filter hook %[2]s priority %[3]s; policy accept;\n\t\tiifname != docker0 accept\n", when, hook, priority)
			for family, word := range map[string]string{"4": "ip", "6": "ip6"} {
				fmt.Fprintf(&b, "\t\tmeta l4proto { tcp, udp } update @%[1]s%[2]s { %[3]s daddr . meta l4proto . th dport }\n", when, family, word)
				fmt.Fprintf(&b, "\t\tmeta l4proto 47 update @%[1]s%[2]s_bare { %[3]s daddr . meta l4proto }\n", when, family, word)
			}
			fmt.Fprintf(&b, "\t\ticmp type echo-request update @%[1]s4_bare { ip daddr . meta l4proto }\n\t\ticmpv6 type echo-request update @%[1]s6_bare { ip6 daddr . meta l4proto }\n\t}\n", when)
		}
	}
	return b.String() + "}\n"
}

// watch makes the bystanders forget.
func (r *explainRig) watch(t *testing.T) {
	t.Helper()
	lab.Nft(t, r.host, "add table inet bystanders\ndelete table inet bystanders\n"+bystanders(), "-f", "-")
}

var (
	bystanderSet     = regexp.MustCompile(`(?s)set (before|after)[46](?:_bare)? \{(.*?)\n\t\}`)
	bystanderElement = regexp.MustCompile(`([0-9a-f:.]+) \. ([a-z0-9-]+)(?: \. (\d+))?`)
)

// seen is what the bystanders noted.
func (r *explainRig) seen(t *testing.T) (before, after map[Destination]bool) {
	t.Helper()
	before, after = map[Destination]bool{}, map[Destination]bool{}
	protos := map[string]uint8{"tcp": nft.TCP, "udp": nft.UDP, "icmp": nft.ICMP, "ipv6-icmp": nft.ICMPv6, "gre": 47, "47": 47}
	for _, set := range bystanderSet.FindAllStringSubmatch(lab.Nft(t, r.host, "", "-n", "list", "table", "inet", "bystanders"), -1) {
		_, list, _ := strings.Cut(set[2], "elements = ")
		for _, e := range bystanderElement.FindAllStringSubmatch(list, -1) {
			d := Destination{Addr: netip.MustParseAddr(e[1])}
			if d.Proto = protos[e[2]]; d.Proto == 0 {
				_, _ = fmt.Sscan(e[2], &d.Proto)
			}
			_, _ = fmt.Sscan(e[3], &d.Port)
			if set[1] == "before" {
				before[d] = true
			} else {
				after[d] = true
			}
		}
	}
	return before, after
}

// send sends one packet to each destination and says which of them went on after the fence. All of them arrive there.
func (r *explainRig) send(t *testing.T, to []Destination) map[Destination]bool {
	t.Helper()
	r.watch(t)
	for end := time.Now().Add(5 * time.Second); ; {
		before, _ := r.seen(t)
		missing := 0
		err := r.web.Do(func() error {
			for _, d := range to {
				if before[d] {
					continue
				}
				missing++
				if err := sendOne(d); err != nil {
					return fmt.Errorf("send to %v: %w", d, err)
				}
			}
			return nil
		})
		switch {
		case err != nil:
			t.Fatal(err)
		case missing == 0: // one that was under way may have gone on since
			_, after := r.seen(t)
			return after
		case time.Now().After(end):
			t.Fatalf("%d of %v do not arrive", missing, to)
		}
	}
}

// sendOne sends the first packet of something: a SYN, a datagram, an echo request or a GRE packet.
func sendOne(d Destination) error {
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	port := int(d.Port)
	if d.Addr.Is4() {
		to = &unix.SockaddrInet4{Addr: d.Addr.As4(), Port: port}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: d.Addr.As16(), Port: port}
	}
	kind, proto := map[uint8]int{nft.TCP: unix.SOCK_STREAM, nft.UDP: unix.SOCK_DGRAM}[d.Proto], int(d.Proto)
	if kind == 0 {
		kind = unix.SOCK_RAW
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if d.Proto == nft.TCP {
		if err = unix.Connect(fd, to); errors.Is(err, unix.EINPROGRESS) {
			err = nil
		}
		return err
	}
	return unix.Sendto(fd, opening(d.Proto), 0, to)
}

// opening is what a packet carries; the kernel puts in the checksum of ICMPv6 (RFC 3542, section 3.1).
func opening(proto uint8) []byte {
	id := rand.N(1 << 16)
	switch proto {
	case nft.ICMP:
		echo := []byte{8, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}
		sum := 8<<8 + id + 1
		sum = sum&0xffff + sum>>16
		echo[2], echo[3] = ^byte(sum>>8), ^byte(sum)
		return echo
	case nft.ICMPv6:
		return []byte{128, 0, 0, 0, byte(id >> 8), byte(id), 0, 1}
	}
	return make([]byte, 8)
}
