package check

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/docker"
)

// service is one entry under services.
type service struct {
	name     string
	labels   []label
	build    []label // under build.labels
	deploy   []label // under deploy.labels
	mode     string  // network_mode
	networks []string
	socket   bool // it sees an engine's socket
	holds    docker.Container
	places   map[string]Place // of keys: "" of the service, network_mode, networks, privileged, cap_add, volumes
}

// label is a key with its value, as the container gets it.
type label struct {
	key, value string
	unfilled   bool // it has a variable
	bad        bool // it is no text
	twice      bool // it stands there once more
	at         Place
	within     func(pos int) Place // where in the file a position in the value is; nil without a file
}

func (r *reader) service(p pair) {
	r.step(serviceSteps)
	s := service{name: p.key.Value, places: map[string]Place{"": r.project.source.place(p.key)}}
	for _, field := range r.pairs(p.value) {
		s.places[field.key.Value] = r.project.source.place(field.value)
		switch field.key.Value {
		case "labels":
			s.labels = r.labels(field.value)
		case "build":
			s.build = r.labels(r.get(field.value, "labels"))
		case "deploy":
			s.deploy = r.labels(r.get(field.value, "labels"))
		case "network_mode":
			s.mode = scalar(field.value)
		case "networks":
			s.networks = r.attached(field.value)
		case "privileged":
			s.holds.Privileged = isTrue(field.value)
		case "cap_add":
			s.holds.CapAdd = docker.Capabilities(r.texts(field.value))
		case "pid":
			s.holds.PidMode = scalar(field.value)
		case "volumes":
			s.socket = s.socket || slices.ContainsFunc(r.items(field.value), r.isSocket)
		case "use_api_socket":
			s.socket = s.socket || isTrue(field.value)
		case "extends", "label_file":
			r.onlyCompose(s.name, field.value, field.key.Value)
		}
	}
	r.project.services = append(r.project.services, s)
}

func (r *reader) texts(list *yaml.Node) (out []string) {
	for _, item := range r.items(list) {
		out = append(out, scalar(item))
	}
	return out
}

// attached are the keys of networks, which come as a list or a mapping.
func (r *reader) attached(n *yaml.Node) []string {
	out := r.texts(n)
	for _, p := range r.pairs(n) {
		out = append(out, p.key.Value)
	}
	return out
}

// isSocket says whether a volume, in its short form "SOURCE:TARGET" or its long one, shows an engine's socket.
func (r *reader) isSocket(volume *yaml.Node) bool {
	from, _, _ := strings.Cut(scalar(volume), ":")
	if long := r.get(volume, "source"); long != nil {
		from = scalar(long)
	}
	return strings.HasPrefix(from, "/") && docker.ShowsSocket(from)
}

// labels come as a mapping or as a list of "key=value".
func (r *reader) labels(n *yaml.Node) []label {
	var out []label
	for _, p := range r.pairs(n) {
		out = append(out, r.label(p.key.Value, p.value, 0, r.project.source.place(p.key)))
	}
	for _, item := range r.items(n) {
		key, _, assigned := strings.Cut(scalar(item), "=")
		from := len(key)
		if assigned {
			from++
		}
		if pairs := r.pairs(item); len(pairs) > 0 { // "- key: value"
			key = pairs[0].key.Value
		}
		out = append(out, r.label(key, item, from, r.project.source.place(item)))
	}
	return markTwice(out)
}

// label reads the value that begins at byte from of a scalar.
func (r *reader) label(key string, n *yaml.Node, from int, at Place) label {
	l := label{key: key, at: at}
	if n.Kind != yaml.ScalarNode {
		l.bad = true
		return l
	}
	r.step(len(n.Value) / maxStepBytes)
	if r.err != nil {
		return l
	}
	raw := scalar(n)
	raw = raw[min(from, len(raw)):]
	l.value, l.unfilled = unescape(raw), hasVariable(raw)
	source := r.project.source
	l.within = func(pos int) Place {
		off := escapedOffset(raw, pos-1)
		part, _, _ := strings.Cut(raw[off:], ",")
		part, _, _ = strings.Cut(part, "\n")
		return source.within(n, from+off, strings.TrimSpace(part))
	}
	return l
}

// markTwice marks all but the last of the labels with one key: that one counts.
func markTwice(list []label) []label {
	last := map[string]bool{}
	for i := len(list) - 1; i >= 0; i-- {
		list[i].twice = last[list[i].key]
		last[list[i].key] = true
	}
	return list
}

// unescape takes the one "$" for the two that a Compose file has.
func unescape(s string) string { return strings.ReplaceAll(s, "$$", "$") }

// escapedOffset is where in s, in bytes, the character of that number of unescape(s) stands.
func escapedOffset(s string, characters int) int {
	at := 0
	for ; at < len(s) && characters > 0; characters-- {
		if strings.HasPrefix(s[at:], "$$") {
			at++
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

// hasVariable says whether Compose would fill in a variable: "$NAME" or "${NAME…}".
func hasVariable(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '$' {
			continue
		}
		i++
		if c := s[i]; c == '{' || c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			return true
		}
	}
	return false
}
