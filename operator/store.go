package operator

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/policy"
)

// Options say where policies are.
type Options struct {
	Dir      string // of the files; "" is none
	StateDir string // copies of the last good versions are kept below it; "" keeps none
	// Changed is called when other policies count than before, with those; nil is not called. It may call the Store.
	Changed func(before, after Policies)
	Logger  *slog.Logger
}

// Store has what the files of a directory say. Its methods may be called by several goroutines.
type Store struct {
	options Options
	copies  copies
	lookout time.Duration

	looking sync.Mutex // one look at a time
	parsed  map[string]candidate
	stands  standing
	print   string // fingerprint of the last look

	mu       sync.Mutex
	policies Policies
	problems []Problem
}

// NewStore reads the directory, and the copies for what is bad in it. It never fails: what is wrong is among the problems.
// It writes nothing; Run and Reload do.
func NewStore(o Options) *Store {
	s := &Store{options: o, lookout: lookout, policies: Policies{Groups: Shipped()}}
	if o.Dir == "" {
		return s
	}
	if o.StateDir != "" {
		s.copies = newCopies(filepath.Join(o.StateDir, "policy.d"), o.Dir)
	}
	s.looking.Lock()
	defer s.looking.Unlock()
	var unread []Problem
	s.stands, unread = s.copies.load()
	s.problems = slices.Concat(s.look(), unread)
	s.policies = s.stands.policies()
	return s
}

// Policies are those that count now, the same slices and maps until they change. They must not be changed.
func (s *Store) Policies() Policies {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policies
}

// Problems are what is to be corrected, in the order of files and lines, what is about the directory first.
func (s *Store) Problems() []Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Reload reads everything again, now, and has what counts from then on kept on disk.
func (s *Store) Reload() {
	if s.options.Dir == "" {
		return
	}
	s.looking.Lock()
	problems := s.look()
	problems = slices.Concat(problems, s.copies.save(s.stands))
	s.mu.Lock()
	before, told := s.policies, s.problems
	after := s.stands.policies()
	changed := !reflect.DeepEqual(before, after)
	if changed { // who sees the same value need not look at what is in it
		s.policies = after
	}
	s.problems = problems
	s.mu.Unlock()
	s.looking.Unlock()
	s.log(told, problems)
	if changed {
		if s.options.Logger != nil {
			s.options.Logger.Info("policy files in force", "dir", s.options.Dir, "rules", len(after.Rules), "groups", ownGroups(after))
		}
		if s.options.Changed != nil {
			s.options.Changed(before, after)
		}
	}
}

// log tells of problems that were not there before.
func (s *Store) log(before, now []Problem) {
	if s.options.Logger == nil {
		return
	}
	for _, p := range now {
		if !slices.Contains(before, p) {
			s.options.Logger.Warn("problem in a policy file", "file", p.File, "line", p.Line, "what", p.String())
		}
	}
	if len(before) > 0 && len(now) == 0 {
		s.options.Logger.Info("policy files have no problems any more", "dir", s.options.Dir)
	}
}

// Errors is how many of the problems are errors.
func Errors(problems []Problem) (n int) {
	for _, p := range problems {
		if p.Severity == policy.Error {
			n++
		}
	}
	return n
}

func ownGroups(p Policies) (n int) {
	for _, g := range p.Groups {
		if g.File != "" {
			n++
		}
	}
	return n
}

// look reads the directory and settles what counts. Of a directory that cannot be read everything counts as before, and
// likewise of one that is not there any more: an accident must not take denials away.
func (s *Store) look() []Problem {
	s.print = fingerprint(s.options.Dir)
	now, bad, err := candidates(s.options.Dir, s.parsed)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(s.stands.files) == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		bad = &mistake{RuleFile, "the directory of policy files is not there any more", "make it again, without files if none are to count: mkdir -p " + s.options.Dir}
	case err != nil:
		bad = &mistake{RuleFile, "the directory of policy files cannot be read: " + cause(err), "let dockerwall read " + s.options.Dir}
	}
	if bad != nil {
		if len(s.stands.files) > 0 {
			bad.what += "; the last good version of each file stays in force"
		}
		return []Problem{bad.problem("")}
	}
	var problems []Problem
	s.stands, problems = settle(s.stands, now)
	s.parsed = map[string]candidate{}
	for _, c := range now {
		s.parsed[c.Name] = c
	}
	return problems
}
