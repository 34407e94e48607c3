package doctor

import (
	"strings"
)

func hostChecks() []check {
	return []check{
		{Entry{"ufw", "`ENABLED` in /etc/ufw/ufw.conf", "warn: ufw is on, whose rules hold as well"}, ufwLine},
		{Entry{"firewalld", "/run/firewalld and its unit", "warn: firewalld is on, whose rules hold as well"}, firewalldLine},
		{Entry{"nftables-conf", "`flush ruleset` in nftables' configuration, and nftables.service", "warn: the service is enabled and its file flushes: a restart of it takes the table while no daemon runs"}, nftablesConfLine},
		{Entry{"leftovers", "rules and ipsets of the old iptables dockerwall", "warn: some are there and still filter"}, leftoversLine},
		{Entry{"resolvers", "the host's resolvers, as containers get them", "warn: they cannot be known, or a file has mistakes"}, resolversLine},
		{Entry{"boot", "what starts dockerwall", "warn: nothing does, or Docker does, which may start other containers before; or nothing is remembered for a boot"}, bootLine},
	}
}

func ufwLine(f Facts) Line {
	switch {
	case f.UFW.Why != "":
		return f.UFW.unknown()
	case f.UFW.Value:
		return warn("ufw allow in on BRIDGE to any port PORT, for what `_host_` is to open",
			"ufw is on: its rules hold as well, so that what a label opens on the host must be open there, too; its reset and reload do not touch our table")
	default:
		return ok("not there, or off")
	}
}

func firewalldLine(f Facts) Line {
	switch {
	case f.Firewalld.Why != "":
		return f.Firewalld.unknown()
	case f.Firewalld.Value:
		return warn("firewall-cmd --zone=docker --add-port=PORT/tcp, for what `_host_` is to open",
			"firewalld is on: its rules hold as well, so that what a label opens must be open there, too; its reload does not touch our table")
	default:
		return ok("not there, or off")
	}
}

func nftablesConfLine(f Facts) Line {
	files := word(strings.Join(f.Flushes.Value, ", "))
	switch {
	case f.Flushes.Why != "":
		return f.Flushes.unknown()
	case files == "":
		return ok("no file flushes the ruleset")
	case f.Reloads.Why != "":
		return f.Reloads.unknown()
	case f.Reloads.Value:
		return warn("in place of `flush ruleset`, delete the file's own tables: `destroy table inet filter`",
			"`flush ruleset` in %s, and nftables.service is enabled: its restart removes our table while no daemon runs, and Docker's rules always", files)
	default:
		return ok("`flush ruleset` in %s, but nftables.service is not enabled", files)
	}
}

func leftoversLine(f Facts) Line {
	l := f.Leftovers.Value
	switch {
	case f.Leftovers.Why != "":
		return f.Leftovers.unknown()
	case l.Empty():
		return ok("nothing is left of the old iptables dockerwall")
	default:
		return warn(strings.Join(l.Commands(), "; "), "rules of the old iptables dockerwall are still there and still filter: %s", word(strings.Join(append(l.Chains, l.IPSets...), ", ")))
	}
}

func resolversLine(f Facts) Line {
	r := f.Resolvers
	var given []string
	for _, a := range r.Containers {
		given = append(given, a.String())
	}
	switch {
	case r.Degraded != "":
		what, remedy, _ := strings.Cut(r.Degraded, ": ")
		return warn(word(remedy), "%s", word(what))
	case len(r.Problems) > 0:
		return warn("correct the entry", "%s", word(r.Problems[0].String()))
	case len(given) == 0:
		return ok("containers get none of the host's")
	default:
		return ok("containers get %s", some(given))
	}
}

func bootLine(f Facts) Line {
	const unit = "run it as dockerwall.service, which comes before docker.service, where that matters: docs/howto/systemd.md"
	switch {
	case f.Container:
		return warn(unit, "as a container, dockerwall starts with the others and may be later than some of them after a boot")
	case f.Unit.Why != "":
		return f.Unit.unknown()
	case f.Unit.Value && f.StateDir.Path == "":
		return warn("--state-dir=PATH", "dockerwall.service is enabled, but nothing is remembered for a boot: after one, containers are denied all they send until the daemon has spoken with Docker")
	case f.Unit.Value && f.Kept.Why == "" && !f.Kept.Value:
		return warn("see the daemon's log, or start it", "dockerwall.service is enabled, but there is no ruleset.json in %s: after a boot, containers are denied all they send until the daemon has spoken with Docker", word(f.StateDir.Path))
	case f.Unit.Value && f.Restore.Value:
		return ok("dockerwall.service and dockerwall-restore.service are enabled")
	case f.Unit.Value:
		return ok("dockerwall.service is enabled")
	case f.Restore.Value:
		return warn("systemctl enable --now dockerwall.service", "dockerwall-restore.service is enabled, but not dockerwall.service: after a boot, containers are denied what the daemon would allow")
	case f.Unfenced.Why == "" && f.ownContainer():
		return warn(unit, "Docker starts dockerwall, with the other containers and maybe later than some of them after a boot")
	default:
		return warn("systemctl enable --now dockerwall, with the unit of docs/howto/systemd.md", "no unit dockerwall.service is enabled: after a boot nothing is fenced until somebody starts dockerwall")
	}
}

// ownContainer says whether dockerwall seems to run as a container here, under the name that docker-compose.yml gives it.
func (f Facts) ownContainer() bool {
	for _, u := range f.Unfenced.Value {
		if name := u.Name; name == "dockerwall" || strings.HasSuffix(name, "-dockerwall-1") || strings.HasSuffix(name, "_dockerwall_1") {
			return true
		}
	}
	return false
}
