package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/internal/lab"
)

// visit is what the daemon's port says to who asks from a namespace; host is the header, "" that of the URL.
func visit(ctx context.Context, from *lab.Namespace, url, host string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	r.Host = host
	transport := &http.Transport{DisableKeepAlives: true, DialContext: from.Dial}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// seen fails unless the answer has this status and this text, within the time that rules take.
func seen(t *testing.T, from *lab.Namespace, url, host string, status int, text string) {
	t.Helper()
	eventually(t, func() error {
		got, body, err := visit(t.Context(), from, url, host)
		if err != nil {
			return err
		}
		if got != status || !strings.Contains(body, text) {
			return fmt.Errorf("%s (%q): %d, want %d and %q:\n%s", url, host, got, status, text, body)
		}
		return nil
	})
}

// aPage is what only the status page has.
const aPage = "<h2>Last denied</h2>"

func TestTheStatusPageIsForTheHost(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	w.start(t)
	b := w.run(t, lab.RunSpec{Name: "talker", Network: web, Labels: map[string]string{"dockerwall.outbound": "www.example.com:443, https://x.example/<b>"}})
	b.reaches(t, "tcp 203.0.113.10:443")
	b.isKeptFrom(t, "tcp 203.0.113.9:25")
	t.Run("it shows what is so", func(t *testing.T) {
		for _, want := range []string{
			">DEGRADED</p>", "<b>talker</b>", "<code>www.example.com:443, https://x.example/&lt;b&gt;</code>", `<li class="bad">`, ">203.0.113.10 <small>",
			`<span class="addr dim">203.0.113.9</span>`, `<code class="copy">203.0.113.9:25/tcp</code>`, "<dt>Fenced</dt><dd>1 <small>container</small>", "<dt>Docker</dt><dd>up</dd>",
		} {
			seen(t, w.Host, "http://127.0.0.1:50000/", "", 200, want)
		}
		seen(t, w.Host, "http://127.0.0.1:50000/api/v1/status", "", 200, `"kind":"Status"`)
		seen(t, w.Host, "http://127.0.0.1:50000/api/v1/denials?last=10", "", 200, `"destination":"203.0.113.9"`)
	})
	t.Run("loopback has it, by either family", func(t *testing.T) {
		seen(t, w.Host, "http://127.0.0.1:50000/", "", 200, aPage)
		seen(t, w.Host, "http://127.0.0.1:50000/", "localhost:50000", 200, aPage)
		seen(t, w.Host, "http://[::1]:50000/", "", 200, aPage)
		seen(t, w.Host, "http://127.0.0.1:50000/healthz", "", 200, "ok")
	})
	t.Run("a name that resolves to loopback has not", func(t *testing.T) {
		seen(t, w.Host, "http://127.0.0.1:50000/", "evil.example", 421, "localhost")
	})
	t.Run("the network outside has the metrics", func(t *testing.T) {
		outside := "http://" + lab.HostAddr + ":50000"
		seen(t, w.Internet, outside+"/", "", 200, `href="/metrics"`)
		seen(t, w.Internet, outside+"/metrics", "", 200, "dockerwall_enforcing 1")
		seen(t, w.Internet, outside+"/api/v1/status", "", 403, "--web-allow")
		seen(t, w.Internet, "http://["+lab.HostAddr6+"]:50000/api/v1/denials", "", 403, "--web-allow")
	})
}

// TestTheStatusPageIsNotForContainers allows everybody, and containers the host: what is left is that they are containers.
func TestTheStatusPageIsNotForContainers(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.start(t, "DOCKERWALL_WEB_ALLOW=0.0.0.0/0,::/0")
	allowed, shut := w.labelled(t, "_host_:50000"), w.labelled(t, "")
	audited := w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.mode": "audit"}})
	t.Run("the network outside has it, by address", func(t *testing.T) {
		seen(t, w.Internet, "http://"+lab.HostAddr+":50000/", "", 200, aPage)
		seen(t, w.Internet, "http://["+lab.HostAddr6+"]:50000/", "", 200, aPage)
		seen(t, w.Internet, "http://"+lab.HostAddr+":50000/", "nas.example:50000", 421, "localhost")
	})
	for network, b := range map[string]*box{web: allowed, other: audited} {
		t.Run("a container that reaches the host, on network "+network, func(t *testing.T) {
			for _, at := range []string{webGate, otherGate, lab.HostAddr, "[2001:db8:c:1::1]", "[" + lab.HostAddr6 + "]", w.onLink(t, b, network)} {
				for _, path := range []string{"/", "/?live=1", "/api/v1/status", "/api/v1/denials?last=5", "/api/v1/suggestions"} {
					seen(t, b.ns, "http://"+at+":50000"+path, "", 403, "not for containers")
				}
				seen(t, b.ns, "http://"+at+":50000/", "localhost", 403, "not for containers")
				seen(t, b.ns, "http://"+at+":50000/metrics", "", 200, "dockerwall_enforcing")
			}
		})
	}
	t.Run("another container reaches nothing at all", func(t *testing.T) {
		shut.isKeptFrom(t, act("tcp "+webGate+":50000"), act("tcp "+lab.HostAddr+":50000"), "tcp [2001:db8:c:1::1]:50000")
	})
}

// onLink is the link-local address of the host on a container's link, as a URL has it; the interface is a number, because
// package net remembers names of zones from one namespace to the next.
func (w *world) onLink(t *testing.T, b *box, network string) string {
	t.Helper()
	addr, _, _ := strings.Cut(w.linkLocal(t, "br-"+w.docker(t, "network", "inspect", "--format={{.Id}}", network)[:12]), "%")
	var link *net.Interface
	if err := b.ns.Do(func() (err error) { link, err = net.InterfaceByName("eth0"); return err }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[%s%%25%d]", addr, link.Index)
}

func TestWhoMaySeeThePageIsReadStrictly(t *testing.T) {
	var s settings
	for _, text := range []string{"192.0.2.1/24", "nas.example", "::ffff:0.0.0.0/96"} {
		s.webAllow = text
		if _, err := (&fence{}).pages(s, api.Options{}); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), "--web-allow or $DOCKERWALL_WEB_ALLOW") {
			t.Errorf("%q: %v", text, err)
		}
	}
	var said bytes.Buffer
	if code := run(t.Context(), streams{out: &said, err: &said}, []string{"run", "--web-allow"}); code != exitUsage {
		t.Errorf("exit %d: %s", code, said.String())
	}
}

func TestContainersAreOnEveryNetwork(t *testing.T) {
	subnet := netip.MustParsePrefix
	h := docker.Host{Networks: []docker.Network{
		{Driver: "bridge", Subnets: []netip.Prefix{subnet("172.17.0.0/16"), subnet("2001:db8:c::/64")},
			Endpoints: []docker.Endpoint{{IPv4: netip.MustParseAddr("172.17.0.2"), IPv6: netip.MustParseAddr("2001:db8:c::2")}}},
		{Driver: "macvlan", Subnets: []netip.Prefix{subnet("192.0.2.0/24")}},
		{Driver: "bridge", Endpoints: []docker.Endpoint{{IPv4: netip.MustParseAddr("198.51.100.7")}}},
	}}
	want := []netip.Prefix{
		subnet("172.17.0.0/16"), subnet("2001:db8:c::/64"), subnet("172.17.0.2/32"), subnet("2001:db8:c::2/128"), subnet("192.0.2.0/24"), subnet("198.51.100.7/32"),
	}
	if diff := cmp.Diff(want, whereContainersAre(h), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if whereContainersAre(docker.Host{}) == nil {
		t.Error("a host without networks is one that nobody knows")
	}
}
