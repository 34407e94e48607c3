package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// Question asks what becomes of what a container sends to a destination.
type Question struct {
	Container string       // name, or the beginning of its ID
	Asks      policy.Token // from policy.ParseQuestion
	// Name is what the resolver says of the name that is asked about, zero if nobody wants that name.
	Name resolver.NameStatus
	// Until is when the first of its addresses may go; zero if nobody knows.
	Until time.Time
	// Now are the addresses that the name turned out to have when it was asked for because of this question, and
	// Failure is why there are none. Neither is part of the policy.
	Now     []netip.Addr
	Failure string
	// Called is what the address that is asked about was the answer for, if anything.
	Called []string
	At     time.Time
}

// Verdict is the answer to a [Question].
type Verdict uint8

// The verdicts. Undecidable is what depends on something that the question leaves open, or what policy and kernel
// disagree about.
const (
	Undecidable Verdict = iota
	Allowed
	Denied
)

// The steps, by what is looked at.
const (
	StepNetwork = "network"
	StepMode    = "mode"
	StepPolicy  = "policy"
	StepDNS     = "dns"
	StepKernel  = "kernel"
)

// Outcomes of steps.
const (
	StepOK      = "ok"
	StepFail    = "fail"
	StepInfo    = "info"
	StepUnknown = "unknown"
)

// Step is one thing that was looked at.
type Step struct{ Name, Result, Text string }

// Explanation answers a [Question]. Texts have tokens and names as they are: whoever prints them cleans them.
type Explanation struct {
	Container docker.Container
	Addrs     []netip.Addr // that were judged
	Verdict   Verdict
	Steps     []Step
	Failed    string // the step that decided against it; "" when allowed
	Token     string // that would allow it, a few by comma; "" when it is allowed, or nothing in the label would
	Remedy    string // what to do when a token alone does not help
	Depends   string // on what an undecidable answer depends
	Differs   bool   // kernel and policy disagree: a commit may be under way
}

// Errors of [Inquire].
var (
	ErrNoContainer = errors.New("no such container")
	errAmbiguous   = errors.New("the beginning of several IDs")
)

// Inquiry is a question about one host, judged by its policies. Its packets are what the kernel is to be asked about.
type Inquiry struct {
	state    State
	rules    nft.Ruleset
	question Question
	opener   Opener
	builder  builder

	asked  docker.Container // whom the question is about
	holder docker.Container // whose network and policy it has
	fenced *nft.Container   // the holder in the ruleset, nil if it is not there
	fates  fates
	labels *labels // the holder's
	// networks are the holder's, and free those of them where nothing is fenced.
	networks, free []docker.Network
	tokens         []origin // all that could count, made when first needed

	addrs  []netip.Addr // of the destination
	probes []probe
	cut    bool // not all ports were judged
	mixed  bool // some packets are allowed, others not
	// unopened is why an address of a name that is allowed is not open.
	unopened string
	out      Explanation
	done     bool // out is complete without the kernel
}

// Inquire judges a question by the policy: rules is what [Build] made of the state. errors.Is(err, ErrNoContainer) when
// there is no such container.
func Inquire(s State, rules nft.Ruleset, q Question) (*Inquiry, error) {
	s = s.ready()
	asked, err := findContainer(s.Docker, q.Container)
	if err != nil {
		return nil, err
	}
	i := &Inquiry{
		state: s, rules: rules, question: q, opener: NewOpener(s), asked: asked, holder: holderOf(s.Docker, asked),
		builder: newBuilder(s),
	}
	i.fates = newFates(s, rules)
	i.networks = i.fates.networksOf(i.holder)
	i.free = slices.DeleteFunc(slices.Clone(i.networks), func(n docker.Network) bool { return i.fates.fenced[n.Bridge] || i.fates.open(n) == "" })
	i.out.Container, i.labels = asked, s.labels(i.holder)
	if n := slices.IndexFunc(rules.Containers, func(c nft.Container) bool { return c.ID == short(i.holder.ID) }); n >= 0 {
		i.fenced = &rules.Containers[n]
	}
	if i.network() {
		i.mode()
		i.destination()
	}
	return i, nil
}

// Asks says which name is to be resolved before the question can be answered well: one that nobody wants, and that no
// answer was heard of; "" if there is none.
func (i *Inquiry) Asks() string {
	p, ok := i.question.Asks.Dest.(policy.Pattern)
	if i.done || !ok || i.question.Name.Name != "" || len(i.addrs) > 0 || i.question.Failure != "" {
		return ""
	}
	return p.Name()
}

// Container and the packets are the question to the kernel. Without a container there is none, and [Inquiry.Answer] is
// complete; without packets it is only whether the table is as it should be.
func (i *Inquiry) Container() (c nft.Container, packets []nft.Packet) {
	if i.done || i.fenced == nil {
		return nft.Container{}, nil
	}
	for _, p := range i.probes {
		packets = append(packets, p.packet)
	}
	return *i.fenced, packets
}

// Answer is the explanation where the kernel has nothing to say.
func (i *Inquiry) Answer() Explanation { return i.out }

// Explain answers with what the kernel says of the packets of [Inquiry.Container].
func (i *Inquiry) Explain(held nft.Lookup) Explanation {
	switch {
	case i.done:
	case len(i.probes) == 0:
		i.unaddressed(held)
	default:
		i.decide(held)
	}
	return i.out
}

func (i *Inquiry) step(name, result, format string, args ...any) {
	i.out.Steps = append(i.out.Steps, Step{name, result, fmt.Sprintf(format, args...)})
}

// end completes the answer without the kernel.
func (i *Inquiry) end(v Verdict, failed, remedy string) {
	i.out.Verdict, i.out.Failed, i.out.Remedy, i.done = v, failed, remedy, true
}

// maxCandidates is how many containers an error names.
const maxCandidates = 5

// findContainer finds a container by its name or ID, else by the beginning of its ID.
func findContainer(h docker.Host, text string) (docker.Container, error) {
	var found []docker.Container
	for _, c := range h.Containers {
		if c.Name == text || c.ID == text {
			return askable(c)
		}
		if text != "" && strings.HasPrefix(c.ID, text) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return docker.Container{}, fmt.Errorf("%w: %q is neither a container's name nor the beginning of its ID; see `docker ps`", ErrNoContainer, text)
	case 1:
		return askable(found[0])
	}
	var names []string
	for _, c := range found[:min(len(found), maxCandidates)] {
		names = append(names, fmt.Sprintf("%q (%s)", c.Name, short(c.ID)))
	}
	if more := len(found) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return docker.Container{}, fmt.Errorf("%q is %w: %s; write a name, or more of the ID", text, errAmbiguous, strings.Join(names, ", "))
}

func askable(c docker.Container) (docker.Container, error) {
	if ended(c) {
		return c, fmt.Errorf("%w running: %q has ended (%s)", ErrNoContainer, c.Name, c.State)
	}
	return c, nil
}

// holderOf is the container whose network another one shares, itself if it has its own.
func holderOf(h docker.Host, c docker.Container) docker.Container {
	for range 3 { // Docker lets nobody share what is shared
		with, shares := strings.CutPrefix(c.NetworkMode, "container:")
		n := slices.IndexFunc(h.Containers, func(o docker.Container) bool { return o.ID == with || o.Name == with })
		if !shares || n < 0 {
			return c
		}
		c = h.Containers[n]
	}
	return c
}
