package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// allowance says why the policy allows a packet.
func (i *Inquiry) allowance(p probe) {
	if p.free != "" {
		i.step(StepNetwork, StepInfo, "%s is on %s, where nothing is fenced", p.packet.Dst, p.free)
		return
	}
	if p.stays {
		i.step(StepNetwork, StepOK, "%s is on the same network: always allowed", p.packet.Dst)
		return
	}
	list := counting(i.matching(false, p.packet))
	i.step(StepPolicy, StepOK, "%sallowed by %s", i.about(p), told(list))
	if p.host && !slices.ContainsFunc(list, func(o origin) bool { return o.Dest == policy.Host || o.Dest == policy.All }) {
		i.step(StepPolicy, StepInfo, "unless it is a port that another container publishes: that is opened by _host_")
	}
	if closing := i.redirected(p, true); len(closing) > 0 {
		i.step(StepPolicy, StepInfo, "unless it is a port that another container publishes, at an address that %s denies", told(closing))
	}
	asks, named := i.question.Asks.Dest.(policy.Pattern)
	if !named {
		return
	}
	if closed := i.naming(true, p.packet); i.unheard() && len(closed) > 0 {
		i.out.Depends = fmt.Sprintf("on whether the container asks for the name: %s closes its addresses when an answer tells them", told(closed))
		i.step(StepPolicy, StepInfo, "%s will deny it as soon as an answer tells its addresses", told(closed))
	}
	others := func(o origin) bool {
		pattern, ok := o.Dest.(policy.Pattern)
		return ok && !pattern.Match(asks.Name())
	}
	if !slices.ContainsFunc(list, func(o origin) bool { return !others(o) }) {
		i.step(StepPolicy, StepInfo, "no token names %s: it is open because it has an address that another name has", asks)
	}
}

// denial says why the policy denies a packet and what would allow it, and returns the step that decides.
func (i *Inquiry) denial(p probe) (failed string) {
	failed, why := i.because(p)
	if i.out.Remedy == "" && i.out.Depends == "" {
		i.out.Token = i.offer()
		lost, remedy := i.closed()
		switch {
		case lost != "":
			why, i.out.Token, i.out.Remedy = why+"; besides, "+lost, "", remedy
		case i.out.Token == "":
			i.out.Remedy = "no few tokens allow all of it: ask about less, such as one address and port"
		}
	}
	if failed == StepDNS { // which says it
		return failed
	}
	result := StepFail
	if p.pass {
		result, why = StepInfo, "would be denied: "+why
	}
	i.step(StepPolicy, result, "%s%s", i.about(p), why)
	if opening := i.redirected(p, false); failed == StepPolicy && len(opening) > 0 && len(i.matching(true, p.packet)) == 0 {
		i.step(StepPolicy, StepInfo, "unless it is a port that another container publishes, at an address that %s allows", told(opening))
	}
	return failed
}

// because is the step that denies a packet, and why. Where no token would help, it sets the remedy.
func (i *Inquiry) because(p probe) (failed, why string) {
	allows := i.matching(false, p.packet)
	if denials := i.matching(true, p.packet); len(denials) > 0 {
		i.out.Remedy = i.undo(denials)
		if len(allows) > 0 {
			return StepPolicy, fmt.Sprintf("denied by %s, which beats %s", told(denials), told(allows))
		}
		return StepPolicy, "denied by " + told(denials)
	}
	if len(allows) > 0 { // lost, or the packet were allowed
		i.out.Remedy = allows[0].remedy
		return StepPolicy, fmt.Sprintf("%s would allow it, but %s", allows[0].where(), allows[0].lost)
	}
	if named := counting(i.naming(false, p.packet)); len(named) > 0 {
		return i.notOpened(named[0], p), ""
	}
	if wide := i.elsewhere(p); len(wide) > 0 {
		return StepPolicy, fmt.Sprintf("%s is this host, which %s does not open", p.packet.Dst, told(wide))
	}
	if other := i.otherwise(p.packet); len(other) > 0 {
		return StepPolicy, told(other) + " is for another port or protocol"
	}
	if i.state.library.void {
		return StepPolicy, "no token allows it; of DEFAULT_OUTBOUND no allow counts, because of a denial that is not understood"
	}
	return StepPolicy, noToken + i.slip()
}

// undo says how denials are taken back: of those that were added at run time, by which command.
func (i *Inquiry) undo(denials []origin) string {
	var tokens []string
	for _, o := range denials {
		if o.from == OriginOverlay {
			allow := o.Token
			allow.Deny = false
			tokens = append(tokens, allow.String())
		}
	}
	if len(tokens) < len(denials) {
		return fmt.Sprintf("take %s away: a denial beats every allow", told(denials))
	}
	return fmt.Sprintf("`dockerwall revoke %s %s` takes the denial back, which beats every allow", i.holder.Name, strings.Join(tokens, " "))
}

const noToken = "no token allows it"

// slip says that something in the labels was not understood: what was meant may be what is missed.
func (i *Inquiry) slip() string {
	n := slices.IndexFunc(i.labels.problems, func(p policy.Problem) bool { return p.Severity == policy.Error })
	if n < 0 {
		return ""
	}
	return ", and its labels have a mistake: " + i.labels.problems[n].String()
}

// elsewhere are the tokens that would allow the packet, were its destination not this host.
func (i *Inquiry) elsewhere(p probe) []origin {
	if !p.host {
		return nil
	}
	p.packet.Hook = nft.Forward
	return counting(i.matching(false, p.packet))
}

