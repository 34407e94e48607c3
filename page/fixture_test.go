package page

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// noon is when the fixtures were taken.
func noon() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC) }

func before(d time.Duration) time.Time { return noon().Add(-d) }

// day is a history whose half hours have what f says; 47 is the latest.
func day(f func(i int) uint64) (out []uint64) {
	for i := range bars {
		out = append(out, f(i))
	}
	return out
}

func named(name string, left time.Duration, addrs ...string) api.ResolvedName {
	out := api.ResolvedName{Name: name, Token: name}
	for _, a := range addrs {
		out.Addrs = append(out.Addrs, api.NamedAddress{Addr: netip.MustParseAddr(a), Expires: noon().Add(left)})
	}
	return out
}

// shop is a host as people have them: a web shop of five containers.
func shop() Page {
	return Page{
		Now: noon(),
		Status: &api.Status{
			Time: noon(), Since: before(77 * time.Hour), Version: "1.0.0", State: api.Enforcing, Applied: before(12 * time.Second),
			Docker: api.Engine{Host: "unix:///var/run/docker.sock", Up: true}, DNSMode: "queue",
			Degraded:   []string{"1 container has mistakes in its labels"},
			Containers: []api.Container{shopWeb(), shopWorker(), shopCI(), shopDB(), shopAgent()},
		},
		Denials: shopDenials(), Suggestions: shopSuggestions(),
	}
}

func shopWeb() api.Container {
	return api.Container{
		Name: "shop-web-1", Image: "shop/web:4.2", Project: "shop", Service: "web", Networks: []string{"shop_front", "shop_back"}, Mode: "enforce", Deny: "drop",
		Outbound: "api.stripe.com:443, *.example.com:443/tcp",
		Names: []api.ResolvedName{
			named("api.stripe.com", 51*time.Second, "203.0.113.10", "203.0.113.11", "2001:db8:1::10"),
			named("cdn.example.com", 4*time.Minute, "203.0.113.40"),
		},
		Sent: api.Count{Packets: 482113, Bytes: 391_220_104}, Denied: api.Count{Packets: 214, Bytes: 12840},
		History: day(func(i int) uint64 {
			return map[int]uint64{20: 3, 21: 9, 22: 61, 23: 44, 24: 12, 40: 31, 46: 40, 47: 14}[i]
		}),
	}
}

func shopWorker() api.Container {
	return api.Container{
		Name: "shop-worker-1", Image: "shop/worker:4.2", Project: "shop", Service: "worker", Networks: []string{"shop_back"}, Mode: "enforce", Deny: "reject",
		Outbound: "smtp.example.net:587, htps://hooks.example.org",
		Names:    []api.ResolvedName{named("smtp.example.net", 18*time.Minute, "203.0.113.25")},
		Findings: []api.Finding{{
			Severity: "error", Label: "dockerwall.outbound", Position: 23, Token: "htps://hooks.example.org", Message: `"htps://hooks.example.org" is an address of a page`,
			Remedy: "write hooks.example.org:443",
		}},
		Sent: api.Count{Packets: 9120, Bytes: 4_110_200}, Denied: api.Count{Packets: 4112, Bytes: 246_720},
		History: day(func(i int) uint64 { return uint64(30 + (i*37)%29) }),
	}
}

func shopCI() api.Container {
	return api.Container{
		Name: "ci-runner", Image: "runner:latest", Networks: []string{"bridge"}, Mode: "audit", Deny: "drop", Outbound: "",
		Sent: api.Count{Packets: 71_004, Bytes: 1_240_003_112}, Denied: api.Count{Packets: 70_991, Bytes: 1_239_001_000},
		History: day(func(i int) uint64 { return map[int]uint64{2: 9000, 14: 21000, 26: 20500, 38: 20491}[i] }),
	}
}

func shopDB() api.Container {
	return api.Container{
		Name: "shop-db-1", Image: "postgres:17", Project: "shop", Service: "db", Networks: []string{"shop_back"}, Mode: "enforce", Deny: "drop",
		History: day(func(int) uint64 { return 0 }),
	}
}

func shopAgent() api.Container {
	return api.Container{
		Name: "node-agent", Image: "agent:2", Networks: []string{"host"}, Mode: "unfenced", Unfenced: "it has the host's network",
		Outbound: "metrics.example.org",
		Findings: []api.Finding{{Severity: "warning", Label: "dockerwall.outbound", Message: "the label does nothing in the host's network", Remedy: "attach it to a bridge network"}},
	}
}

func shopDenials() []api.Denial {
	deny := func(ago time.Duration, container, name, addr string, port uint16, proto string, packets uint64, token string) api.Denial {
		d := api.Denial{
			Time: before(ago), Container: container, Destination: netip.MustParseAddr(addr), Port: port, Protocol: proto,
			Reason: "denied", Verdict: api.VerdictDenied, Packets: packets, Bytes: 60 * packets, Token: token,
		}
		if name != "" {
			d.Names = []string{name}
		}
		return d
	}
	audited := deny(20*time.Second, "ci-runner", "proxy.example.org", "203.0.113.77", 443, "tcp", 214, "proxy.example.org:443")
	audited.Verdict, audited.First = api.VerdictAudit, true
	return []api.Denial{
		{Time: before(26 * time.Hour), Source: "172.18.0.99", Interface: "br-3f2a91b0c4d5", Destination: netip.MustParseAddr("203.0.113.4"), Port: 80, Protocol: "tcp", Reason: "unknown", Verdict: api.VerdictDenied, Packets: 3},
		deny(44*time.Minute, "shop-worker-1", "", "169.254.169.254", 80, "tcp", 6, "169.254.169.254:80/tcp"),
		deny(9*time.Minute, "shop-worker-1", "hooks.example.org", "203.0.113.52", 443, "tcp", 14, "hooks.example.org:443"),
		deny(3*time.Minute, "shop-web-1", "", "2001:db8:1::53", 53, "udp", 3, "[2001:db8:1::53]:53/udp"),
		audited,
		deny(11*time.Second, "shop-worker-1", "hooks.example.org", "203.0.113.52", 443, "tcp", 4, "hooks.example.org:443"),
	}
}

func shopSuggestions() []api.Suggestion {
	return []api.Suggestion{{
		Container: "ci-runner", Image: "runner:latest", Mode: "audit", From: before(6 * 24 * time.Hour), Until: noon(),
		Outbound: "proxy.example.org:443, *.pkg.example.net:443, 203.0.113.9:22/tcp",
		Tokens: []api.SuggestedToken{
			{Token: "proxy.example.org:443", Why: "asked for this name", Packets: 61_201},
			{Token: "*.pkg.example.net:443", Why: "asked for 9 names below it", Packets: 9_102},
			{Token: "203.0.113.9:22/tcp", Why: "no name is known", Packets: 688},
		},
		Notes: []string{"203.0.113.9 has no name: it may be another host next week"},
	}}
}

// crowd is a host with n containers, each with about as much to show as the busiest of shop.
func crowd(n int) Page {
	p := shop()
	p.Status.Containers = nil
	for i := range n {
		c := shopWeb()
		if i%4 == 1 {
			c = shopWorker()
		}
		c.Name = fmt.Sprintf("crowd-%04d", i)
		c.Denied.Packets = uint64(n - i)
		p.Status.Containers = append(p.Status.Containers, c)
	}
	p.Denials = nil
	for i := range 4 * n {
		d := shopDenials()[2]
		d.Container, d.Destination = fmt.Sprintf("crowd-%04d", i%n), netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})
		p.Denials = append(p.Denials, d)
	}
	return p
}
