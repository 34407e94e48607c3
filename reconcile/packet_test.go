package reconcile

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/nft"
)

// parsePacket reads "forward 192.0.2.7:443/tcp", "input 198.51.100.1/icmp", "dnat 172.18.0.2:80/tcp was
// 198.51.100.1:8080": a new packet from container "web" to that destination.
func parsePacket(t testing.TB, text string) nft.Packet {
	t.Helper()
	text, original, dnat := strings.Cut(text, " was ")
	hook, dest, _ := strings.Cut(text, " ")
	p := nft.Packet{In: "docker0", InBridge: true, DNAT: dnat}
	switch hook {
	case "input":
		p.Hook = nft.Input
	case "forward", "dnat":
		p.Hook, p.Out = nft.Forward, "eth0"
	default:
		t.Fatalf("packet %q: hook %q", text, hook)
	}
	dest, proto, _ := strings.Cut(dest, "/")
	p.Dst, p.DstPort = parseDst(t, dest)
	p.Src = addrs("172.17.0.2")[0]
	if p.Dst.Is6() {
		p.Src = addrs("fd00:17::2")[0]
	}
	protos := map[string]uint8{"tcp": nft.TCP, "udp": nft.UDP, "icmp": nft.ICMP, "icmpv6": nft.ICMPv6, "sctp": nft.SCTP, "gre": 47}
	if p.Proto = protos[proto]; p.Proto == 0 {
		t.Fatalf("packet %q: protocol %q", text, proto)
	}
	if p.Proto == nft.ICMPv6 {
		p.Type = 128 // echo request
	}
	if dnat {
		p.OriginalDst, p.OriginalPort = parseDst(t, original)
	}
	return p
}

func parseDst(t testing.TB, text string) (netip.Addr, uint16) {
	t.Helper()
	if a, err := netip.ParseAddr(text); err == nil {
		return a, 0
	}
	host, port := text[:strings.LastIndexByte(text, ':')], text[strings.LastIndexByte(text, ':')+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatalf("destination %q: %v", text, err)
	}
	return netip.MustParseAddr(strings.Trim(host, "[]")), uint16(n)
}

// packetNames are what names mean in packet tests.
func packetNames() map[string]addrList {
	return map[string]addrList{
		"www.example.com":      addrs("203.0.113.10", "2001:db8:1::10"),
		"a.b.example.com":      addrs("203.0.113.11"),
		"example.com":          addrs("203.0.113.12"),
		"badexample.com":       addrs("203.0.113.13"),
		"xn--bcher-kva.de":     addrs("203.0.113.14"),
		"_srv-1.example.com":   addrs("203.0.113.15"),
		"host.example.net":     addrs("198.51.100.1", "172.17.0.1", "64:ff9b::c633:6401"),
		"meta.example.net":     addrs("169.254.169.254"),
		"cache.example.net":    addrs("172.18.0.2"),
		"intra.example.net":    addrs("10.9.9.9"),
		"six.example.net":      addrs("2002:7f00:1::1"),
		"mix.example.net":      addrs("198.51.100.1", "203.0.113.16"),
		"deep.sub.example.org": addrs("203.0.113.17"),
	}
}

