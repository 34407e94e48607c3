package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// explain is what `dockerwall explain -o json` says, with its exit code.
func (w *world) explain(t *testing.T, args ...string) (api.Explanation, int) {
	t.Helper()
	out, said, code := w.answer(t, append([]string{"explain", "-o", "json"}, args...)...)
	var object api.Object[api.Explanation]
	if err := json.Unmarshal([]byte(out), &object); err != nil || object.Kind != api.KindExplanation {
		t.Fatalf("%q: exit %d, %v: %s%s", args, code, err, out, said)
	}
	return object.Spec, code
}

// isExplained waits until a destination is explained with an exit code, and returns that explanation.
func (w *world) isExplained(t *testing.T, code int, args ...string) (e api.Explanation) {
	t.Helper()
	eventually(t, func() error {
		var got int
		if e, got = w.explain(t, args...); got != code {
			return fmt.Errorf("%q: exit %d, want %d: %+v", args, got, code, e)
		}
		return nil
	})
	return e
}

// TestExplainNamesTheTokenThatOpens is row 2 with a real Engine: what is denied is explained, and a container with the
// token that the explanation names is let through.
func TestExplainNamesTheTokenThatOpens(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.start(t)
	first := w.run(t, lab.RunSpec{Name: "shop-web", Network: web, Labels: map[string]string{"dockerwall.outbound": "www.example.com:80/tcp"}})
	service := listen(t, w.Host, 7000)
	w.isExplained(t, exitOK, "shop-web", "www.example.com:80/tcp")
	first.reaches(t, "tcp 203.0.113.10:80", "tcp [2001:db8:1::10]:80")
	for name, test := range map[string]struct {
		asks   string
		failed string
		acts   []act
	}{
		"a name":                {"db.example.com:5432/tcp", "policy", []act{"tcp 203.0.113.12:5432", "tcp [2001:db8:1::12]:5432"}},
		"another port":          {"www.example.com:5432/tcp", "policy", []act{"tcp 203.0.113.10:5432"}},
		"an address":            {"203.0.113.77:5000/udp", "policy", []act{"udp 203.0.113.77:5000"}},
		"an address of IPv6":    {"[2001:db8:1::77]:80", "policy", []act{"tcp [2001:db8:1::77]:80"}},
		"a ping":                {"203.0.113.77/icmp", "policy", []act{"ping 203.0.113.77"}},
		"the host":              {webGate + ":7000", "policy", service.at(webGate)},
		"the host by its name":  {"host.example.com:7000", "policy", service.at(lab.HostAddr)},
		"every port of a name":  {"many.example.com", "policy", []act{"tcp 203.0.113.14:80", "tcp 203.0.113.15:5432", "ping 203.0.113.14"}},
		"the host in one word":  {"_host_:7000", "policy", service.at(webGate, lab.HostAddr)},
		"a name asked for anew": {"bad.example.com:80/tcp", "policy", []act{"tcp 203.0.113.19:80"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.isExplained(t, exitDenied, "shop-web", test.asks)
			if e.Failed != test.failed || e.Token == "" {
				t.Fatalf("%+v", e)
			}
			first.isKeptFrom(t, test.acts...)
			opened := w.labelled(t, e.Token)
			w.isExplained(t, exitOK, opened.ID, test.asks)
			opened.reaches(t, test.acts...)
		})
	}
	t.Run("what depends on something", func(t *testing.T) { whatDepends(t, w) })
	t.Run("a denial, row 26", func(t *testing.T) { whyDeniedFixes(t, w) })
	t.Run("in the words of the README", func(t *testing.T) {
		out, said, code := w.answer(t, "explain", "shop-web", "203.0.113.77:80/tcp")
		want := "├ policy   fail     no token allows it\n├ kernel   ok       203.0.113.77 is in no set that allows\n└ DENIED by policy\n  to allow it, add to dockerwall.outbound or a policy file: 203.0.113.77:80/tcp\n"
		if code != exitDenied || !strings.HasSuffix(out, want) || said != "" || strings.Contains(out, "\x1b") {
			t.Errorf("exit %d\n%s%s", code, out, said)
		}
	})
}

// whyDeniedFixes: the token that the last denial's explanation names lets the same packet through.
func whyDeniedFixes(t *testing.T, w *world) {
	b := w.labelled(t, "")
	b.asks(t, "www.example.com", "-type", "A")
	b.isKeptFrom(t, "tcp 203.0.113.10:80")
	var last api.Explanation
	eventually(t, func() error {
		out, said, code := w.answer(t, "explain", "--why-denied", "LAST", b.ID, "-o", "json")
		var object api.Object[api.Explanation]
		if err := json.Unmarshal([]byte(out), &object); err != nil || code != exitDenied {
			return fmt.Errorf("exit %d: %s%s", code, out, said)
		}
		last = object.Spec
		return nil
	})
	if last.Token != "www.example.com:80/tcp" || last.Failed != "policy" || last.Question != "203.0.113.10:80/tcp" {
		t.Fatalf("%+v", last)
	}
	fixed := w.labelled(t, last.Token)
	fixed.reaches(t, "tcp 203.0.113.10:80")
	w.isExplained(t, exitOK, fixed.ID, last.Question)
}

// whatDepends are the answers that nobody can give, and those that need no policy.
func whatDepends(t *testing.T, w *world) {
	b := w.run(t, lab.RunSpec{Name: "wild", Network: web, Labels: map[string]string{"dockerwall.outbound": "*.example.com:80/tcp"}})
	if e := w.isExplained(t, exitUndecided, "wild", "ports.example.com:80/tcp"); !strings.Contains(e.Depends, "whether the container asks for the name") {
		t.Errorf("%+v", e)
	}
	b.asks(t, "ports.example.com", "-type", "A")
	w.isExplained(t, exitOK, "wild", "ports.example.com:80/tcp")
	if e := w.isExplained(t, exitUndecided, "wild", "ports.example.com:80"); !strings.Contains(e.Depends, "203.0.113.16:80/tcp is allowed, 203.0.113.16:80/udp is not") {
		t.Errorf("%+v", e)
	}
	if e := w.isExplained(t, exitDenied, "wild", "nowhere.example.org:80/tcp"); e.Token != "nowhere.example.org:80/tcp" || !strings.Contains(fmt.Sprint(e.Steps), "NXDOMAIN") {
		t.Errorf("%+v", e)
	}
	w.docker(t, "run", "-d", "--name=freely", "--network=host", lab.ProbeImage, "sleep")
	if e := w.isExplained(t, exitOK, "freely", "203.0.113.77"); !strings.Contains(fmt.Sprint(e.Steps), "host's own network") {
		t.Errorf("%+v", e)
	}
	for _, unknown := range []string{"nobody", "\x1b[2J"} {
		out, said, code := w.answer(t, "explain", unknown, "203.0.113.77")
		if code != exitFailure || out != "" || !strings.Contains(said, "no such container") || strings.Contains(said, "\x1b") {
			t.Errorf("%q: exit %d, %s%s", unknown, code, out, said)
		}
	}
}
