package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

func TestLabelsSayWhatBecomesOfDenied(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t)
	mode := func(key, value string) *box {
		return w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.1", "dockerwall." + key: value}})
	}
	elsewhere := all(everything("203.0.113.2"), everything("2001:db8:1::2"))
	t.Run("audit lets it pass, counts and logs", func(t *testing.T) {
		b := mode("mode", "audit")
		b.reaches(t, append(elsewhere, act("tcp "+webGate+":50000"))...)
		if s := w.scrape(t); s.packets(b, "drop") < float64(len(elsewhere)) || s.sum("dockerwall_containers", "state=audit") != 1 {
			t.Errorf("%v counted as drop, %v in audit", s.packets(b, "drop"), s.sum("dockerwall_containers", "state=audit"))
		}
	})
	t.Run("off lets everything pass", func(t *testing.T) {
		mode("mode", "off").reaches(t, all(everything("203.0.113.6"), everything("2001:db8:1::6"))...)
	})
	t.Run("a mode that does not exist enforces", func(t *testing.T) { mode("mode", "auditt").isKeptFrom(t, everything("203.0.113.3")...) })
	t.Run("reject answers at once", func(t *testing.T) {
		b := mode("deny", "reject")
		b.reaches(t, "tcp 203.0.113.1:80")
		b.isKeptFrom(t, elsewhere...)
		for _, a := range []act{"tcp 203.0.113.4:80", "tcp [2001:db8:1::4]:80", act("tcp " + webGate + ":22"), "tcp " + lab.HostAddr + ":22"} {
			r := b.try(t.Context(), a)
			if (r.Outcome != result.Refused && r.Outcome != result.Unreachable) || r.Milliseconds > 200 {
				t.Errorf("%s: %s after %v ms", a, r.Outcome, r.Milliseconds)
			}
		}
	})
	t.Run("reject fails at once where drop waits, and both count alike", func(t *testing.T) {
		failsFast(t, w, mode("deny", "reject"), mode("deny", "drop"))
	})
	t.Run("drop does not answer", func(t *testing.T) {
		b := mode("deny", "drop")
		each([]act{"tcp 203.0.113.4:80", "tcp [2001:db8:1::4]:80"}, func(a act) {
			if r := b.try(t.Context(), a); r.Outcome != result.Timeout {
				t.Errorf("%s: %s", a, r.Outcome)
			}
		})
	})
}

// failsFast fetches from both side by side, and compares what they met and what was counted of it.
func failsFast(t *testing.T, w *world, reject, drop *box) {
	const tries = 5
	before, fastest := w.scrape(t), moment
	for range tries {
		var waits lab.Result
		var both sync.WaitGroup
		both.Go(func() { waits = drop.fetch(t) })
		r := reject.fetch(t)
		both.Wait()
		if r.Outcome != result.Refused || waits.Outcome != result.Timeout || waits.Milliseconds < float64(moment.Milliseconds()) {
			t.Errorf("reject: %s after %v ms; drop: %s after %v ms", r.Outcome, r.Milliseconds, waits.Outcome, waits.Milliseconds)
		}
		fastest = min(fastest, time.Duration(r.Milliseconds*float64(time.Millisecond)))
	}
	t.Logf("the fastest refusal took %v", fastest)
	if fastest > 50*time.Millisecond {
		t.Errorf("not refused before %v", fastest)
	}
	after := w.scrape(t)
	for _, b := range []*box{reject, drop} {
		for family, labels := range map[string][]string{
			"dockerwall_container_packets":           {"action=drop"},
			"dockerwall_dropped_packets":             {"destination=203.0.113.4", "port=80", "protocol=tcp"},
			"dockerwall_egress_packets_total":        {"verdict=denied"},
			"dockerwall_egress_denied_packets_total": {"reason=denied"},
		} {
			if n := after.sum(family, append(labels, b.id())...) - before.sum(family, append(labels, b.id())...); n != tries {
				t.Errorf("%s%q, reject is %v: %v more, want %d", family, labels, b == reject, n, tries)
			}
		}
	}
}

// fetch asks for a page that nobody may have.
func (b *box) fetch(t *testing.T) lab.Result {
	out, _ := b.ns.Command(t.Context(), b.w.probe, "http", "http://203.0.113.4/", "-timeout", moment.String()).Output() // fails as it must
	results, err := lab.Results(string(out))
	if err != nil || len(results) != 1 {
		t.Errorf("%q: %v", out, err)
		return lab.Result{}
	}
	return results[0]
}

