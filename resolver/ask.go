package resolver

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// avoided is how long a server that did not reply is asked last: one dead resolver must not add its timeout to every name.
const avoided = 30 * time.Second

// outcome is what asking for a name brought: an answer, a failure, or one of each for different families.
type outcome struct {
	name    string
	answer  *Answer
	failure *Failure
}

// asker asks for names. Safe for concurrent use.
type asker struct {
	exchanger
	tally *tally

	mu     sync.Mutex
	silent map[netip.AddrPort]time.Time // when a server last timed out
}

func newAsker(timeout time.Duration, mark uint32) *asker {
	return &asker{exchanger: newExchanger(timeout, mark), tally: new(tally), silent: map[netip.AddrPort]time.Time{}}
}

// lookup asks for A and AAAA at once. NXDOMAIN or NODATA of both families is a failure; of one, beside
// addresses of the other, it is part of the answer.
func (a *asker) lookup(ctx context.Context, name string, servers []netip.AddrPort) outcome {
	var (
		records [2][]Record
		errs    [2]*LookupError
		wg      sync.WaitGroup
	)
	for i, qtype := range [2]uint16{dns.TypeA, dns.TypeAAAA} {
		wg.Go(func() { records[i], errs[i] = a.family(ctx, name, qtype, servers) })
	}
	wg.Wait()
	out := combine(name, records, errs)
	if out.answer != nil && out.failure != nil {
		a.tally.partial.Add(1)
	}
	return out
}

// combine joins the two families' results.
func combine(name string, records [2][]Record, errs [2]*LookupError) outcome {
	out := outcome{name: name}
	addrs := slices.Concat(records[0], records[1])
	if len(addrs) == 0 {
		out.failure = &Failure{Name: name, Families: both, Err: worse(errs)}
		for i, err := range errs {
			if err.Result.settled() {
				out.failure.Empty |= 1 << i
			}
		}
		return out
	}
	answer := Answer{Name: name, Addrs: addrs}
	for i, err := range errs {
		if err == nil || err.Result.settled() {
			answer.Families |= 1 << i
		} else {
			out.failure = &Failure{Name: name, Families: 1 << i, Err: err}
		}
	}
	out.answer = &answer
	return out
}

// worse is the failure to report of two: NXDOMAIN is about the name and says it all; NODATA says least.
func worse(errs [2]*LookupError) *LookupError {
	for _, err := range errs {
		if err.Result == NXDomain {
			return err
		}
	}
	if errs[0].Result == NoData {
		return errs[1]
	}
	return errs[0]
}

// family asks the servers in order until one settles the question; err is nil exactly when there are records.
func (a *asker) family(ctx context.Context, name string, qtype uint16, servers []netip.AddrPort) ([]Record, *LookupError) {
	failure := &LookupError{Name: name, Result: Broken, Err: errors.New("no resolver is known")}
	for _, server := range a.order(servers, time.Now()) {
		records, result, err := a.one(ctx, name, qtype, server)
		if result == Answered {
			return records, nil
		}
		failure = &LookupError{Name: name, Server: server, Result: result, Err: err}
		if result.settled() || ctx.Err() != nil {
			break
		}
	}
	return nil, failure
}

// one asks one server and counts how it ended.
func (a *asker) one(ctx context.Context, name string, qtype uint16, server netip.AddrPort) (records []Record, result Result, err error) {
	q := question(name, qtype, true)
	reply, retried, err := a.ask(ctx, server, q)
	if err != nil {
		result = classify(err)
	} else {
		records, result, err = judge(reply, q.Question[0])
	}
	if ctx.Err() != nil {
		return records, result, err // we gave up, not the server
	}
	if retried {
		a.tally.tcp.Add(1)
	}
	a.tally.queries[result].Add(1)
	a.note(server, result == Timeout, time.Now())
	return records, result, err
}

// order is servers with those that were silent a moment ago at the end.
func (a *asker) order(servers []netip.AddrPort, now time.Time) []netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	var prompt, late []netip.AddrPort
	for _, s := range servers {
		if since, ok := a.silent[s]; ok && now.Sub(since) < avoided {
			late = append(late, s)
		} else {
			prompt = append(prompt, s)
		}
	}
	return append(prompt, late...)
}

// note remembers whether server was silent.
func (a *asker) note(server netip.AddrPort, silent bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if silent {
		a.silent[server] = now
	} else {
		delete(a.silent, server)
	}
}
