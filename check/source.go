package check

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is the text of a file, in which places are found.
type source struct {
	file, text string
	starts     []int // of lines, in bytes
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text, starts: []int{0}}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.starts = append(s.starts, i+1)
		}
	}
	return s
}

// line is the one of that number, from 1, without its end.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.starts) {
		return ""
	}
	line, _, _ := strings.Cut(s.text[s.starts[n-1]:], "\n")
	return strings.TrimSuffix(line, "\r")
}

func (s *source) place(n *yaml.Node) Place {
	if n == nil {
		return Place{File: s.file}
	}
	return Place{s.file, n.Line, n.Column}
}

// within is where a part of a scalar stands that begins at byte off of its value and looks like part. Where escapes or
// folded lines make that impossible to tell, it is the first such part of the lines there, else the scalar itself.
func (s *source) within(n *yaml.Node, off int, part string) Place {
	before := n.Value[:min(off, len(n.Value))]
	out := s.place(n)
	if n.Style == yaml.LiteralStyle {
		out.Line, before = n.Line+1+strings.Count(before, "\n"), before[strings.LastIndexByte(before, '\n')+1:]
		line := s.line(out.Line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if strings.HasPrefix(line[indent:], before+part) {
			out.Column = indent + utf8.RuneCountInString(before) + 1
			return out
		}
		return s.search(n, part)
	}
	rest := s.from(n)
	quotes := len(rest) - len(strings.TrimLeft(rest, `"'`))
	if quotes = min(quotes, 1); strings.HasPrefix(rest[quotes:], before+part) {
		out.Column += quotes + utf8.RuneCountInString(before)
		return out
	}
	return s.search(n, part)
}

// from is the rest of the line on which n stands.
func (s *source) from(n *yaml.Node) string {
	line := s.line(n.Line)
	for i := 1; i < n.Column && line != ""; i++ {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}

// maxSearched is how many lines of a value are searched.
const maxSearched = 1000

func (s *source) search(n *yaml.Node, part string) Place {
	out := s.place(n)
	first, last := n.Line, n.Line
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || strings.ContainsAny(n.Value, "\n ") {
		last += maxSearched
	}
	for number := first; number <= min(last, len(s.starts)) && part != ""; number++ {
		line, skipped := s.line(number), 0
		if number == first {
			line, skipped = s.from(n), n.Column-1
		}
		if i := strings.Index(line, part); i >= 0 {
			return Place{s.file, number, skipped + utf8.RuneCountInString(line[:i]) + 1}
		}
	}
	return out
}
