package operator

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

// TestShippedGroups holds what is promised of them: names alone, sorted, from documentation, without a warning.
func TestShippedGroups(t *testing.T) {
	var file map[string]shippedGroup
	d := yaml.NewDecoder(bytes.NewReader(groupsFile))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(groupsFile, &root); err != nil {
		t.Fatal(err)
	}
	var order []string
	for i := 0; i < len(root.Content[0].Content); i += 2 {
		order = append(order, root.Content[0].Content[i].Value)
	}
	if !slices.IsSorted(order) {
		t.Errorf("%q is not sorted", order)
	}
	for _, want := range []string{"alpine-apk", "debian-apt", "docker-hub", "github", "golang", "letsencrypt", "npm", "pypi"} {
		if !slices.Contains(order, want) {
			t.Errorf("there is no %s", want)
		}
	}
	groups := Shipped()
	for name, g := range file {
		if !policy.IsGroup(name) || g.About == "" || len(g.Names) == 0 || !slices.IsSorted(g.Names) {
			t.Errorf("%s: %+v", name, g)
		}
		if source, err := url.Parse(g.Source); err != nil || source.Scheme != "https" || source.Host == "" {
			t.Errorf("%s has the source %q", name, g.Source)
		}
		if _, err := time.Parse(time.DateOnly, g.Version); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p, problems := policy.Parse(strings.Join(g.Names, "\n"))
		if len(problems) > 0 || len(p.Tokens) != len(g.Names) {
			t.Errorf("%s: %v, %v", name, problems, p.Tokens)
		}
		for _, token := range p.Tokens {
			if _, ok := token.Dest.(policy.Pattern); !ok || token.Deny || token.Clause.Proto != policy.ProtoTCP || token.Clause.Ports == (policy.PortRange{}) {
				t.Errorf("%s holds %v, which is no name with a port", name, token)
			}
		}
		if got := groups[policy.Group(name)]; got.Name != policy.Group(name) || len(got.Policy.Tokens) != len(g.Names) || got.File != "" || got.Source != g.Source {
			t.Errorf("%s is shipped as %+v", name, got)
		}
	}
	if len(groups) != len(file) {
		t.Errorf("%d of %d groups are shipped", len(groups), len(file))
	}
}

func TestAGroupOfTheOperatorsReplacesAShippedOne(t *testing.T) {
	f, _ := Parse("a.yaml", []byte("groups:\n  pypi: pypi.example.com:443\n"))
	p, problems := Combine([]File{f}, nil)
	if g := p.Groups["pypi"]; g.File != "a.yaml" || g.Line != 2 || len(g.Policy.Tokens) != 1 || len(problems) > 0 {
		t.Errorf("%+v, %v", g, problems)
	}
	if g := p.Groups["npm"]; g.File != "" || g.Source == "" {
		t.Errorf("%+v", g)
	}
}
