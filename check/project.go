package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Project is what a Compose file says, as far as it matters here.
type Project struct {
	name     string
	source   *source
	services []service
	networks map[string]composeNetwork // by key
	notes    []Finding                 // about what only Compose itself can fill in
}

// composeNetwork is an entry under networks.
type composeNetwork struct {
	name     string // as the Engine knows it
	driver   string
	external bool
}

// Read reads a Compose file, or what `docker compose config` prints, as YAML or JSON. file is how it is called in
// findings; project the name that Compose would give it, if the text has none. The error says what is wrong and on which
// line. Memory and time are bounded whatever the text is.
func Read(file, project string, text []byte) (Project, error) {
	p, err := read(file, project, text)
	if err != nil {
		return Project{}, fmt.Errorf("read %s: %w", clean(file), err)
	}
	return p, nil
}

func read(file, project string, text []byte) (Project, error) {
	if len(text) > MaxFile {
		return Project{}, fmt.Errorf("more than %d MiB are no Compose file", MaxFile>>20)
	}
	if i := notUTF8(text); i >= 0 {
		return Project{}, fmt.Errorf("line %d is not UTF-8; save the file as UTF-8", 1+bytes.Count(text[:i], []byte("\n")))
	}
	root, err := parse(text)
	if err != nil {
		return Project{}, err
	}
	w := &walker{}
	r := reader{walker: w, project: Project{name: project, source: newSource(file, string(text)), networks: map[string]composeNetwork{}}}
	if err := r.root(root); err != nil {
		return Project{}, err
	}
	return r.project, w.err
}

func notUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

const wanted = `give a Compose file, the output of "docker compose config --format json", or a policy file, with "policies:" or "groups:" at its top`

// parse reads the one document of a text.
func parse(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var root, more yaml.Node
	if err := d.Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(clean(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if len(root.Content) == 0 {
		return nil, errors.New("there is nothing in it; " + wanted)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document; give the output of `docker compose config --format json`")
	}
	return root.Content[0], nil
}

// reader makes a Project of a document.
type reader struct {
	*walker
	project Project
}

func (r *reader) root(root *yaml.Node) error {
	if name := scalar(r.get(root, "name")); name != "" && !hasVariable(name) {
		r.project.name = name
	}
	services := r.get(root, "services")
	if services == nil || services.Kind != yaml.MappingNode {
		return errors.Join(r.err, errors.New("there are no services in it; "+wanted))
	}
	r.onlyCompose("", r.get(root, "include"), "include")
	for _, p := range r.pairs(r.get(root, "networks")) {
		r.network(p)
	}
	if _, ok := r.project.networks["default"]; !ok {
		r.project.networks["default"] = composeNetwork{name: r.full("default")}
	}
	for _, p := range r.pairs(services) {
		r.service(p)
	}
	return r.err
}

// network reads one entry under networks. An older form of external is a mapping that has the name.
func (r *reader) network(p pair) {
	n := composeNetwork{name: scalar(r.get(p.value, "name")), driver: scalar(r.get(p.value, "driver"))}
	external := r.get(p.value, "external")
	if named := scalar(r.get(external, "name")); named != "" {
		n.name = named
	}
	n.external = isTrue(external) || external != nil && external.Kind == yaml.MappingNode
	switch {
	case n.name != "":
	case n.external:
		n.name = p.key.Value
	default:
		n.name = r.full(p.key.Value)
	}
	r.project.networks[p.key.Value] = n
}

// full is the name that Compose gives a network of this project.
func (r *reader) full(key string) string {
	if r.project.name == "" {
		return key
	}
	return r.project.name + "_" + key
}

// onlyCompose notes what is filled in by Compose itself.
func (r *reader) onlyCompose(service string, n *yaml.Node, what string) {
	if n == nil {
		return
	}
	r.project.notes = append(r.project.notes, Finding{
		Rule: RuleComposeOnly, Severity: Note, Service: service, Token: what,
		Message: "what " + what + " brings in is not looked at", Remedy: remedyConfig,
	}.at(r.project.source.place(n)))
}

const remedyConfig = "check what Compose makes of it: docker compose config --format json | dockerwall check -"
