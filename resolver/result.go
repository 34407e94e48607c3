package resolver

import (
	"fmt"
	"net/netip"
	"sync/atomic"
)

// Result is how one question to one server ended.
type Result uint8

// The results. Only Answered, NoData and NXDomain settle a question; after the others the next server is asked.
const (
	Answered  Result = iota // addresses
	NoData                  // the name exists and has no address of this family (RFC 2308)
	NXDomain                // the name does not exist
	ServFail                // SERVFAIL
	Refused                 // REFUSED
	Timeout                 // no reply over udp, nor over tcp
	Malformed               // not a reply to the question, or not DNS
	Broken                  // another RCODE, a server that does not recurse, or no connection
	results
)

// String is the result as a metric's label value.
func (r Result) String() string {
	names := [results]string{"answer", "nodata", "nxdomain", "servfail", "refused", "timeout", "malformed", "error"}
	if r >= results {
		return "unknown"
	}
	return names[r]
}

// settled reports whether the next server need not be asked.
func (r Result) settled() bool { return r <= NXDomain }

// LookupError says why a name has no addresses: what the last server asked said about it.
type LookupError struct {
	Name   string
	Server netip.AddrPort // zero when there was nobody to ask
	Result Result
	Err    error // the cause beneath Timeout, Malformed and Broken; may be nil
}

// Error is the sentence for status: the name, what happened, and which server said so.
func (e *LookupError) Error() string {
	switch e.Result {
	case NXDomain:
		return fmt.Sprintf("%s does not exist (NXDOMAIN from %s)", e.Name, e.server())
	case NoData:
		return fmt.Sprintf("%s has no addresses (NODATA from %s)", e.Name, e.server())
	case ServFail:
		return fmt.Sprintf("resolve %s: SERVFAIL from %s", e.Name, e.server())
	case Refused:
		return fmt.Sprintf("resolve %s: REFUSED by %s", e.Name, e.server())
	case Timeout:
		return fmt.Sprintf("resolve %s: no reply from %s", e.Name, e.server())
	default:
		return fmt.Sprintf("resolve %s: ask %s: %v", e.Name, e.server(), e.Err)
	}
}

// Unwrap is the cause.
func (e *LookupError) Unwrap() error { return e.Err }

// server is the server's address, with its port unless that is 53.
func (e *LookupError) server() string {
	switch {
	case !e.Server.IsValid():
		return "any resolver"
	case e.Server.Port() == 53:
		return e.Server.Addr().String()
	}
	return e.Server.String()
}

// Counters is what the resolver has counted since New.
type Counters struct {
	Queries map[Result]uint64 // questions to one server, by how they ended; every Result has an entry
	TCP     uint64            // questions repeated over tcp
	Partial uint64            // names of which one family was answered and the other failed
	Cut     uint64            // addresses beyond Limits.AnswerAddrs, not used
	Evicted uint64            // addresses beyond Limits.NameAddrs or a wildcard's bounds, dropped before their time
	Refused map[string]uint64 // addresses in answers that no answer may open, by the Guard's reason
	Learned int               // addresses beneath allowed wildcards now
}

// tally is the asker's part of Counters; safe for concurrent use.
type tally struct {
	queries      [results]atomic.Uint64
	tcp, partial atomic.Uint64
}

func (t *tally) counters() Counters {
	c := Counters{Queries: make(map[Result]uint64, results), TCP: t.tcp.Load(), Partial: t.partial.Load()}
	for r := range results {
		c.Queries[r] = t.queries[r].Load()
	}
	return c
}
