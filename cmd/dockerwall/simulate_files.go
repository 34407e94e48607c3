package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/simulate"
)

// simulatedDir has a directory of policies take the place of the operator's.
func simulatedDir(env environment, path string, change *simulate.Change) error {
	if _, err := os.ReadDir(path); err != nil {
		return err
	}
	store := operator.NewStore(operator.Options{Dir: path})
	if err := tellPolicies(env.err, path, store.Problems()); err != nil {
		return err
	}
	change.Files = append(change.Files, simulate.Files{Policies: store.Policies(), Whole: true})
	return nil
}

// simulatedFile has one file take the place of the operator's of that name.
func simulatedFile(env environment, path string, text []byte, change *simulate.Change) error {
	f, problems := operator.Parse(filepath.Base(path), text)
	if err := tellPolicies(env.err, path, problems); err != nil {
		return err
	}
	p := operator.Policies{Rules: f.Rules, Groups: map[policy.Group]operator.Group{}}
	for _, g := range f.Groups {
		p.Groups[g.Name] = g
	}
	change.Files = append(change.Files, simulate.Files{Policies: p, Name: f.Name})
	return nil
}

// tellPolicies tells of problems with files; with an error among them the files would not count.
func tellPolicies(to io.Writer, path string, problems []operator.Problem) error {
	for _, p := range problems {
		fmt.Fprintln(to, p)
	}
	if n := operator.Errors(problems); n > 0 {
		return fmt.Errorf("read %s: %s, so it would not count; correct it first", clean(path), number(n, "error"))
	}
	return nil
}
