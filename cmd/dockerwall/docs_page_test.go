package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is what a page has the reader do or see at one place: a fenced block, or commands that are run and not shown.
type step struct {
	line   int      // of its first line in the page, from 0
	lang   string   // the word behind the backticks; "hidden" for what is not shown
	body   []string // its lines, without the indentation
	indent string   // of the fence, within a list
	note   string   // whatever the HTML comments right before it say
	behind int      // the line behind its last one
}

// page is a document in Markdown.
type page struct {
	name  string // README.md, docs/tutorial.md
	lines []string
	steps []step
}

// allPages are README.md and every page in docs that people write, in the order in which they are read.
func allPages(t *testing.T) []page {
	t.Helper()
	names := []string{"README.md"}
	for _, pattern := range []string{"docs/README.md", "docs/tutorial.md", "docs/howto/*.md", "docs/*.md"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if name, err := filepath.Rel(filepath.Join("..", ".."), path); err != nil {
				t.Fatal(err)
			} else if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) < 9 {
		t.Fatalf("only %d pages: %q", len(names), names)
	}
	var pages []page
	for _, name := range names {
		pages = append(pages, readPage(name, document(t, name)))
	}
	return pages
}

func (p page) text() string { return strings.Join(p.lines, "\n") }

// readPage finds the steps of a page. A fence that is not closed goes to the page's end.
func readPage(name, text string) page {
	p := page{name: name, lines: strings.Split(text, "\n")}
	var notes []string
	for i := 0; i < len(p.lines); {
		line := strings.TrimSpace(p.lines[i])
		switch {
		case strings.HasPrefix(line, "```"):
			s := step{line: i + 1, lang: strings.Trim(line, "` "), note: strings.Join(notes, "\n"), indent: indentOf(p.lines[i])}
			s.body, s.behind = s.until(p.lines, "```")
			p.steps, notes, i = append(p.steps, s), nil, s.behind+1
		case line == "<!-- hidden":
			s := step{line: i + 1, lang: "hidden", indent: indentOf(p.lines[i])}
			s.body, s.behind = s.until(p.lines, "-->")
			p.steps, notes, i = append(p.steps, s), nil, s.behind+1
		case strings.HasPrefix(line, "<!--"):
			notes = append(notes, strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(line, "<!--"), "-->")))
			i++
		case line == "":
			i++
		default:
			notes = nil
			i++
		}
	}
	return p
}

func indentOf(line string) string { return line[:len(line)-len(strings.TrimLeft(line, " "))] }

// until is what stands from the step's first line to the one that is end, and the number of that one.
func (s step) until(lines []string, end string) (body []string, at int) {
	for at = s.line; at < len(lines) && strings.TrimSpace(lines[at]) != end; at++ {
		body = append(body, strings.TrimPrefix(lines[at], s.indent))
	}
	return body, at
}

// testsNamed are those that a note says run or check the block: "run by TestA, TestB".
func (s step) testsNamed() []string {
	for note := range strings.SplitSeq(s.note, "\n") {
		if names, ok := strings.CutPrefix(note, "run by "); ok {
			return strings.Split(names, ", ")
		}
	}
	return nil
}

// fileNamed is the file that the block shows: of a note "file NAME", or of a first line that is a comment with a name
// and nothing else.
func (s step) fileNamed() string {
	for note := range strings.SplitSeq(s.note, "\n") {
		if name, ok := strings.CutPrefix(note, "file "); ok {
			return name
		}
	}
	if len(s.body) == 0 || slices.Contains([]string{"console", "sh", "text", "hidden"}, s.lang) {
		return ""
	}
	found := regexp.MustCompile(`^# (/?[\w./-]*[\w-]+\.[A-Za-z]+)$`).FindStringSubmatch(s.body[0])
	if found == nil {
		return ""
	}
	return found[1]
}

// runs says whether the harness runs the block.
func (s step) runs() bool {
	return s.testsNamed() == nil && (s.lang == "console" || s.lang == "sh" || s.lang == "hidden")
}

// typed is a command of a page with the output that the page shows.
type typed struct {
	text string
	want []string
	line int // of the output's first line in the page
}

