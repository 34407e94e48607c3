package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestLinksOfThePagesLeadSomewhere follows every link within the tree, to files and to headings.
func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	links := 0
	for _, p := range allPages(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)" ]+)[)" ]`).FindAllStringSubmatch(p.prose(), -1) {
			if strings.Contains(link[1], ":") {
				continue // elsewhere
			}
			links++
			target, section, _ := strings.Cut(link[1], "#")
			name := filepath.Join(filepath.Dir(p.name), target)
			if target == "" {
				name = p.name
			}
			if _, err := os.Stat(filepath.Join(repository, name)); err != nil {
				t.Errorf("%s links to %s, which does not exist", p.name, link[1])
			} else if section != "" && !slices.Contains(anchors(document(t, name)), section) {
				t.Errorf("%s links to a heading that %s does not have: #%s", p.name, name, section)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links: are they still found?", links)
	}
}

// prose is the page without its blocks, which show what is no link.
func (p page) prose() string {
	lines := slices.Clone(p.lines)
	for _, s := range p.steps {
		clear(lines[s.line-1 : min(s.behind+1, len(lines))])
	}
	return strings.Join(lines, "\n")
}

// anchors are what GitHub makes of headings: small letters, digits, hyphens for spaces.
func anchors(text string) (out []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#{1,6} (.+)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(heading[1])), "")
		out = append(out, strings.ReplaceAll(slug, " ", "-"))
	}
	return out
}

// TestEveryPageIsInTheIndex wants docs/README.md to lead to every other page.
func TestEveryPageIsInTheIndex(t *testing.T) {
	index := document(t, "docs/README.md")
	generated, err := filepath.Glob(filepath.Join(repository, "docs/reference/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range allPages(t) {
		names = append(names, p.name)
	}
	for _, path := range generated {
		names = append(names, "docs/reference/"+filepath.Base(path))
	}
	for _, name := range names {
		if link, ok := strings.CutPrefix(name, "docs/"); ok && link != "README.md" && !strings.Contains(index, "]("+link+")") {
			t.Errorf("docs/README.md does not link to %s", link)
		}
	}
}

// TestInvocationsInThePagesAreUnderstood wants the commands and flags that the pages name to exist.
func TestInvocationsInThePagesAreUnderstood(t *testing.T) {
	found := 0
	for _, p := range allPages(t) {
		for _, text := range invocations(p) {
			found++
			if err := understood(text); err != nil {
				t.Errorf("%s: `dockerwall %s`: %v", p.name, text, err)
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d invocations: are they still found?", found)
	}
	for _, wrong := range []string{"bogus", "nft bogus", "status --bogus", "watch --since"} {
		if understood(wrong) == nil {
			t.Errorf("`dockerwall %s` is understood", wrong)
		}
	}
}

// invocations are what stands behind "dockerwall" in code, as far as it is one command.
func invocations(p page) (out []string) {
	texts := []string{}
	for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(p.prose(), -1) {
		texts = append(texts, span[1])
	}
	for _, s := range p.steps {
		for _, c := range s.commands() {
			texts = append(texts, c.text)
		}
	}
	for _, text := range texts {
		for _, part := range regexp.MustCompile(`[|;&\n]+|\$\(`).Split(strings.ReplaceAll(text, "\\\n", " "), -1) {
			call := regexp.MustCompile(`^\s*(?:[A-Z_]+=\S+ |sudo |docker (?:compose )?exec \S+ |docker compose run --rm )*[\w./]*dockerwall ([a-z-].*)`).FindStringSubmatch(part)
			if call != nil {
				out = append(out, regexp.MustCompile(`2?[<>].*|[)]$`).ReplaceAllString(call[1], ""))
			}
		}
	}
	return out
}

// understood is nil if the command and its flags exist. Arguments may be placeholders, and a flag's value may be one.
func understood(text string) error {
	root := newRoot(environment{getenv: func(string) string { return "" }})
	root.InitDefaultCompletionCmd()
	var args []string
	for _, word := range strings.Fields(text) {
		args = append(args, strings.Trim(word, `'"[]`))
	}
	command, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	command.InitDefaultHelpFlag()
	command.InitDefaultVersionFlag()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	command.Flags().VisitAll(func(f *pflag.Flag) { // their values are not looked at
		flags.StringP(f.Name, f.Shorthand, "", "")
		flags.Lookup(f.Name).NoOptDefVal = f.NoOptDefVal
	})
	command.InheritedFlags().VisitAll(func(f *pflag.Flag) { flags.StringP(f.Name, "", "", "") })
	if command.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return os.ErrNotExist
	}
	return flags.Parse(rest)
}

// TestThePagesKnowWhatMakeDoes wants every target of the Makefile on the page about development, and those that pages name
// to exist.
func TestThePagesKnowWhatMakeDoes(t *testing.T) {
	targets := regexp.MustCompile(`(?m)^([a-z -]+):.*##`).FindAllStringSubmatch(document(t, "Makefile"), -1)
	var known []string
	for _, target := range targets {
		known = append(known, strings.Fields(target[1])...)
	}
	development := document(t, "docs/development.md")
	for _, name := range known {
		if name != "help" && !strings.Contains(development, "`make "+name+"`") {
			t.Errorf("docs/development.md lacks `make %s`", name)
		}
	}
	for _, p := range allPages(t) {
		for _, call := range regexp.MustCompile("(?:`|^|\\$ )make ([a-z-]+)").FindAllStringSubmatch(p.text(), -1) {
			if !slices.Contains(known, call[1]) && call[1] != "setup" {
				t.Errorf("%s has `make %s`, which does not exist", p.name, call[1])
			}
		}
	}
}

// TestVariablesInThePagesExist wants every setting that a page names to be one.
func TestVariablesInThePagesExist(t *testing.T) {
	table := settingsTable()
	for _, p := range allPages(t) {
		for _, name := range regexp.MustCompile(`\bDOCKERWALL_[A-Z_]+[A-Z]\b`).FindAllString(p.text(), -1) {
			if !strings.Contains(table, "`"+name+"`") && name != "DOCKERWALL_CACHE" {
				t.Errorf("%s names %s, which does not exist", p.name, name)
			}
		}
	}
}
