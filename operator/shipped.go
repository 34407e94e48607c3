package operator

import (
	_ "embed"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/policy"
)

//go:embed groups.yaml
var groupsFile []byte

// shippedGroup is a group as groups.yaml has it, where it stands under its name.
type shippedGroup struct {
	About   string   `yaml:"about"`
	Source  string   `yaml:"source"`
	Version string   `yaml:"version"`
	Names   []string `yaml:"names"`
}

// Shipped are the groups that come with the program, by name. The map is the caller's.
func Shipped() map[policy.Group]Group {
	var file map[policy.Group]shippedGroup
	if yaml.Unmarshal(groupsFile, &file) != nil { // a test reads it
		return map[policy.Group]Group{}
	}
	out := make(map[policy.Group]Group, len(file))
	for name, g := range file {
		p, _ := policy.Parse(strings.Join(g.Names, "\n"))
		out[name] = Group{Name: name, Policy: p, About: g.About, Source: g.Source, Version: g.Version}
	}
	return out
}
