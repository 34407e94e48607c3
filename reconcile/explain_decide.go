package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// decide puts together what the policy and the kernel make of the packets.
func (i *Inquiry) decide(held nft.Lookup) {
	allowed := slices.IndexFunc(i.probes, func(p probe) bool { return p.allows })
	denied := slices.IndexFunc(i.probes, func(p probe) bool { return !p.allows })
	i.mixed = allowed >= 0 && denied >= 0
	if allowed >= 0 {
		i.allowance(i.probes[allowed])
	}
	failed := ""
	if denied >= 0 {
		failed = i.denial(i.probes[denied])
	}
	i.apart(i.probes[max(allowed, 0)])
	i.resolution()
	switch passing := i.passing(); {
	case i.differs(held):
		return
	case i.cut && passing != 0 && passing != len(i.probes):
		i.undecided("on which of its many ports and addresses is meant")
	case passing == len(i.probes):
		i.out.Token, i.out.Remedy = "", ""
		i.allowed(denied < 0)
	case passing > 0:
		i.undecided(i.difference())
	case i.out.Depends != "": // on what denial found out
		i.undecided(i.out.Depends)
	default:
		i.out.Verdict, i.out.Failed = Denied, failed
		i.otherWay()
	}
	i.inKernel(held, max(allowed, 0), max(denied, 0))
}

// allowed is the verdict where all packets pass, by the policy or by the mode alone.
func (i *Inquiry) allowed(byPolicy bool) {
	switch {
	case i.cut:
		i.undecided("on more ports and addresses than are looked at")
	case byPolicy && i.out.Depends != "" && !i.lenient():
		i.undecided(i.out.Depends)
	default:
		i.out.Verdict, i.out.Depends = Allowed, ""
	}
}

// lenient says whether what the policy denies passes all the same.
func (i *Inquiry) lenient() bool { return i.fenced.Mode != nft.Enforce || i.rules.DryRun }

func (i *Inquiry) undecided(depends string) { i.out.Verdict, i.out.Depends = Undecidable, depends }

func (i *Inquiry) passing() (n int) {
	for _, p := range i.probes {
		if p.pass {
			n++
		}
	}
	return n
}

// otherWay leaves a denial open where the container may send another way.
func (i *Inquiry) otherWay() {
	for _, n := range i.free {
		if n.Driver != "overlay" {
			i.undecided(fmt.Sprintf("on which network its default route leads over: on %s nothing is fenced", n.Name))
			i.out.Failed = ""
		}
	}
}

// differs says whether the kernel does anything but what the policy says.
func (i *Inquiry) differs(held nft.Lookup) bool {
	differs := func(what string) bool {
		i.step(StepKernel, StepUnknown, "%s", what)
		i.out.Verdict, i.out.Failed, i.out.Token, i.out.Differs = Undecidable, StepKernel, "", true
		i.out.Depends = "on when the table is as the policy wants it: " + what
		i.out.Remedy = "ask again in a moment; `dockerwall health` says whether commits fail, `dockerwall nft diff` what differs"
		return true
	}
	if held.Strange != "" {
		return differs(held.Strange)
	}
	for n, p := range i.probes {
		if p.free != "" || n >= len(held.Found) || held.Found[n].Pass == p.pass {
			continue
		}
		if p.pass {
			return differs(fmt.Sprintf("the policy lets %s pass, and the kernel does not: %s", p, inSets(p.packet.Dst, held.Found[n])))
		}
		return differs(fmt.Sprintf("the policy denies %s, and the kernel lets it pass: %s", p, inSets(p.packet.Dst, held.Found[n])))
	}
	return false
}

// inKernel tells of the elements that decide.
func (i *Inquiry) inKernel(held nft.Lookup, allowed, denied int) {
	n := allowed
	if i.out.Verdict == Denied {
		n = denied
	}
	if p := i.probes[n]; n < len(held.Found) && p.free == "" && !p.stays && i.fenced.Mode != nft.Off {
		i.step(StepKernel, StepOK, "%s", inSets(p.packet.Dst, held.Found[n]))
	}
}

