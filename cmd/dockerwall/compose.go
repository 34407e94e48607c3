package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/observe"
	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

const labelOutbound = policy.LabelOutbound

// maxShown bounds labels and notes, in bytes.
const maxShown = 1 << 20

// labelText is a label fit to be shown, "" for one that is longer than any.
func labelText(s string) string {
	if len(s) > maxShown {
		return ""
	}
	return plain.Label(s)
}

func cleanNote(s string) string { return plain.Text(s, 2048) }

// composeValue is a text as compose files have it: `$` begins a variable there.
func composeValue(s string) string { return strings.ReplaceAll(labelText(s), "$", "$$") }

// override is a compose file that adds to another.
type override struct {
	project  string
	services map[string]string // the label of each
	out      map[string]int    // tokens of its containers that had no room in it, where there are any
}

// printCompose prints a complete override file for what docker compose manages; a document for each project. The rest are
// comments at the end.
func printCompose(to streams, all []api.Suggestion) error {
	files, others := overrides(all)
	if len(files) > 1 {
		fmt.Fprintln(to.err, "there is a document for each of several projects; choose one with --project NAME")
	}
	if len(files) == 0 {
		files = []override{{}}
	}
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(to.out, "---")
		}
		if err := f.print(to.out); err != nil {
			return err
		}
	}
	for _, s := range others {
		fmt.Fprintf(to.out, "# %s (%s) is not docker compose's:\n#   %s\n", clean(s.Container), clean(s.Image), relabelled(s))
	}
	for _, f := range files {
		for _, service := range slices.Sorted(maps.Keys(f.out)) {
			fmt.Fprintf(to.err, "note on %s: %d more destinations of its containers have no room in one label; think of ranges or wildcards\n", clean(service), f.out[service])
		}
	}
	for _, s := range all {
		for _, note := range s.Notes {
			fmt.Fprintf(to.err, "note on %s: %s\n", clean(s.Container), cleanNote(note))
		}
	}
	return nil
}

// overrides are the files, by project, and what belongs to none. Containers of a service become one; those that run no
// more count only where none of the service does.
func overrides(all []api.Suggestion) (files []override, others []api.Suggestion) {
	type key struct{ project, service string }
	services, runs := map[key][]api.Suggestion{}, map[key]bool{}
	for _, s := range all {
		k := key{s.Project, s.Service}
		switch {
		case s.Project != "" && s.Service != "":
			services[k] = append(services[k], s)
			runs[k] = runs[k] || s.Mode != ""
		case len(s.Tokens) > 0:
			others = append(others, s)
		}
	}
	byProject := map[string]override{}
	for k, replicas := range services {
		if runs[k] {
			replicas = slices.DeleteFunc(replicas, func(s api.Suggestion) bool { return s.Mode == "" })
		}
		if !slices.ContainsFunc(replicas, func(s api.Suggestion) bool { return len(s.Tokens) > 0 }) {
			continue
		}
		if byProject[k.project].services == nil {
			byProject[k.project] = override{k.project, map[string]string{}, map[string]int{}}
		}
		label, out := oneLabel(replicas)
		byProject[k.project].services[k.service] = label
		if out > 0 {
			byProject[k.project].out[k.service] = out
		}
	}
	for _, f := range byProject {
		files = append(files, f)
	}
	sortby.Func(files, func(a, b override) int { return strings.Compare(a.project, b.project) })
	return files, others
}

// oneLabel is the label of the first replica and what the others have besides, as far as a label can have it: from one
// with too many ports all names with ports would be left out. It says how many tokens that leaves out.
func oneLabel(replicas []api.Suggestion) (label string, out int) {
	label = replicas[0].Outbound
	for _, s := range replicas[1:] {
		have, _ := policy.AnyGroup().Parse(label)
		more, _ := policy.AnyGroup().Parse(s.Outbound)
		fresh := slices.DeleteFunc(more.Tokens, func(t policy.Token) bool { return slices.Contains(have.Tokens, t) })
		kept := 0
		label, kept = observe.Extended(label, fresh, policy.AnyGroup())
		out += len(fresh) - kept
	}
	return label, out
}

func (f override) print(w io.Writer) error {
	if f.project != "" {
		fmt.Fprintf(w, "# project %s\n", clean(f.project))
	}
	type service struct {
		Labels map[string]*yaml.Node `yaml:"labels"`
	}
	file := struct {
		Services map[string]service `yaml:"services"`
	}{map[string]service{}}
	for name, label := range f.services {
		file.Services[name] = service{map[string]*yaml.Node{labelOutbound: yamlString(composeValue(label))}}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(file); err != nil {
		return fmt.Errorf("print the compose file: %w", err)
	}
	_, err := w.Write(out.Bytes())
	return err
}

// relabelled is how a container that docker compose does not manage would get its label.
func relabelled(s api.Suggestion) string {
	label := quoted(labelOutbound + "=" + labelText(s.Outbound))
	if s.Service != "" {
		return "docker service update --container-label-add " + label + " " + quoted(clean(s.Service))
	}
	return "docker run --label " + label + " …"
}

// quoted is one word of a shell (POSIX, 2.2.2).
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func yamlString(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}

// yamlText is a text on one line of YAML.
func yamlText(s string) string {
	out, err := yaml.Marshal(yamlString(s))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(out), "\n")
}
