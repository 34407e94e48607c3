package nft

import (
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// What a rule does once its clauses match.

func verdict(text string, v expr.Verdict) clause {
	return clause{text, func() []expr.Any { return []expr.Any{&v} }}
}

func accept() clause { return verdict("accept", expr.Verdict{Kind: expr.VerdictAccept}) }
func drop() clause   { return verdict("drop", expr.Verdict{Kind: expr.VerdictDrop}) }

// notrack is "notrack": conntrack passes the packet over.
func notrack() clause {
	return clause{"notrack", func() []expr.Any { return []expr.Any{&expr.Notrack{}} }}
}

// jump is "jump chain": what the chain does not decide goes on here.
func jump(chain string) clause {
	return verdict("jump "+chain, expr.Verdict{Kind: expr.VerdictJump, Chain: chain})
}

// goTo is "goto chain": what the chain does not decide does not come back.
func goTo(chain string) clause {
	return verdict("goto "+chain, expr.Verdict{Kind: expr.VerdictGoto, Chain: chain})
}

// count is `counter name "…"`.
func count(counter string) clause {
	return clause{fmt.Sprintf("counter name %q", counter), func() []expr.Any {
		return []expr.Any{&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counter}}
	}}
}

// rejectReset is "reject with tcp reset"; nft wants the protocol named.
func rejectReset() clause {
	return clause{"meta l4proto tcp reject with tcp reset", func() []expr.Any {
		return append(isProto(TCP), &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	}}
}

// rejectAdmin is "reject with icmpx admin-prohibited".
func rejectAdmin() clause {
	return clause{"reject with icmpx admin-prohibited", func() []expr.Any {
		return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
	}}
}

// log is `log prefix "…" group 32 snaplen 128 queue-threshold 1`. 128 bytes hold an IPv6 header, two
// extension headers and the ports; threshold 1 makes the kernel deliver at once instead of after a
// second (measured).
func log(prefix string, group uint16) clause {
	text := fmt.Sprintf("log prefix %q group %d snaplen 128 queue-threshold 1", prefix, group)
	return clause{text, func() []expr.Any {
		key := uint32(1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD)
		return []expr.Any{&expr.Log{Key: key, Group: group, Snaplen: 128, QThreshold: 1, Data: []byte(prefix)}}
	}}
}

// logLimit is "limit rate 10/second burst 20 packets": what one container may cost the daemon.
func logLimit() clause {
	return clause{"limit rate 10/second burst 20 packets", func() []expr.Any {
		return []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: 10, Unit: expr.LimitTimeSecond, Burst: 20}}
	}}
}

// renew is "update @set { ip daddr . ip saddr . meta l4proto }": the element lives for the set's whole timeout again.
func renew(set string, fields ...field) clause {
	return clause{"update @" + set + " { " + joined(fields) + " }", func() []expr.Any {
		return append(loads(fields), &expr.Dynset{SrcRegKey: reg32, SetName: set, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE)})
	}}
}

// record is "update @set { ip daddr . meta l4proto . th dport counter limit rate 1/minute burst 1
// packets }". It counts every packet of a destination and lets the rule go on for the first one and
// one a minute after. A full set ends the rule, so no verdict may follow it (nft_dynset_eval).
func record(set string, perElementLimit bool, fields ...field) clause {
	text := fmt.Sprintf("update @%s { %s counter", set, joined(fields))
	if perElementLimit {
		text += " limit rate 1/minute burst 1 packets"
	}
	return clause{text + " }", func() []expr.Any {
		each := []expr.Any{&expr.Counter{}}
		if perElementLimit {
			each = append(each, &expr.Limit{Type: expr.LimitTypePkts, Rate: 1, Unit: expr.LimitTimeMinute, Burst: 1})
		}
		return append(loads(fields), &expr.Dynset{SrcRegKey: reg32, SetName: set, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Exprs: each})
	}}
}
