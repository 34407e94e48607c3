package policy

import "net/netip"

// Limits of one text. Whatever is beyond them is refused with an Error, never guessed.
const (
	// MaxText is how many bytes of a text are read.
	MaxText = 1 << 20
	// MaxTokens is how many tokens of a text are read, repetitions included.
	MaxTokens = 16384
	// MaxClauses is how many different ports and protocols the names of a text can have, and likewise
	// its _host_, _internet_ and "*" tokens, allows and denials each. Every one of them is a rule that
	// packets pass one by one, and for names a set; addresses are free of it.
	MaxClauses = 64
)

// Proto is the protocol part of a [Clause]. The zero value means any.
type Proto uint8

// The protocols a clause can name. ProtoICMP stands for ICMP and ICMPv6, all types.
const (
	ProtoAny Proto = iota
	ProtoTCP
	ProtoUDP
	ProtoICMP
)

// PortRange is an inclusive range of ports, in host byte order. The zero value means every port.
type PortRange struct{ First, Last uint16 }

// Clause narrows a destination to a protocol and ports. The zero value narrows nothing: every
// protocol and port. Ports with ProtoAny mean tcp and udp; ProtoICMP never carries ports.
type Clause struct {
	Proto Proto
	Ports PortRange
}

// Destination is what a token names: a [Literal], a [Pattern], a [Special] or a [Group]. All of them
// are comparable with ==.
type Destination interface{ isDestination() }

// Literal is an inclusive range of addresses of one family, unmapped and without zone. A prefix is
// the range it covers. First == Last is a single address, the only literal that can open the host.
type Literal struct{ First, Last netip.Addr }

// Single says whether l is one address.
func (l Literal) Single() bool { return l.First == l.Last }

// Special is one of the words of the grammar.
type Special uint8

// The special destinations.
const (
	DNS      Special = iota + 1 // _dns_: port 53 of the container's resolvers
	Host                        // _host_: this host's own addresses
	Internet                    // _internet_: every public address
	All                         // *: everything, host services included
)

func (Literal) isDestination() {}
func (Pattern) isDestination() {}
func (Special) isDestination() {}

// Token is one parsed entry of a policy text.
type Token struct {
	Deny   bool // written with a leading "!"
	Dest   Destination
	Clause Clause
}

// Policy is what one source (a label, DEFAULT_OUTBOUND, a file) asks for. The zero value allows
// and denies nothing.
type Policy struct {
	Tokens []Token // in the order of [Token.Compare], without repetition
	// Void is set when a denial of this source could not be understood: then its allows are gone
	// (Tokens holds denials only), because a denial that is lost must never widen.
	Void bool
}
