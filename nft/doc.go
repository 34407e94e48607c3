// Package nft is tables inet and bridge dockerwall: as a value, as text, as the difference between two of them, and
// as the kernel holds it; and beside it the tables that stop DNS answers. It is the one place that speaks to nf_tables.
//
//	Ruleset ── Table ──> Table ── Diff(old, new) ──> Plan ── commit ──> kernel
//	 values    compile     │                          batches     │        │
//	Tap ────── table ──────┤                          Learned ────┘        │
//	                       └─> String: nft(8) text          ReadLive <─────┘
//
// [Ruleset] is what is wanted: plain values without handles or clocks, and JSON. [Ruleset.Judge] says what
// the kernel would do with a packet; [Ruleset.Validate] what it would refuse. [Kernel] is the one writer.
// [Kernel.Learn] is the short path for the addresses of a DNS answer: elements of sets that stand, in one batch. The
// next [Kernel.Apply] takes away what its ruleset lacks of them.
//
// # The table
//
// Two base chains judge what containers send, and a third one at output sees to it that what was cut stays cut. They are
// regular filter chains at "filter - 10":
//
//	                      prerouting            forward, filter - 10         forward, filter
//	container ─> bridge ─> conntrack, DNAT ─┬─> chain forward ──────────────> Docker, ufw, … ─> out
//	                                        └─> chain input ────────────────> the host's own ─> process
//	                                            input, filter - 10           input, filter
//
// so conntrack and DNAT are done, masquerading is not, and Docker's and the host's filter rules come after. Before
// conntrack, at prerouting, what a frame to many brings (broadcast, multicast) from a fenced bridge is left untracked:
// such a packet could be known for good before it is judged. Each hook asks in this order; the first answer counts:
//
//	sent to a port itself, not to its bridge  goto unknown: groups 01:80:c2:00:00:0X (input)
//	neighbour discovery, MLD (input)          accept
//	fenced bridge, @sent4, @sent6             count what each source sends; accept what is established
//	ct state established                      accept, if it does not come from a fenced bridge
//	iifname . oifname        vmap @same       jump n_<network>: from and to the same network, accept (forward)
//	fenced bridge, ct state invalid           goto invalid: count, log, drop
//	tcp from elsewhere without syn, new       goto stray: a flow that was cut must not come back (forward, output)
//	new from the far side, in @cut4, @cutport4  goto cut: likewise of other protocols, see [Kernel.Cut] (forward, output)
//	iifname                  vmap @homes      jump h_<network>: a source that is not at home there is unknown
//	ct state established                      accept: of others there
//	related icmp                              accept, of a fenced bridge's containers if it is about a flow of their own
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
// What containers share, such as DEFAULT_OUTBOUND, the host's resolvers or a label that several have, stands once, in sets
// named after the source. Chains and maps of the layout are never replaced while they fence: a [Diff] adds and takes away,
// and all that a packet can see of one change is in one batch.
//
// # The ports
//
// An address alone says nothing of who sent a packet: a container can write any frame. With [Ruleset.BindPorts] table
// bridge dockerwall binds MAC and addresses to [Ruleset.Ports], in one base chain that sees each frame of every port of
// every bridge, ARP and frames with VLAN tags too, before the bridge learns from it and before the chains above:
//
//	iifname . ether saddr . ip saddr @bound4   accept: the common case is one lookup
//	neighbour advertisement, and solicitation  vmap @adverts: jump p_<MAC>, the addresses the port may speak for
//	from nobody (::)
//	router advertisement, redirect,            goto spoof: the host is the only router, and of more than one VLAN tag the
//	more than one VLAN tag; of @known ports    stack would see more than we do
//	@bound6                                    accept
//	a MAC in @macs that is not the port's own  goto claimed
//	an IPv4 or IPv6 source in @taken4, @taken6 goto claimed: another port's, or the host's own on a fenced bridge
//	an ARP sender in @taken4 that is not the   goto claimed
//	port's own with its own MAC
//
//	chain claimed   spoof, for a port that is @known; for another one while the daemon is @awake, see [Kernel.Awake]
//	chain kept      at input: a MAC in @macs likewise, in frames to the groups that a bridge keeps (01:80:c2:00:00:0X). That
//	                of LLDP, 0e, passes no hook at all, and the bridge learns from it.
//
// What is claimed counts for ports of kind veth only. What nobody has, a bridge we do not know may use, and a port too.
// The table stands exactly while ports are bound; both tables change in one batch.
//
// What this does not do: a kernel without CONFIG_NFT_BRIDGE_META does not say which bridge a port belongs to, so a MAC or
// address that is taken is denied on every bridge's veths. A bridge joined to a fenced one by a veth sees none of its
// containers' frames. An advertisement for another's address is denied to the ports that are bound, not to one that came
// a moment ago. A port that is bound cannot take over an IPv6 address that is not its own by advertising it; it can an
// IPv4 one that nobody has. Who changes the MAC of its interface is cut off.
//
// # The tap
//
// [Tap] is tables ip dockerwall-dns and ip6 dockerwall-dns: three base chains at "filter - 12", so that an answer waits
// before it is judged. They match conntrack replies of trusted resolvers, and hand them to a queue, or to an nflog group.
//
//	forward   asked of port 53 of @resolvers, not by @bridges but from where the server is (fib), to @fenced
//	          from @containers, resolvers that are containers: bridge . address . port, to @fenced
//	input     the daemon's own questions (ct mark)      accept
//	          asked of port 53 of @host, over lo, or not by @bridges but from where the server is
//	          from @containers
//	output    the daemon's own questions (meta mark)    ct mark set; goes on
//	          asked of port 53 of @resolvers, which are on the host, to @fenced
//
// They deny nothing: whatever is not matched, not within @clients' limits, or finds nobody who reads the queue and says
// so in @alive goes on unread. The tables end with the daemon where the kernel knows owners; they are no part of a
// Ruleset, and neither [Ruleset.Judge] nor [ReadLive] knows of them.
//
// # Neighbours
//
// An accept here ends only our chain; Docker, ufw and firewalld still decide after it. A drop here is
// final. So the table works beside iptables-nft, iptables-legacy and Docker's own nftables backend, whoever
// comes first, and needs nothing of them. Others may rely on this:
//
//   - nothing outside the tables is ever changed, and they mark no packet; broadcasts and multicasts of fenced bridges are
//     untracked. The tap sets the conntrack mark of the
//     daemon's own connections, those whose packets it sends with that mark, and of no others;
//   - a packet that neither comes from a fenced or unknown br-* bridge nor goes to a fenced one is never judged;
//   - replies to connections that somebody else opened to a container pass.
//
// Where the kernel knows the flags owner and persist (5.12 and 6.9) a table that we make carries both: while
// the daemon lives only it can change the table, also by "flush ruleset", and the table stays when the
// daemon does not. A table made without them is adopted as it is. [Kernel.Watch] tells of what a stranger
// changed, and the next [Kernel.Apply] mends it.
package nft
