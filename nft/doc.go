// Package nft is table inet dockerwall: as a value, as text, as the difference between two of them, and
// as the kernel holds it. It is the one place that speaks to nf_tables.
//
//	Ruleset ── Table ──> Table ── Diff(old, new) ──> Plan ── commit ──> kernel
//	 values    compile     │                          batches              │
//	                       └─> String: nft(8) text          ReadLive <─────┘
//
// [Ruleset] is what is wanted: plain values without handles or clocks, and JSON. [Ruleset.Judge] says what
// the kernel would do with a packet; [Ruleset.Validate] what it would refuse. [Kernel] is the one writer.
//
// # The table
//
// Two base chains judge what containers send. Both are regular filter chains at "filter - 10":
//
//	                      prerouting            forward, filter - 10         forward, filter
//	container ─> bridge ─> conntrack, DNAT ─┬─> chain forward ──────────────> Docker, ufw, … ─> out
//	                                        └─> chain input ────────────────> the host's own ─> process
//	                                            input, filter - 10           input, filter
//
// so conntrack and DNAT are done, masquerading is not, and Docker's and the host's filter rules come after.
// Each hook asks in this order; the first answer counts:
//
//	neighbour discovery, MLD (input)          accept
//	@sent4, @sent6                            count what each source sends; goes on
//	iifname . oifname        vmap @same       jump n_<network>: same network, accept (forward)
//	fenced bridge, ct state invalid           goto invalid: count, log, drop
//	tcp from elsewhere without syn, new       goto stray: a flow that was cut must not come back (forward)
//	ct state established; related icmp        accept
//	iifname . ip saddr       vmap @source4    jump c_<id>: the container's chain; @source6 likewise
//	fenced bridge                             goto unknown: an address that no container has
//	a bridge br-* that is not in @free        goto unknown: a network we have not seen
//
// A container's chain and all that is its own are named after the first 12 digits of its ID, c_<id>, never
// after text that somebody chose:
//
//	chain c_<id>        denials, what opens the host too, literals, names, then goto c_<id>_deny
//	chain c_<id>_deny   count in c_<id>_drop, record in c_<id>_denied4, log a new destination, drop or reject
//	sets  c_<id>_…      addresses and ports of its label; names in hash sets, literals in interval sets
//
// What containers share, DEFAULT_OUTBOUND and the host's resolvers, stands once, in sets named after the
// source. Chains and maps of the layout are never replaced while they fence: a [Diff] adds and takes away,
// and all that a packet can see of one change is in one batch.
//
// # Neighbours
//
// An accept here ends only our chain; Docker, ufw and firewalld still decide after it. A drop here is
// final. So the table works beside iptables-nft, iptables-legacy and Docker's own nftables backend, whoever
// comes first, and needs nothing of them. Others may rely on this:
//
//   - nothing outside the table is ever changed, and the table marks no packet and touches no conntrack entry;
//   - a packet that neither comes from a fenced or unknown br-* bridge nor goes to a fenced one is never judged;
//   - replies to connections that somebody else opened to a container pass.
//
// Where the kernel knows the flags owner and persist (5.12 and 6.9) a table that we make carries both: while
// the daemon lives only it can change the table, also by "flush ruleset", and the table stays when the
// daemon does not. A table made without them is adopted as it is. [Kernel.Watch] tells of what a stranger
// changed, and the next [Kernel.Apply] mends it.
package nft
