package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

const (
	lookupPatience  = 15 * time.Second // resolv.conf's usual timeout and attempts end before
	connectPatience = 5 * time.Second
	late            = 900 * time.Millisecond // a lost SYN is sent again after a second (RFC 6298)
)

// contact is what came of one name.
type contact struct {
	name             string
	resolve, connect time.Duration
	resolved         bool
	err              error
}

// contacts makes first contacts with fresh names, some of them at once.
func (a act) contacts(r *result.Result) error {
	if a.count < 0 || a.parallel < 1 || (a.family != 4 && a.family != 6) {
		return errors.New("contacts: -count is 0 or more, -parallel 1 or more, -family 4 or 6")
	}
	all := make([]contact, a.count)
	var taken atomic.Int64
	var workers sync.WaitGroup
	for range min(a.parallel, a.count) {
		workers.Go(func() {
			for i := int(taken.Add(1)) - 1; i < len(all); i = int(taken.Add(1)) - 1 {
				all[i] = a.contact("n" + strconv.Itoa(a.start+i) + "." + a.args[1])
			}
		})
	}
	workers.Wait()
	return tally(r, all)
}

func (a act) contact(name string) contact {
	c := contact{name: name}
	began := time.Now()
	addr, err := a.first(name)
	if err != nil {
		c.err = err
		return c
	}
	c.resolved, c.resolve = true, time.Since(began)
	began = time.Now()
	conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(addr, uint16(a.port)).String(), connectPatience)
	if err != nil {
		c.err = err
		return c
	}
	c.connect = time.Since(began)
	_ = conn.Close()
	return c
}

// first is the first address of a name, as Go's own resolver finds it. The dot at the end keeps resolv.conf's search
// list away.
func (a act) first(name string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupPatience)
	defer cancel()
	resolver := net.Resolver{PreferGo: true}
	addrs, err := resolver.LookupNetIP(ctx, "ip"+strconv.Itoa(a.family), name+".")
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0].Unmap(), nil // no address is an error
}

// tally counts. The error is that of the first name that was not reached.
func tally(r *result.Result, all []contact) error {
	var resolves, connects []time.Duration
	var failed error
	for _, c := range all {
		r.Sent++
		if c.resolved {
			resolves = append(resolves, c.resolve)
		} else {
			r.Unresolved++
		}
		switch {
		case c.err == nil:
			connects = append(connects, c.connect)
			r.Received++
		case failed == nil:
			failed = fmt.Errorf("%s: %w", c.name, c.err)
		}
		if c.connect >= late {
			r.Late++
		}
	}
	r.DNSP50, r.DNSP99 = percentile(resolves, 50), percentile(resolves, 99)
	r.ConnectP50, r.ConnectP99 = percentile(connects, 50), percentile(connects, 99)
	return failed
}

// percentile is that of the nearest rank, in milliseconds; of nothing it is 0.
func percentile(times []time.Duration, p float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	rank := int(math.Ceil(p / 100 * float64(len(times))))
	return float64(times[max(rank, 1)-1].Microseconds()) / 1000
}
