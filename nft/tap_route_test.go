package nft

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// With br_netfilter a packet that stays on its bridge is seen in forward, too.
func TestATapTakesAnswersThatStayOnTheirBridge(t *testing.T) {
	p, c := newPaths(t, redirected)
	for _, key := range []string{"iptables", "ip6tables"} {
		sysctl(t, p.host, "net/bridge/bridge-nf-call-"+key, "1")
	}
	want := map[string]int{}
	for name, test := range map[string]struct {
		server string
		tapped bool
	}{
		"of a resolver in a container":        {"172.18.0.53:53", true},
		"of a container that is no resolver":  {"172.18.0.54:53", false},
		"forged, of a resolver elsewhere":     {"198.51.100.53:53", false},
		"forged, of another bridge's":         {"172.17.0.53:53", false},
		"of the bridge's own address, forged": {"172.18.0.1:53", false},
	} {
		question := p.frame("172.18.0.2", test.server, UDP)
		question.MAC = [6]byte{2, 0, 0, 0, 9, 9} // some station's
		p.send(t, "blue", question)
		back := p.back(question, name)
		back.MAC = question.MAC
		p.send(t, "blue2", back)
		if test.tapped {
			want[name] = 1
		}
	}
	if diff := cmp.Diff(want, p.finish(t, c)); diff != "" {
		t.Errorf("answers tapped (-want +got):\n%s", diff)
	}
}

// An operator may send what containers ask another way than the host's own packets: here out of br-unknown.
func TestATapFollowsTheHostsRouting(t *testing.T) {
	const marks = `table inet marks {
	chain prerouting { type filter hook prerouting priority mangle; policy accept;
		iifname "br-blue" meta mark set 5 ct mark set 5
		ct direction reply meta mark set ct mark
	}
}
`
	table := []string{"route add default dev br-unknown table 100", "-6 route add default dev br-unknown table 100"}
	for name, test := range map[string]struct {
		routes []string
		rules  string
		want   map[string]int // answers, by the wire they came in by
	}{
		"by where it comes from": {
			append(table, "rule add from 172.18.0.0/16 lookup 100", "-6 rule add from fd00:2::/64 lookup 100"), "", map[string]int{"unkn": 1, "unkn, IPv6": 1},
		},
		"by the interface it comes in by": {
			append(table, "rule add iif br-blue lookup 100", "-6 rule add iif br-blue lookup 100"), "", map[string]int{"unkn": 1, "unkn, IPv6": 1},
		},
		"by a mark that answers are given, too": {
			append(table, "rule add pref 99 lookup main suppress_prefixlength 0", "rule add pref 100 fwmark 5 lookup 100",
				"-6 rule add pref 99 lookup main suppress_prefixlength 0", "-6 rule add pref 100 fwmark 5 lookup 100"), marks, map[string]int{"unkn": 1, "unkn, IPv6": 1},
		},
		"by either of two ways": {
			[]string{"route replace default nexthop via 192.0.2.254 dev wan nexthop via 172.20.0.9 dev br-unknown"}, "", map[string]int{"unkn": 1, "wan": 1, "wan, IPv6": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, c := newPaths(t, redirected+test.rules)
			for _, route := range test.routes {
				if out, err := p.host.Command(t.Context(), "ip", strings.Fields(route)...).CombinedOutput(); err != nil {
					t.Fatalf("ip %s: %v\n%s", route, err, out)
				}
			}
			for _, wire := range []string{"unkn", "wan"} {
				question := p.frame("172.18.0.2", "198.51.100.53:53", UDP)
				p.send(t, "blue", question)
				p.send(t, wire, p.back(question, wire))
				question = p.frame("fd00:2::2", "[2001:db8:ffff::53]:53", UDP)
				p.send(t, "blue", question)
				p.send(t, wire, p.back(question, wire+", IPv6"))
			}
			question := p.frame("172.18.0.2", "172.17.0.53:53", UDP)
			p.send(t, "blue", question)
			p.send(t, "dock", p.back(question, lastText))
			if diff := cmp.Diff(test.want, c.await(t)); diff != "" {
				t.Errorf("answers tapped (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAClientThatAsksTooMuchTakesNobodyElsesPlace(t *testing.T) {
	p, c := newPaths(t, redirected)
	const many = 3 * clientBurst
	question := p.frame("172.18.0.2", "198.51.100.53:53", UDP)
	p.send(t, "blue", question)
	back := p.back(question, "of many")
	start := time.Now()
	for range many {
		p.send(t, "wan", back)
	}
	took := time.Since(start)
	other := p.frame("172.18.0.3", "198.51.100.53:53", UDP)
	p.send(t, "blue", other)
	p.send(t, "wan", p.back(other, lastText))
	most := clientBurst + int(took.Seconds()*clientRate) + 2
	if n := c.await(t)["of many"]; n < clientBurst || n > most {
		t.Errorf("%d of %d answers within %v were tapped, of at most %d", n, many, took, most)
	}
}
