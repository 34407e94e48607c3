package doctor

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/nft"
)

// The oldest kernel: nf_tables has all that the table needs from 5.10 on.
const (
	oldestMajor = 5
	oldestMinor = 10
)

func kernelChecks() []check {
	return []check{
		{Entry{"kernel", "the version of Linux", "fail: older than 5.10, and nf_tables lacks what the table needs; warn: older, but nf_tables has it"}, kernelLine},
		{Entry{"nftables", "whether the kernel takes our table, tried with a scratch table", "fail: it does not"}, nftablesLine},
		{Entry{"ownership", "the table flags `owner` and `persist`", "warn: the kernel lacks them, so that any program can change the table, which is then repaired"}, ownershipLine},
		{Entry{"element-limit", "counter and limit on one element", "warn: the kernel lacks it, so that the log has no limit for each destination"}, elementLimitLine},
		{Entry{"port-binding", "nf_tables for bridges", "warn: the kernel is without, so that addresses are not bound to ports"}, portBindingLine},
		{Entry{"dns-hold", "how DNS answers can be held until they are learned", "warn: they can only be copied, or not even that"}, dnsHoldLine},
		{Entry{"table", "what stands in the kernel as table inet dockerwall", "warn: nothing, or somebody else's rules are in it, or it was made without an owner; fail: a daemon runs, but there is no table"}, tableLine},
		{Entry{"capabilities", "CAP_NET_ADMIN of this process", "fail: root is without it"}, capabilitiesLine},
		{Entry{"landlock", "whether the kernel can confine the daemon to its files", "warn: it cannot; the fence is none the worse"}, landlockLine},
		{Entry{"namespace", "whether Docker's bridges are in this network namespace", "fail: none of them is"}, namespaceLine},
	}
}

func kernelLine(f Facts) Line {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); n < 2 {
		return skip("the kernel's version is not understood: "+word(f.Kernel), "")
	}
	switch {
	case major > oldestMajor || major == oldestMajor && minor >= oldestMinor:
		return ok("Linux %s", word(f.Kernel))
	case f.Nftables.Why == "":
		return warn("use Linux 5.10 or newer", "Linux %s is older than 5.10, but its nf_tables has what is needed", word(f.Kernel))
	default:
		return fail("use Linux 5.10 or newer", "Linux %s is older than 5.10", word(f.Kernel))
	}
}

func nftablesLine(f Facts) Line {
	switch {
	case f.Nftables.Rights:
		return f.Nftables.unknown()
	case f.Nftables.Why != "":
		return fail("modprobe nf_tables, or a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET", "the table cannot be made: %s", word(f.Nftables.Why))
	default:
		return ok("the kernel takes the table")
	}
}

// unasked is why a line about a feature has nothing to say.
const unasked = "the kernel was not asked: see nftables"

// feature is the line of something that the probe found or not.
func feature(f Facts, has func(nft.Features) bool, yes string, no Line) Line {
	switch {
	case f.Nftables.Why != "":
		return skip(unasked, "")
	case has(f.Nftables.Value):
		return ok("%s", yes)
	default:
		return no
	}
}

func ownershipLine(f Facts) Line {
	return feature(f, func(n nft.Features) bool { return n.Owner }, "the table is the daemon's own while that runs: no `nft flush ruleset` removes it",
		warn("Linux 6.9 or newer has it", "any program can change the table, which is seen and repaired: the kernel has no table flags owner and persist"))
}

func elementLimitLine(f Facts) Line {
	return feature(f, func(n nft.Features) bool { return n.ElementLimit }, "an element can carry a counter and a limit",
		warn("Linux 5.11 or newer has it", "an element cannot carry both a counter and a limit: denied packets are logged within the container's limit, not once a minute for each destination"))
}

func portBindingLine(f Facts) Line {
	return feature(f, func(n nft.Features) bool { return n.Ports }, "addresses are bound to bridge ports",
		warn("cap_drop NET_RAW, or a kernel with CONFIG_NF_TABLES_BRIDGE", "addresses are not bound to bridge ports, which this kernel cannot do: a container with NET_RAW can send with another's address"))
}

