package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

// origin is a token and where it comes from.
type origin struct {
	policy.Token
	from   string // OriginLabel and so on
	placed policy.Entry
	lost   string // why it does not count, "" when it does
	remedy string // against that
	source nft.Source
}

// where is the token with its place, as in `"*.example.com" (dockerwall.outbound, token 2 at 18)`.
func (o origin) where() string {
	if o.placed.Number == 0 {
		return fmt.Sprintf("%q (%s)", o.Token, o.from)
	}
	return fmt.Sprintf("%q (%s, token %d at %d)", o.Token, o.from, o.placed.Number, o.placed.Pos)
}

// origins are all tokens of all texts that count for the container, and what is implied.
func (i *Inquiry) origins() []origin {
	if i.tokens != nil {
		return i.tokens
	}
	list := i.state.library.asked[i.holder.ID]
	lost := make([]origin, len(list)) // why no allow of a text counts
	for n, a := range list {
		lost[n].lost, lost[n].remedy = i.unknown(a, against(list, n))
		switch {
		case a.within >= 0:
			lost[n] = lost[a.within]
			i.ofText(a, a.namedBy(list), lost[n])
		case a.origin == OriginLabel:
			i.ofLabel(lost[n])
		default:
			i.ofText(a, "", lost[n])
		}
	}
	if !slices.ContainsFunc(counting(i.tokens), func(o origin) bool { return o.Dest == policy.Destination(policy.DNS) }) {
		i.tokens = append(i.tokens, origin{Token: policy.Token{Dest: policy.DNS}, from: OriginImplied})
	}
	for n := range i.tokens {
		i.tokens[n].source = i.means(i.tokens[n].Token)
	}
	return i.tokens
}

// ofLabel adds the tokens of the container's label, with their places.
func (i *Inquiry) ofLabel(lost origin) {
	text := i.holder.Labels[policy.LabelOutbound]
	for _, p := range i.state.Operator.Grammar().Entries(text) {
		o := origin{Token: p.Token, from: OriginLabel, placed: p}
		switch {
		case !slices.Contains(i.labels.tokens, p.Token):
			o.lost, o.remedy = i.whyLost(text)
		case !p.Deny:
			o.lost, o.remedy = lost.lost, lost.remedy
		}
		i.tokens = append(i.tokens, o)
	}
}

// ofText adds the tokens of another text; from "" is where each of them stands.
func (i *Inquiry) ofText(a asked, from string, lost origin) {
	for _, t := range a.tokens {
		o := origin{Token: t, from: from}
		if from == "" {
			o.from = a.from(t)
		}
		if !t.Deny {
			o.lost, o.remedy = lost.lost, lost.remedy
		}
		i.tokens = append(i.tokens, o)
	}
}

// means is what a token stands for, by itself.
func (i *Inquiry) means(t policy.Token) nft.Source {
	out := i.builder.make(&text{compiled: compile([]policy.Token{t})}, nil, i.dns()).source
	if t.Dest == policy.Destination(policy.DNS) && !t.Deny {
		out.Allow.Resolvers = i.dns()
	}
	return out
}

// whyLost says why a token that can be understood is not part of the label's policy.
func (i *Inquiry) whyLost(text string) (lost, remedy string) {
	image, ok := i.labels.brought[policy.LabelOutbound]
	switch {
	case ok && image == text && text != "":
		return "the label comes from the image and is ignored", "set it on the container to another value, or TRUST_IMAGE_LABELS=true to trust all images"
	case !i.labels.known:
		return "the container's image is gone, and with it the knowledge whose label that is", "pull or load the image again, or create the container anew"
	}
	for _, p := range i.labels.problems {
		if p.Severity == policy.Error && strings.Contains(p.Token+p.Message, "!") || strings.Contains(p.Message, "denial is lost") {
			return fmt.Sprintf("no allow of the label counts, because of a denial that is not understood: %q at %d", p.Token, p.Pos), p.Remedy
		}
	}
	return "it is beyond the label's limits", "write fewer tokens"
}

// unknown says why no allow of a text counts while it is not known what a name means that it denies, or a group does that
// it denies.
func (i *Inquiry) unknown(a asked, against []*text) (lost, remedy string) {
	for _, t := range append([]*text{a.text}, against...) {
		for _, n := range t.compiled.denyNames {
			if !i.builder.addresses.known(n.pattern) {
				return fmt.Sprintf("no allow beside \"!%s\" counts, whose addresses are not known yet, or are too many", n.pattern),
					"check the name and the resolvers, or deny the address itself"
			}
		}
	}
	return "", ""
}

// matches says whether a token, by itself, allows or denies a packet: the oracle is asked about a policy of nothing else.
func (i *Inquiry) matches(s nft.Source, deny bool, p nft.Packet) bool {
	c := nft.Container{ID: i.fenced.ID, Endpoints: i.fenced.Endpoints, Own: s}
	if deny {
		c.Own.Allow = nft.Matches{All: []nft.Clause{{}}}
	}
	one := i.alone(c)
	one.Sources, one.DryRun = nil, false
	return one.Judge(p).Pass != deny
}

