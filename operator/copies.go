package operator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/disk"
	"github.com/dockerwall/dockerwall/policy"
)

// copies are the last good versions on disk, so that they outlive the daemon: each under the name of its file, and for a
// group that is gone the file that defined it, as NAME@GROUP.gone.
type copies struct {
	dir   string // "" keeps none
	taken bool   // it would be the directory of the files, where copies take the place of what they are of
}

const goneSuffix = ".gone"

func newCopies(dir, files string) copies {
	a, errA := os.Stat(dir)
	b, errB := os.Stat(files)
	if filepath.Clean(dir) == filepath.Clean(files) || errA == nil && errB == nil && os.SameFile(a, b) {
		return copies{taken: true}
	}
	return copies{dir: dir}
}

// load reads what was kept. What cannot be used is reported, and missing.
func (c copies) load() (standing, []Problem) {
	out := standing{files: map[string]version{}, gone: map[policy.Group]version{}}
	if c.dir == "" {
		return out, c.kept()
	}
	list, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, []Problem{unkept("", "read", err)}
	}
	var problems []Problem
	for _, entry := range list {
		name, group := ofCopy(entry.Name())
		if !isName(name) || len(out.files)+len(out.gone) == 2*maxFiles {
			continue
		}
		v, err := c.read(entry.Name(), name)
		switch {
		case err != nil:
			problems = append(problems, unkept(name, "read", err))
		case group != "":
			out.gone[group] = v
		default:
			out.files[name] = v
		}
	}
	return out, problems
}

// ofCopy is whose copy has a name.
func ofCopy(stored string) (name string, group policy.Group) {
	name, gone := strings.CutSuffix(stored, goneSuffix)
	if at := strings.LastIndexByte(name, '@'); gone && at >= 0 {
		return name[:at], policy.Group(name[at+1:])
	}
	return stored, ""
}

func (c copies) read(stored, name string) (version, error) {
	file, err := disk.Open(filepath.Join(c.dir, stored), MaxFile)
	if err != nil {
		return version{}, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return version{}, err
	}
	f, problems := Parse(name, text)
	if Bad(problems) {
		return version{}, errors.New("it is damaged")
	}
	return version{f, string(text)}, nil
}

// save makes the copies those of s. What is new is written before what is old goes.
func (c copies) save(s standing) (problems []Problem) {
	if c.dir == "" {
		return c.kept()
	}
	want := map[string]version{}
	for name, v := range s.files {
		want[name] = v
	}
	for group, v := range s.gone {
		want[v.Name+"@"+string(group)+goneSuffix] = v
	}
	if len(want) > 0 {
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return []Problem{unkept("", "keep", err)}
		}
	}
	for _, stored := range slices.Sorted(maps.Keys(want)) {
		if err := c.write(stored, want[stored]); err != nil {
			problems = append(problems, unkept(want[stored].Name, "keep", err))
		}
	}
	list, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return append(problems, unkept("", "read", err))
	}
	for _, entry := range list {
		if _, ok := want[entry.Name()]; ok {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, entry.Name())); err != nil {
			name, _ := ofCopy(entry.Name())
			problems = append(problems, unkept(name, "remove", err))
		}
	}
	return problems
}

// kept says why no copies are, where that is no wish.
func (c copies) kept() []Problem {
	if !c.taken {
		return nil
	}
	return []Problem{{Problem: policy.Problem{
		Severity: policy.Warning, Rule: RuleCopy, Message: "the last good versions are not kept: they would be in the directory of the policy files themselves",
		Remedy: "set --state-dir to a directory of the daemon's own, such as /var/lib/dockerwall",
	}}}
}

// write writes a copy that is not there as it should be.
func (c copies) write(stored string, v version) error {
	if there, err := c.read(stored, v.Name); err == nil && there.text == v.text {
		return nil
	}
	return disk.Replace(filepath.Join(c.dir, stored), func(w io.Writer) error {
		_, err := io.WriteString(w, v.text)
		return err
	})
}

// unkept is the problem of a copy.
func unkept(name, verb string, err error) Problem {
	of := "the copies of the last good versions"
	if name != "" {
		of = "the copy of the last good version"
	}
	return Problem{File: name, Problem: policy.Problem{
		Severity: policy.Warning, Rule: RuleCopy, Message: fmt.Sprintf("cannot %s %s in the state directory: %s", verb, of, cause(err)),
		Remedy: "see that there is room and that it can be written; a file that is bad when the daemon starts counts for nothing until it is corrected",
	}}
}