func dnsHoldLine(f Facts) Line {
	if f.Nftables.Why != "" {
		return skip(unasked, "")
	}
	const remedy = "modprobe -a nfnetlink_queue nft_queue, or a kernel with CONFIG_NFT_QUEUE"
	taps := f.Nftables.Value.Taps
	switch {
	case f.DNSHold == "off":
		return warn("--dns-hold=auto", "DNS answers are not looked at: --dns-hold is off, so that wildcards open nothing")
	case slices.Contains(taps, nft.TapNFTQueue), slices.Contains(taps, nft.TapXTQueue):
		return ok("DNS answers can wait until they are in the table: %s", modes(taps))
	case len(taps) > 0:
		return warn(remedy, "DNS answers are only copied: the first packet to a new address of a name may be denied")
	default:
		return warn(remedy, "DNS answers cannot be looked at: wildcards open nothing")
	}
}

func tableLine(f Facts) Line {
	t := f.Table.Value
	switch {
	case f.Table.Why != "":
		return f.Table.unknown()
	case !t.Exists && f.Silent:
		return warn("dockerwall run", "there is none: nothing is fenced")
	case !t.Exists && f.Daemon.Why != "":
		return warn("see the daemon's log", "there is none (yet): nothing is fenced")
	case !t.Exists:
		return fail("see the daemon's log", "there is none, but a daemon runs: nothing is fenced")
	case t.Foreign > 0:
		return warn("dockerwall nft diff", "it holds things that are not dockerwall's: %d", t.Foreign)
	case f.Silent:
		return ok("it stands and fences what it knows, without a daemon")
	case !t.Owned && f.Nftables.Value.Owner:
		return warn("`dockerwall nft flush` and a start of the daemon make it anew; until then nothing is fenced",
			"the table was made without an owner: other programs can change it, which is repaired")
	default:
		return ok("it stands")
	}
}

func modes(taps []nft.TapMode) string {
	var out []string
	for _, t := range taps {
		out = append(out, t.String())
	}
	return strings.Join(out, ", ")
}

func capabilitiesLine(f Facts) Line {
	p := f.Process.Value
	switch {
	case f.Process.Why != "":
		return f.Process.unknown()
	case p.Capabilities&(1<<unix.CAP_NET_ADMIN) != 0:
		return ok("CAP_NET_ADMIN is there; nothing of dockerwall needs another")
	case p.UID != 0:
		return skip(fmt.Sprintf("this process, of uid %d, is without CAP_NET_ADMIN: what needs it is skipped", p.UID), "sudo dockerwall doctor")
	default:
		return fail("cap_add: [NET_ADMIN] in docker-compose.yml, CapabilityBoundingSet=CAP_NET_ADMIN in a unit", "root is without CAP_NET_ADMIN: it can make no table")
	}
}

func landlockLine(f Facts) Line {
	if f.Landlock == 0 {
		return warn("Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= of its command line", "the kernel has no landlock: the daemon may open any file that its user may")
	}
	return ok("the daemon opens its own files only, and starts no program (landlock, ABI %d)", f.Landlock)
}

// namespaceLine knows the host's namespace by Docker's bridges.
func namespaceLine(f Facts) Line {
	if f.Networks.Why != "" {
		return skip("the Engine does not tell its bridges", "")
	}
	if f.Bridges.Why != "" {
		return f.Bridges.unknown()
	}
	var here, missing []string
	for _, n := range f.Networks.Value {
		switch {
		case n.Bridge == "":
		case f.hasBridge(n.Bridge):
			here = append(here, word(n.Bridge))
		default:
			missing = append(missing, word(n.Bridge))
		}
	}
	remedy := "run it where the Engine runs"
	if f.Container {
		remedy = "network_mode: host in docker-compose.yml"
	}
	switch {
	case len(here) > 0:
		return ok("this is the network namespace of Docker's bridges: %s", some(here))
	case len(missing) > 0:
		return fail(remedy, "none of Docker's bridges is in this network namespace: nothing can be fenced from here (%s)", some(missing))
	default:
		return ok("Docker has no bridges")
	}
}

func (f Facts) hasBridge(name string) bool {
	for _, b := range f.Bridges.Value {
		if b.Name == name {
			return true
		}
	}
	return false
}

// some are the first few of a list, and how many more there are.
func some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}