// inSets says which sets hold an address that counts.
func inSets(a netip.Addr, f nft.Found) string {
	var sets []string
	deny := slices.ContainsFunc(f.Hits, func(h nft.Hit) bool { return h.Deny })
	for _, h := range f.Hits {
		if h.Deny != deny {
			continue
		}
		text := h.Set
		if h.Name != "" {
			text += " (" + h.Name + ")"
		}
		sets = append(sets, text)
	}
	switch {
	case deny:
		return fmt.Sprintf("%s is in %s, which denies", a, strings.Join(sets, ", "))
	case len(sets) > 0:
		return fmt.Sprintf("%s is in %s", a, strings.Join(sets, ", "))
	case f.Reason == "":
		return fmt.Sprintf("a rule without a set lets %s pass", a)
	}
	return fmt.Sprintf("%s is in no set that allows", a)
}

// String is the packet as the grammar would write its destination.
func (p probe) String() string {
	l := policy.Literal{First: p.packet.Dst, Last: p.packet.Dst}
	text := policy.Token{Dest: l, Clause: clauseFor(Destination{Addr: p.packet.Dst, Port: p.packet.DstPort, Proto: p.packet.Proto})}.String()
	if clauseFor(Destination{Proto: p.packet.Proto}) == (policy.Clause{}) {
		text += fmt.Sprintf(" (protocol %d)", p.packet.Proto)
	}
	return text
}

// difference says what is allowed of the packets, and what is not: by address where all of an address come out one way,
// else by port and protocol.
func (i *Inquiry) difference() string {
	first := map[netip.Addr]probe{}
	for _, p := range i.probes {
		was, seen := first[p.packet.Dst]
		if !seen {
			first[p.packet.Dst] = p
			continue
		}
		if was.pass != p.pass {
			if !was.pass {
				was, p = p, was
			}
			return fmt.Sprintf("on port and protocol: %s is allowed, %s is not", was, p)
		}
	}
	yes := slices.IndexFunc(i.probes, func(p probe) bool { return p.pass })
	no := slices.IndexFunc(i.probes, func(p probe) bool { return !p.pass })
	return fmt.Sprintf("on the address: %s is allowed, %s is not", i.probes[yes].packet.Dst, i.probes[no].packet.Dst)
}

// resolution says what the name means, and since when.
func (i *Inquiry) resolution() {
	asks, named := i.question.Asks.Dest.(policy.Pattern)
	name := i.question.Name
	text, result := few(i.addrs), StepOK
	switch {
	case !named && len(i.question.Called) > 0:
		i.step(StepDNS, StepInfo, "%s was the answer for %s", i.addrs[0], strings.Join(i.question.Called, ", "))
		return
	case !named:
		return
	case name.Name != "" && name.Error != "":
		text, result = text+"; of late: "+name.Error, StepInfo
	case name.Name != "" && !name.Answered.IsZero():
		text += fmt.Sprintf(", answered %s ago", age(i.question.At, name.Answered))
		if left := name.Due.Sub(i.question.At).Round(time.Second); left > 0 {
			text += fmt.Sprintf(", asked again in %s", left)
		}
	case i.unheard():
		text, result = fmt.Sprintf("no policy asks for %s; now it means %s", asks, text), StepInfo
	default:
		text += ", from answers to containers"
	}
	if left := i.question.Until.Sub(i.question.At).Round(time.Second); !i.question.Until.IsZero() && left > 0 {
		text += fmt.Sprintf(", kept for %s at least", left)
	}
	if i.unopened != "" {
		text, result = text+"; "+i.unopened, StepFail
	}
	i.step(StepDNS, result, "%s", text)
}

// unheard says whether the addresses come from nothing but a question of ours.
func (i *Inquiry) unheard() bool {
	return len(i.question.Now) > 0 && slices.Equal(i.addrs, plainAddrs(i.question.Now))
}

func age(now, then time.Time) time.Duration { return max(0, now.Sub(then).Round(time.Second)) }

// few names some addresses.
func few(addrs []netip.Addr) string {
	const most = 4
	var out []string
	for _, a := range addrs[:min(len(addrs), most)] {
		out = append(out, a.String())
	}
	if more := len(addrs) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}
