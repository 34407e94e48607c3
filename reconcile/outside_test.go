package reconcile

import (
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/policy"
)

// mixed is a host with a bridge network, a macvlan, an overlay with its gateway, and one of a driver nobody knows.
func mixed(containers ...scenarioContainer) scenario {
	on := func(name string) map[string]addrList {
		out := map[string]addrList{}
		for i, c := range containers {
			if strings.Contains(c.Image, name) { // of no other use here
				out[c.Name] = addrs("172.17.0." + string(rune('2'+i)))
			}
		}
		return out
	}
	s := scenario{
		TrustImages: true, GatewayNetworks: "!free",
		Networks: []scenarioNetwork{
			{Name: "bridge", Bridge: "docker0", Endpoints: on("bridge")},
			{Name: "free", Bridge: "br-free", Endpoints: on("free")},
			{Name: "docker_gwbridge", Bridge: "docker_gwbridge", Endpoints: on("overlay")},
			{Name: "lan", Bridge: "none", Endpoints: on("lan")},
			{Name: "lan2", Bridge: "none", Endpoints: on("lan2")},
			{Name: "ip", Bridge: "none", Driver: "ipvlan", Endpoints: on("ipv")},
			{Name: "back", Bridge: "none", Driver: "overlay", Endpoints: on("overlay")},
			{Name: "ingress", Bridge: "none", Driver: "overlay", Endpoints: on("ingress")},
			{Name: "weave", Bridge: "none", Driver: "weavemesh", Endpoints: on("weave")},
			{Name: "host", Bridge: "none", Driver: "host", Endpoints: on("host")},
			{Name: "none", Bridge: "none", Driver: "null", Endpoints: on("none")},
		},
		Containers: containers,
	}
	return s
}

