package nft

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The text of sets that are not ours, and of anonymous ones within rules.

func (s *liveSet) kind() string {
	if s.flags&(unix.NFT_SET_MAP|unix.NFT_SET_OBJECT) != 0 {
		return "map"
	}
	return "set"
}

// reference is a set as a rule names it.
func (s *liveSet) reference() string {
	if s.flags&unix.NFT_SET_ANONYMOUS != 0 {
		return "{ " + strings.Join(s.elementTexts(), ", ") + " }"
	}
	return "@" + quoted(s.name)
}

func (s *liveSet) typeText() string {
	names := make([]string, 0, len(s.types))
	for _, t := range s.types {
		names = append(names, t.name())
	}
	text := strings.Join(names, " . ")
	switch {
	case s.verdicts:
		return text + " : verdict"
	case s.objects != 0:
		return text + " : " + objectKind(s.objects)
	case s.flags&unix.NFT_SET_MAP != 0:
		return text + " : " + s.data.name()
	}
	return text
}

func (s *liveSet) flagsText() string {
	var flags []string
	for _, f := range []struct {
		bit  uint64
		name string
	}{{unix.NFT_SET_CONSTANT, "constant"}, {unix.NFT_SET_EVAL, "dynamic"}, {unix.NFT_SET_TIMEOUT, "timeout"}, {unix.NFT_SET_INTERVAL, "interval"}} {
		if s.flags&f.bit != 0 {
			flags = append(flags, f.name)
		}
	}
	return strings.Join(flags, ",")
}

func (s *liveSet) elementTexts() []string {
	out := make([]string, 0, len(s.elements))
	for _, e := range s.elements {
		out = append(out, s.elementText(e))
	}
	return out
}

func (s *liveSet) elementText(e liveElement) string {
	text := s.keyText(e)
	if e.timeout > 0 && e.timeout != s.timeout {
		text += " timeout " + durationText(e.timeout)
	}
	for _, statement := range e.statements {
		text += " " + statementText(statement)
	}
	if e.comment != "" {
		text += fmt.Sprintf(" comment %q", e.comment)
	}
	switch {
	case e.verdict != nil:
		verdict, _ := verdictText(e.verdict)
		text += " : " + verdict
	case e.object != "":
		text += fmt.Sprintf(" : %q", e.object)
	case e.data != nil:
		text += " : " + s.data.format(e.data, false)
	}
	return text
}

// keyText prints a key or range. In interval sets nft keeps numbers of the host's byte order in
// network order, so that they sort.
func (s *liveSet) keyText(e liveElement) string {
	if e.catchall {
		return "*"
	}
	swapped := s.flags&unix.NFT_SET_INTERVAL != 0
	first, last := s.fields(e.key), s.fields(e.end)
	parts := make([]string, 0, len(first))
	for i, f := range first {
		t := s.types[i]
		text := t.format([]byte(f), swapped)
		if e.end != "" && last[i] != f {
			text = rangeText(t, f, last[i], swapped)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " . ")
}

func rangeText(t datatype, first, last string, swapped bool) string {
	if a, b := addrFrom(first), addrFrom(last); (t == typeAddr4 || t == typeAddr6) && a.IsValid() && b.IsValid() {
		return Range{a, b}.String()
	}
	return t.format([]byte(first), swapped) + "-" + t.format([]byte(last), swapped)
}

// fields parts a key by its types; a field of unknown width takes the rest.
func (s *liveSet) fields(key string) []string {
	var out []string
	for i, t := range s.types {
		n := t.size()
		if n == 0 || n > len(key) || i == len(s.types)-1 && len(key) < n+4 {
			n = len(key)
		}
		padded := min(len(key), (n+3)&^3)
		if len(s.types) > 1 && t.size() != 0 {
			n = min(n, t.size())
		}
		out = append(out, key[:n])
		key = key[padded:]
	}
	return out
}

func statementText(e expression) string {
	text, _ := elementStatement(e)
	return text
}

func durationText(d time.Duration) string { return millisecondsText(uint64(d.Milliseconds())) }
