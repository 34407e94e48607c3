package nft

import (
	"fmt"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Clauses of the rules that stop DNS answers.

func thSport() field { return payload("th sport", typeService, expr.PayloadBaseTransportHeader, 0) }

// ctReply is "ct direction reply".
func ctReply() clause {
	return clause{"ct direction reply", func() []expr.Any {
		return []expr.Any{&expr.Ct{Key: expr.CtKeyDIRECTION, Register: reg32}, equal([]byte{1})} // IP_CT_DIR_REPLY
	}}
}

// fromLoopback is `iifname "lo"`.
func fromLoopback() clause {
	return clause{`iifname "lo"`, func() []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg32}, equal([]byte(ifname("lo")))}
	}}
}

// fibSource is "fib saddr . mark . iif oif exists": a packet to the source, with this one's mark, would leave by the
// interface this one came in by. Whether that is so on lo depends on the kernel (nft_fib_ipv4.c: RTN_LOCAL, and
// nft_fib_can_skip of newer ones). Of equal IPv6 routes only the one that a hash of the addresses picks counts.
func fibSource() clause {
	return clause{"fib saddr . mark . iif oif exists", func() []expr.Any {
		return []expr.Any{
			&expr.Fib{Register: reg32, FlagSADDR: true, FlagMARK: true, FlagIIF: true, ResultOIF: true, FlagPRESENT: true},
			equal(binaryutil.NativeEndian.PutUint32(1)),
		}
	}}
}

// ctMark is "ct mark 0x6477".
func ctMark(mark uint32) clause {
	return clause{fmt.Sprintf("ct mark %#x", mark), func() []expr.Any {
		return []expr.Any{&expr.Ct{Key: expr.CtKeyMARK, Register: reg32}, equal(binaryutil.NativeEndian.PutUint32(mark))}
	}}
}

// metaMark is "meta mark 0x6477".
func metaMark(mark uint32) clause {
	return clause{fmt.Sprintf("meta mark %#x", mark), func() []expr.Any {
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: reg32}, equal(binaryutil.NativeEndian.PutUint32(mark))}
	}}
}

// setCtMark is "ct mark set 0x6477".
func setCtMark(mark uint32) clause {
	return clause{fmt.Sprintf("ct mark set %#x", mark), func() []expr.Any {
		return []expr.Any{
			&expr.Immediate{Register: reg32, Data: binaryutil.NativeEndian.PutUint32(mark)},
			&expr.Ct{Key: expr.CtKeyMARK, Register: reg32, SourceRegister: true},
		}
	}}
}

// within is "update @set { ip daddr limit rate 2000/second burst 4000 packets }": the rule goes on while this key is
// within its limit.
func within(set string, key field) clause {
	text := fmt.Sprintf("update @%s { %s limit rate %d/second burst %d packets }", set, key.text, clientRate, clientBurst)
	return clause{text, func() []expr.Any {
		limit := &expr.Limit{Type: expr.LimitTypePkts, Rate: clientRate, Unit: expr.LimitTimeSecond, Burst: clientBurst}
		return append(loads([]field{key}), &expr.Dynset{
			SrcRegKey: reg32, SetName: set, Operation: uint32(unix.NFT_DYNSET_OP_UPDATE), Exprs: []expr.Any{limit},
		})
	}}
}

// queue is "queue flags bypass to 5300": without a reader the packet goes on.
func queue(number uint16) clause {
	return clause{fmt.Sprintf("queue flags bypass to %d", number), func() []expr.Any {
		return []expr.Any{&expr.Queue{Num: number, Total: 1, Flag: expr.QueueFlagBypass}}
	}}
}

// xtQueue is what iptables calls "-j NFQUEUE --queue-num 5300 --queue-bypass": revision 3 of the target, whose
// struct xt_NFQ_info_v3 is number, how many, and flags (xt_NFQUEUE.h), padded to 8 bytes (XT_ALIGN).
func xtQueue(number uint16) clause {
	const bypass = 1 // NFQ_FLAG_BYPASS
	return clause{`xt target "NFQUEUE" # ` + fmt.Sprintf("number %d, bypass", number), func() []expr.Any {
		info := make([]byte, 8)
		copy(info, binaryutil.NativeEndian.PutUint16(number))
		copy(info[2:], binaryutil.NativeEndian.PutUint16(1))
		copy(info[4:], binaryutil.NativeEndian.PutUint16(bypass))
		unknown := xt.Unknown(info)
		return []expr.Any{&expr.Target{Name: "NFQUEUE", Rev: 3, Info: &unknown}}
	}}
}

// logWhole is "log group 5300 snaplen 65535 queue-threshold 1": a copy of the whole packet, at once.
func logWhole(group uint16) clause {
	const whole = 65535
	return clause{fmt.Sprintf("log group %d snaplen %d queue-threshold 1", group, whole), func() []expr.Any {
		key := uint32(1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN | 1<<unix.NFTA_LOG_QTHRESHOLD)
		return []expr.Any{&expr.Log{Key: key, Group: group, Snaplen: whole, QThreshold: 1}}
	}}
}
