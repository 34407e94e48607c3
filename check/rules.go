package check

import (
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/reconcile"
)

func ownRules() []Rule {
	return []Rule{
		{ID: RuleApex, Severity: Note, Title: "a wildcard without the name itself", Help: "`*.example.com` is every name below example.com, not example.com, which the older program of this name allowed with it."},
		{ID: RuleAudit, Severity: Note, Title: "the container is only watched", Help: "With `dockerwall.mode=audit` nothing is denied."},
		{ID: RuleBuildLabels, Severity: Warning, Title: "a label under build", Help: "Labels under `build` are the image's, and those are ignored unless `TRUST_IMAGE_LABELS=true`."},
		{ID: RuleComposeOnly, Severity: Note, Title: "a part that Compose fills in", Help: "`extends`, `include` and `label_file` are not followed; the output of `docker compose config` has them."},
		{ID: RuleCovered, Severity: Note, Title: "a token that another covers", Help: "It makes a policy look narrower than it is."},
		{ID: RuleDeployLabels, Severity: Error, Title: "a label under deploy", Help: "Labels under `deploy` are those of the Swarm service; its containers do not get them."},
		{ID: RuleExternal, Severity: Note, Title: "a network made elsewhere", Help: "Its driver is not in the file, and a network of driver macvlan, ipvlan or overlay is not fenced."},
		{ID: RuleHostInRange, Severity: Note, Title: "a range that holds an address of this host", Help: "Prefixes and ranges never open the host; `_host_`, `*` and its single addresses do. Offline the host is 172.17.0.1."},
		{ID: RuleLikeALabel, Severity: Warning, Title: "a label that is almost one of dockerwall's", Help: "Only `dockerwall.outbound`, `dockerwall.mode` and `dockerwall.deny` are read; a container without them reaches nothing."},
		{ID: RuleLoopback, Severity: Warning, Title: "a loopback address", Help: "It is the container itself, not the host."},
		{ID: RuleMixedScript, Severity: Warning, Title: "a name with letters of several scripts", Help: "A letter that looks like another makes it another name."},
		{ID: RuleNoNetwork, Severity: Note, Title: "labels without a network", Help: "A container with `network_mode: none` sends nothing."},
		{ID: RuleNotText, Severity: Error, Title: "a label's value that is no text", Help: "Compose refuses lists and mappings as values of labels."},
		{ID: RuleOff, Severity: Note, Title: "the container is not fenced", Help: "With `dockerwall.mode=off` it reaches whatever the host reaches."},
		{ID: RuleSharedNetwork, Severity: Note, Title: "another container's network", Help: "The policy of the container whose network it is counts."},
		{ID: RuleTwice, Severity: Warning, Title: "a label that stands twice", Help: "Of several labels with one key only the last counts."},
		{ID: RuleUnresolved, Severity: Warning, Title: "a name without an address", Help: "Looked for only with `--resolve`."},
		{ID: RuleVariable, Severity: Warning, Title: "a value with a variable", Help: "What it means is known only when Compose has filled it in; `docker compose config` prints that."},
	}
}

func policyRules() []Rule {
	return []Rule{
		{ID: policy.RuleAddress, Severity: Error, Title: "not an address, prefix or range", Help: "Addresses are read strictly, so that none means another than it seems to."},
		{ID: policy.RuleBoth, Severity: Warning, Title: "both allowed and denied", Help: "A denial beats every allow."},
		{ID: policy.RuleClause, Severity: Error, Title: "not a port or protocol", Help: "A destination may be followed by `:443`, `:8000-8080`, `/tcp`, `/udp`, `/icmp` or `:443/tcp`."},
		{ID: policy.RuleDeny, Severity: Error, Title: "not a value of dockerwall.deny", Help: "It is drop or reject; denied packets are dropped until it is corrected."},
		{ID: policy.RuleEverything, Severity: Warning, Title: "everything is allowed", Help: "`*` opens the host's own services too."},
		{ID: policy.RuleGroup, Severity: Error, Title: "an unknown group", Help: "Groups are shipped or come from policy files; `dockerwall groups` lists them."},
		{ID: policy.RuleHostBits, Severity: Warning, Title: "a prefix with bits beyond its length", Help: "They are ignored; either the address or the length is not what was meant."},
		{ID: policy.RuleImageLabel, Severity: Warning, Title: "a label that comes from the image", Help: "An image must not open its own fence. Only running containers are checked for it."},
		{ID: policy.RuleLimit, Severity: Error, Title: "more than can be held", Help: "A text has limits of length, tokens, and different ports; what is beyond them is left out."},
		{ID: policy.RuleMode, Severity: Error, Title: "not a value of dockerwall.mode", Help: "It is enforce, audit or off; the container is fenced until it is corrected."},
		{ID: policy.RuleMore, Severity: Warning, Title: "further findings", Help: "Of one label 20 are told."},
		{ID: policy.RuleName, Severity: Error, Title: "not a DNS name", Help: "Names are those of DNS, written in full."},
		{ID: policy.RuleNetworks, Severity: Warning, Title: "a mistake in GATEWAY_NETWORKS", Help: "What cannot be understood frees no network."},
		{ID: policy.RulePort6, Severity: Warning, Title: "an IPv6 address that seems to end in a port", Help: "IPv6 with a port needs brackets."},
		{ID: policy.RulePublicSuffix, Severity: Warning, Title: "a wildcard below a public suffix", Help: "Anybody can register a name there."},
		{ID: policy.RuleQuotes, Severity: Error, Title: "quotation marks in the value", Help: "In a list of labels, quotes after the `=` are part of the value."},
		{ID: policy.RuleSingleLabel, Severity: Error, Title: "a name of one label", Help: "Such names are Docker's; containers on one network always reach each other."},
		{ID: policy.RuleSpace, Severity: Error, Title: "a space inside a token", Help: "Tokens are separated by commas or newlines."},
		{ID: policy.RuleToken, Severity: Error, Title: "not a token", Help: "The grammar is in the README."},
		{ID: policy.RuleURL, Severity: Error, Title: "a URL", Help: "Schemes and paths are not looked at; a destination is a host, with a port."},
		{ID: policy.RuleUnknownLabel, Severity: Error, Title: "a label that does not exist", Help: "Labels that begin with `dockerwall.` are dockerwall.outbound, dockerwall.mode and dockerwall.deny."},
		{ID: policy.RuleUnprintable, Severity: Error, Title: "characters that are not printable", Help: "They hide what a text is."},
		{ID: policy.RuleWildcard, Severity: Error, Title: "a wildcard that is none", Help: "`*` stands for whole labels, in front, once."},
		{ID: policy.RuleWord, Severity: Error, Title: "not a word of the grammar", Help: "The words are `_dns_`, `_host_`, `_internet_` and `*`."},
	}
}

