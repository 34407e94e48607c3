// Package result is what the probe says, one JSON line for each act.
package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
)

// Outcome is how an act ended.
type Outcome string

// The outcomes.
const (
	OK          Outcome = "ok"
	Refused     Outcome = "refused" // tcp reset in answer to a SYN, or port unreachable
	Timeout     Outcome = "timeout"
	Reset       Outcome = "reset"       // of a connection that stood
	Unreachable Outcome = "unreachable" // no route, or ICMP says so, administratively prohibited included
	NoName      Outcome = "no-name"     // NXDOMAIN, or no address
	Failed      Outcome = "failed"      // anything else: see Error
)

// Result is what came of one act.
type Result struct {
	Act          string       `json:"act"` // the command line
	Outcome      Outcome      `json:"outcome"`
	Error        string       `json:"error,omitempty"`
	Milliseconds float64      `json:"ms"`
	Retransmits  int          `json:"retransmits"` // TCP segments sent again in this namespace meanwhile (RFC 1213 tcpRetransSegs)
	Sent         int          `json:"sent,omitempty"`
	Received     int          `json:"received,omitempty"`
	Status       int          `json:"status,omitempty"` // of HTTP; of a DNS reply its response code, 0 is no error
	Body         string       `json:"body,omitempty"`
	Addrs        []netip.Addr `json:"addrs,omitempty"`
	Contacts
}

// Contacts is what came of many first contacts. Times are milliseconds of those that succeeded.
type Contacts struct {
	Late       int     `json:"late,omitempty"`       // connections that took 900 ms or more: the first SYN was lost
	Unresolved int     `json:"unresolved,omitempty"` // names without an address, for whatever reason
	DNSP50     float64 `json:"dns_p50,omitempty"`
	DNSP99     float64 `json:"dns_p99,omitempty"`
	ConnectP50 float64 `json:"connect_p50,omitempty"`
	ConnectP99 float64 `json:"connect_p99,omitempty"`
}

// Of is the outcome that an error stands for.
func Of(err error) Outcome {
	var dns *net.DNSError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &dns) && dns.IsNotFound:
		return NoName
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT), isTimeout(err):
		return Timeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EACCES):
		return Unreachable
	}
	return Failed
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Parse reads results from the probe's output; lines that are not JSON are other programs' and an error.
func Parse(out string) ([]Result, error) {
	var results []Result
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var r Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return results, fmt.Errorf("parse probe's line %q: %w", line, err)
		}
		results = append(results, r)
	}
	return results, nil
}
