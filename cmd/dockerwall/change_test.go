package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

func TestTheAnswerToAChangeIsInWords(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 42, 10, 0, time.Local)
	for name, test := range map[string]struct {
		asked api.Change
		got   api.Changed
		want  string
	}{
		"an allow for an hour": {
			api.Change{Seconds: 7200}, api.Changed{Verb: api.Allow, Container: "web", Until: at, Tokens: []api.ChangedToken{{Token: "a.example:443"}}},
			"web may reach until 10:42:10 (2 h):\n  a.example:443\n",
		},
		"an allow for days, which denials beat": {
			api.Change{Seconds: 7 * 86400}, api.Changed{Verb: api.Allow, Container: "web", Until: at, Tokens: []api.ChangedToken{{Token: "10.0.0.0/8", Beaten: []string{"!10.0.0.1 (a.yaml:3)"}}}},
			"web may reach until 2026-11-26 10:42 (7 d):\n  10.0.0.0/8\n    but a denial beats it where they meet: !10.0.0.1 (a.yaml:3)\n",
		},
		"a denial": {
			api.Change{}, api.Changed{Verb: api.Deny, Container: "web", Tokens: []api.ChangedToken{{Token: "!a.example"}}, Notes: []string{"the container's mode is audit"}},
			"web may not reach, until it is revoked:\n  a.example\nnote: the container's mode is audit\n",
		},
		"a denial taken back": {
			api.Change{}, api.Changed{Verb: api.Revoke, Container: "web", Tokens: []api.ChangedToken{{Token: "!a.example"}}},
			"taken back from web:\n  !a.example\n",
		},
		"a mode to be confirmed": {
			api.Change{Verb: api.Audit, Container: "we", Seconds: 120}, api.Changed{Verb: api.Audit, Container: "web", Mode: "audit", Before: "enforce", Until: at},
			"web: audit until 10:42:10 (2 min)\nthen it goes back to enforce, unless you confirm: dockerwall audit we\n",
		},
		"control bytes": {
			api.Change{}, api.Changed{Verb: api.Revoke, Container: "w\x1b[2Jb", Mode: "en\x07force"},
			"all that was changed of " + clean("w\x1b[2Jb") + " at run time is taken back; its mode is " + clean("en\x07force") + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := changeText(test.asked, test.got); got != test.want || strings.ContainsRune(got, 0x1b) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestTheHintThatKeepsATokenIsAPolicyFile(t *testing.T) {
	hint := keepHint(api.Changed{Verb: api.Deny, Container: "web", Tokens: []api.ChangedToken{{Token: "!a.example"}, {Token: "!*.b.example:443"}}})
	for _, line := range []string{`- match: {container: "web"}`, `deny: ["a.example", "*.b.example:443"]`} {
		if !strings.Contains(hint, line) {
			t.Errorf("%q is not in %s", line, hint)
		}
	}
	if hint := keepHint(api.Changed{Verb: api.Pause, Container: "web"}); hint != "" {
		t.Errorf("of a pause: %s", hint)
	}
}

// TestChangesExitAsDocumented asks a socket that has no fence behind it.
func TestChangesExitAsDocumented(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		code int
	}{
		"done":                {nil, exitOK},
		"that makes no sense": {fmt.Errorf("%w: no token", api.ErrUsage), exitUsage},
		"of no container":     {fmt.Errorf("%w as \"web\"", api.ErrNoContainer), exitFailure},
		"that fails":          {errors.New("no buffer space"), exitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			var asked api.Change
			socket := asDaemon(t, api.Options{Change: func(_ context.Context, _ api.Peer, c api.Change) (api.Changed, error) {
				asked = c
				return api.Changed{Verb: c.Verb, Container: c.Container}, test.err
			}})
			var out, said bytes.Buffer
			code := run(t.Context(), streams{out: &out, err: &said}, []string{"allow", "web", "a.example", "b.example", "--for", "1d", "--socket=" + socket})
			if code != test.code || (code == exitOK) != (said.Len() == 0) || (code == exitOK) != (out.Len() > 0) {
				t.Errorf("exit %d, want %d: %s%s", code, test.code, out.String(), said.String())
			}
			if asked.Seconds != 86400 || strings.Join(asked.Tokens, " ") != "a.example b.example" || asked.Container != "web" || asked.Verb != api.Allow {
				t.Errorf("asked for %+v", asked)
			}
		})
	}
}

// TestWhatNamesAGroupThatIsGoneCanBeTakenBack, and cannot be added.
func TestWhatNamesAGroupThatIsGoneCanBeTakenBack(t *testing.T) {
	for verb, can := range map[api.Verb]bool{api.Revoke: true, api.Allow: false, api.Deny: false} {
		o := order{Change: api.Change{Verb: verb, Container: "web", Tokens: []string{"@gone"}}}
		if err := o.parse(); (err == nil) != can {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// TestTokensOfAChangeAreBounded before each is compared with all.
func TestTokensOfAChangeAreBounded(t *testing.T) {
	var tokens []string
	for i := range 100_000 {
		tokens = append(tokens, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	for name, all := range map[string][]string{"in many texts": tokens, "in one": {strings.Join(tokens, ",")}} {
		o := order{Change: api.Change{Verb: api.Deny, Container: "web", Tokens: all}}
		if err := o.parse(); err == nil || len(o.tokens) > 300 {
			t.Errorf("%s: %d tokens, %v", name, len(o.tokens), err)
		}
	}
}
