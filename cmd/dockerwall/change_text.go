package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// changeText says what counts now.
func changeText(asked api.Change, c api.Changed) string {
	var b strings.Builder
	who := cmp.Or(clean(c.Container), "the whole host")
	switch c.Verb {
	case api.Allow, api.Deny:
		may := "may reach"
		if c.Verb == api.Deny {
			may = "may not reach"
		}
		fmt.Fprintf(&b, "%s %s%s:\n", who, may, until(c, asked.Seconds, ", until it is revoked"))
		writeTokens(&b, c)
	case api.Revoke:
		if len(c.Tokens) == 0 {
			fmt.Fprintf(&b, "all that was changed of %s at run time is taken back; its mode is %s\n", who, clean(c.Mode))
			break
		}
		fmt.Fprintf(&b, "taken back from %s:\n", who)
		writeTokens(&b, c)
	case api.Pause:
		fmt.Fprintf(&b, "%s is paused%s: all it sends passes and is recorded; then it goes back to %s\n", who, until(c, asked.Seconds, ""), back(c))
	case api.Enforce, api.Audit, api.AsConfigured:
		fmt.Fprintf(&b, "%s: %s%s\n", who, clean(c.Mode), until(c, asked.Seconds, ""))
		if !c.Until.IsZero() {
			again := strings.TrimSpace("dockerwall " + string(asked.Verb) + " " + clean(asked.Container))
			fmt.Fprintf(&b, "then it goes back to %s, unless you confirm: %s\n", back(c), again)
		}
	}
	for _, note := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", cleanLong(note))
	}
	return b.String()
}

func writeTokens(b *strings.Builder, c api.Changed) {
	for _, t := range c.Tokens {
		token := t.Token
		if c.Verb == api.Deny {
			token = strings.TrimPrefix(token, "!")
		}
		fmt.Fprintf(b, "  %s\n", clean(token))
		for _, denial := range t.Beaten {
			fmt.Fprintf(b, "    but a denial beats it where they meet: %s\n", cleanLong(denial))
		}
	}
}

// until is when something ends that was asked for so many seconds; forever is said of what does not.
func until(c api.Changed, seconds int64, forever string) string {
	if c.Until.IsZero() {
		return forever
	}
	lasts, format := time.Duration(seconds)*time.Second, "15:04:05"
	if lasts > 12*time.Hour {
		format = "2006-01-02 15:04"
	}
	return fmt.Sprintf(" until %s (%s)", c.Until.Local().Format(format), span(lasts))
}

// back is what a mode goes back to.
func back(c api.Changed) string {
	return cmp.Or(clean(c.Before), "what its label and policy files say")
}

// keepHint is what keeps a token beyond the container's life.
func keepHint(c api.Changed) string {
	if c.Verb != api.Allow && c.Verb != api.Deny || len(c.Tokens) == 0 {
		return ""
	}
	var list []string
	for _, t := range c.Tokens {
		list = append(list, fmt.Sprintf("%q", strings.TrimPrefix(clean(t.Token), "!")))
	}
	return fmt.Sprintf(`# It goes when the container is removed. To keep it, in /etc/dockerwall/policy.d/NAME.yaml:
#   policies:
#     - match: {container: %q}
#       %s: [%s]
`, clean(c.Container), c.Verb, strings.Join(list, ", "))
}
