package resolver

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// numbered is the i-th of many addresses.
func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)})
}

// bulky is a reply with n addresses, at the end of a chain of hops: as long as a message over tcp can be.
func bulky(tb testing.TB, hops, n int) []byte {
	tb.Helper()
	m := new(dns.Msg).SetQuestion("h0.example.org.", dns.TypeA)
	m.Response, m.Compress = true, true
	owner := "h0.example.org."
	for i := range hops {
		next := fmt.Sprintf("h%d.example.org.", i+1)
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: next})
		owner = next
	}
	for i := range n {
		addr := numbered(i)
		m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: addr.AsSlice()})
	}
	p, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// learnedNames is a Resolver that has learned n names beneath example.org, example.net and example.com, one address each.
func learnedNames(tb testing.TB, n int) *Resolver {
	tb.Helper()
	r, err := New(Options{Files: Files{Root: tb.TempDir()}})
	if err != nil {
		tb.Fatal(err)
	}
	zones := []string{"example.org", "example.net", "example.com"}
	r.Want(Wanted{AllowBelow: zones, Allow: []string{www}})
	for i := range n {
		name := fmt.Sprintf("n%d.%s", i, zones[i%3])
		r.Learn(Reply{Question: name, Answers: []Answer{{Name: name, Families: IPv4, Addrs: []Record{{numbered(i), time.Hour}}}}})
	}
	return r
}

func BenchmarkReadReply(b *testing.B) {
	for name, p := range map[string][]byte{"1 address": bulky(b, 0, 1), "4000 addresses": bulky(b, 0, 4000), "16 hops, 3900 addresses": bulky(b, 16, 3900)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ReadReply(p)
			}
		})
	}
}

func BenchmarkLearn(b *testing.B) {
	long, hops := ReadReply(bulky(b, 0, 4000)), ReadReply(bulky(b, 16, 3900))
	one := func(name string, addr netip.Addr) Reply {
		return Reply{Question: name, Answers: []Answer{{Name: name, Families: IPv4, Addrs: []Record{{addr, time.Hour}}}}}
	}
	for name, f := range map[string]func(r *Resolver, i int){
		"a name known":            func(r *Resolver, _ int) { r.Learn(one("n7.example.net", numbered(7))) },
		"a name nobody wants":     func(r *Resolver, _ int) { r.Learn(one("n7.example.edu", numbered(7))) },
		"another name each time":  func(r *Resolver, i int) { r.Learn(one(fmt.Sprintf("f%d.example.net", i), numbered(i))) },
		"4000 addresses":          func(r *Resolver, _ int) { r.Learn(long) },
		"16 hops, 3900 addresses": func(r *Resolver, _ int) { r.Learn(hops) },
	} {
		b.Run(name, func(b *testing.B) {
			r, i := learnedNames(b, 10_000), 0
			for b.Loop() {
				f(r, i)
				i++
			}
		})
	}
	for name, reply := range map[string]Reply{"4000 addresses, denied": long, "16 hops, 3900 addresses, denied": hops} {
		b.Run(name, func(b *testing.B) {
			r := learnedNames(b, 10_000)
			r.Want(Wanted{AllowBelow: []string{"example.org"}, DenyBelow: []string{"example.org", "org"}})
			for b.Loop() {
				r.Learn(reply)
			}
		})
	}
}

// BenchmarkLists is what a run of the loop asks for, after each wildcard has learned something.
func BenchmarkLists(b *testing.B) {
	r := learnedNames(b, 10_000)
	r.Want(Wanted{AllowBelow: []string{"example.org", "example.net", "example.com"}, DenyBelow: []string{"example.edu"}})
	a := Answer{Name: "a.example.edu"}
	for i := range 60_000 {
		a.Addrs = append(a.Addrs, Record{Addr: numbered(i)})
	}
	r.Learn(replied(a))
	for name, parent := range map[string]string{"nothing new": "", "new beneath an allowed wildcard": "example.org", "new beneath a denied wildcard": "example.edu"} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if parent != "" && i < 5000 {
					i++
					r.Learn(replied(said("f."+parent, 0, numbered(100_000+i).String())))
				}
				r.Below()
				r.DeniedBelow()
			}
		})
	}
}

// BenchmarkRound is what a round of Run does while Learn waits.
func BenchmarkRound(b *testing.B) {
	r := learnedNames(b, 10_000)
	for b.Loop() {
		r.due()
		r.idle()
	}
}
