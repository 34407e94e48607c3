package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/dockerwall/dockerwall/check"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
)

// checked is what check was given, by kind.
type checked struct {
	compose  []composeText
	read     int // policy files
	policies operator.Policies
	problems []operator.Problem // of the policy files
}

type composeText struct {
	file string
	text []byte
}

func (c checked) any() bool { return len(c.compose)+c.read+len(c.problems) > 0 }

// read reads the files, and those of directories. Policy files are taken as if they were put into --policy-dir, in place of
// those of the same name there.
func (o checkOptions) read(env environment, files []string) (in checked, err error) {
	var given []operator.File
	names := map[string]bool{}
	add := func(f operator.File) {
		given, in.read = append(given, f), in.read+1
		names[filepath.Base(f.Name)] = true
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			list, problems, err := operator.Read(file)
			if err != nil {
				return in, err
			}
			if len(list)+len(problems) == 0 {
				return in, fmt.Errorf("%s: no policy files (*.yaml or *.yml) are in this directory", clean(file))
			}
			for _, f := range list {
				add(f)
			}
			in.problems = append(in.problems, problems...)
			continue
		}
		text, err := readInput(env.in, file)
		if err != nil {
			return in, err
		}
		if !operator.Is(text) {
			in.compose = append(in.compose, composeText{file, text})
			continue
		}
		f, problems := operator.Parse(file, text)
		add(f)
		in.problems = append(in.problems, problems...)
	}
	others := operator.NewStore(operator.Options{Dir: o.policyFiles()}).Policies().Groups
	others = maps.Clone(others)
	maps.DeleteFunc(others, func(_ policy.Group, g operator.Group) bool { return g.File == "" || names[g.File] })
	var together []operator.Problem
	in.policies, together = operator.Combine(given, others)
	if operator.Bad(in.problems) { // what is not there may be in a file that is bad
		together = slices.DeleteFunc(together, func(p operator.Problem) bool { return p.Rule == policy.RuleGroup })
	}
	in.problems = append(in.problems, together...)
	return in, nil
}

// readInput reads a file, or the input for "-"; a little more than may be, so that too much is seen as such.
func readInput(in io.Reader, file string) ([]byte, error) {
	if file != check.Stdin {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, check.MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", clean(file), err)
	}
	return text, nil
}
