package main

import (
	"log/slog"
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/dockerwall/dockerwall/hold"
	"github.com/dockerwall/dockerwall/resolver"
)

// TestWhatBeginsNobodyKnowsWhereIsNotBelieved: a container can have a resolver send any bytes, in a TXT record of its
// own, and choose where segments begin.
func TestWhatBeginsNobodyKnowsWhereIsNotBelieved(t *testing.T) {
	reply := new(dns.Msg).SetQuestion("www.fresh.example.", dns.TypeA)
	reply.Response = true
	reply.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "www.fresh.example.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(198, 18, 0, 1)}}
	data, err := reply.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		message        hold.Message
		found          int
		learned, again uint64
	}{
		"a whole message":             {hold.Message{Data: data}, 1, 1, 0},
		"one nobody is sure of":       {hold.Message{Data: data, Unsure: true}, 0, 0, 1},
		"bytes that nobody can read":  {hold.Message{Data: data[:7], Unsure: true}, 0, 0, 0},
		"a message that is cut short": {hold.Message{Data: data[:len(data)-3]}, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := resolver.New(resolver.Options{Files: resolver.Files{Root: t.TempDir()}})
			if err != nil {
				t.Fatal(err)
			}
			r.Want(resolver.Wanted{AllowBelow: []string{"fresh.example"}})
			var found []resolver.Found
			a := &answers{
				logger: slog.New(slog.DiscardHandler), resolver: r, slots: make(chan struct{}), // asking fails at once
				learn: func(f []resolver.Found) <-chan struct{} { found = append(found, f...); return nil },
			}
			a.read(t.Context(), []hold.Message{test.message})
			if len(found) != test.found || a.results.learned.Load() != test.learned || a.results.unread.Load() != test.again || a.results.unasked.Load() != test.again {
				t.Errorf("found %v; %d learned from, %d to be asked for again", found, a.results.learned.Load(), a.results.unread.Load())
			}
		})
	}
}
