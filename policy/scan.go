package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner walks through the tokens of a list separated by commas or newlines.
type scanner struct {
	text string
	off  int // of the next byte to read
	pos  int // of the same, in characters, counted from 0
}

// next returns the next token that is not empty, trimmed, and its 1-based position. An empty token
// means the end.
func (s *scanner) next() (token string, pos int) {
	for s.off < len(s.text) {
		raw := s.text[s.off:]
		if i := strings.IndexAny(raw, ",\n"); i >= 0 {
			raw = raw[:i]
		}
		token := strings.TrimSpace(raw)
		blank := len(raw) - len(strings.TrimLeftFunc(raw, unicode.IsSpace))
		pos := s.pos + utf8.RuneCountInString(raw[:blank]) + 1
		s.off += len(raw) + 1
		s.pos += utf8.RuneCountInString(raw) + 1
		if token != "" {
			return token, pos
		}
	}
	return "", 0
}
