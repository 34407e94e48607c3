package main

const pathsPreface = `# Every path out of a container

Each cell is a test that sends real packets from a container and counts at the far side; its name is the link's title
(` + "`go test ./cmd/dockerwall -run 'TestPaths/newest/IPv6/tcp$'`" + `). The table is written by
` + "`go test ./cmd/dockerwall -run Document -update`" + ` and compared in every test run.

- **fenced**: not one packet arrives, and the same packets of a container that may do arrive.
- **passes by design**: nothing stops it, and nothing should.
- **cannot be fenced**: it passes none of our hooks. Such a container counts as ` + "`dockerwall_containers{state=\"unfenced\"}`" + `.

`

// allPaths is the table: docs/paths.md is written from it.
func allPaths() []path {
	const (
		noLAN6     = "Docker 20.10 has no address translation for IPv6"
		only4      = "IPv6 knows no broadcast, and no spelling of another family's addresses in IPv4"
		always6    = "IPv4 has no link-local address here"
		noSpelling = "an IPv4 packet cannot spell an address of another family"
	)
	return []path{
		{name: "tcp", sentence: "tcp to LAN and internet", want: fenced, try: far("tcp %s:80")},
		{name: "udp", sentence: "udp to LAN and internet", want: fenced, try: far("udp %s:5000")},
		{name: "icmp", sentence: "ping to LAN and internet", want: fenced, try: far("ping %s")},
		{name: "other-protocols", sentence: "GRE, SCTP, ESP and a protocol without a name", want: fenced, try: far("raw 47 %s", "raw 132 %s", "raw 50 %s", "raw 253 %s")},
		{name: "fragments", sentence: "a packet larger than the network's", want: fenced, try: far("udp -size 4000 %s:5000")},
		{name: "odd-headers", sentence: "tiny and atomic fragments, IPv4 options, IPv6 extension headers", want: fenced, try: oddHeaders},
		{name: "odd-frames", sentence: "priority-tagged frames (VLAN 0), and frames to everybody with the host's address in them", want: fenced, try: oddFrames},
		{name: "spellings", sentence: "a private address spelled as NAT64, 6to4 or IPv4-mapped, where `_internet_` is allowed", want: fenced, absent: map[string]string{"IPv4": noSpelling}, try: spellings},

		{name: "own-gateway", sentence: "services of the host at the network's gateway", want: fenced, try: hostAt(webGate, "2001:db8:c:1::1")},
		{name: "other-gateway", sentence: "services of the host at another network's gateway", want: fenced, try: hostAt(otherGate, "2001:db8:c:2::1")},
		{name: "lan-address", sentence: "services of the host at its LAN address", want: fenced, try: hostAt("198.51.100.1", "2001:db8:ffff::1")},
		{name: "link-local", sentence: "services of the host at the bridge's link-local address", want: fenced, absent: map[string]string{"IPv4": always6}, try: hostLinkLocal},
		{name: "multicast", sentence: "services of the host by multicast (mDNS, all nodes)", want: fenced, try: hostMulticast},
		{name: "broadcast", sentence: "services of the host by broadcast, of the network and of all", want: fenced, absent: map[string]string{"IPv6": only4}, try: hostBroadcast},
		{name: "dhcp", sentence: "DHCP to the host, from a port and an address that DHCP has", want: fenced, try: hostDHCP},
		{name: "internal-host", sentence: "services of the host from an `--internal` network", want: fenced, try: internalHost},
		{name: "internal-internet", sentence: "internet from an `--internal` network, by frames to its gateway", want: fenced, try: internalInternet},

		{name: "published-beside", sentence: "a port that a container of the same network publishes, through docker-proxy", want: fenced, try: published(web)},
		{name: "published-beyond", sentence: "a port that a container of another network publishes, through docker-proxy", want: fenced, try: published(other)},
		{name: "published-beside-dnat", sentence: "the same without docker-proxy: the host turns it back into the network", want: passes, proxyless: true, absent: map[string]string{"20.10 IPv6": noLAN6}, try: publishedBesideDNAT},
		{name: "published-beyond-dnat", sentence: "the same to another network, translated by the host", want: fenced, proxyless: true, absent: map[string]string{"20.10 IPv6": noLAN6}, try: published(other)},
		{name: "other-network", sentence: "another container's own address on another network", want: fenced, try: otherNetwork},
		{name: "same-network", sentence: "a container on the same network, whether the host filters bridged packets (br_netfilter) or not", want: passes, try: sameNetwork},
		{name: "published-inbound", sentence: "replies to connections from outside to a published port", want: passes, try: inbound},

		{name: "siblings-address", sentence: "a sibling's address, with the own MAC or with its MAC too", want: fenced, try: siblingsAddress},
		{name: "nobodys-address", sentence: "a source address that nobody has, in the subnet and beyond it", want: fenced, try: nobodysAddress},
		{name: "connect-at-run-time", sentence: "`docker network connect` while the container sends", want: fenced, try: connectAtRunTime},
		{name: "shared-namespace", sentence: "`network_mode: container:X` has the policy of X", want: fenced, try: sharedNamespace},
		{name: "unseen-network", sentence: "a network that was made while the daemon was down", want: fenced, try: unseenNetwork},

		{name: "host-mode", sentence: "`network_mode: host`", want: unfenced, try: hostMode},
		{name: "macvlan", sentence: "a macvlan network on the host's uplink", want: unfenced, try: macvlan},
		{name: "ipvlan", sentence: "an ipvlan network", want: unfenced, absent: map[string]string{"": "a kernel without ipvlan runs these tests; it leaves by the parent interface as macvlan does"}},
		{name: "privileged", sentence: "`--pid=host` with SYS_ADMIN, as `--privileged` has it: it enters the host's network", want: unfenced, try: privileged},
	}
}
