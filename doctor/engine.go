package doctor

import (
	"fmt"
	"strings"
)

func engineChecks() []check {
	return []check{
		{Entry{"engine", "whether the Engine answers, its version and its API", "fail: no answer, or older than Docker 20.10 (API 1.41)"}, engineLine},
		{Entry{"engine-kind", "what kind of Engine it is", "fail: rootless or Docker Desktop, whose bridges are elsewhere; warn: Podman, or user namespaces that keep dockerwall's own container from the host's network"}, engineKindLine},
		{Entry{"firewall-backend", "the Engine's firewall backend", "warn: nftables, which dockerwall's tests have not met"}, backendLine},
		{Entry{"live-restore", "whether containers outlive a restart of the Engine", "never: both are fine"}, liveRestoreLine},
		{Entry{"userland-proxy", "`userland-proxy` in daemon.json", "never: both are fine"}, userlandProxyLine},
		{Entry{"docker-iptables", "`iptables` in daemon.json", "warn: it is false"}, dockerIPTablesLine},
		{Entry{"docker-ip6tables", "`ip6tables` and `ipv6` in daemon.json", "warn: IPv6 is on and ip6tables is false"}, dockerIP6TablesLine},
		{Entry{"docker-dns", "whom the Engine asks for containers", "warn: Docker 28 or newer without `dns` in daemon.json, where `!_dns_` does not hold for Docker's resolver"}, dockerDNSLine},
	}
}

func engineLine(f Facts) Line {
	e := f.Engine.Value
	if f.Engine.Why != "" {
		what, remedy, _ := strings.Cut(f.Engine.Why, "; ")
		if f.Engine.Rights && f.Process.Value.UID != 0 {
			return skip(word(what), word(remedy))
		}
		return fail(word(remedy), "%s", word(what))
	}
	if e.Version == "" { // a proxy refuses it
		return skip(fmt.Sprintf("an Engine with API %s at %s, which does not tell its version", word(e.API), word(f.EngineHost)), "allow GET /version in the socket proxy")
	}
	return ok("%s %s, API %s, at %s", product(f), word(e.Version), word(e.API), word(f.EngineHost))
}

func product(f Facts) string {
	switch name := f.Engine.Value.Product; name {
	case "", "Engine":
		return "Docker Engine"
	default:
		return word(name)
	}
}

// engineSaid is why a line about the Engine's state has nothing to say, or "".
func (f Facts) engineSaid() string {
	if f.Engine.Why != "" {
		return "the Engine does not answer"
	}
	what, _, _ := strings.Cut(f.Engine.Value.Unsaid, "; ") // and the remedy
	return word(what)
}

func engineKindLine(f Facts) Line {
	e := f.Engine.Value
	if f.Engine.Why != "" {
		return skip(f.engineSaid(), "")
	}
	if strings.Contains(strings.ToLower(e.Product), "podman") {
		return warn("use Docker Engine", "this is %s: dockerwall is made for and tried with Docker Engine only", product(f))
	}
	if e.Unsaid != "" {
		return skip(f.engineSaid(), "allow GET /info in the socket proxy")
	}
	switch {
	case e.Rootless:
		return fail("use a Docker Engine that root runs", "the Engine is rootless: its bridges are in a network namespace of its own, where this host's rules see nothing")
	case strings.Contains(e.OperatingSystem, "Docker Desktop"):
		return fail("use Docker Engine on Linux", "this is Docker Desktop: its bridges are in a virtual machine, where this host's rules see nothing")
	case e.UserNamespaces && f.Container:
		return warn("userns_mode: host in docker-compose.yml", "the Engine remaps users (userns-remap): in a container, dockerwall has no rights in the host's network")
	case e.UserNamespaces:
		return ok("Docker Engine with userns-remap on %s", word(e.OperatingSystem))
	default:
		return ok("Docker Engine of root on %s", word(e.OperatingSystem))
	}
}

func backendLine(f Facts) Line {
	if why := f.engineSaid(); why != "" {
		return skip(why, "")
	}
	switch driver := f.Engine.Value.Firewall; {
	case driver == "":
		return ok("iptables, as the Engine names none")
	case strings.HasPrefix(driver, "iptables"):
		return ok("%s", word(driver))
	default:
		return warn(`"firewall-backend": "iptables" in /etc/docker/daemon.json, or try what matters to you`,
			"%s: our table stands beside Docker's and an accept there does not override a drop here, but dockerwall's tests have not met this backend", word(driver))
	}
}

func liveRestoreLine(f Facts) Line {
	switch why := f.engineSaid(); {
	case why != "":
		return skip(why, "")
	case f.Engine.Value.LiveRestore:
		return ok("on: containers outlive a restart of the Engine, fenced as before")
	default:
		return ok("off: containers end with the Engine")
	}
}

func userlandProxyLine(f Facts) Line {
	d := f.DaemonJSON
	switch {
	case d.Why != "":
		return d.unknown()
	case off(d.Value.UserlandProxy):
		return ok("off: published ports are reached by DNAT only, and bridges may route 127.0.0.0/8")
	default:
		return ok("on: docker-proxy serves published ports on the host's addresses, which `_host_` opens")
	}
}

func dockerIPTablesLine(f Facts) Line {
	d := f.DaemonJSON
	switch {
	case d.Why != "":
		return d.unknown()
	case off(d.Value.IPTables):
		return warn(`remove "iptables": false from /etc/docker/daemon.json`,
			"false: Docker adds no rules, so that containers have no NAT and networks are not kept apart for those that are not fenced")
	default:
		return ok("on: Docker adds its own rules")
	}
}

func dockerIP6TablesLine(f Facts) Line {
	d := f.DaemonJSON
	switch {
	case d.Why != "":
		return d.unknown()
	case off(d.Value.IP6Tables) && d.Value.IPv6 != nil && *d.Value.IPv6:
		return warn(`remove "ip6tables": false from /etc/docker/daemon.json`,
			"IPv6 is on and ip6tables is false: Docker adds no IPv6 rules, so that containers that are not fenced are open from outside")
	case off(d.Value.IP6Tables):
		return ok("off: Docker adds no IPv6 rules")
	default:
		return ok("not turned off")
	}
}

func off(b *bool) bool { return b != nil && !*b }

// firstHostResolver is the Docker that began to ask from the host's namespace (28.0).
const firstHostResolver = 28

func dockerDNSLine(f Facts) Line {
	var major int
	_, err := fmt.Sscanf(f.Engine.Value.Version, "%d.", &major)
	switch {
	case f.Engine.Why != "":
		return skip(f.engineSaid(), "")
	case err != nil:
		return skip("the Engine's version is not understood: "+word(f.Engine.Value.Version), "")
	case major < firstHostResolver:
		return ok("Docker %d asks from the container's namespace", major)
	case f.DaemonJSON.Why != "":
		return f.DaemonJSON.unknown()
	case len(f.DaemonJSON.Value.DNS) > 0:
		return ok("Docker asks %s from the container's namespace", word(strings.Join(f.DaemonJSON.Value.DNS, ", ")))
	default:
		return warn(`"dns": ["ADDRESS"] in /etc/docker/daemon.json, or --dns on the container`,
			"Docker %d asks from the host's namespace: `!_dns_` does not stop questions through Docker's resolver", major)
	}
}
