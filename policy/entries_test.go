package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestEntriesAreTheTokensThatAreUnderstood(t *testing.T) {
	var got []string
	for _, e := range Entries("a.example, x, !B.example:443,\n 10.0.0.1/8 ,ä.example, a.example") {
		got = append(got, fmt.Sprintf("%d %d %s=%v", e.Number, e.Pos, e.Text, e.Token))
	}
	want := "1 1 a.example=a.example|3 15 !B.example:443=!b.example:443|4 32 10.0.0.1/8=10.0.0.0/8|5 44 ä.example=xn--4ca.example|6 55 a.example=a.example"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	if n := len(Entries(strings.Repeat("a.example,", MaxTokens+5))); n != MaxTokens {
		t.Errorf("%d entries", n)
	}
}

func TestATokenCoversWhatItStandsFor(t *testing.T) {
	for name, c := range map[string]struct {
		t, u string
		want bool
	}{
		"itself":                           {"a.example", "a.example", true},
		"another name":                     {"a.example", "b.example", false},
		"a name by its wildcard":           {"*.example.com", "a.b.example.com", true},
		"a wildcard by a wider one":        {"*.example.com", "*.b.example.com", true},
		"a wildcard by a narrower one":     {"*.b.example.com", "*.example.com", false},
		"the apex by its wildcard":         {"*.example.com", "example.com", false},
		"a wildcard by its apex":           {"example.com", "*.example.com", false},
		"an address by a prefix":           {"10.0.0.0/8", "10.1.2.3", true},
		"a prefix by an address":           {"10.0.0.0", "10.0.0.0/8", false},
		"a range by a prefix":              {"10.0.0.0/8", "10.1.2.3-10.1.2.9", true},
		"a range that reaches beyond":      {"10.0.0.0/8", "10.255.0.0-11.0.0.0", false},
		"the other family":                 {"0.0.0.0/0", "::1", false},
		"anything by everything":           {"*", "a.example:443", true},
		"everything by the internet":       {"_internet_", "*", false},
		"an address by the internet":       {"_internet_", "9.9.9.9", false},
		"a port by every port":             {"a.example", "a.example:443", true},
		"every port by a port":             {"a.example:443", "a.example", false},
		"a port by a range":                {"a.example:400-500", "a.example:443", true},
		"a port of tcp by that port":       {"a.example:443", "a.example:443/tcp", true},
		"a port by that port of tcp":       {"a.example:443/tcp", "a.example:443", false},
		"a port of tcp by tcp":             {"a.example/tcp", "a.example:443/tcp", true},
		"tcp by all ports, tcp and udp":    {"a.example:1-65535", "a.example/tcp", false},
		"icmp by every port":               {"a.example:1-65535", "a.example/icmp", false},
		"icmp by everything":               {"a.example", "a.example/icmp", true},
		"a port by icmp":                   {"a.example/icmp", "a.example:443", false},
		"a denial by an allow of the same": {"a.example", "!a.example", true},
	} {
		t.Run(name, func(t *testing.T) {
			x, y := Entries(c.t), Entries(c.u)
			if len(x) != 1 || len(y) != 1 || x[0].Covers(y[0].Token) != c.want {
				t.Errorf("%v covers %v: want %v", x, y, c.want)
			}
		})
	}
}

func TestResembles(t *testing.T) {
	for key, want := range map[string]string{
		"dockerwal.outbound": LabelOutbound, "dockerwall_outbound": LabelOutbound, "com.dockerwall.outbound": LabelOutbound, "Docker-Wall.Mode": LabelMode,
		" dockerwall.deny": LabelDeny, "io.dockerwall/mode": LabelMode, "dockewall.oubound": LabelOutbound, "DOCKERWAL.DENY": LabelDeny,
		LabelOutbound: "", "dockerwall.outbond": "", "Dockerwall.mode": "", // those are reported as unknown
		"": "", "outbound": "", "com.example.dockerwallpaper": "", "com.docker.compose.project": "", "traefik.http.routers.dockerwall.rule": "",
		strings.Repeat("dockerwal.outbound", 10): "",
	} {
		if got := Resembles(key); got != want {
			t.Errorf("Resembles(%q) = %q, want %q", key, got, want)
		}
	}
}
