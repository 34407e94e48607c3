package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// redirects are what Docker 29's nftables backend makes of ports that a container publishes: from other bridges and from
// outside DNAT, so that packets are forwarded; from its own bridge none, so that docker-proxy serves them; and nobody
// comes to a container's address directly (measured with 29.7.2; that Engine is in none of Debian's suites).
const redirects = `table inet engine {
	chain before {
		type filter hook prerouting priority raw; policy accept;
		ip daddr 172.30.2.9 iifname != { "OTHER", "lo" } drop
		ip6 daddr 2001:db8:c:2::9 iifname != { "OTHER", "lo" } drop
	}
	chain before_routing {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "OTHER" accept
		meta nfproto ipv4 fib daddr type local tcp dport 7003 dnat ip to 172.30.2.9:80
		meta nfproto ipv6 fib daddr type local tcp dport 7003 dnat ip6 to [2001:db8:c:2::9]:80
	}
	chain after_routing {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.30.1.0/24 oifname != "WEB" masquerade
		ip saddr 172.30.2.0/24 oifname != "OTHER" masquerade
	}
}
`

func TestAPublishedPortBehindDNATIsJudgedByHostAndByAddress(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{Config: `{"iptables": false}`})
	bridge := func(network string) string {
		return "br-" + w.docker(t, "network", "inspect", "--format={{.Id}}", network)[:12]
	}
	lab.Nft(t, w.Host, strings.NewReplacer("WEB", bridge(web), "OTHER", bridge(other)).Replace(redirects), "-f", "-")
	w.start(t)
	w.run(t, lab.RunSpec{Network: other, Args: []string{"--publish=7003:80", "--ip=172.30.2.9", "--ip6=2001:db8:c:2::9"}, Cmd: []string{"serve", "80"}})
	v4 := []act{act("tcp " + webGate + ":7003"), act("tcp " + otherGate + ":7003"), act("tcp " + lab.HostAddr + ":7003")}
	v6 := []act{act("tcp [2001:db8:c:1::1]:7003"), act("tcp [" + lab.HostAddr6 + "]:7003")}
	direct := []act{"tcp 172.30.2.9:80", "tcp [2001:db8:c:2::9]:80"}
	for label, c := range map[string]struct{ open, closed []act }{
		"":                                {nil, all(v4, v6, direct)},
		"_host_":                          {all(v4, v6), direct},
		"_host_:7003/tcp":                 {all(v4, v6), direct},
		"_host_:80":                       {nil, all(v4, v6)},
		"172.30.2.9, 2001:db8:c:2::9":     {all(v4, v6), direct},
		"172.30.2.9:80/tcp":               {v4, v6},
		"172.30.2.9:7003/tcp":             {nil, v4},
		"2001:db8:c:2::/64":               {v6, v4},
		lab.HostAddr:                      {nil, all(v4, v6)},
		"_internet_":                      {nil, all(v4, v6, direct)},
		"_host_, !" + lab.HostAddr:        {v4[:2], v4[2:]},
		"_host_, !172.30.2.9":             {v6, v4},
		"_host_, !172.30.2.9:80":          {v6, v4},
		"_host_, !" + otherGate + ":7003": {[]act{v4[0], v4[2]}, v4[1:2]},
		"*, !_host_:7003":                 {nil, all(v4, v6)},
	} {
		t.Run(fmt.Sprintf("%q", label), func(t *testing.T) {
			b := w.labelled(t, label)
			b.reaches(t, c.open...)
			b.isKeptFrom(t, c.closed...)
		})
	}
	t.Run("from its own network", func(t *testing.T) {
		none, host := w.run(t, lab.RunSpec{Network: other}), w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.outbound": "_host_:7003"}})
		none.isKeptFrom(t, v4...)
		host.reaches(t, v4...)
		none.reaches(t, direct...) // its neighbour
	})
}
