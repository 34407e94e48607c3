package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
)

const groupsHelp = `Groups lists the named lists of destinations that labels, DEFAULT_OUTBOUND and policy files can name, as
in "@pypi": those that come with dockerwall, and those of the files in --policy-dir, which replace shipped ones
of the same name. With NAME it shows all about that one. It asks no daemon, and needs no root.

Of a file with a mistake its last good version counts, for the daemon; that is shown where the state directory
can be read. docs/policies.md says how groups are written.`

// groupObject is a group as it is printed for programs.
type groupObject struct {
	Name     string   `json:"name"`
	File     string   `json:"file,omitempty"` // of --policy-dir; none for a shipped one
	Line     int      `json:"line,omitempty"`
	Replaces bool     `json:"replaces,omitempty"` // a shipped one
	About    string   `json:"about,omitempty"`
	Source   string   `json:"source,omitempty"`
	Version  string   `json:"version,omitempty"`
	Tokens   []string `json:"tokens"`
}

// Kinds of `groups -o json` and of a line of jsonl.
const (
	kindGroups = "Groups"
	kindGroup  = "Group"
)

func newGroups(env environment) *cobra.Command {
	var s settings
	var format string
	c := &cobra.Command{
		Use: "groups [NAME]", Short: "List the groups of destinations that policies can name", Long: groupsHelp, Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store := operator.NewStore(operator.Options{Dir: s.policyFiles(), StateDir: s.directory()})
			for _, p := range needed(store.Problems()) {
				fmt.Fprintln(env.err, "dockerwall: "+cleanLong(p.String()))
			}
			all := groupObjects(store.Policies())
			if len(args) == 0 {
				return printGroups(env, format, all)
			}
			name := strings.ToLower(strings.TrimPrefix(args[0], "@"))
			i := slices.IndexFunc(all, func(g groupObject) bool { return g.Name == name })
			if i < 0 {
				return fmt.Errorf("there is no group %q; `dockerwall groups` lists those there are", clean(args[0]))
			}
			return printGroup(env, format, all[i])
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				for _, g := range groupObjects(operator.NewStore(operator.Options{Dir: s.policyFiles()}).Policies()) {
					names = append(names, g.Name)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	declare(c, env, s.files())
	outputFlag(c, &format, asTable, asJSON, asJSONL, asYAML)
	return c
}

func groupObjects(p operator.Policies) []groupObject {
	out, shipped := []groupObject{}, operator.Shipped()
	for _, name := range slices.Sorted(maps.Keys(p.Groups)) {
		g := p.Groups[name]
		one := groupObject{Name: string(name), File: g.File, Line: g.Line, About: g.About, Source: g.Source, Version: g.Version, Tokens: []string{}}
		if g.File != "" {
			one.Replaces = shipped[name].Name != ""
		}
		for _, t := range g.Policy.Tokens {
			one.Tokens = append(one.Tokens, t.String())
		}
		out = append(out, one)
	}
	return out
}

// where says who defines the group.
func (g groupObject) where() string {
	switch {
	case g.File == "":
		return "shipped, of " + g.Version
	case g.Replaces:
		return fmt.Sprintf("%s:%d, in place of the shipped one", g.File, g.Line)
	}
	return fmt.Sprintf("%s:%d", g.File, g.Line)
}

// maxHeld is how many tokens of a group the table of all has.
const maxHeld = 3

func printGroups(env environment, format string, all []groupObject) error {
	switch format {
	case asTable:
		t := newTable(env.out, "GROUP", "WHERE", "HOLDS", "ABOUT")
		for _, g := range all {
			holds := strings.Join(g.Tokens[:min(len(g.Tokens), maxHeld)], ", ")
			if more := len(g.Tokens) - maxHeld; more > 0 {
				holds += fmt.Sprintf(" and %d more", more)
			}
			t.row("@"+g.Name, g.where(), holds, g.About)
		}
		t.fit(columns(env.out), "HOLDS", "ABOUT")
		return t.flush()
	case asJSONL:
		for _, g := range all {
			if err := printObject(env.out, asJSONL, kindGroup, g); err != nil {
				return err
			}
		}
		return nil
	}
	return printObject(env.out, format, kindGroups, all)
}

func printGroup(env environment, format string, g groupObject) error {
	if format != asTable {
		return printObject(env.out, format, kindGroup, g)
	}
	lines := []string{"@" + g.Name, "  where    " + g.where()}
	if g.About != "" {
		lines = append(lines, "  about    "+g.About, "  source   "+g.Source)
	}
	for i, token := range g.Tokens {
		head := "           "
		if i == 0 {
			head = "  holds    "
		}
		lines = append(lines, head+token)
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(env.out, cleanLong(line)); err != nil {
			return err
		}
	}
	return nil
}

// needed leaves out what is wrong with copies while no file has an error, so that nobody needs them.
func needed(problems []operator.Problem) []operator.Problem {
	if operator.Errors(problems) > 0 {
		return problems
	}
	return slices.DeleteFunc(problems, func(p operator.Problem) bool { return p.Rule == operator.RuleCopy && p.Severity == policy.Warning })
}
