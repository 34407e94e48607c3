package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// oddNetwork is a network that `docker network create` makes with these arguments.
type oddNetwork struct {
	args   string
	newest bool // only there
	older  bool // only on 20.10
	no4    bool // containers have no IPv4
	no6    bool
	shut   bool // Docker's own fence: a label opens nothing, or (20.10, IPv6) what it names
}

// oddNetworks leaves out what Docker 28 drops itself: replies to addresses that are neither masqueraded nor routed.
func oddNetworks() map[string]oddNetwork {
	return map[string]oddNetwork{
		"with a bridge of another name":            {args: "--opt=com.docker.network.bridge.name=shop0"},
		"with a bridge named as Docker names them": {args: "--opt=com.docker.network.bridge.name=br-shop"},
		"without IPv6": {no6: true},
		"where containers do not speak (icc=false)":       {args: "--opt=com.docker.network.bridge.enable_icc=false"},
		"without masquerading":                            {args: "--opt=com.docker.network.bridge.enable_ip_masquerade=false", older: true},
		"that is internal":                                {args: "--internal", shut: true},
		"of IPv6 only":                                    {args: "--ipv4=false", newest: true, no4: true},
		"whose gateway is routed":                         {args: "--opt=com.docker.network.bridge.gateway_mode_ipv4=routed --opt=com.docker.network.bridge.gateway_mode_ipv6=routed", newest: true},
		"whose gateway is nat-unprotected":                {args: "--opt=com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected --opt=com.docker.network.bridge.gateway_mode_ipv6=nat-unprotected", newest: true},
		"that is isolated, without a gateway (Docker 28)": {args: "--internal --opt=com.docker.network.bridge.gateway_mode_ipv4=isolated --opt=com.docker.network.bridge.gateway_mode_ipv6=isolated", newest: true, shut: true},
	}
}

func TestNetworksOfEveryKindAreFenced(t *testing.T) {
	for _, e := range pathEngines() {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t, e.options)
			if out, err := w.Internet.Command(t.Context(), "ip", "route", "add", "172.30.0.0/16", "via", lab.HostAddr).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out) // for those that are not masqueraded
			}
			w.start(t)
			n := 40
			for name, odd := range oddNetworks() {
				if odd.newest && e.name != "newest" || odd.older && e.name == "newest" {
					continue
				}
				n++
				t.Run(name, func(t *testing.T) { odd.isFenced(t, w, n) })
			}
			t.Run("a fixed address, a pause and a second network at the start", func(t *testing.T) { fixedAddress(t, w) })
		})
	}
}

// isFenced tries a container that may reach one address of each family, and services of the host.
func (o oddNetwork) isFenced(t *testing.T, w *world, n int) {
	name, e := fmt.Sprintf("odd%d", n), listen(t, w.Host, 7300+n)
	args := []string{"network", "create"}
	var open, shut []act
	if !o.no4 {
		args = append(args, fmt.Sprintf("--subnet=172.30.%d.0/24", n))
		open, shut = append(open, "tcp 203.0.113.1:80", "ping 203.0.113.1"), append(shut, "tcp 203.0.113.2:80", "ping 203.0.113.2", e.at(lab.HostAddr)[0], e.at(lab.HostAddr)[1])
	}
	if !o.no6 {
		args = append(args, "--ipv6", fmt.Sprintf("--subnet=2001:db8:c:%d::/64", n))
		open, shut = append(open, "tcp [2001:db8:1::1]:80", "ping 2001:db8:1::1"), append(shut, "tcp [2001:db8:1::2]:80", "ping 2001:db8:1::2", e.at(lab.HostAddr6)[0], e.at(lab.HostAddr6)[1])
	}
	w.docker(t, append(append(args, strings.Fields(o.args)...), name)...)
	b := w.run(t, lab.RunSpec{Network: name, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1, 2001:db8:1::1"}})
	may := w.run(t, lab.RunSpec{Network: name, Labels: map[string]string{"dockerwall.outbound": "*"}})
	if o.shut {
		b.isUnableTo(t, shut...)
	} else {
		b.reaches(t, open...)
		b.isKeptFrom(t, shut...)
	}
	if heard := settled(e); heard != 0 {
		t.Errorf("the host heard %d", heard)
	}
	if !o.shut {
		may.reaches(t, shut...)
	}
}

// isUnableTo is isKeptFrom where the container's own network may say so first.
func (b *box) isUnableTo(t *testing.T, acts ...act) {
	t.Helper()
	each(acts, func(a act) {
		before := b.w.arrived(a)
		if r := b.try(t.Context(), a); r.Outcome == "ok" || b.w.arrived(a) != before {
			t.Errorf("%s: %s", a, r.Outcome)
		}
	})
}

func fixedAddress(t *testing.T, w *world) {
	id := w.docker(t, "create", "--network="+web, "--ip=172.30.1.77", "--ip6=2001:db8:c:1::77", "--label=dockerwall.outbound=203.0.113.1, 2001:db8:1::1", lab.ProbeImage, "sleep")
	w.docker(t, "network", "connect", "--ip=172.30.2.77", other, id)
	w.docker(t, "start", id)
	b := w.find(t, id)
	check := func() {
		t.Helper()
		b.reaches(t, "tcp 203.0.113.1:80", "tcp [2001:db8:1::1]:80")
		b.isKeptFrom(t, "tcp 203.0.113.2:80", "tcp [2001:db8:1::2]:80", act("tcp "+webGate+":50000"), act("tcp "+otherGate+":50000"))
	}
	check()
	stream := b.stream(t, "203.0.113.1:7")
	w.docker(t, "pause", id)
	check() // its process stands still, its network does not
	w.docker(t, "unpause", id)
	stream.flows(t)
	check()
	for _, network := range []string{web, other} { // each way out is judged alike
		w.docker(t, "network", "disconnect", network, id)
		if network == web {
			check()
		}
	}
}