func TestPolicySpeaksOfPackets(t *testing.T) {
	for name, test := range map[string]struct {
		label, preset string
		pass          []string
		deny          []string
	}{
		"without a label nothing leaves but questions to the resolvers": {
			pass: []string{"forward 198.51.100.53:53/udp", "input 198.51.100.53:53/udp", "forward 198.51.100.53:53/tcp", "forward [2001:db8:ffff::53]:53/udp",
				"dnat 172.18.0.2:53/udp was 198.51.100.53:53"},
			deny: []string{"forward 203.0.113.10:443/tcp", "forward 198.51.100.53:853/tcp", "forward 203.0.113.53:53/udp", "input 172.17.0.1:80/tcp", "input 198.51.100.1/icmp",
				"forward [2001:db8:1::10]:443/tcp", "forward 192.0.2.1/icmp", "forward 192.0.2.1:9/sctp", "forward 192.0.2.1/gre", "forward 198.51.100.53/icmp"},
		},
		"a name opens its addresses of both families, every protocol and port": {
			label: "WWW.Example.com.",
			pass:  []string{"forward 203.0.113.10:443/tcp", "forward 203.0.113.10:1/udp", "forward 203.0.113.10/icmp", "forward [2001:db8:1::10]:443/tcp", "forward 2001:db8:1::10/icmpv6", "forward 203.0.113.10/gre"},
			deny:  []string{"forward 203.0.113.11:443/tcp", "forward 203.0.113.12:443/tcp"},
		},
		"an international name means its A-labels": {
			label: "bücher.de", pass: []string{"forward 203.0.113.14:443/tcp"},
		},
		"underscores and dashes belong in names": {
			label: "_srv-1.example.com", pass: []string{"forward 203.0.113.15:443/tcp"}, deny: []string{"forward 203.0.113.10:443/tcp"},
		},
		"a wildcard opens names one and more labels below": {
			label: "*.example.com",
			pass:  []string{"forward 203.0.113.10:443/tcp", "forward 203.0.113.11:443/tcp", "forward [2001:db8:1::10]:443/tcp"},
			deny:  []string{"forward 203.0.113.12:443/tcp", "forward 203.0.113.13:443/tcp"},
		},
		"a wildcard's apex has to be named": {
			label: "*.example.com, example.com", pass: []string{"forward 203.0.113.12:443/tcp"}, deny: []string{"forward 203.0.113.13:443/tcp"},
		},
		"one address": {
			label: "192.0.2.7", pass: []string{"forward 192.0.2.7:1/tcp", "forward 192.0.2.7/icmp"}, deny: []string{"forward 192.0.2.6:1/tcp", "forward 192.0.2.8:1/tcp"},
		},
		"leading zeros and short forms are errors and open nothing": {
			label: "010.0.0.1, 127.1, 3221225991", deny: []string{"forward 10.0.0.1:1/tcp", "forward 8.0.0.1:1/tcp", "input 127.0.0.1:1/tcp", "forward 192.0.2.7:1/tcp"},
		},
		"a prefix, its host bits masked": {
			label: "10.1.2.3/8, 2001:db8:2::/48",
			pass:  []string{"forward 10.255.255.255:1/tcp", "forward 10.0.0.0/icmp", "forward [2001:db8:2:ffff::1]:9/udp"},
			deny:  []string{"forward 11.0.0.0:1/tcp", "forward [2001:db8:3::1]:9/udp"},
		},
		"a range, both ends included": {
			label: "192.0.2.1-192.0.2.9",
			pass:  []string{"forward 192.0.2.1:1/tcp", "forward 192.0.2.9:1/tcp"}, deny: []string{"forward 192.0.2.0:1/tcp", "forward 192.0.2.10:1/tcp"},
		},
		"a mapped address means IPv4": {
			label: "::ffff:192.0.2.7", pass: []string{"forward 192.0.2.7:1/tcp"},
		},
		"a port means tcp and udp": {
			label: "192.0.2.7:443, www.example.com:443, 10.0.0.0/8:443",
			pass:  []string{"forward 192.0.2.7:443/tcp", "forward 192.0.2.7:443/udp", "forward 203.0.113.10:443/udp", "forward 10.1.1.1:443/tcp"},
			deny:  []string{"forward 192.0.2.7:80/tcp", "forward 192.0.2.7/icmp", "forward 203.0.113.10:80/tcp", "forward 203.0.113.10:443/sctp", "forward 10.1.1.1:442/tcp"},
		},
		"ports and a protocol": {
			label: "192.0.2.7:8000-8080/tcp, 192.0.2.8/udp, 192.0.2.9/icmp, [2001:db8::1]:443, [2001:db8:2::/48]/icmp",
			pass: []string{"forward 192.0.2.7:8000/tcp", "forward 192.0.2.7:8080/tcp", "forward 192.0.2.8:1/udp", "forward 192.0.2.9/icmp",
				"forward [2001:db8::1]:443/tcp", "forward 2001:db8:2::1/icmpv6"},
			deny: []string{"forward 192.0.2.7:8000/udp", "forward 192.0.2.7:7999/tcp", "forward 192.0.2.7:8081/tcp", "forward 192.0.2.8:1/tcp", "forward 192.0.2.9:1/tcp",
				"forward [2001:db8::1]:444/tcp", "forward [2001:db8:2::1]:1/tcp"},
		},
		"_host_ opens this host's own addresses and nothing that is forwarded": {
			label: "_host_", pass: []string{"input 172.17.0.1:80/tcp", "input 198.51.100.1/icmp", "input 127.0.0.1:1/udp"}, deny: []string{"forward 192.0.2.7:1/tcp", "forward 172.18.0.2:80/tcp"},
		},
		"_host_ with a port is that port, and not ping": {
			label: "_host_:5432/tcp", pass: []string{"input 172.17.0.1:5432/tcp", "input [2001:db8:ffff::1]:5432/tcp"}, deny: []string{"input 172.17.0.1:5433/tcp", "input 172.17.0.1:5432/udp", "input 172.17.0.1/icmp"},
		},
		"_internet_ opens public addresses": {
			label: "_internet_", pass: []string{"forward 9.9.9.9:443/tcp", "forward 2620:fe::9/icmpv6", "forward 203.0.113.10:1/udp", "forward [64:ff9b::909:909]:1/tcp"},
			deny: []string{"forward 10.1.1.1:1/tcp", "forward 172.16.0.1:1/tcp", "forward 192.168.1.1:1/tcp", "forward 100.64.0.1:1/tcp", "forward 169.254.169.254:80/tcp",
				"forward 224.0.0.251:5353/udp", "forward 240.0.0.1:1/tcp", "forward 255.255.255.255:67/udp", "forward 0.0.0.0:1/tcp", "forward 127.0.0.1:1/tcp",
				"forward [fd00::1]:1/tcp", "forward [fe80::1]:1/tcp", "forward [ff02::fb]:5353/udp", "forward [::1]:1/tcp"},
		},
		"_internet_ is neither this host by its public address nor another Docker network": {
			label: "_internet_", deny: []string{"input 198.51.100.1:22/tcp", "forward 198.51.100.1:22/tcp", "forward [2001:db8:ffff::1]:22/tcp", "forward 172.18.0.2:80/tcp",
				"forward 198.51.100.200:80/tcp", "forward [2001:db8:c::2]:80/tcp", "forward [64:ff9b::c633:64c8]:80/tcp"},
		},
		"_internet_ knows what is not public in NAT64's and 6to4's spellings": {
			label: "_internet_", deny: []string{"forward [64:ff9b::a01:101]:1/tcp", "forward [64:ff9b::c633:6401]:22/tcp", "forward [64:ff9b::ac12:2]:80/tcp", "forward [64:ff9b:1::1]:1/tcp",
				"forward [2002:a01:101::1]:1/tcp", "forward [2002:c633:6401::1]:22/tcp", "forward [::ffff:10.1.1.1]:1/tcp", "forward [::10.1.1.1]:1/tcp"},
		},
		"the star opens everything, this host included": {
			label: "*", pass: []string{"forward 10.1.1.1:1/tcp", "input 172.17.0.1:22/tcp", "forward [fd00::1]:1/udp", "forward 169.254.169.254:80/tcp", "dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"the star with a port is that port": {
			label: "*:443/tcp", pass: []string{"forward 10.1.1.1:443/tcp", "input 172.17.0.1:443/tcp"}, deny: []string{"forward 10.1.1.1:80/tcp", "input 172.17.0.1:443/udp"},
		},
		"a denial beats an allow written after it": {
			label: "!192.0.2.66, 192.0.2.0/24", pass: []string{"forward 192.0.2.65:1/tcp"}, deny: []string{"forward 192.0.2.66:1/tcp"},
		},
		"a denial beats an allow written before it, and the narrower one": {
			label: "192.0.2.66, !192.0.2.0/24", deny: []string{"forward 192.0.2.66:1/tcp", "input 192.0.2.66:1/tcp"},
		},
		"a denial in the default beats the label": {
			label: "192.0.2.0/24, *", preset: "!192.0.2.66", pass: []string{"forward 192.0.2.65:1/tcp"}, deny: []string{"forward 192.0.2.66:1/tcp"},
		},
		"a denial in the label beats the default": {
			label: "!www.example.com", preset: "*.example.com", pass: []string{"forward 203.0.113.11:1/tcp"}, deny: []string{"forward 203.0.113.10:1/tcp", "forward [2001:db8:1::10]:1/tcp"},
		},
		"a denied port leaves the others": {
			label: "192.0.2.7, !192.0.2.7:25/tcp", pass: []string{"forward 192.0.2.7:25/udp", "forward 192.0.2.7:26/tcp"}, deny: []string{"forward 192.0.2.7:25/tcp"},
		},
		"a denied name is denied though an address allows it": {
			label: "203.0.113.10, !www.example.com:443", pass: []string{"forward 203.0.113.10:80/tcp"}, deny: []string{"forward 203.0.113.10:443/tcp"},
		},
		"a denied name denies on the host too, guarded or not": {
			label: "_host_, !host.example.net", pass: []string{"input 172.18.0.1:80/tcp"}, deny: []string{"input 172.17.0.1:80/tcp", "input 198.51.100.1:80/tcp"},
		},
		"a denied wildcard spares the apex": {
			label: "!*.example.com, 203.0.113.0/24", pass: []string{"forward 203.0.113.12:1/tcp"}, deny: []string{"forward 203.0.113.10:1/tcp", "forward 203.0.113.11:1/tcp"},
		},
		"!_host_ closes the host under the star": {
			label: "*, !_host_", pass: []string{"forward 192.0.2.7:1/tcp"}, deny: []string{"input 172.17.0.1:80/tcp", "dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"!_internet_ closes what is public": {
			label: "*, !_internet_:443", pass: []string{"forward 10.1.1.1:443/tcp", "forward 9.9.9.9:80/tcp"}, deny: []string{"forward 9.9.9.9:443/tcp"},
		},
		"!* closes everything, the resolvers too": {
			label: "*, !*", deny: []string{"forward 198.51.100.53:53/udp", "forward 192.0.2.7:1/tcp", "input 172.17.0.1:80/tcp"},
		},
		"!_dns_ takes the resolvers away, and the star does not give them back": {
			label: "*, !_dns_", pass: []string{"forward 198.51.100.53:80/tcp", "forward 203.0.113.53:53/udp"},
			deny: []string{"forward 198.51.100.53:53/udp", "input 198.51.100.53:53/tcp", "dnat 172.18.0.2:53/udp was 198.51.100.53:53"},
		},
		"!_dns_ in the default holds for all": {
			preset: "!_dns_", deny: []string{"forward 198.51.100.53:53/udp", "forward 198.51.100.53:53/tcp"},
		},
		"a bad denial voids the allows of its source only": {
			label: "192.0.2.7, !192.0.2.067", preset: "192.0.2.8", pass: []string{"forward 192.0.2.8:1/tcp", "forward 198.51.100.53:53/udp"}, deny: []string{"forward 192.0.2.7:1/tcp"},
		},
		"a bad denial in the default leaves the label": {
			label: "192.0.2.7", preset: "192.0.2.8, !x..y", pass: []string{"forward 192.0.2.7:1/tcp"}, deny: []string{"forward 192.0.2.8:1/tcp"},
		},
		"a group that nobody defined voids under a denial": {
			label: "192.0.2.7, !@github", deny: []string{"forward 192.0.2.7:1/tcp"},
		},
		"bad allows are left out": {
			label: "https://192.0.2.6/x, a*.example.com, example.*, **.example.com, badexample, 192.0.2.7",
			pass:  []string{"forward 192.0.2.7:1/tcp"}, deny: []string{"forward 192.0.2.6:443/tcp", "forward 203.0.113.10:1/tcp"},
		},

		"a prefix never opens the host": {
			label: "198.51.100.0/24, 172.17.0.0/16, 0.0.0.0/0, ::/0", pass: []string{"forward 198.51.100.77:1/tcp"}, deny: []string{"input 198.51.100.1:22/tcp", "input 172.17.0.1:80/tcp", "input [2001:db8:ffff::1]:22/tcp"},
		},
		"a range never opens the host": {
			label: "198.51.100.0-198.51.100.9:22", deny: []string{"input 198.51.100.1:22/tcp"},
		},
		"a name never opens the host": {
			label: "host.example.net, mix.example.net, *.example.net", pass: []string{"forward 203.0.113.16:1/tcp"},
			deny: []string{"input 198.51.100.1:22/tcp", "input 172.17.0.1:80/tcp", "forward 198.51.100.1:22/tcp", "forward [64:ff9b::c633:6401]:22/tcp"},
		},
		"a single address opens the host": {
			label: "198.51.100.1:22/tcp, 172.17.0.1", pass: []string{"input 198.51.100.1:22/tcp", "input 172.17.0.1:80/tcp", "input 172.17.0.1/icmp"}, deny: []string{"input 198.51.100.1:23/tcp", "input 172.18.0.1:80/tcp"},
		},
		"single addresses side by side still open the host, each": {
			label: "198.51.100.1:22, 198.51.100.2:22, 198.51.100.3/icmp, 198.51.100.4/icmp",
			pass:  []string{"input 198.51.100.1:22/tcp", "input 198.51.100.2:22/udp", "input 198.51.100.3/icmp", "input 198.51.100.4/icmp"}, deny: []string{"input 198.51.100.3:22/tcp", "input 198.51.100.1/icmp"},
		},
		"a prefix of one address is a single address": {
			label: "172.17.0.1/32:80", pass: []string{"input 172.17.0.1:80/tcp"},
		},
		"a name opens no metadata service, no Docker network, and no spelling of either": {
			label: "meta.example.net, cache.example.net, six.example.net", deny: []string{"forward 169.254.169.254:80/tcp", "forward 172.18.0.2:80/tcp", "forward [2002:7f00:1::1]:80/tcp"},
		},
		"the same addresses, written, are consent": {
			label: "169.254.169.254, 172.18.0.2", pass: []string{"forward 169.254.169.254:80/tcp", "forward 172.18.0.2:80/tcp"},
		},
		"a private address is fine for an exact name": {
			label: "intra.example.net", pass: []string{"forward 10.9.9.9:1/tcp"},
		},
		"a private address is not fine for a wildcard": {
			label: "*.example.net", deny: []string{"forward 10.9.9.9:1/tcp"},
		},

		"another container's published port passes by _host_ on the port it was sent to": {
			label: "_host_:8080/tcp", pass: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"}, deny: []string{"dnat 172.18.0.2:8080/tcp was 198.51.100.1:80", "dnat 172.18.0.2:80/udp was 198.51.100.1:8080"},
		},
		"another container's published port passes by a literal of its translated address": {
			label: "172.18.0.0/16:80", pass: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"}, deny: []string{"dnat 172.18.0.2:81/tcp was 198.51.100.1:80"},
		},
		"a literal of the host's address does not open what it was translated to": {
			label: "198.51.100.1:8080", pass: []string{"input 198.51.100.1:8080/tcp"}, deny: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"a denial of the address before translation denies": {
			label: "*, !198.51.100.1:8080", pass: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8081"}, deny: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"a denial of the address after translation denies": {
			label: "*, !172.18.0.2", deny: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"a name that meant the host denies what is behind its ports": {
			label: "_host_, !host.example.net", deny: []string{"dnat 172.18.0.2:80/tcp was 198.51.100.1:8080"},
		},
		"_internet_ and names open nothing that was translated": {
			label: "_internet_, www.example.com", deny: []string{"dnat 203.0.113.10:80/tcp was 198.51.100.1:8080", "dnat 9.9.9.9:80/tcp was 198.51.100.1:8080"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(test.label, test.preset)
			s.Names = packetNames()
			state, _ := s.state()
			r, _ := build(t, state)
			for want, packets := range map[bool][]string{true: test.pass, false: test.deny} {
				for _, text := range packets {
					j := r.Judge(parsePacket(t, text))
					if j.Pass != want {
						t.Errorf("%s: pass %v", text, j.Pass)
					}
					if j.Container != short(state.Docker.Containers[0].ID) {
						t.Errorf("%s: judged for %q", text, j.Container)
					}
				}
			}
		})
	}
}
