package nft

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

// road is the way of a container's packets through a host:
//
//	container ── docker0 ─ host ─ wan ── server
//
// The host tracks connections and masquerades, as Docker sets it up. What is sent in datagrams of sunkSize to any address
// of 10.0.0.0/8 is counted and ends where it reaches the server, so that no receiver is measured; other datagrams to
// echoPort come back. All is worked off on the CPU that sends.
type road struct {
	container, host, server *lab.Namespace
	sender                  Container // whose address the container has
	sockets                 []int     // of the container: UDP
}

const (
	echoPort    = 9
	bulkPort    = 10
	connectPort = 11
	sunkSize    = 20    // bytes of payload
	firstPort   = 20000 // of the container's sockets
	allSockets  = 16
)

// newRoad makes the road of the container in the middle of a crowd of n.
func newRoad(b *testing.B, n int) *road {
	b.Helper()
	at := crowdIndex(n / 2)
	r := &road{container: namespace(b), host: namespace(b), server: namespace(b), sender: fleetContainer(at)}
	for _, ns := range []*lab.Namespace{r.container, r.host, r.server} {
		sysctl(b, ns, "net/ipv6/conf/default/disable_ipv6", "1")
		sysctl(b, ns, "net/ipv4/conf/all/rp_filter", "0")
		sysctl(b, ns, "net/ipv4/conf/default/rp_filter", "0")
	}
	sysctl(b, r.host, "net/ipv4/ip_forward", "1")
	sysctl(b, r.host, "net/netfilter/nf_conntrack_udp_timeout", "600") // what is established once stays it
	port := fleetPort(at)
	ipBatch(b, r.host, fmt.Sprintf(`link add docker0 address %[1]s type bridge
addr add %[2]s/16 dev docker0
link set docker0 up
link add %[3]s type veth peer name eth0 address %[4]s netns %[5]s
link set %[3]s master docker0 up
link add wan type veth peer name eth0 netns %[6]s
link set wan up
addr add 192.0.2.1/24 dev wan
`, gatewayMAC, gateway4, port.Name, port.MAC, r.container.Path(), r.server.Path()))
	ipBatch(b, r.server, "link set eth0 up\naddr add 192.0.2.254/24 dev eth0\nroute add local 10.0.0.0/8 dev lo\n")
	ipBatch(b, r.container, fmt.Sprintf("link set eth0 up\naddr add %s/16 dev eth0\nroute add default via %s\n", r.sender.Endpoints[0].Addr, gateway4))
	ipBatch(b, r.host, "route add default via 192.0.2.254\n")
	lab.Nft(b, r.host, `table ip nat {
	chain postrouting { type nat hook postrouting priority srcnat; oifname != "docker0" ip saddr 172.17.0.0/16 masquerade; }
}`, "-f", "-")
	lab.Nft(b, r.server, fmt.Sprintf(`table netdev sink {
	counter got { }
	chain in { type filter hook ingress device "eth0" priority 0; udp length %d counter name "got" drop; }
}`, 8+sunkSize), "-f", "-")
	for i := range allSockets {
		fd := socketIn(b, r.container, unix.SOCK_DGRAM, firstPort+i)
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
			b.Fatal(err)
		}
		r.sockets = append(r.sockets, fd)
	}
	r.serve(b)
	return r
}

// crowdIndex is the fleet's index of the i-th container of a crowd; none has the network's address or the gateway's.
func crowdIndex(i int) int { return 2*i + 2 }

// crowd is a ruleset of n containers on docker0 as the daemon makes it: bound to their ports, each with 20 addresses of
// its own.
func crowd(n int) Ruleset {
	r := fleet(0)
	r.BindPorts = true
	r.Bridges = []Bridge{{
		Name: "docker0", Network: "b00000000002", Subnets: prefixes("172.17.0.0/16"), MAC: gatewayMAC, Addrs: []netip.Addr{gateway4},
	}}
	for i := range n {
		r.Containers = append(r.Containers, fleetContainer(crowdIndex(i)))
		r.Ports = append(r.Ports, fleetPort(crowdIndex(i)))
	}
	return r
}

