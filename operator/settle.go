package operator

import (
	"maps"
	"slices"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
)

// version is a file as it was read.
type version struct {
	File
	text string
}

// standing is what counts: of each name the last good version. gone are groups that rules in force name and nobody defines
// any more, with the file that did, as it was.
type standing struct {
	files map[string]version
	gone  map[policy.Group]version
	// shipped are the groups that come with the program; nil is not looked up yet.
	shipped map[policy.Group]Group
}

// candidate is a file as it was found: good, or with what is wrong with it.
type candidate struct {
	version
	problems []Problem
}

// settle decides what counts from now on, of all files that are there.
//
// A file that is good by itself takes the place of its version before; of one that is bad the version before stays, and
// nothing counts of one that never was good. A file that is gone is out. What is wrong only with the combination is decided
// so that nothing is lost that was in force, whatever the order in which files were written:
//
//   - Two files define a group: the one that changed is bad; of two that changed, the one whose name comes later.
//   - A rule names a group that a change of another file took away: that file is bad. Nobody took it away: the file with
//     the rule is.
//   - The file that defined the group is gone: the rule stays as it was, with what the group held, and is reported until it
//     is changed or the group defined. A rule that is written then cannot name it.
//
// A file that is bad keeps the version before, for which the same is asked again.
func settle(before standing, now []candidate) (standing, []Problem) {
	if before.shipped == nil {
		before.shipped = Shipped()
	}
	s := settling{before: before, chosen: map[string]version{}, fresh: map[string]bool{}, gone: map[policy.Group]version{}}
	maps.Copy(s.gone, before.gone)
	there := map[string]bool{}
	for _, c := range now {
		there[c.Name] = true
		s.problems = append(s.problems, c.problems...)
		old, had := before.files[c.Name]
		switch {
		case !Bad(c.problems):
			s.chosen[c.Name], s.fresh[c.Name] = c.version, !had || old.text != c.text
		case had:
			s.chosen[c.Name] = old
		}
	}
	for name, old := range before.files {
		for _, g := range old.Groups {
			if !there[name] {
				s.gone[g.Name] = old
			}
		}
	}
	for s.revert() {
	}
	s.keepGone(now)
	return standing{s.chosen, s.gone, before.shipped}, s.told(now)
}

// settling is a decision under way.
type settling struct {
	before   standing
	chosen   map[string]version
	fresh    map[string]bool // whose chosen version is not that of before
	gone     map[policy.Group]version
	problems []Problem
}

// revert takes back versions that do not go together with the rest, and says whether it took any.
func (s *settling) revert() bool {
	files := inForce(s.chosen)
	blamed := map[string]Problem{}
	for _, c := range clashes(files, together(files, nil, s.before.shipped).Groups) {
		if c.double != nil {
			first, second := c.double[0], c.double[1]
			if s.fresh[second.File] {
				s.blame(blamed, second.File, c.Problem)
			} else {
				s.blame(blamed, first.File, double(first, second))
			}
			continue
		}
		takers := s.takers(c.group)
		for _, name := range takers {
			s.blame(blamed, name, taken(name, c))
		}
		if len(takers) == 0 {
			s.blame(blamed, c.File, c.Problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(blamed)) {
		s.problems = append(s.problems, blamed[name])
		delete(s.fresh, name)
		delete(s.chosen, name)
		if old, ok := s.before.files[name]; ok {
			s.chosen[name] = old
		}
	}
	return len(blamed) > 0
}

// blame notes the first problem of a file that changed.
func (s *settling) blame(blamed map[string]Problem, name string, p Problem) {
	if _, ok := blamed[name]; !ok && s.fresh[name] {
		blamed[name] = p
	}
}

// takers are the files that defined a group before they changed.
func (s *settling) takers(group policy.Group) (out []string) {
	for name, old := range s.before.files {
		if s.fresh[name] && old.defines(group) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// taken is the problem of a file that defines a group no more.
func taken(file string, c clash) Problem {
	return Problem{File: file, Problem: policy.Problem{
		Severity: policy.Error, Rule: policy.RuleGroup, Token: c.Token, Message: "the file does not define this group any more, and " + c.Place() + " names it",
		Remedy: "define it here or in another file, or change that rule first",
	}}
}

// inForce are the files of some versions, in order.
func inForce(versions map[string]version) (out []File) {
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		out = append(out, versions[name].File)
	}
	return out
}

// keepGone keeps of what is gone that on which rules depend, and reports those, unless they are of a version before. Nothing
// but that is left to report, but for what was kept of another run and does not go together.
func (s *settling) keepGone(now []candidate) {
	files := inForce(s.chosen)
	kept := map[policy.Group]version{}
	for _, c := range clashes(files, together(files, nil, s.before.shipped).Groups) {
		if v, ok := s.gone[c.group]; ok && c.double == nil {
			kept[c.group] = v
			c.Message = "the group is gone with " + plain.Text(v.Name, maxShown) + "; what it held then stays in force here"
		}
		there := slices.IndexFunc(now, func(n candidate) bool { return n.Name == c.File })
		if there >= 0 && now[there].text == s.chosen[c.File].text {
			s.problems = append(s.problems, c.Problem)
		}
	}
	s.gone = kept
}

// told are the problems, with what counts in place of files that are bad.
func (s *settling) told(now []candidate) (out []Problem) {
	byFile := map[string][]Problem{}
	for _, p := range s.problems {
		byFile[p.File] = append(byFile[p.File], p)
	}
	for _, c := range now {
		list := bounded(c.Name, byFile[c.Name])
		used, counts := s.chosen[c.Name]
		if i := slices.IndexFunc(list, func(p Problem) bool { return p.Severity == policy.Error }); i >= 0 && (!counts || used.text != c.text || Bad(c.problems)) {
			then := "nothing of this file counts"
			if counts {
				then = "its last good version stays in force"
			}
			list[i].Message += " (" + then + ")"
		}
		out = append(out, list...)
	}
	return out
}

// policies are what counts.
func (s standing) policies() Policies {
	gone := map[policy.Group]Group{}
	for name, v := range s.gone {
		if i := slices.IndexFunc(v.Groups, func(g Group) bool { return g.Name == name }); i >= 0 {
			gone[name] = v.Groups[i]
		}
	}
	shipped := s.shipped
	if shipped == nil {
		shipped = Shipped()
	}
	return together(inForce(s.files), gone, shipped)
}
