package reconcile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
)

var update = flag.Bool("update", false, "rewrite what the golden scenarios want")

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../testdata/build/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Comment) == 0 || len(archive.Files) == 0 || archive.Files[0].Name != "state.json" {
				t.Fatal("want a sentence why and state.json first")
			}
			state, problems := readScenario(t, archive.Files[0].Data).state()
			ruleset, found := build(t, state)
			got := []txtar.File{
				{Name: "want.nft", Data: []byte(ruleset.String())},
				{Name: "want.problems", Data: []byte(problemText(append(problems, found...)))},
			}
			if *update {
				archive.Files = append(archive.Files[:1], got...)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(texts(archive.Files[1:]), texts(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func texts(files []txtar.File) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		out[f.Name] = string(f.Data)
	}
	return out
}

func problemText(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		about := p.Container
		if about == "" {
			about = "-"
		}
		fmt.Fprintf(&b, "%s: %s\n", about, p.Problem)
	}
	return b.String()
}

// only is the one problem there is to be.
func only(t *testing.T, problems []Problem) Problem {
	t.Helper()
	if len(problems) != 1 {
		t.Fatalf("want one problem, got %d:\n%s", len(problems), problemText(problems))
	}
	return problems[0]
}

func TestStrangeInputFencesHarderAndIsReported(t *testing.T) {
	id := func(begin string) string { return (begin + strings.Repeat("0", 64))[:64] }
	everything := map[string]string{"dockerwall.outbound": "*"}
	for name, test := range map[string]struct {
		networks   []scenarioNetwork
		containers []scenarioContainer
		pass       map[string]bool // bridge and source
		problem    string
		severity   policy.Severity
	}{
		"of two containers whose IDs begin alike, the second sends nothing": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2", "b", "172.17.0.3")}},
			containers: []scenarioContainer{{Name: "b", ID: id("aaaaaaaaaaaa2"), Labels: everything}, {Name: "a", ID: id("aaaaaaaaaaaa1"), Labels: everything}},
			pass:       map[string]bool{"docker0 172.17.0.2": true, "docker0 172.17.0.3": false},
			problem:    "the same 12 digits", severity: policy.Error,
		},
		"a container whose ID is too short sends nothing": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2")}},
			containers: []scenarioContainer{{Name: "a", ID: "abc", Labels: everything}},
			pass:       map[string]bool{"docker0 172.17.0.2": false},
			problem:    "none of Docker's", severity: policy.Error,
		},
		"a container whose ID is not hexadecimal sends nothing": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2")}},
			containers: []scenarioContainer{{Name: "a", ID: id(`"; flush ruleset`), Labels: everything}},
			pass:       map[string]bool{"docker0 172.17.0.2": false},
			problem:    "none of Docker's", severity: policy.Error,
		},
		"an address that two containers claim is nobody's": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2", "b", "172.17.0.2")}},
			containers: []scenarioContainer{{Name: "a", Labels: everything}, {Name: "b"}},
			pass:       map[string]bool{"docker0 172.17.0.2": false},
			problem:    "two containers claim", severity: policy.Error,
		},
		"a container that Docker's listing lacks sends nothing": {
			networks: []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2")}},
			pass:     map[string]bool{"docker0 172.17.0.2": false},
		},
		"a bridge with a name that no rule can hold voids nobody else's fence": {
			networks: []scenarioNetwork{
				{Name: "bad", Bridge: `br-"x`, Endpoints: endpoints("a", "172.18.0.2")},
				{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("b", "172.17.0.2")},
			},
			containers: []scenarioContainer{{Name: "a"}, {Name: "b"}},
			pass:       map[string]bool{"docker0 172.17.0.2": false, `br-"x 172.18.0.2`: false},
			problem:    "cannot be part of a rule", severity: policy.Error,
		},
		"of two networks with one bridge the second's containers send nothing": {
			networks: []scenarioNetwork{
				{Name: "one", ID: id("bbbbbbbbbbbb1"), Bridge: "br-x", Endpoints: endpoints("a", "172.18.0.2")},
				{Name: "two", ID: id("bbbbbbbbbbbb2"), Bridge: "br-x", Endpoints: endpoints("b", "172.18.0.3")},
			},
			containers: []scenarioContainer{{Name: "a", Labels: everything}, {Name: "b", Labels: everything}},
			pass:       map[string]bool{"br-x 172.18.0.2": true, "br-x 172.18.0.3": false},
			problem:    "another network's too", severity: policy.Error,
		},
		"a bridge that a managed and an excluded network claim is fenced": {
			networks: []scenarioNetwork{
				{Name: "lab", ID: id("bbbbbbbbbbbb1"), Bridge: "br-x", Endpoints: endpoints("a", "172.18.0.2")},
				{Name: "two", ID: id("bbbbbbbbbbbb2"), Bridge: "br-x", Endpoints: endpoints("b", "172.18.0.3")},
			},
			containers: []scenarioContainer{{Name: "a"}, {Name: "b", Labels: everything}},
			pass:       map[string]bool{"br-x 172.18.0.2": false, "br-x 172.18.0.3": true},
			problem:    "another network's too", severity: policy.Error,
		},
		"a network whose ID names nothing is fenced all the same": {
			networks:   []scenarioNetwork{{Name: "odd", ID: "xyz", Bridge: "br-x", Endpoints: endpoints("a", "172.18.0.2", "b", "172.18.0.3")}},
			containers: []scenarioContainer{{Name: "a", Labels: everything}, {Name: "b"}},
			pass:       map[string]bool{"br-x 172.18.0.2": true, "br-x 172.18.0.3": false},
			problem:    "may not reach one another", severity: policy.Error,
		},
		"labels of a container in another's network say something else": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2")}},
			containers: []scenarioContainer{{Name: "a"}, {Name: "b", NetworkMode: "container:a", Labels: everything}},
			pass:       map[string]bool{"docker0 172.17.0.2": false},
			problem:    "shares another's network", severity: policy.Error,
		},
		"labels of a container in another's network say the same": {
			networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2")}},
			containers: []scenarioContainer{{Name: "a", Labels: everything}, {Name: "b", NetworkMode: "container:a", Labels: everything}},
			pass:       map[string]bool{"docker0 172.17.0.2": true},
			problem:    "everything is allowed", severity: policy.Warning, // that of a
		},
		"labels of a container in the host's network do nothing": {
			containers: []scenarioContainer{{Name: "a", NetworkMode: "host", Labels: everything}},
			problem:    "nothing is fenced", severity: policy.Error,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, reverse := range []bool{false, true} {
				s := scenario{GatewayNetworks: "!lab", Networks: test.networks, Containers: test.containers, Bridges: []string{`br-"x`}}
				state, _ := s.state()
				if reverse {
					turn(&state)
				}
				r, problems := build(t, state)
				for from, want := range test.pass {
					bridge, addr, _ := strings.Cut(from, " ")
					p := nft.Packet{Hook: nft.Forward, In: bridge, InBridge: true, Out: "eth0", Src: addrs(addr)[0], Dst: addrs("203.0.113.1")[0], Proto: nft.TCP, DstPort: 80}
					if got := r.Judge(p).Pass; got != want {
						t.Errorf("from %s: pass %v, want %v", from, got, want)
					}
				}
				matching := 0
				for _, p := range problems {
					if strings.Contains(p.Message, test.problem) && p.Severity == test.severity && p.Remedy != "" {
						matching++
					}
				}
				if matching != 1 && test.problem != "" || test.problem == "" && len(problems) > 1 { // one is that there is no lab
					t.Errorf("want one %s with %q and a remedy, got:\n%s", test.severity, test.problem, problemText(problems))
				}
			}
		})
	}
}

