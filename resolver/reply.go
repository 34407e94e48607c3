package resolver

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Reply is what a DNS reply says about names. The zero value says nothing: a failure, a question about something
// other than addresses, or no reply at all.
type Reply struct {
	// Question is the name that was asked for, canonical; "" if nothing can be learned.
	Question string
	// Answers are the question's name and those it is an alias of, in that order, each with the addresses that
	// the reply gives it. They are not guarded.
	Answers []Answer
	// Unread is set when the reply cannot be read to its end: somebody else may read more in it.
	Unread bool
}

// Names are the name that was asked for and those that the reply says it is an alias of.
func (r Reply) Names() []string {
	if r.Question == "" {
		return nil
	}
	names := []string{r.Question}
	for _, a := range r.Answers {
		if a.Name != r.Question {
			names = append(names, a.Name)
		}
	}
	return names
}

// ReadReply reads a DNS message that a trusted resolver sent to somebody who asked it. Only the answer section counts,
// and in it only owners that are reachable from the question through CNAME and DNAME records; hints of HTTPS and
// SVCB records count as addresses. A message cut off, one with lies in its counts and the like give what can be read.
func ReadReply(message []byte) Reply {
	const header = 12
	if len(message) < header || !isAnswer(message) {
		return Reply{}
	}
	asked, off, err := dns.UnpackDomainName(message, header)
	if err != nil || len(message) < off+4 {
		return Reply{}
	}
	name, ok := plainName(asked)
	qtype, class := binary.BigEndian.Uint16(message[off:]), binary.BigEndian.Uint16(message[off+2:])
	if !ok || class != dns.ClassINET || !tellsAddresses(qtype) {
		return Reply{}
	}
	records, whole := answerSection(message, off+4)
	partial := !whole || truncated(message)
	return Reply{
		Question: name, Unread: !whole && !truncated(message),
		Answers: answers(way(records, dns.CanonicalName(asked)), qtype, partial),
	}
}

// isAnswer reads the header (RFC 1035 section 4.1.1): a reply, to a plain query, without an error, with one question.
func isAnswer(message []byte) bool {
	const reply, opcode, rcode = 0x80, 0x78, 0x0f
	return message[2]&reply != 0 && message[2]&opcode == 0 && message[3]&rcode == dns.RcodeSuccess &&
		binary.BigEndian.Uint16(message[4:]) == 1
}

// truncated says whether the asker knows that there is more, and will ask over tcp.
func truncated(message []byte) bool { return message[2]&0x02 != 0 }

// answerSection is the records of the section that begins at off, up to the first one that cannot be read.
func answerSection(message []byte, off int) (records []dns.RR, whole bool) {
	for range binary.BigEndian.Uint16(message[6:]) {
		rr, next, err := dns.UnpackRR(message, off)
		if err != nil || next <= off {
			return records, false
		}
		records, off = append(records, rr), next
	}
	return records, true
}

// answers are what a way says about each of its names; partial means that there may be more. Names that no pattern can
// mean are left out. The answers share their addresses, for what is reachable from an alias is from the name.
func answers(stops []stop, qtype uint16, partial bool) []Answer {
	var (
		out  []Answer
		rest []Record
	)
	for _, s := range stops {
		rest = append(rest, s.records...)
	}
	rest = slices.Clip(rest)
	for _, s := range stops {
		if name, ok := plainName(s.name); ok && len(rest) > 0 {
			a := Answer{Name: name, Families: familyOf(qtype), Addrs: rest}
			a.Hint = partial || qtype != dns.TypeA && qtype != dns.TypeAAAA || !a.speaks()
			out = append(out, a)
		}
		rest = rest[len(s.records):]
	}
	return out
}

// speaks says whether an answer has an address of its families.
func (a Answer) speaks() bool {
	return slices.ContainsFunc(a.Addrs, func(r Record) bool { return a.Families.has(index(r.Addr)) })
}

func tellsAddresses(qtype uint16) bool {
	switch qtype {
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeHTTPS, dns.TypeSVCB:
		return true
	}
	return false
}

func familyOf(qtype uint16) Family {
	switch qtype {
	case dns.TypeA:
		return IPv4
	case dns.TypeAAAA:
		return IPv6
	}
	return both
}

// plainName is a name as patterns have it: lower case, without its last dot. It reports false for the root and for a
// name with an escape (RFC 1035 section 5.1), whose dots need not part labels.
func plainName(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name, name != "" && !strings.Contains(name, `\`)
}
