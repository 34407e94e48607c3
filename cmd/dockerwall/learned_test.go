package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// TestNoAnswerOpensWhatNoAnswerMay is DNS rebinding: whoever owns a name lets it mean an address of his choice.
func TestNoAnswerOpensWhatNoAnswerMay(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	d := w.start(t, "DOCKERWALL_PRIVATE_NAMES=corp.example")
	b := w.labelled(t, "*.evil.example, *.corp.example, exact.example")
	for reason, addrs := range map[string][]string{
		"loopback":    {"127.0.0.1", "::1"},
		"metadata":    {"169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"},
		"link-local":  {"169.254.7.7", "fe80::7"},
		"multicast":   {"224.0.0.9", "ff02::9"},
		"unspecified": {"0.0.0.0", "::"},
		"reserved":    {"240.0.0.9", "255.255.255.255"},
		"host":        {lab.HostAddr, lab.HostAddr6, webGate},
		"docker":      {"172.30.1.77", "2001:db8:c:1::77", "64:ff9b::ac1e:14d"},
		"private":     {"10.1.2.3", "192.168.7.7", "100.64.0.1", "fd12::1"},
	} {
		t.Run(reason, func(t *testing.T) {
			for i, a := range addrs {
				before := w.scrape(t).sum("dockerwall_dns_refused_addresses_total", "reason="+reason)
				name := fmt.Sprintf("r%d.%s.evil.example", i, reason)
				w.DNS.Set(name, netip.MustParseAddr(a))
				b.resolvesTo(t, name, a)
				if n := w.scrape(t).sum("dockerwall_dns_refused_addresses_total", "reason="+reason); n <= before {
					t.Errorf("%s was refused %v times, then %v", a, before, n)
				}
				d.says(t, "no answer can open", "name="+name, "reason="+reason)
				w.isNotOpen(t, " "+a+" comment", b)
			}
		})
	}
	t.Run("a private zone may", func(t *testing.T) {
		w.DNS.Set("db.corp.example", netip.MustParseAddr("10.9.9.9"))
		b.resolvesTo(t, "db.corp.example", "10.9.9.9")
		if text := lab.Nft(t, w.Host, "", "list", "table", "inet", "dockerwall"); !strings.Contains(elementsOf(text), "10.9.9.9") {
			t.Errorf("a private address of a zone in --private-names is not open:\n%s", text)
		}
	})
	t.Run("a name in full may mean a private address", func(t *testing.T) {
		w.DNS.Set("exact.example", netip.MustParseAddr("10.8.8.8"))
		b.resolvesTo(t, "exact.example", "10.8.8.8")
		if text := lab.Nft(t, w.Host, "", "list", "table", "inet", "dockerwall"); !strings.Contains(elementsOf(text), "10.8.8.8") {
			t.Errorf("it is not open:\n%s", text)
		}
	})
}

// resolvesTo asks the lab's resolver over udp, for the address's family.
func (b *box) resolvesTo(t *testing.T, name, addr string) {
	t.Helper()
	kind := "A"
	if strings.Contains(addr, ":") {
		kind = "AAAA"
	}
	if r := b.asks(t, name, "-type", kind); len(r.Addrs) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestADeniedNameIsDeniedBeforeItsAnswerArrives(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	fresh(w.DNS, "evil.example")
	w.start(t)
	b := w.labelled(t, "*, !*.evil.example")
	c := w.labelled(t, "*.fresh.example, !*.bad.fresh.example")
	for i := range 10 {
		b.asks(t, fmt.Sprintf("n%d.evil.example", i))
		b.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(i), 80).String()))
	}
	b.asks(t, "n1000.fresh.example")
	b.connectsAtOnce(t, freshAddr(1000))
	c.asks(t, "n1001.good.fresh.example")
	c.connectsAtOnce(t, freshAddr(1001))
	c.asks(t, "n1002.bad.fresh.example")
	c.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(1002), 80).String()))
	// An address under both is denied, whichever name was heard first.
	w.DNS.Set("twice.fresh.example", freshAddr(1002))
	c.asks(t, "twice.fresh.example")
	c.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(1002), 80).String()))
}

func TestDeniedDestinationsHaveTheNamesThatWereAskedFor(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "tracker.example")
	d := w.start(t)
	b := w.labelled(t, "203.0.113.1")
	b.resolves(t, "n5.ads.tracker.example", true)
	b.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(5), 80).String()))
	d.says(t, "msg=denied", "destination=198.18.0.5", "n5.ads.tracker.example")
	if n := w.scrape(t).sum("dockerwall_dropped_packets", b.id(), "domains=n5.ads.tracker.example"); n == 0 {
		t.Error("the metric does not name it")
	}
}

// TestAFloodOfNamesStaysInItsBounds has a container ask for more names beneath its wildcard than are kept.
func TestAFloodOfNamesStaysInItsBounds(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "flood.example")
	fresh(w.DNS, "quiet.example")
	w.start(t)
	flood, quiet := w.labelled(t, "*.flood.example:80"), w.labelled(t, "*.quiet.example")
	quiet.asks(t, "n60000.quiet.example")
	r, err := flood.Probe(t.Context(), "contacts", "flood.example", "-count", "5000", "-parallel", "50")
	if err != nil || r.Outcome != result.OK || r.Retransmits != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	s := w.scrape(t)
	learned, evicted := s.sum("dockerwall_dns_learned_addresses"), s.sum("dockerwall_dns_evicted_addresses_total", "bound=name")
	t.Logf("5000 names: %.0f addresses, %.0f evicted", learned, evicted)
	if learned > 4097 || evicted < 5000-4097 {
		t.Errorf("%v addresses, %v evicted", learned, evicted)
	}
	eventually(t, func() error {
		text := lab.Nft(t, w.Host, "", "list", "set", "inet", "dockerwall", "c_"+flood.ID[:12]+"_dns4_80")
		if n := strings.Count(text, "comment"); n > 4096 {
			return fmt.Errorf("the kernel has %d", n)
		}
		return nil
	})
	quiet.connectsAtOnce(t, freshAddr(60000)) // somebody else's names are not pushed out
	flood.connectsAtOnce(t, freshAddr(4999))
}

// TestAFloodOfQuestionsBlindsNobody has a container ask, or send what a server answers like a question, more than one
// client's answers are read.
func TestAFloodOfQuestionsBlindsNobody(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	w.start(t)
	flood, b := w.run(t, lab.RunSpec{Network: web}), w.labelled(t, "*.fresh.example")
	done := make(chan lab.Result, 1)
	began := time.Now()
	go func() {
		r, err := flood.Probe(context.WithoutCancel(t.Context()), "udp", lab.DNSAddr+":53", "-count", "60000", "-rate", "8000")
		if err != nil {
			r.Error = err.Error()
		}
		done <- r
	}()
	read := func() float64 { return w.scrape(t).sum("dockerwall_dns_responses_total", "result=other") }
	eventually(t, func() error { // its burst is used up
		if n := read(); n < 4500 {
			return fmt.Errorf("%.0f answers read", n)
		}
		return nil
	})
	b.contacts(t, "during.fresh.example", 200)
	r := <-done
	n, seconds := read(), time.Since(began).Seconds()
	t.Logf("%d sent in %.1f s, %d answered, %.0f answers read", r.Sent, seconds, r.Received, n)
	if most := 4000 + 2000*(seconds+1); r.Sent != 60000 || n > most || n > float64(r.Received)*2/3 {
		t.Errorf("%d sent, %d answered, %.0f answers of one client read, at most %.0f should be", r.Sent, r.Received, n, most)
	}
	w.drained(t)
}
