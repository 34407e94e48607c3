package simulate

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/api"
)

// observed is one container that may reach 203.0.113.10, and did.
func observed() api.Observations {
	return api.Observations{
		Host: api.ObservedHost{
			Networks: []api.ObservedNetwork{{ID: strings.Repeat("b0", 32), Name: "front", Bridge: "br-b0b0b0b0b0b0", Subnets: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16")}}},
			Groups:   []api.ObservedGroup{{Name: "pool", Outbound: "203.0.113.10"}},
			Rules:    []api.ObservedRule{{File: "a.yaml", Line: 2, Match: api.ObservedMatch{Container: []string{"web"}}, Outbound: "@pool"}},
		},
		Subjects: []api.ObservedSubject{{
			Container: "web", Image: "app:1", ID: strings.Repeat("01", 32), Labels: map[string]string{},
			Endpoints: []api.ObservedEndpoint{{Network: "front", Addresses: []netip.Addr{netip.MustParseAddr("172.18.0.2")}}},
			Records:   []api.ObservedRecord{{Destination: netip.MustParseAddr("203.0.113.10"), Port: 443, Protocol: "tcp", Verdict: api.VerdictAllowed, Count: 3}},
		}},
	}
}

func TestObservationsThatCannotBeUnderstood(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*api.Observations)
		want  string
	}{
		"a subject twice":         {func(o *api.Observations) { o.Subjects = append(o.Subjects, o.Subjects[0]) }, "web (app:1) is there twice"},
		"a protocol that is none": {func(o *api.Observations) { o.Subjects[0].Records[0].Protocol = "smoke" }, `"smoke" is no protocol`},
		"a verdict that is none":  {func(o *api.Observations) { o.Subjects[0].Records[0].Verdict = "maybe" }, `"maybe" is no verdict`},
		"no destination":          {func(o *api.Observations) { o.Subjects[0].Records[0].Destination = netip.Addr{} }, "is no destination"},
		"a mapped destination": {func(o *api.Observations) {
			o.Subjects[0].Records[0].Destination = netip.MustParseAddr("::ffff:203.0.113.10")
		}, "is no destination"},
		"another family before DNAT":   {func(o *api.Observations) { o.Subjects[0].Records[0].Via = netip.MustParseAddrPort("[2001:db8::1]:80") }, "is no destination before"},
		"a mode that is none":          {func(o *api.Observations) { o.Subjects[0].Mode = "asleep" }, `"asleep" is no mode`},
		"a rule's mode that is none":   {func(o *api.Observations) { o.Host.Rules[0].Mode = "asleep" }, `the rule at a.yaml:2: "asleep" is no mode`},
		"a group's name that is none":  {func(o *api.Observations) { o.Host.Groups[0].Name = "Pool!" }, `group "Pool!" cannot be understood`},
		"a group that denies nonsense": {func(o *api.Observations) { o.Host.Groups[0].Outbound = "!x y z:" }, `group "pool" cannot be understood`},
	} {
		t.Run(name, func(t *testing.T) {
			o := observed()
			test.spoil(&o)
			if _, err := Run(o, Change{}); err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "read the observations: ") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestAChangeLeavesTheOtherSideAlone: what is judged before the change must not see it.
func TestAChangeLeavesTheOtherSideAlone(t *testing.T) {
	nowhere := ""
	for name, test := range map[string]struct {
		change Change
		denied int
	}{
		"no change":                 {Change{}, 0},
		"all files are gone":        {Change{Files: []Files{{Whole: true}}}, 1},
		"a file of the name":        {Change{Files: []Files{{Name: "a.yaml"}}}, 1},
		"a file of another name":    {Change{Files: []Files{{Name: "b.yaml"}}}, 0},
		"a denial in the label":     {Change{Labels: map[string]string{"web": "!203.0.113.10"}}, 1},
		"an empty DEFAULT_OUTBOUND": {Change{Default: &nowhere}, 0},
		"everything enforced":       {Change{Enforce: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Run(observed(), test.change)
			if err != nil {
				t.Fatal(err)
			}
			c := report.Containers[0]
			if len(c.Denied) != test.denied || report.Denied.Destinations != test.denied || len(c.Undecided) > 0 || len(c.Allowed) > 0 {
				t.Errorf("%+v", report)
			}
		})
	}
}

// FuzzRun never panics: a file of observations comes from anywhere.
func FuzzRun(f *testing.F) {
	text, err := json.Marshal(observed())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "203.0.113.10")
	f.Fuzz(func(t *testing.T, text []byte, label string) {
		var o api.Observations
		if json.Unmarshal(text, &o) != nil {
			return
		}
		for _, s := range o.Subjects {
			if len(s.Records) > 100 {
				return
			}
		}
		_, _ = Run(o, Change{Labels: map[string]string{"web": label}})
	})
}