func TestWhatNoHookSeesAndWhatStepsAroundIsReported(t *testing.T) {
	label := map[string]string{"dockerwall.outbound": "192.0.2.7"}
	off := map[string]string{"dockerwall.mode": "off"}
	const host, vlan, own = "nothing is fenced", "passes none of the host's hooks", "step around the fence: "
	for name, test := range map[string]struct {
		container scenarioContainer // Image says on which networks it is
		severity  policy.Severity
		want      string // "" for no report
	}{
		"an ordinary one":                      {scenarioContainer{Image: "bridge"}, 0, ""},
		"with a label":                         {scenarioContainer{Image: "bridge", Labels: label}, 0, ""},
		"without a network":                    {scenarioContainer{Image: "none", NetworkMode: "none"}, 0, ""},
		"in the host's network":                {scenarioContainer{Image: "host", NetworkMode: "host"}, policy.Warning, host},
		"there, with a label":                  {scenarioContainer{Image: "host", NetworkMode: "host", Labels: label}, policy.Error, host},
		"there, fenced off on purpose":         {scenarioContainer{Image: "host", NetworkMode: "host", Labels: off}, policy.Warning, host},
		"there, and privileged: said once":     {scenarioContainer{Image: "host", NetworkMode: "host", Privileged: true, EngineSocket: true}, policy.Warning, host},
		"there, but ended":                     {scenarioContainer{Image: "host", NetworkMode: "host", State: "exited", Privileged: true}, 0, ""},
		"on macvlan":                           {scenarioContainer{Image: "lan"}, policy.Warning, `"lan": the container is on a network of driver macvlan: what it sends there ` + vlan},
		"on macvlan with a label":              {scenarioContainer{Image: "lan", Labels: label}, policy.Error, vlan + "; its labels do nothing there"},
		"on a bridge and on macvlan":           {scenarioContainer{Image: "bridge lan", Labels: label}, policy.Error, vlan},
		"on two of macvlan":                    {scenarioContainer{Image: "lan2"}, policy.Warning, `"lan, lan2": `},
		"on ipvlan":                            {scenarioContainer{Image: "ipv"}, policy.Warning, "driver ipvlan"},
		"of a service":                         {scenarioContainer{Image: "overlay", Labels: label}, policy.Warning, `"back": the container is on an overlay network`},
		"of a service that publishes":          {scenarioContainer{Image: "overlay ingress"}, policy.Warning, `"back, ingress": `},
		"on a network of a driver unknown":     {scenarioContainer{Image: "weave"}, policy.Warning, "driver weavemesh, which dockerwall does not know"},
		"privileged":                           {scenarioContainer{Image: "bridge", Privileged: true, CapAdd: []string{"NET_ADMIN"}}, policy.Warning, own + "it is privileged; take"},
		"privileged, with a label":             {scenarioContainer{Image: "bridge", Privileged: true, Labels: label}, policy.Warning, own},
		"with capabilities":                    {scenarioContainer{Image: "bridge", CapAdd: []string{"NET_ADMIN", "NET_BIND_SERVICE", "SYS_ADMIN"}}, policy.Warning, own + "it has NET_ADMIN, SYS_ADMIN; take"},
		"with all":                             {scenarioContainer{Image: "bridge", CapAdd: []string{"ALL"}}, policy.Warning, own + "it has ALL"},
		"with BPF":                             {scenarioContainer{Image: "bridge", CapAdd: []string{"BPF"}}, policy.Warning, own + "it has BPF"},
		"with NET_RAW, which is a default":     {scenarioContainer{Image: "bridge", CapAdd: []string{"NET_RAW", "SYS_NICE"}}, 0, ""},
		"that may trace its own processes":     {scenarioContainer{Image: "bridge", CapAdd: []string{"SYS_PTRACE"}}, 0, ""},
		"that may trace the host's":            {scenarioContainer{Image: "bridge", CapAdd: []string{"SYS_PTRACE"}, PidMode: "host"}, policy.Warning, own + "it has SYS_PTRACE"},
		"that sees the host's processes":       {scenarioContainer{Image: "bridge", PidMode: "host"}, 0, ""},
		"with the Engine's socket":             {scenarioContainer{Image: "bridge", EngineSocket: true}, policy.Warning, own + "it sees the socket"},
		"with the socket and a capability":     {scenarioContainer{Image: "bridge", EngineSocket: true, CapAdd: []string{"NET_ADMIN"}}, policy.Warning, own + "it has NET_ADMIN and it sees the socket"},
		"privileged, in another's network":     {scenarioContainer{NetworkMode: "container:" + strings.Repeat("0", 64), Privileged: true}, policy.Warning, own},
		"on a network that is left alone only": {scenarioContainer{Image: "free"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.container.Name = "web"
			state, _ := mixed(test.container).state()
			_, problems := build(t, state)
			if test.want == "" {
				if len(problems) > 0 {
					t.Errorf("unexpected:\n%s", problemText(problems))
				}
				return
			}
			if p := only(t, problems); !strings.Contains(p.String(), test.want) || p.Severity != test.severity || p.Remedy == "" || p.Container != "web" {
				t.Errorf("got %q, want %q as %s", p, test.want, test.severity)
			}
		})
	}
}

func TestWhoCountsAsUnfenced(t *testing.T) {
	fenced := scenarioContainer{Name: "x", ID: strings.Repeat("a", 64), Image: "bridge", State: "running"}
	for name, test := range map[string]struct {
		container scenarioContainer
		want      int
	}{
		"a fenced one is not":                           {scenarioContainer{Image: "bridge", State: "running"}, 0},
		"one on macvlan only":                           {scenarioContainer{Image: "lan", State: "running"}, 1},
		"one on macvlan and a bridge is not":            {scenarioContainer{Image: "lan bridge", State: "running"}, 0},
		"one on a network that is left alone":           {scenarioContainer{Image: "free", State: "paused"}, 1},
		"one in the host's network":                     {scenarioContainer{NetworkMode: "host", State: "running"}, 1},
		"that, ended, is not":                           {scenarioContainer{NetworkMode: "host", State: "exited"}, 0},
		"that, before its start, is not":                {scenarioContainer{NetworkMode: "host", State: "created"}, 0},
		"one without a network is not":                  {scenarioContainer{NetworkMode: "none", State: "running"}, 0},
		"one that shares a fenced one's network is not": {scenarioContainer{NetworkMode: "container:" + fenced.ID, State: "running"}, 0},
		"one that shares another's":                     {scenarioContainer{NetworkMode: "container:" + strings.Repeat("b", 64), State: "running"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			test.container.Name = "web"
			state, _ := mixed(fenced, test.container).state()
			r, _ := build(t, state)
			if got := Unfenced(state, r); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