// fencedRoad is a road with the table of a crowd of n on it.
func fencedRoad(b *testing.B, n int) *road {
	b.Helper()
	r := newRoad(b, n)
	apply(b, open(b, r.host), crowd(n))
	return r
}

// linearRoad is a road with the rules that the old program made for a crowd of n: a chain of what is allowed with a rule and
// an ipset a container, and a chain of what is logged with another rule a container.
func linearRoad(b *testing.B, n int) *road {
	b.Helper()
	r := newRoad(b, n)
	var sets, allow, deny strings.Builder
	fmt.Fprintln(&sets, "create managed-subnets hash:net\nadd managed-subnets 172.17.0.0/16")
	for _, c := range crowd(n).Containers {
		fmt.Fprintf(&sets, "create %s-dst hash:ip\n", c.ID)
		for _, a := range c.Own.Allow.Addrs.Any {
			fmt.Fprintf(&sets, "add %s-dst %s\n", c.ID, a.First)
		}
		fmt.Fprintf(&allow, "-A DOCKERWALL-ALLOW -s %s -m set --match-set %s-dst dst -j ACCEPT\n", c.Endpoints[0].Addr, c.ID)
		fmt.Fprintf(&deny, "-A DOCKERWALL-DENY -s %s -j NFLOG --nflog-group 32 --nflog-prefix %s\n", c.Endpoints[0].Addr, c.ID)
	}
	r.restore(b, sets.String(), "ipset")
	r.restore(b, `*filter
:DOCKER-USER -
:DOCKERWALL-ALLOW -
:DOCKERWALL-DENY -
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -m set --match-set managed-subnets src -j DOCKERWALL-ALLOW
-A DOCKER-USER -m set --match-set managed-subnets src -j DOCKERWALL-DENY
-A DOCKER-USER -m set --match-set managed-subnets src -j DROP
`+allow.String()+deny.String()+"COMMIT\n", iptablesRestore())
	return r
}

// iptablesRestore is what loads rules of iptables: the legacy ones where there still are some, as they cost less.
func iptablesRestore() string {
	if path, err := exec.LookPath("iptables-legacy-restore"); err == nil {
		return path
	}
	return "iptables-restore"
}

func (r *road) restore(b *testing.B, text, program string) {
	b.Helper()
	args := []string{}
	if program == "ipset" {
		args = append(args, "restore")
	}
	cmd := r.host.Command(b.Context(), program, args...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// forget has the host's conntrack forget all flows.
func (r *road) forget(b *testing.B) {
	b.Helper()
	if out, err := r.host.Command(b.Context(), "conntrack", "-F").CombinedOutput(); err != nil {
		b.Fatalf("conntrack -F: %v\n%s", err, out)
	}
}

var packetsText = regexp.MustCompile(`packets (\d+)`)

// arrived is how many datagrams ended at the server since the road was made.
func (r *road) arrived(b *testing.B) int {
	b.Helper()
	return counted(b, r.server, "netdev", "sink", "got")
}

// dropped is how many packets the sender's chain denied.
func (r *road) dropped(b *testing.B) int {
	b.Helper()
	return counted(b, r.host, "inet", TableName, chainOf(r.sender.ID)+"_drop")
}

func counted(b *testing.B, ns *lab.Namespace, counter ...string) int {
	b.Helper()
	text := lab.Nft(b, ns, "", append([]string{"list", "counter"}, counter...)...)
	n, err := strconv.Atoi(packetsText.FindStringSubmatch(text)[1])
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// allowed is the i-th of the addresses that the sender may send to.
func (r *road) allowed(i int) netip.Addr {
	all := r.sender.Own.Allow.Addrs.Any
	return all[i%len(all)].First
}

// socketIn is an IPv4 socket of a namespace, bound to a port of any address; it ends with the benchmark.
func socketIn(b *testing.B, n *lab.Namespace, kind, port int) int {
	b.Helper()
	var fd int
	err := n.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}
