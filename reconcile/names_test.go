package reconcile

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesToAskFor(t *testing.T) {
	outbound := func(text string) map[string]string { return map[string]string{"dockerwall.outbound": text} }
	for name, test := range map[string]struct {
		scenario              scenario
		allow                 []string
		deny                  []string
		allowBelow, denyBelow []string
	}{
		"the default's and the labels', once each, sorted": {
			scenario{DefaultOutbound: "b.example.com, c.example.com:443", Containers: []scenarioContainer{{Name: "x", State: "running", Labels: outbound("C.example.com, a.example.com")}}},
			[]string{"a.example.com", "b.example.com", "c.example.com"}, nil, nil, nil,
		},
		"denied names too": {
			scenario{DefaultOutbound: "!b.example.com", Containers: []scenarioContainer{{Name: "x", State: "running", Labels: outbound("!a.example.com")}}},
			nil, []string{"a.example.com", "b.example.com"}, nil, nil,
		},
		"an allowed and denied name is both, and so is an allowed one beneath somebody's denied wildcard": {
			scenario{DefaultOutbound: "!*.example.com, !c.example.org", Containers: []scenarioContainer{
				{Name: "x", State: "running", Labels: outbound("a.b.example.com:443, c.example.org:443, example.com, badexample.com")}, {Name: "y", State: "exited", Labels: outbound("!*.org, !badexample.com")},
			}},
			[]string{"a.b.example.com", "badexample.com", "c.example.org", "example.com"}, []string{"a.b.example.com", "c.example.org"}, nil, []string{"example.com"},
		},
		"wildcards are learned for, and addresses are no names": {
			scenario{DefaultOutbound: "*.example.net:443, !*.example.net, *.com", Containers: []scenarioContainer{
				{Name: "x", State: "running", Labels: outbound("*.example.com, *.Example.com.:443, 192.0.2.7, _host_, *, !*.example.org, _internet_")}, {Name: "y", State: "created", Labels: outbound("*.b.example.com, !*.example.com")},
				{Name: "z", State: "exited", Labels: outbound("*.ended.example, !*.ended.example")},
			}},
			nil, nil, []string{"b.example.com", "com", "example.com", "example.net"}, []string{"example.com", "example.net", "example.org"},
		},
		"a container that has ended does not count, one about to start does": {
			scenario{Containers: []scenarioContainer{
				{Name: "a", State: "exited", Labels: outbound("exited.example.com")}, {Name: "b", State: "dead", Labels: outbound("dead.example.com")},
				{Name: "c", State: "removing", Labels: outbound("removing.example.com")}, {Name: "d", State: "created", Labels: outbound("created.example.com")},
				{Name: "e", State: "paused", Labels: outbound("paused.example.com")}, {Name: "f", State: "restarting", Labels: outbound("restarting.example.com")},
			}},
			[]string{"created.example.com", "paused.example.com", "restarting.example.com"}, nil, nil, nil,
		},
		"labels of an image are not asked for": {
			scenario{Images: map[string]map[string]string{"app": outbound("image.example.com, *.image.example.com")}, Containers: []scenarioContainer{{Name: "a", Image: "app", State: "running", Labels: outbound("image.example.com, *.image.example.com")}}},
			nil, nil, nil, nil,
		},
		"of an image that is gone only denied names": {
			scenario{Containers: []scenarioContainer{{Name: "a", Image: "gone", State: "running", Labels: outbound("a.example.com, *.example.org, !b.example.com, !*.example.net")}}},
			nil, []string{"b.example.com"}, nil, []string{"example.net"},
		},
		"allows of a void label are not asked for": {
			scenario{Containers: []scenarioContainer{{Name: "a", State: "running", Labels: outbound("a.example.com, *.example.org, !b.example.com, !*.example.net, !..")}}},
			nil, []string{"b.example.com"}, nil, []string{"example.net"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := test.scenario.state()
			wanted := Names(state)
			if diff := cmp.Diff([][]string{test.allow, test.deny, test.allowBelow, test.denyBelow}, [][]string{wanted.Allow, wanted.Deny, wanted.AllowBelow, wanted.DenyBelow}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The guard that answers are held against is Build's own: what it refuses is in no ruleset.
func TestNamesComeWithTheGuardOfTheHost(t *testing.T) {
	s := single("*.example.com", "")
	s.PrivateNames = []string{"corp.example"}
	s.Host = append(s.Host, addrs("fe80::1", "fe80::2%eth0", "169.254.1.1", "::ffff:192.0.2.99")...)
	state, _ := s.state()
	guard := Names(state).Guard
	for addr, reason := range map[string]string{
		"198.51.100.1": "host", "2001:db8:ffff::1": "host", "192.0.2.99": "host", "64:ff9b::c633:6401": "host", "172.17.0.99": "docker", "198.51.100.200": "docker", "2001:db8:c::9": "docker",
		"10.1.1.1": "private", "127.0.0.1": "loopback", "fe80::1": "link-local", "203.0.113.1": "",
	} {
		if got := guard.Refuse(netip.MustParseAddr(addr), "www.example.com", true); got != reason {
			t.Errorf("%s is refused for %q, want %q", addr, got, reason)
		}
	}
	if got := guard.Refuse(netip.MustParseAddr("10.1.1.1"), "db.corp.example", true); got != "" {
		t.Errorf("a private address of a zone where they are wanted is refused: %s", got)
	}
	if len(guard.Host) != 5 {
		t.Errorf("the guard knows addresses that are refused anyway: %v", guard.Host)
	}
}
