package operator

import "slices"

// Subject is a container as rules see it.
type Subject struct {
	Name     string
	Image    string   // the reference it was created from
	Networks []string // names
	Labels   map[string]string
}

// Match says which containers a rule is for: those that all given fields match; a field matches if one of its globs does,
// in which "*" stands for any characters and "?" for one. The zero value matches none.
type Match struct {
	Container    []string // its name
	Project      []string // of docker compose
	Service      []string // of docker compose
	SwarmService []string
	Image        []string // as written when the container was created, such as nginx:1.27
	Network      []string // the name of one that it is attached to
	Labels       map[string][]string
}

// Labels by which compose and Swarm mark their containers.
const (
	labelProject      = "com.docker.compose.project"
	labelService      = "com.docker.compose.service"
	labelSwarmService = "com.docker.swarm.service.name"
)

// Matches says whether the rule is for s.
func (m Match) Matches(s Subject) bool {
	given := false
	field := func(globs []string, values ...string) bool {
		if len(globs) == 0 {
			return true
		}
		given = true
		return slices.ContainsFunc(values, func(v string) bool {
			return slices.ContainsFunc(globs, func(g string) bool { return glob(g, v) })
		})
	}
	label := func(globs []string, key string) bool {
		value, ok := s.Labels[key]
		if !ok {
			return field(globs)
		}
		return field(globs, value)
	}
	all := field(m.Container, s.Name) && field(m.Image, s.Image) && field(m.Network, s.Networks...) &&
		label(m.Project, labelProject) && label(m.Service, labelService) && label(m.SwarmService, labelSwarmService)
	for key, globs := range m.Labels {
		all = all && label(globs, key)
	}
	return all && given
}

// glob says whether "*" and "?" in pattern can stand for what makes it s.
func glob(pattern, s string) bool {
	p, t := []rune(pattern), []rune(s)
	star, mark := -1, 0 // the last "*", and what it stands for up to
	i := 0
	for j := 0; j < len(t); {
		switch {
		case i < len(p) && (p[i] == '?' || p[i] == t[j]) && p[i] != '*':
			i, j = i+1, j+1
		case i < len(p) && p[i] == '*':
			star, mark, i = i, j, i+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}
