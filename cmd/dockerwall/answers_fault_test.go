package main

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/florianl/go-nfqueue/v2"
	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// openly allows what fresh names mean by address too, so that contacts say how DNS does and nothing else.
const openly = "*.fresh.example, 198.18.0.0/16"

// querying has a container look up n names and connect, beside the test; the result comes when all is done.
func (b *box) querying(t *testing.T, suffix string, n int) <-chan lab.Result {
	t.Helper()
	out := make(chan lab.Result, 1)
	asked := len(b.w.DNS.Queries())
	go func() {
		r, err := b.Probe(context.WithoutCancel(t.Context()), "contacts", suffix, "-count", strconv.Itoa(n), "-parallel", "50")
		if err != nil {
			r.Error = err.Error()
		}
		out <- r
	}()
	eventually(t, func() error {
		if got := len(b.w.DNS.Queries()) - asked; got < 20 {
			return fmt.Errorf("%d questions so far", got)
		}
		return nil
	})
	return out
}

// recovers fails unless all names were resolved.
func recovers(t *testing.T, done <-chan lab.Result) {
	t.Helper()
	select {
	case r := <-done:
		t.Logf("%d asked, %d unresolved, DNS p50 %.1f ms p99 %.1f ms", r.Sent, r.Unresolved, r.DNSP50, r.DNSP99)
		if r.Outcome != result.OK || r.Unresolved != 0 {
			t.Errorf("%+v", r)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the container still asks")
	}
}

func TestDNSGoesOnWhileTheDaemonHangs(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	d := w.start(t)
	b := w.labelled(t, openly)
	b.contacts(t, "before.fresh.example", 50)
	done := b.querying(t, "hung.fresh.example", 500)
	if err := unix.Kill(d.cmd.Process.Pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awake := time.AfterFunc(30*time.Second, func() { _ = unix.Kill(d.cmd.Process.Pid, unix.SIGCONT) })
	recovers(t, done)
	if !awake.Stop() {
		t.Error("the names were resolved only after the daemon went on")
	}
	// Names that are new while it hangs: three seconds after its last sign of life nothing waits for it.
	r, err := b.Probe(t.Context(), "contacts", "still.fresh.example", "-count", "100", "-parallel", "50")
	if err != nil || r.Outcome != result.OK || r.DNSP99 > 1000 {
		t.Errorf("%+v, %v", r, err)
	}
	if err := unix.Kill(d.cmd.Process.Pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.drained(t)
	only := w.labelled(t, "*.fresh.example")
	eventually(t, func() error { // its first beat puts the queue to use again
		learned := w.scrape(t).sum("dockerwall_dns_responses_total", "result=learned")
		only.resolves(t, "n77.awake.fresh.example", true)
		if w.scrape(t).sum("dockerwall_dns_responses_total", "result=learned") == learned {
			return fmt.Errorf("the daemon is awake and learns nothing")
		}
		return nil
	})
	only.contacts(t, "after.fresh.example", 50)
}

func TestDNSGoesOnWhenTheDaemonIsKilled(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	d := w.start(t)
	b, only := w.labelled(t, openly), w.labelled(t, "*.fresh.example")
	w.connects(t, only, "n7.before.fresh.example", freshAddr(7))
	done := b.querying(t, "killed.fresh.example", 300)
	d.kill9()
	recovers(t, done)
	only.connectsAtOnce(t, freshAddr(7)) // what was learned stays
	if text := lab.Nft(t, w.Host, "", "list", "tables"); strings.Contains(text, "dockerwall-dns") {
		t.Errorf("the dead daemon's tap stays:\n%s", text)
	}
	only.resolves(t, "n900.dead.fresh.example", true)
	only.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(900), 80).String()))
	w.start(t)
	only.connectsAtOnce(t, freshAddr(7))
	if text := lab.Nft(t, w.Host, "", "list", "table", "inet", "dockerwall"); !strings.Contains(text, `comment "n7.before.fresh.example"`) {
		t.Errorf("no element says which name put it there:\n%s", text)
	}
	only.contacts(t, "after.fresh.example", 50)
}

func TestAQueueThatAnotherProgramReads(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	b := w.labelled(t, "*.fresh.example")
	ctx, free := context.WithCancel(t.Context())
	defer free()
	taken, err := nfqueue.Open(&nfqueue.Config{NetNS: w.Host.FD(), NfQueue: defaultDNSQueue, Copymode: nfqueue.NfQnlCopyPacket})
	if err != nil {
		t.Fatal(err)
	}
	ignore := func(error) int { return 1 }
	if err := taken.RegisterWithErrorFunc(ctx, func(nfqueue.Attribute) int { return 0 }, ignore); err != nil {
		t.Fatal(err)
	}
	d := w.start(t)
	d.says(t, "level=ERROR", "queue 5300", "another program reads it", "DOCKERWALL_DNS_QUEUE")
	b.resolves(t, "n1.taken.fresh.example", true) // it does not get our answers either
	b.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(1), 80).String()))
	if n := w.scrape(t).sum("dockerwall_dns_mode", "mode=ask"); n != 1 {
		t.Errorf("mode ask: %v", n)
	}
	free()
	d.says(t, "DNS answers are learned from")
	b.contacts(t, "free.fresh.example", 50)
	d.stop()
	t.Run("another number", func(t *testing.T) {
		w.start(t, "DOCKERWALL_DNS_QUEUE=77").says(t, "DNS answers are learned from", "number=77")
		b.contacts(t, "number.fresh.example", 50)
	})
}