// notOpened says why a name that is allowed does not open an address that it has.
func (i *Inquiry) notOpened(o origin, p probe) string {
	asks, pattern := i.question.Asks.Dest.(policy.Pattern), o.Dest.(policy.Pattern)
	i.step(StepPolicy, StepOK, "%s%s names it", i.about(p), o.where())
	reason := i.builder.addresses.guard.Refuse(p.packet.Dst, asks.Name(), pattern.Wild())
	switch {
	case reason == "" && i.unheard():
		i.unopened = "no answer has told a container of it yet"
		i.out.Depends = fmt.Sprintf("on whether the container asks for the name: %s opens its addresses when an answer tells them", o.where())
		i.out.Remedy = "let the container resolve the name, and ask again"
		return StepDNS
	case reason == "":
		i.out.Remedy, i.unopened = "ask again in a moment", "it is not resolved for that token yet"
		return StepDNS
	}
	i.unopened = fmt.Sprintf("no answer can open %s (%s)", p.packet.Dst, reason)
	switch {
	case p.host || reason == reasonHost:
		i.unopened += ": it is this host, which _host_ opens"
	case reason == reasonPrivate:
		i.unopened = fmt.Sprintf("no wildcard can open %s (%s), a name in full can", p.packet.Dst, reason)
	}
	return StepDNS
}

// about says which packet a step is about, where some are allowed and others are not.
func (i *Inquiry) about(p probe) string {
	if !i.mixed {
		return ""
	}
	return p.String() + ": "
}

// unaddressed answers without an address: for a name that has none, and for any address.
func (i *Inquiry) unaddressed(held nft.Lookup) {
	if held.Strange != "" {
		i.differs(held)
		return
	}
	asks := i.question.Asks
	_, named := asks.Dest.(policy.Pattern)
	if named {
		i.nameless()
	}
	naming, others, denials := i.overlapping()
	switch {
	case i.lenient():
		i.out.Verdict = Allowed
	case len(naming) > 0:
		i.step(StepPolicy, StepOK, "%s allows the name", told(naming))
		i.out.Verdict, i.out.Failed, i.out.Remedy = Denied, StepDNS, "check the name and the resolvers; its addresses are opened as soon as there are any"
	case len(others) == 0:
		i.step(StepPolicy, StepFail, "%s", noToken+i.slip())
		i.out.Verdict, i.out.Failed = Denied, StepPolicy
		i.out.Remedy = "name the destination in the label"
		if lost, remedy := i.closed(); lost != "" {
			i.out.Remedy = remedy
		} else if named {
			i.out.Token, i.out.Remedy = asks.String(), ""
		}
	case len(denials) == 0 && others[0].Dest == policy.All && within(asks.Clause, others[0].Clause):
		i.step(StepPolicy, StepOK, "allowed by %s", others[0].where())
		i.out.Verdict = Allowed
	default:
		i.step(StepPolicy, StepUnknown, "%s may concern it", told(append(others, denials...)))
		i.undecided("on the address: ask about one, as in 192.0.2.1" + asks.Clause.String())
	}
}

// nameless says why a name has no address.
func (i *Inquiry) nameless() {
	why := []string{"it has no address"}
	for _, text := range []string{i.question.Name.Error, i.question.Failure} {
		if text != "" {
			why = append(why, text)
		}
	}
	i.step(StepDNS, StepFail, "%s", strings.Join(why, ": "))
}

// overlapping are the tokens whose clause has something of the question's: those that name the name that is asked about,
// other allows ("*" first), and denials.
func (i *Inquiry) overlapping() (naming, others, denials []origin) {
	asks, named := i.question.Asks.Dest.(policy.Pattern)
	for _, o := range counting(i.origins()) {
		pattern, isName := o.Dest.(policy.Pattern)
		clause := o.Clause
		if o.Dest == policy.DNS {
			clause = policy.Clause{Ports: onePort(53)}
		}
		switch {
		case !overlap(i.question.Asks.Clause, clause):
		case o.Deny:
			denials = append(denials, o)
		case named && isName && pattern.Match(asks.Name()):
			naming = append(naming, o)
		case named && isName, named && (o.Dest == policy.DNS || o.Dest == policy.Host): // of other names
		case o.Dest == policy.All && within(i.question.Asks.Clause, clause):
			others = append([]origin{o}, others...)
		default:
			others = append(others, o)
		}
	}
	return naming, others, denials
}

// kinds are the protocols a clause is about; ProtoAny stands for those without a clause of their own.
func kinds(c policy.Clause) []policy.Proto {
	switch {
	case c.Proto != policy.ProtoAny:
		return []policy.Proto{c.Proto}
	case c.Ports != policy.PortRange{}:
		return []policy.Proto{policy.ProtoTCP, policy.ProtoUDP}
	}
	return []policy.Proto{policy.ProtoTCP, policy.ProtoUDP, policy.ProtoICMP, policy.ProtoAny}
}

func wholePorts(p policy.PortRange) policy.PortRange {
	if p == (policy.PortRange{}) {
		p.Last = 65535
	}
	return p
}

// overlap says whether two clauses have a packet in common.
func overlap(a, b policy.Clause) bool {
	p, q := wholePorts(a.Ports), wholePorts(b.Ports)
	for _, x := range kinds(a) {
		for _, y := range kinds(b) {
			if x == y && p.First <= q.Last && q.First <= p.Last {
				return true
			}
		}
	}
	return false
}

// within says whether all packets of a are also of b.
func within(a, b policy.Clause) bool {
	p, q := wholePorts(a.Ports), wholePorts(b.Ports)
	for _, x := range kinds(a) {
		found := false
		for _, y := range kinds(b) {
			found = found || x == y && q.First <= p.First && p.Last <= q.Last
		}
		if !found {
			return false
		}
	}
	return true
}