func TestAddressesInOddSpellingsNeverVoidTheCommit(t *testing.T) {
	s, _ := scenario{
		Networks: []scenarioNetwork{{
			Name: "bridge", Bridge: "docker0", Subnets: prefixes("::ffff:172.17.0.0/112", "::ffff:0:0/90", "172.17.0.0/16"),
			Endpoints: endpoints("a", "::ffff:172.17.0.2"),
		}},
		Host:      addrs("::ffff:198.51.100.1", "fe80::1%eth0", "198.51.100.1"),
		Resolvers: addrs("::ffff:198.51.100.53", "198.51.100.53", "fe80::53%eth0"),
		Names:     map[string]addrList{"www.example.com": addrs("::ffff:203.0.113.1", "203.0.113.1", "2001:db8::1%eth0")},
		Containers: []scenarioContainer{{
			Name: "a", DNS: addrs("::ffff:198.51.100.54", "fe80::53%eth0"),
			Labels: map[string]string{"dockerwall.outbound": "www.example.com, !*.example.com, _internet_, 192.0.2.1:443, 192.0.2.2:443, 192.0.2.3/icmp, 192.0.2.4/icmp"},
		}},
	}.state()
	r, _ := build(t, s)
	want := []nft.NamedAddr{{Addr: addrs("203.0.113.1")[0], Name: "www.example.com"}}
	if diff := cmp.Diff(want, r.Containers[0].Own.Allow.Names[0].Addrs, cmp.Comparer(func(a, b nft.NamedAddr) bool { return a == b })); diff != "" {
		t.Errorf("the name's addresses (-want +got):\n%s", diff)
	}
}

