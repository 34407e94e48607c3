package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryBlockIsRun finds the blocks of the pages that no test runs, and notes that name a test that does not.
func TestEveryBlockIsRun(t *testing.T) {
	tests := sourcesOfTests(t)
	tests[".ci/run"] = document(t, ".ci/run")
	for _, p := range allPages(t) {
		for _, s := range p.steps {
			switch named := s.testsNamed(); {
			case named != nil:
				for _, complaint := range namedInVain(p, s, named, tests) {
					t.Errorf("%s:%d: %s", p.name, s.line, complaint)
				}
			case s.runs(), s.fileNamed() != "":
			case s.lang == "text":
				if line := looksLikeACommand(s.body); line != "" {
					t.Errorf("%s:%d: a block of text with a command: %s", p.name, s.line, line)
				}
			default:
				t.Errorf("%s:%d: no test runs this block (%s): see docs_test.go", p.name, s.line, s.lang)
			}
		}
	}
}

// sourcesOfTests are the texts of all files with tests, by the names of the tests in them.
func sourcesOfTests(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			out[string(name[1])] = string(text)
		}
		return err
	})
	if err != nil || len(out) < 100 {
		t.Fatalf("%d tests, %v", len(out), err)
	}
	return out
}

// namedInVain is what is wrong with a note that says which tests run a block. Their files have to have the words of its
// commands; where it has no commands, the name of the page, which they read then.
func namedInVain(p page, s step, named []string, tests map[string]string) (complaints []string) {
	var source string
	for _, name := range named {
		if tests[name] == "" {
			complaints = append(complaints, "there is no test "+name)
		}
		source += tests[name]
	}
	commands := s.commands()
	if s.lang != "console" && s.lang != "sh" {
		if !strings.Contains(source, `"`+p.name+`"`) {
			complaints = append(complaints, strings.Join(named, ", ")+" does not read this page")
		}
		return complaints
	}
	for _, c := range commands {
		for _, word := range essential(c.text) {
			if !strings.Contains(source, word) {
				complaints = append(complaints, "the file of "+strings.Join(named, ", ")+" lacks "+word+" of: "+c.text)
			}
		}
	}
	return complaints
}

// essential are the words of a command that whoever runs it has to spell; names in capitals stand for others.
func essential(text string) (words []string) {
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, `'"\;()`)
		if regexp.MustCompile(`^(--?)?[a-z][\w./:-]+$`).MatchString(word) && word != "sudo" {
			words = append(words, word)
		}
	}
	return words
}

func looksLikeACommand(body []string) string {
	programs := regexp.MustCompile(`^\s*([$#]|sudo|dockerwall|docker|make|systemctl|journalctl|apt|apt-get|dpkg|rpm|curl|git|install|promtool|prometheus|iptables|` +
		`ssh|man|groupadd|go|nft (list|flush|delete|-f)|ip (link|netns|addr)) `)
	for _, line := range body {
		if programs.MatchString(line) {
			return line
		}
	}
	return ""
}

func TestPagesAreRead(t *testing.T) {
	p := readPage("x.md", "text\n\n<!-- run by TestA, TestB -->\n```console\n$ a \\\n  b\nout\n\n$ c\n```\n<!-- hidden\nd\n-->\n```yaml\n# compose.yaml\nx: 1\n```\n")
	if len(p.steps) != 3 {
		t.Fatalf("%+v", p.steps)
	}
	first, commands := p.steps[0], p.steps[0].commands()
	if !slices.Equal(first.testsNamed(), []string{"TestA", "TestB"}) || first.runs() || len(commands) != 2 ||
		commands[0].text != "a \\\n  b" || !slices.Equal(commands[0].want, []string{"out", ""}) || commands[1].text != "c" {
		t.Errorf("%+v", commands)
	}
	if !p.steps[1].runs() || p.steps[2].fileNamed() != "compose.yaml" || p.steps[2].runs() {
		t.Errorf("%+v", p.steps[1:])
	}
}

func TestWhatAPageShowsAgreesWithWhatIsPrinted(t *testing.T) {
	for name, c := range map[string]struct {
		want []string
		got  string
		ok   bool
	}{
		"the same":                            {[]string{"a", "b"}, "a\nb\n", true},
		"another line":                        {[]string{"a", "b"}, "a\nc\n", false},
		"a line more":                         {[]string{"a"}, "a\nb\n", false},
		"a line less":                         {[]string{"a", "b"}, "a\n", false},
		"any lines where the page leaves out": {[]string{"a", "…", "d"}, "a\nb\nc\nd\n", true},
		"but not a wrong last one":            {[]string{"a", "…", "d"}, "a\nb\nc\ne\n", false},
		"nothing":                             {nil, "", true},
		"something where nothing should be":   {nil, "a", false},
		"another time":                        {[]string{"18:13:40 DENIED web -> 203.0.113.77:80 tcp x1 no rule"}, "03:00:01 DENIED web -> 203.0.113.77:80 tcp x2 no rule", true},
		"another address":                     {[]string{"18:13:40 DENIED web -> 203.0.113.77:80 tcp x1 no rule"}, "03:00:01 DENIED web -> 203.0.113.78:80 tcp x2 no rule", false},
		"colours":                             {[]string{"curl: (28) Connection timed out", "b"}, "\x1b[91mcu\x1b[0m\x1b[91mrl: (28) \x1b[0mtimed\x1b[91m out\n\x1b[0mb\n", true},
		"other counts":                        {[]string{"web   enforce  shop   a.example   12   1"}, "web   enforce  shop   a.example   120   11", true},
	} {
		if got := agree(c.want, c.got); got != c.ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