func hostRules() []Rule {
	return []Rule{
		{ID: reconcile.RuleAddressTwice, Severity: Error, Title: "an address of two containers", Help: "What comes from it is denied."},
		{ID: reconcile.RuleBridge, Severity: Error, Title: "a bridge that cannot be fenced", Help: "Its name cannot be part of a rule, or it is two networks'."},
		{ID: reconcile.RuleContainerID, Severity: Error, Title: "a container that cannot be told from others", Help: "What it sends is denied."},
		{ID: reconcile.RuleFreeWayOut, Severity: Warning, Title: "a fenced container on a network that is not", Help: "It can send anything by that network."},
		{ID: reconcile.RuleHostNetwork, Severity: Warning, Title: "the host's own network", Help: "Nothing is fenced there; an error where labels ask for it."},
		{ID: reconcile.RuleImageGone, Severity: Error, Title: "a container whose image is gone", Help: "Which labels are its own is not known, so its allows do not count."},
		{ID: reconcile.RuleMACTwice, Severity: Warning, Title: "a MAC of two containers", Help: "Their addresses are not bound to bridge ports. Only the daemon sees it."},
		{ID: reconcile.RuleNetworkID, Severity: Error, Title: "a network that cannot be told from others", Help: "Its containers may not reach one another."},
		{ID: reconcile.RuleNoHook, Severity: Warning, Title: "a network of a driver that is not fenced", Help: "Packets of macvlan and ipvlan pass none of the host's hooks; an error where labels ask for it."},
		{ID: reconcile.RuleOverlay, Severity: Warning, Title: "an overlay network", Help: "What containers send to each other there is not fenced; what leaves by docker_gwbridge is."},
		{ID: reconcile.RuleRefused, Severity: Warning, Title: "an address that no answer can open", Help: "DNS cannot open the host, Docker's networks or private ranges by a wildcard. Only the daemon sees it."},
		{ID: reconcile.RuleSharedLabels, Severity: Error, Title: "labels on another container's network", Help: "The policy of the container whose network it is counts."},
		{ID: reconcile.RuleStepsAround, Severity: Warning, Title: "a container that can step around the fence", Help: "Privileged, with NET_ADMIN, SYS_ADMIN and the like, or with an engine's socket, it is as good as root on the host."},
		{ID: reconcile.RuleStrangePort, Severity: Error, Title: "a bridge port that is no container's", Help: "What is behind it is on the containers' network. Only the daemon sees it."},
		{ID: reconcile.RuleUnlisted, Severity: Warning, Title: "a network that Docker does not list any more", Help: "Its bridge stands all the same, and stays fenced. Only the daemon sees it."},
		{ID: reconcile.RuleUnmanaged, Severity: Error, Title: "a network that is left alone", Help: "`GATEWAY_NETWORKS` leaves it out, so that labels do nothing there. A note for containers without labels."},
		{ID: reconcile.RuleUnheldDNS, Severity: Warning, Title: "denied DNS that is not held", Help: "Docker 28 and newer ask resolvers from the host's namespace unless `dns` is set; there `!_dns_` does not stop questions through Docker's resolver. Only running containers are checked for it."},
		{ID: reconcile.RuleUnknownDenial, Severity: Error, Title: "a denied name that is not known yet", Help: "No allow beside it counts until a resolver answers. Only the daemon sees it."},
	}
}