func TestAnswersWithoutAQueue(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	w.DNS.Set("exact.example", freshAddr(1))
	b := w.labelled(t, "*.fresh.example, exact.example")
	t.Run("copies", func(t *testing.T) {
		d := w.start(t, "DOCKERWALL_DNS_HOLD=copy")
		defer d.stop()
		d.says(t, "DNS answers are learned from", "mode=copy")
		b.resolves(t, "n2.copy.fresh.example", true)
		b.reaches(t, act("tcp "+netip.AddrPortFrom(freshAddr(2), 80).String()))
		if out := w.host(t, w.binary, "health"); !strings.Contains(out, "only copied") {
			t.Errorf("health does not say that a first packet may be denied:\n%s", out)
		}
	})
	t.Run("off: names in full are asked for, wildcards open nothing more", func(t *testing.T) {
		d := w.start(t, "DOCKERWALL_DNS_HOLD=off")
		defer d.stop()
		b.reaches(t, act("tcp "+netip.AddrPortFrom(freshAddr(1), 80).String()))
		b.resolves(t, "n3.off.fresh.example", true)
		b.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(3), 80).String()))
	})
	t.Run("the host's DNS passes conntrack by", func(t *testing.T) {
		lab.Nft(t, w.Host, "table inet untracked {\n\tchain pre {\n\t\ttype filter hook prerouting priority raw;\n\t\tudp sport 53 notrack\n\t\tudp dport 53 notrack\n\t}\n}\n", "-f", "-")
		defer lab.Nft(t, w.Host, "", "delete", "table", "inet", "untracked")
		w.start(t)
		direct := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "*.fresh.example, " + lab.DNSAddr}})
		if _, err := direct.Probe(t.Context(), "ask", lab.DNSAddr+":53", "n4.untracked.fresh.example"); err != nil {
			t.Fatal(err) // without address translation the server's answer does not come back: that is not our doing
		}
		direct.isKeptFrom(t, act("tcp "+netip.AddrPortFrom(freshAddr(4), 80).String()))
	})
}

func TestAResolverThatIsSlowOrFails(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	fresh(w.DNS, "fresh.example")
	w.start(t)
	b := w.labelled(t, "*.fresh.example")
	w.DNS.SetAnswer("slow.fresh.example", lab.Answer{Addrs: []netip.Addr{freshAddr(1)}, TTL: 60, Delay: 800 * time.Millisecond})
	w.DNS.SetAnswer("fails.fresh.example", lab.Answer{Rcode: 2})
	w.DNS.SetAnswer("cut.fresh.example", lab.Answer{Addrs: []netip.Addr{freshAddr(2)}, TTL: 60, Truncate: true})
	w.DNS.SetAnswer("lies.fresh.example", lab.Answer{Raw: lying(freshAddr(3))})
	b.asks(t, "slow.fresh.example")
	b.connectsAtOnce(t, freshAddr(1))
	if r, err := b.Probe(t.Context(), "ask", lab.DNSAddr+":53", "fails.fresh.example"); err != nil || r.Status != 2 {
		t.Errorf("SERVFAIL does not come through: %+v, %v", r, err)
	}
	b.resolves(t, "cut.fresh.example", true) // over udp in vain, then over tcp
	b.connectsAtOnce(t, freshAddr(2))
	// One record, and a header that promises two: whoever reads only the first has the address, and so have we.
	if _, err := b.Probe(t.Context(), "ask", lab.DNSAddr+":53", "lies.fresh.example"); err != nil {
		t.Fatal(err)
	}
	b.connectsAtOnce(t, freshAddr(3))
	b.contacts(t, "well.fresh.example", 50)
}

// lying answers with one address, in a message that claims to have two.
func lying(addr netip.Addr) func([]byte) []byte {
	return func(request []byte) []byte {
		end := 12
		for end < len(request) && request[end] != 0 {
			end += int(request[end]) + 1
		}
		reply := append([]byte{}, request[:min(len(request), end+5)]...)
		reply[2], reply[3], reply[7], reply[9], reply[11] = 0x81, 0x80, 2, 0, 0
		a := addr.As4()
		return append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, a[0], a[1], a[2], a[3])
	}
}
