package main

import (
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/policy"
)

// files are the settings of who reads policy files and nothing else.
func (s *settings) files() []setting {
	only := slices.DeleteFunc(s.policy(), func(one setting) bool { return one.value != &s.policyDir })
	return append(only, s.state()...)
}

// policyFiles is where the operator's policies are, "" for nowhere.
func (s *settings) policyFiles() string {
	if s.policyDir == "off" {
		return ""
	}
	return s.policyDir
}

// newPolicies reads the policy files. The loop is told when they change.
func (f *fence) newPolicies(s settings) *operator.Store {
	return operator.NewStore(operator.Options{
		Dir: s.policyFiles(), StateDir: s.directory(), Logger: f.logger,
		Changed: func(operator.Policies, operator.Policies) { f.loop.Changed() },
	})
}

// operator reads the same files for a command that is no daemon, and writes nothing.
func (s *settings) operator(logger *slog.Logger) func() operator.Policies {
	store := operator.NewStore(operator.Options{Dir: s.policyFiles(), StateDir: s.directory()})
	for _, p := range needed(store.Problems()) {
		logger.Warn("problem in a policy file", "file", p.File, "line", p.Line, "what", p.String())
	}
	return store.Policies
}

// policyProblems are what is wrong with the policy files, where a setting's name stands elsewhere their place.
func (f *fence) policyProblems() (out []policy.Problem) {
	for _, p := range f.policies.Problems() {
		of := p.Problem
		if of.Label = p.Place(); of.Label == "" {
			of.Label = "policy-dir"
		}
		out = append(out, of)
	}
	return out
}

// policyPaths are what has to be readable so that the files can be: their directory, and where links in it lead. In a store
// of packages that is all of it, as what is linked to changes there with every change.
func policyPaths(dir string) []string {
	if dir == "" {
		return nil
	}
	out := []string{dir}
	files, _ := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	for _, file := range files {
		to, err := filepath.EvalSymlinks(file)
		switch {
		case err != nil || to == file:
		case strings.HasPrefix(to, nixStore+"/"):
			out = append(out, nixStore)
		default:
			out = append(out, to)
		}
	}
	return out
}

const nixStore = "/nix/store"