func TestSettingsSayWhomItConcerns(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	inWeb, inOther := w.labelled(t, "203.0.113.1"), w.run(t, lab.RunSpec{Network: other})
	denier := w.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.0/24"}})
	shut, open := []act{"tcp 203.0.113.7:80", "ping 203.0.113.7", "udp [2001:db8:1::7]:5000"}, []act{"tcp 203.0.113.1:80"}
	for _, c := range []struct {
		name     string
		settings []string
		check    func(t *testing.T, d *wall)
	}{
		{"nothing set fences all networks", nil, func(t *testing.T, _ *wall) {
			inWeb.isKeptFrom(t, shut...)
			inWeb.reaches(t, open...)
			inOther.isKeptFrom(t, append(shut, "ping 203.0.113.1")...) // a last packet of who may, over tcp, would count as one
		}},
		{"GATEWAY_NETWORKS=!net leaves it alone", []string{"GATEWAY_NETWORKS=!" + other}, func(t *testing.T, _ *wall) {
			inWeb.isKeptFrom(t, shut...)
			inOther.reaches(t, shut...)
		}},
		{"GATEWAY_NETWORKS=net fences only it", []string{"GATEWAY_NETWORKS=" + other}, func(t *testing.T, _ *wall) {
			inOther.isKeptFrom(t, shut...)
			inWeb.reaches(t, shut...)
		}},
		{"GATEWAY_NETWORKS with a name that no network has is said", []string{"GATEWAY_NETWORKS=" + web + ",nonesuch"}, func(t *testing.T, d *wall) {
			d.says(t, "level=WARN", "nonesuch", "does not exist", "docker network ls")
			inWeb.isKeptFrom(t, shut...)
		}},
		{"DEFAULT_OUTBOUND opens for all, and its denial beats labels", []string{"DEFAULT_OUTBOUND=203.0.113.7,!203.0.113.99"}, func(t *testing.T, _ *wall) {
			inWeb.reaches(t, "tcp 203.0.113.7:80", "tcp 203.0.113.1:80")
			inOther.reaches(t, "ping 203.0.113.7")
			denier.reaches(t, "tcp 203.0.113.98:80")
			denier.isKeptFrom(t, "tcp 203.0.113.99:80", "ping 203.0.113.99")
			inOther.isKeptFrom(t, "ping 203.0.113.1")
		}},
		{"a flag beats variables, and the new variable the old", []string{"GATEWAY_NETWORKS=!web", "DOCKERWALL_GATEWAY_NETWORKS=!web", "DOCKERWALL_DRY_RUN=true", "run", "--gateway-networks=" + web, "--dry-run=false"}, func(t *testing.T, _ *wall) {
			inWeb.isKeptFrom(t, shut...)
			inOther.reaches(t, shut...)
		}},
		{"the old program's flags work", []string{"-loglevel=debug", "-gateway-networks=!" + other, "-default-outbound=203.0.113.7", "-dry-run=false"}, func(t *testing.T, _ *wall) {
			inOther.reaches(t, shut...)
			inWeb.reaches(t, "tcp 203.0.113.7:80")
			inWeb.isKeptFrom(t, "tcp 203.0.113.8:80")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := w.start(t, c.settings...)
			c.check(t, d)
		})
	}
}

// TestADryRunBlocksNothing sends from known containers, from an address that nobody gave out, and from forged ones.
func TestADryRunBlocksNothing(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	b := w.labelled(t, "203.0.113.1, !203.0.113.99")
	hidden := w.run(t, lab.RunSpec{Network: web})
	if out, err := hidden.ns.Command(t.Context(), "ip", "address", "add", "172.30.1.200/24", "dev", "eth0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	heard := listen(t, w.Host, 7001)
	stream := b.stream(t, "203.0.113.55:7")
	for _, settings := range [][]string{{"DRY_RUN=true"}, {"-dry-run"}} {
		t.Run(settings[0], func(t *testing.T) {
			before := w.start(t, settings...)
			defer before.stop()
			at := w.scrape(t)
			b.reaches(t, all(everything("203.0.113.99"), everything("2001:db8:1::9"), heard.at(webGate, lab.HostAddr6))...)
			stream.flows(t)
			unknown := w.arrived("udp 203.0.113.60:9")
			if out, err := hidden.ns.Command(t.Context(), w.probe, "spoof", "172.30.1.200", "203.0.113.60:9", "-count", "10").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			eventually(t, func() error {
				if n := w.arrived("udp 203.0.113.60:9") - unknown; n != 10 {
					return fmt.Errorf("%d of 10 packets of an unknown source arrived", n)
				}
				return nil
			})
			s := w.scrape(t)
			if got := s.packets(b, "drop") - at.packets(b, "drop"); got < 12 {
				t.Errorf("%v counted as drop", got)
			}
			if got := s.sum("dockerwall_denied_packets_total", "reason=unknown") - at.sum("dockerwall_denied_packets_total", "reason=unknown"); got < 10 {
				t.Errorf("%v of 10 packets of an unknown source counted", got)
			}
			if s.sum("dockerwall_dry_run") != 1 || s.sum("dockerwall_enforcing") != 0 {
				t.Error("the metrics do not say that it is a dry run")
			}
		})
	}
	t.Run("in earnest the same is blocked", func(t *testing.T) {
		w.start(t)
		b.isKeptFrom(t, everything("203.0.113.99")...)
		before := w.arrived("udp 203.0.113.60:9")
		if out, err := hidden.ns.Command(t.Context(), w.probe, "spoof", "172.30.1.200", "203.0.113.60:9", "-count", "10").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		b.isKeptFrom(t, "tcp 203.0.113.61:80") // a while
		if n := w.arrived("udp 203.0.113.60:9") - before; n != 0 {
			t.Errorf("%d packets of an unknown source arrived", n)
		}
	})
}
