package operator

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/plain"
	"github.com/dockerwall/dockerwall/policy"
)

// maxFiles is how many files of a directory are read.
const maxFiles = 256

// writable is the bit of a mode by which everybody may write.
const writable = 0o002

// isName says whether a file of that name holds policies.
func isName(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml"))
}

// mistake is why a file or directory is not read.
type mistake struct{ rule, what, remedy string }

func (m mistake) problem(file string) Problem {
	return Problem{File: file, Problem: policy.Problem{Severity: policy.Error, Rule: m.rule, Message: m.what, Remedy: m.remedy}}
}

// names are the files of a directory that hold policies, sorted. The error is fs.ErrNotExist where there is no directory.
func names(dir string) (out []string, bad *mistake, err error) {
	at, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = at.Close() }()
	info, err := at.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.Mode().Perm()&writable != 0 {
		return nil, &mistake{RuleFile, "anybody may write to the directory of policy files, and open every fence", "take that right away: chmod o-w " + dir}, nil
	}
	list, err := at.Readdirnames(-1)
	if err != nil {
		return nil, nil, err
	}
	out = slices.DeleteFunc(list, func(name string) bool { return !isName(name) })
	if len(out) > maxFiles {
		return nil, &mistake{policy.RuleLimit, fmt.Sprintf("the directory has %d policy files, more than the %d that are read", len(out), maxFiles), "put rules together, or move files away"}, nil
	}
	slices.Sort(out)
	return out, nil, nil
}

// read reads a file of policies; what it links to counts. It waits for nobody: what is no regular file is not opened. It is
// fs.ErrNotExist when even the name is gone.
func read(path string) (text string, bad *mistake, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	if name := filepath.Base(path); plain.Text(name, len(name)) != name { // it is shown wherever its tokens are
		return "", &mistake{RuleFile, "the name of the file has characters that are not printable", "rename it"}, nil
	}
	cannot := func(err error) *mistake {
		switch {
		case errors.Is(err, unix.ELOOP):
			return &mistake{RuleFile, "the symbolic link leads to itself", "link to the file, or put the file here"}
		case errors.Is(err, fs.ErrNotExist):
			return &mistake{RuleFile, "the symbolic link leads to nothing", "link to the file, or remove the link"}
		case errors.Is(err, fs.ErrPermission):
			return &mistake{RuleFile, "the file cannot be read: " + cause(err), "let dockerwall read it, and the directories it is in; the daemon is confined to files below /etc and to where links led when it started"}
		}
		return &mistake{RuleFile, "the file cannot be read: " + cause(err), "put a file in its place that can be, or remove it"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", cannot(err), nil
	}
	if bad := unfit(path, info); bad != nil {
		return "", bad, nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", cannot(err), nil
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err != nil {
		return "", cannot(err), nil
	}
	if bad := unfit(path, info); bad != nil {
		return "", bad, nil
	}
	all, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err != nil {
		return "", cannot(err), nil
	}
	return string(all), nil, nil
}

// unfit says why a file must not be read.
func unfit(path string, info fs.FileInfo) *mistake {
	switch {
	case info.IsDir():
		return &mistake{RuleFile, "this is a directory", "put files here, or move it away"}
	case !info.Mode().IsRegular():
		return &mistake{RuleFile, "this is not a regular file", "put a file in its place, or remove it"}
	case info.Mode().Perm()&writable != 0:
		return &mistake{RuleFile, "anybody may write to the file, and open every fence", "take that right away: chmod o-w " + path}
	case info.Size() > MaxFile:
		return &mistake{policy.RuleLimit, "the file is larger than 1 MiB", "write prefixes or wildcards for many destinations, or several files"}
	}
	return nil
}

// cause is an error without the path, which stands beside it.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// candidates reads all files of a directory. parsed are those of the last time, which need not be read as YAML again.
func candidates(dir string, parsed map[string]candidate) (out []candidate, bad *mistake, err error) {
	list, bad, err := names(dir)
	if bad != nil || err != nil {
		return nil, bad, err
	}
	for _, name := range list {
		text, bad, err := read(filepath.Join(dir, name))
		switch {
		case err != nil: // gone since
		case bad != nil:
			out = append(out, candidate{version{File: File{Name: name}}, []Problem{bad.problem(name)}})
		default:
			c, ok := parsed[name]
			if !ok || c.text != text || text == "" {
				c.File, c.problems = Parse(name, []byte(text))
				c.text = text
			}
			out = append(out, c)
		}
	}
	return out, nil, nil
}

// fingerprint changes with what can be seen of a directory and its files without reading them.
func fingerprint(dir string) string {
	var b strings.Builder
	look := func(path string) {
		var s unix.Stat_t
		err := unix.Stat(path, &s)
		fmt.Fprintln(&b, path, err, s.Dev, s.Ino, s.Mode, s.Size, s.Mtim, s.Ctim)
	}
	look(dir)
	list, _, err := names(dir)
	fmt.Fprintln(&b, err)
	for _, name := range list {
		look(filepath.Join(dir, name))
	}
	return b.String()
}

// Read reads all files of a directory once, as [Parse] does each; an error is that of the directory. Files are named with
// the directory in front.
func Read(dir string) (files []File, problems []Problem, err error) {
	list, bad, err := names(dir)
	if err != nil {
		return nil, nil, err
	}
	if bad != nil {
		return nil, []Problem{bad.problem(dir)}, nil
	}
	for _, name := range list {
		path := filepath.Join(dir, name)
		text, bad, err := read(path)
		switch {
		case err != nil: // gone since
		case bad != nil:
			problems = append(problems, bad.problem(path))
		default:
			f, wrong := Parse(path, []byte(text))
			files, problems = append(files, f), append(problems, wrong...)
		}
	}
	return files, problems, nil
}