// matching are the tokens that allow a packet, or those that deny it.
func (i *Inquiry) matching(deny bool, p nft.Packet) (out []origin) {
	for _, o := range i.origins() {
		if o.Deny == deny && i.matches(o.source, deny, p) {
			out = append(out, o)
		}
	}
	return out
}

// redirected are the tokens that name addresses of Docker's networks, where a packet to this host may be sent on: Docker
// redirects ports that are published, which ones nobody says here, and the new address counts as well.
func (i *Inquiry) redirected(p probe, deny bool) (out []origin) {
	if !p.host || p.packet.Proto != nft.TCP && p.packet.Proto != nft.UDP {
		return nil
	}
	var subnets []netip.Prefix
	for _, n := range i.state.Docker.Networks {
		subnets = append(subnets, plainPrefixes(n.Subnets)...)
	}
	for _, o := range counting(i.origins()) {
		l, literal := o.Dest.(policy.Literal)
		if literal && l.Single() && i.opener.Host(l.First) { // no container has that
			continue
		}
		if literal && o.Deny == deny && o.Clause.Proto != policy.ProtoICMP && slices.ContainsFunc(subnets, func(s netip.Prefix) bool {
			return s.Contains(l.First) || s.Contains(l.Last) || !s.Addr().Less(l.First) && !l.Last.Less(s.Addr())
		}) {
			out = append(out, o)
		}
	}
	return out
}

// naming are the tokens that would open a packet's destination, or close it, if the name that is asked about had it.
func (i *Inquiry) naming(deny bool, p nft.Packet) (out []origin) {
	name, ok := i.question.Asks.Dest.(policy.Pattern)
	if !ok {
		return nil
	}
	p.Hook = nft.Forward
	for _, o := range i.origins() {
		pattern, named := o.Dest.(policy.Pattern)
		if !named || o.Deny != deny || !pattern.Match(name.Name()) {
			continue
		}
		set := nft.Matches{Names: []nft.NameSet{{Clause: clauseOf(o.Clause), Addrs: []nft.NamedAddr{{Addr: p.Dst}}}}}
		s := nft.Source{Allow: set}
		if deny {
			s = nft.Source{Deny: set}
		}
		if i.matches(s, deny, p) {
			out = append(out, o)
		}
	}
	return out
}

// otherwise are the allowing tokens that name the destination, but another port or protocol.
func (i *Inquiry) otherwise(p nft.Packet) (out []origin) {
	for _, o := range i.origins() {
		if o.Deny || o.Clause == (policy.Clause{}) || o.lost != "" {
			continue
		}
		wide := o
		wide.Clause = policy.Clause{}
		if i.matches(i.means(wide.Token), false, p) {
			out = append(out, o)
		}
	}
	return out
}

// counting are those of tokens that count.
func counting(list []origin) []origin {
	return slices.DeleteFunc(slices.Clone(list), func(o origin) bool { return o.lost != "" })
}

// told names a few tokens.
func told(list []origin) string {
	const most = 3
	var out []string
	for _, o := range list[:min(len(list), most)] {
		out = append(out, o.where())
	}
	if more := len(list) - len(out); more > 0 {
		out = append(out, fmt.Sprintf("%d more", more))
	}
	return strings.Join(out, ", ")
}

// opens is the token that would allow a packet of the question.
func (i *Inquiry) opens(p nft.Packet) (policy.Token, bool) {
	asks := i.question.Asks
	if _, special := asks.Dest.(policy.Special); special {
		if asks.Dest == policy.DNS {
			asks.Clause = policy.Clause{}
		}
		return asks, true
	}
	var names []string
	if name, ok := asks.Dest.(policy.Pattern); ok {
		names = []string{name.Name()}
	}
	t, ok := i.opener.Token(Destination{Addr: p.Dst, Port: p.DstPort, Proto: p.Proto}, names)
	t.Clause = asks.Clause
	return t, ok
}

// maxOffered is how many tokens are offered together.
const maxOffered = 3

// offer is what would allow all of the question in the label, mostly one token; "" if nothing short does.
func (i *Inquiry) offer() string {
	var tokens []string
	for _, p := range i.probes {
		if p.allows {
			continue
		}
		t, ok := i.opens(p.packet)
		if !ok || p.closed || len(tokens) > maxOffered {
			return ""
		}
		if text := t.String(); !slices.Contains(tokens, text) {
			tokens = append(tokens, text)
		}
	}
	if len(tokens) > maxOffered {
		return ""
	}
	return strings.Join(tokens, ", ")
}

// closed says why no allow that is added to the label would count.
func (i *Inquiry) closed() (why, remedy string) {
	if i.labels.void || !i.labels.known {
		return i.whyLost("")
	}
	list := i.state.library.asked[i.holder.ID]
	return i.unknown(list[0], against(list, 0)) // the label is the first
}
