package page

import (
	"fmt"

	"github.com/dockerwall/dockerwall/api"
)

const (
	maxTokens   = 12
	maxOutbound = 2000 // bytes of a label that is shown to be copied
)

// suggestion is the label that one container would need.
type suggestion struct {
	Container, Window, Outbound string
	Tokens                      []token
	Notes                       []string
}

type token struct{ Token, Why, Packets string }

// suggestions are those of containers in audit, or of all.
func suggestions(list []api.Suggestion, all bool) (out []suggestion, more int) {
	for _, s := range list {
		switch {
		case !all && s.Mode != "audit" || len(s.Tokens) == 0 && len(s.Notes) == 0:
		case len(out) == maxSuggestions:
			more++
		default:
			out = append(out, newSuggestion(s))
		}
	}
	return out, more
}

func newSuggestion(s api.Suggestion) suggestion {
	out := suggestion{
		Container: clip(s.Container, maxName), Outbound: whole(s.Outbound, maxOutbound), Notes: sentences(s.Notes),
		Window: fmt.Sprintf("seen from %s to %s, %s", s.From.UTC().Format("2006-01-02 15:04"), s.Until.UTC().Format("2006-01-02 15:04 UTC"), span(s.Until.Sub(s.From))),
	}
	for _, t := range s.Tokens[:min(len(s.Tokens), maxTokens)] {
		out.Tokens = append(out.Tokens, token{clip(t.Token, maxDNS), clip(t.Why, maxSentence), number(t.Packets)})
	}
	if more := len(s.Tokens) - len(out.Tokens); more > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("and %d more tokens", more))
	}
	return out
}
