package doctor

import (
	"strconv"
	"strings"
)

func networkChecks() []check {
	return []check{
		{Entry{"ipv6", "IPv6 of this network namespace", "warn: Docker has networks with IPv6, but the host has it off or does not forward it"}, ipv6Line},
		{Entry{"ip-forward", "`net.ipv4.ip_forward`", "warn: off, so that containers reach nothing beyond the host"}, ipForwardLine},
		{Entry{"br-netfilter", "whether bridged packets pass the host's IP rules", "never: the fence holds both ways"}, brNetfilterLine},
		{Entry{"source-route", "`net.ipv4.conf.all.accept_source_route`", "warn: on, so that a packet can name hops that the fence does not judge"}, sourceRouteLine},
		{Entry{"route-localnet", "`route_localnet` of all interfaces and of bridges", "warn: on, so that `_host_` opens what listens on 127.0.0.1"}, routeLocalnetLine},
		{Entry{"tcp-loose", "`net.netfilter.nf_conntrack_tcp_loose`", "never: the fence denies what is in the middle of a connection anyway"}, tcpLooseLine},
		{Entry{"conntrack", "how full the table of connections is", "warn: more than 80 %; fail: full"}, conntrackLine},
		{Entry{"bridge-learning", "`no_linklocal_learn` of Docker's bridges", "warn: off, so that a container can draw to itself what is meant for a neighbour"}, bridgeLearningLine},
	}
}

// ipv6Networks are Docker's with an IPv6 subnet.
func (f Facts) ipv6Networks() (names []string) {
	for _, n := range f.Networks.Value {
		for _, s := range n.Subnets {
			if s.Addr().Is6() {
				names = append(names, word(n.Name))
				break
			}
		}
	}
	return names
}

func ipv6Line(f Facts) Line {
	disabled, exists := f.Sysctl["net.ipv6.conf.all.disable_ipv6"]
	wanted := f.ipv6Networks()
	switch {
	case !exists:
		return ok("this kernel has no IPv6")
	case disabled != "0" && len(wanted) > 0:
		return warn("sysctl -w net.ipv6.conf.all.disable_ipv6=0, or Docker networks without IPv6", "off, but Docker has networks with IPv6: %s", some(wanted))
	case disabled != "0":
		return ok("off")
	case f.Sysctl["net.ipv6.conf.all.forwarding"] == "1":
		return ok("on, and forwarded")
	case len(wanted) > 0:
		return warn("sysctl -w net.ipv6.conf.all.forwarding=1", "on, but not forwarded: containers reach nothing beyond the host by IPv6 (%s)", some(wanted))
	default:
		return ok("on, not forwarded; no network of Docker has it")
	}
}

func ipForwardLine(f Facts) Line {
	switch f.Sysctl["net.ipv4.ip_forward"] {
	case "1":
		return ok("on")
	case "":
		return skip("net.ipv4.ip_forward cannot be read", "")
	default:
		return warn("sysctl -w net.ipv4.ip_forward=1", "off: containers reach nothing beyond the host, whatever their labels say")
	}
}

func brNetfilterLine(f Facts) Line {
	v4, loaded := f.Sysctl["net.bridge.bridge-nf-call-iptables"]
	v6 := f.Sysctl["net.bridge.bridge-nf-call-ip6tables"]
	switch {
	case !loaded:
		return ok("br_netfilter is not loaded: what containers of one network send to one another passes no rules")
	case v4 == "1" || v6 == "1":
		return ok("bridged packets pass the host's rules (bridge-nf-call-iptables=%s, ip6tables=%s): a container that routes without masquerading has others' packets denied", word(v4), word(v6))
	default:
		return ok("off: bridged packets pass no rules (bridge-nf-call-iptables=%s, ip6tables=%s)", word(v4), word(v6))
	}
}

// sourceRouteLine asks for all: an interface accepts only if it and all do (IN_DEV_ANDCONF, linux/inetdevice.h).
func sourceRouteLine(f Facts) Line {
	switch f.Sysctl["net.ipv4.conf.all.accept_source_route"] {
	case "0":
		return ok("off")
	case "":
		return skip("net.ipv4.conf.all.accept_source_route cannot be read", "")
	default:
		return warn("sysctl -w net.ipv4.conf.all.accept_source_route=0", "on: the fence judges the first hop of a packet that names others")
	}
}

// routeLocalnetLine asks for all and for each bridge: either is enough (IN_DEV_ORCONF, linux/inetdevice.h).
func routeLocalnetLine(f Facts) Line {
	const name = "net.ipv4.conf."
	const on = "on: `_host_` opens what listens on 127.0.0.1, too"
	if f.Sysctl[name+"all.route_localnet"] == "1" {
		return warn("sysctl -w net.ipv4.conf.all.route_localnet=0", on)
	}
	var bridges []string
	for _, b := range f.Bridges.Value {
		if f.Sysctl[name+b.Name+".route_localnet"] == "1" {
			bridges = append(bridges, word(b.Name))
		}
	}
	switch {
	case len(bridges) > 0:
		return warn("sysctl -w net.ipv4.conf."+bridges[0]+".route_localnet=0; Docker turns it on where userland-proxy is off", on+" (%s)", some(bridges))
	case f.Sysctl[name+"all.route_localnet"] == "":
		return skip("net.ipv4.conf.all.route_localnet cannot be read", "")
	default:
		return ok("off")
	}
}

func tcpLooseLine(f Facts) Line {
	switch f.Sysctl["net.netfilter.nf_conntrack_tcp_loose"] {
	case "":
		return skip("conntrack is not loaded yet", "")
	case "0":
		return ok("off: conntrack takes up no connection in its middle")
	default:
		return ok("on: a segment in the middle of a connection that nobody knows is denied toward fenced containers")
	}
}

// crowded is how many percent of the table of connections may be used.
const crowded = 80

func conntrackLine(f Facts) Line {
	count, err := strconv.ParseUint(f.Sysctl["net.netfilter.nf_conntrack_count"], 10, 32)
	most, errMost := strconv.ParseUint(f.Sysctl["net.netfilter.nf_conntrack_max"], 10, 32)
	const remedy = "sysctl -w net.netfilter.nf_conntrack_max=N, twice what it is"
	switch {
	case err != nil || errMost != nil || most == 0:
		return skip("conntrack is not loaded yet, or has no bound", "")
	case count >= most:
		return fail(remedy, "full: %d of %d connections; new ones are dropped", count, most)
	case count*100 > most*crowded:
		return warn(remedy, "%d of %d connections, %d %%: when it is full, new ones are dropped", count, most, count*100/most)
	default:
		return ok("%d of %d connections", count, most)
	}
}

func bridgeLearningLine(f Facts) Line {
	switch {
	case f.Networks.Why != "":
		return skip("the Engine does not tell its bridges", "")
	case f.Bridges.Why != "":
		return f.Bridges.unknown()
	}
	learning, seen := []string{}, 0
	for _, n := range f.Networks.Value {
		for _, b := range f.Bridges.Value {
			if b.Name != n.Bridge {
				continue
			}
			if seen++; !b.NoLinkLocalLearn {
				learning = append(learning, word(b.Name))
			}
		}
	}
	switch {
	case len(learning) > 0:
		return warn("for b in "+strings.Join(learning, " ")+"; do ip link set dev $b type bridge no_linklocal_learn 1; done; see docs/limits.md",
			"no_linklocal_learn is off: a container can draw to itself what is meant for a neighbour on its network (%s)", some(learning))
	case seen == 0:
		return skip("none of Docker's bridges is here", "")
	default:
		return ok("no_linklocal_learn is on")
	}
}
