package reconcile

import (
	"testing"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
	"github.com/dockerwall/dockerwall/policy"
)

func TestADenialSaysHowItIsTakenBack(t *testing.T) {
	for name, test := range map[string]struct{ label, file, added, want string }{
		"one of the label":                {"192.0.2.7, !192.0.2.8", "", "", `take "!192.0.2.8" (dockerwall.outbound, token 2 at 12) away: a denial beats every allow`},
		"one of a file":                   {"192.0.2.8", "!192.0.2.8", "", `take "!192.0.2.8" (10.yaml:3) away: a denial beats every allow`},
		"one that was added at run time":  {"192.0.2.8", "", "!192.0.2.8", "`dockerwall revoke web 192.0.2.8` takes the denial back, which beats every allow"},
		"at run time and in a file alike": {"", "!192.0.2.0/24", "!192.0.2.8", `take "!192.0.2.0/24" (10.yaml:3), "!192.0.2.8" (added at run time) away: a denial beats every allow`},
	} {
		t.Run(name, func(t *testing.T) {
			state, _ := single(test.label, "").state()
			web := state.Docker.Containers[0]
			text, _ := policy.Parse(test.file)
			state.Operator.Rules = []operator.Rule{{File: "10.yaml", Line: 3, Match: operator.Match{Container: []string{"web"}}, Policy: text}}
			added, _ := policy.Parse(test.added)
			var grants []overlay.Grant
			for _, t := range added.Tokens {
				grants = append(grants, overlay.Grant{Token: t})
			}
			state.Overlay.Containers = map[string]overlay.Container{web.ID: {Grants: grants}}
			r, _ := build(t, state)
			i, err := Inquire(state, r, ask(t, "web", "192.0.2.8:443/tcp"))
			if err != nil {
				t.Fatal(err)
			}
			_, packets := i.Container()
			if e := i.Explain(asPolicy(r, packets)); e.Verdict != Denied || e.Remedy != test.want {
				t.Errorf("%s", e.shown())
			}
		})
	}
}
