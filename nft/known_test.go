package nft

import (
	"net/netip"
	"testing"
)

// TestOnlySourcesAtHomeGoOnWithAConnection: one that stood before the fence, as conntrack would know it of whoever sends.
func TestOnlySourcesAtHomeGoOnWithAConnection(t *testing.T) {
	pin(t)
	for name, c := range map[string]struct {
		source string
		want   Reason
	}{
		"a container": {"fd00:2::2", ""},
		"a container that has none of its network's addresses": {"fd00:9::9", ""},
		"somebody of the network":                              {"fd00:2::99", ""},
		"somebody of elsewhere":                                {"fd00:9::1", Unknown},
		"a container with the host's own":                      {"fd00:2::1", Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			o := newRouter(t)
			through := passed(t, o)
			out := frame{Src: netip.MustParseAddr(c.source), Dst: netip.MustParseAddr("2001:db8:9::99"), Proto: UDP, Sport: 4000, Dport: 53}
			o.send(t, "blue", out)
			o.send(t, "wan", reply(out))
			o.settled(t, 1)
			r, k := fenced(), open(t, o.host)
			for _, a := range []string{"fd00:9::9", "fd00:2::1"} {
				if a == c.source {
					r.Containers[0].Endpoints[1].Addr = netip.MustParseAddr(a)
				}
			}
			apply(t, k, r)
			before := through()
			o.send(t, "blue", out)
			o.settled(t, 2)
			if n := through() - before; n == 1 != (c.want == "") {
				t.Errorf("%d packets passed", n)
			}
			got := counters(t, k)
			if c.want != "" && got.Reasons[c.want].Packets != 1 {
				t.Errorf("counted %+v", got.Reasons)
			}
			p := Packet{Hook: Forward, In: "br-blue", InBridge: true, Out: "wan", Src: out.Src, Dst: out.Dst, Proto: UDP, DstPort: 53, State: StateEstablished}
			if j := r.Judge(p); j.Reason != c.want {
				t.Errorf("Judge says %+v", j)
			}
		})
	}
}