func TestBootFencesWhatMayBeDockers(t *testing.T) {
	for name, test := range map[string]struct {
		networks string
		pass     map[string]bool
	}{
		"every network":        {"", map[string]bool{"docker0": false, "docker_gwbridge": false, "br-0123456789ab": false, "br-lan": true, "br-later": false, "virbr0": true, "eth1": true}},
		"bridge is left alone": {"!bridge", map[string]bool{"docker0": true, "docker_gwbridge": false, "br-0123456789ab": false}},
		"only blue":            {"blue", map[string]bool{"docker0": true, "docker_gwbridge": true, "br-0123456789ab": true}},
		"only bridge":          {"bridge", map[string]bool{"docker0": false, "docker_gwbridge": true, "br-0123456789ab": true}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, dry := range []bool{false, true} {
				config := Config{DryRun: dry}
				config.Networks, _ = policy.ParseNetworks(test.networks)
				r := Boot(config, hostnet.Interfaces{Bridges: hostBridges("br-lan", "br-0123456789ab", "docker0")})
				if err := r.Validate(); err != nil {
					t.Fatal(err)
				}
				for bridge, want := range test.pass {
					p := nft.Packet{Hook: nft.Input, In: bridge, InBridge: bridge != "eth1", Src: addrs("172.17.0.2")[0], Dst: addrs("172.17.0.1")[0], Proto: nft.UDP, DstPort: 53}
					if got := r.Judge(p).Pass; got != (want || dry) {
						t.Errorf("from %s (dry run %v): pass %v", bridge, dry, got)
					}
				}
			}
		})
	}
}

func TestProblemsOfContainersStayTogether(t *testing.T) {
	bad := map[string]string{"dockerwall.outbound": "http://x.example.com, y", "dockerwall.mode": "no"}
	s, _ := scenario{
		Networks:   []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Endpoints: endpoints("a", "172.17.0.2", "b", "172.17.0.3")}},
		Containers: []scenarioContainer{{Name: "a", Labels: bad}, {Name: "b", Labels: bad}},
	}.state()
	_, problems := build(t, s)
	var order []string
	for _, p := range problems {
		order = append(order, p.Container)
	}
	if diff := cmp.Diff([]string{"a", "a", "a", "b", "b", "b"}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusedNamesTellTheRemedy(t *testing.T) {
	for name, test := range map[string]struct{ addr, label, remedy string }{
		"this host":                      {"198.51.100.1", "www.example.com", "_host_:PORT"},
		"metadata":                       {"169.254.169.254", "www.example.com", "name the address itself"},
		"Docker's own":                   {"172.17.0.9", "www.example.com", "name the address itself"},
		"private behind a wildcard":      {"10.1.2.3", "*.example.com", "write the name in full"},
		"this host in NAT64's spelling":  {"64:ff9b::198.51.100.1", "www.example.com", "_host_:PORT"},
		"private under an exact name is": {"10.1.2.3", "www.example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := single(test.label, "")
			s.Names = map[string]addrList{"www.example.com": addrs(test.addr)}
			state, _ := s.state()
			_, problems := build(t, state)
			if test.remedy == "" {
				if len(problems) > 0 {
					t.Errorf("unexpected:\n%s", problemText(problems))
				}
				return
			}
			if p := only(t, problems); !strings.Contains(p.Remedy, test.remedy) || p.Container != "web" || p.Severity != policy.Warning {
				t.Errorf("%s: %+v", p.Severity, p)
			}
		})
	}
}