// commands are those of a block. In a console they follow "$ "; a line that ends in a backslash goes on.
func (s step) commands() (out []typed) {
	switch s.lang {
	case "hidden":
		return []typed{{text: strings.Join(s.body, "\n")}}
	case "console":
	default:
		var text string
		for _, line := range s.body {
			if text += line; strings.HasSuffix(line, `\`) {
				text += "\n"
				continue
			}
			if text != "" && !strings.HasPrefix(text, "#") {
				out = append(out, typed{text: text})
			}
			text = ""
		}
		return out
	}
	for i := 0; i < len(s.body); i++ {
		text, ok := strings.CutPrefix(s.body[i], "$ ")
		if !ok {
			if len(out) > 0 {
				out[len(out)-1].want = append(out[len(out)-1].want, s.body[i])
			}
			continue
		}
		for strings.HasSuffix(text, `\`) && i+1 < len(s.body) {
			i++
			text += "\n" + s.body[i]
		}
		out = append(out, typed{text: text, line: s.line + i + 1})
	}
	return out
}

// rewritePage puts what commands printed in place of what the page shows. Blocks are given from the last to the first.
func rewritePage(t *testing.T, p page, blocks map[int][]string) {
	t.Helper()
	lines := slices.Clone(p.lines)
	for _, s := range slices.Backward(p.steps) {
		if body, ok := blocks[s.line]; ok {
			for i := range body {
				body[i] = strings.TrimRight(s.indent+body[i], " ")
			}
			lines = slices.Replace(lines, s.line, s.behind, body...)
		}
	}
	if err := os.WriteFile(filepath.Join("..", "..", p.name), []byte(strings.Join(lines, "\n")), 0o644); err != nil { //nolint:gosec // a document
		t.Fatal(err)
	}
}

// agree says whether what was printed is what a page shows, but for what differs from run to run. A line of the page
// that is "…" stands for any lines, "…" within one for anything.
func agree(want []string, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range strings.Split(strings.TrimSpace(strings.Join(want, "\n")), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(blurred(line)), "…", ".*") + `\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(blurred(strings.TrimSpace(got)) + "\n")
}

// blurred leaves out what differs from run to run: times, IDs, versions, numbers of packets, and the widths of columns.
func blurred(text string) string {
	for _, r := range []struct{ pattern, with string }{
		{"\x1b\\[[0-9;]*m", ""}, // first: any bytes of a word can be printed for themselves
		{`\d{4}-\d\d-\d\dT[0-9:.]+Z`, "TIME"},
		{`\d\d:\d\d:\d\d`, "TIME"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d`, "TIME"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`\b\d+ ?(ms|s|min|h) ago`, "AGO"},
		{`\b\d+ (s|min|h|d) left\b`, "LEFT"},
		{`asked again in [0-9hms]+, kept for \S+`, "asked again in T, kept for T"},
		{`\b[0-9a-f]{12,64}\b`, "ID"},
		{`\b(172\.\d+\.0)\.(?:[2-9]|\d\d+)\b`, "$1.N"}, // containers start in any order
		{`c_[0-9a-f]{12}_`, "c_ID_"},
		{`curl: \(28\) .*`, "curl: (28)"}, // its words for a timeout differ
		{` x\d+ `, " xN "},
		{`\b\d+ denied\b`, "N denied"},
		{`\b\d+ packets?, \d+ B\b`, "N packets, N B"},
		{`\b\d+ of them\b`, "N of them"},
		{`(?m)^(\S+:\d+/\w+ +)\d+ +TIME`, "${1}N TIME"}, // PACKETS of suggest
		{`\bnames by \w+`, "names by WAY"},
		{`(?m)^(\S+ +(?:audit|enforce|off) .*? )\d+ +\d+( .*)?$`, "${1}N N$2"}, // SENT and DENIED of status
		{`\b\d+\.\d+\.\d+(?:[+~-][\w.+~-]+)?`, "VERSION"},
		{`(?m)[ \t]+$`, ""},
		{`[ \t]+`, " "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}
