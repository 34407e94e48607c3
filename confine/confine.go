package confine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Rights of landlock(7), by what is done with them. Nothing may be executed.
const (
	toRead  = ll.AccessFSReadFile | ll.AccessFSReadDir
	toWrite = toRead | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSMakeReg | ll.AccessFSMakeDir |
		ll.AccessFSMakeSock | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	toWriteFile = ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
)

// newest is the version of Landlock's ABI up to which rights are taken away. Later ones also watch over connections to
// unix sockets and UDP, which are the Engine's and DNS.
const newest = 7

// maxLinks is how many symbolic links are followed (the kernel's own bound, path_resolution(7)).
const maxLinks = 40

// Options say what goes on being allowed. Paths are absolute. Of a file its directory counts, as another may take its
// place; of what does not exist yet the nearest directory above it, unless that is the root; of a symbolic link what it
// leads to.
type Options struct {
	Read  []string // with all that is below
	Write []string // the same, to read and to write; of a device that alone
	TCP   []uint16 // ports to connect to, any with nil
	// Abstract lets this process connect to unix sockets without a path (unix(7)), which belong to a network namespace.
	Abstract bool
}

// Self confines this process, and sets no_new_privs (prctl(2)). It returns the version of Landlock's ABI that it was done
// by, 0 where the kernel has none or has it turned off: then only no_new_privs holds. After an error nothing else does.
// What is open stays open.
func Self(o Options) (abi int, err error) {
	if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("set no_new_privs: %w", err)
	}
	abi = ABI()
	if abi == 0 {
		return 0, nil
	}
	config := landlock.V7
	if o.TCP == nil {
		config.HandledAccessNet = 0
	} else {
		config.HandledAccessNet = ll.AccessNetConnectTCP
	}
	if o.Abstract {
		config.Scoped = ll.ScopeSignal
	}
	if err := config.BestEffort().Restrict(o.rules()...); err != nil {
		return 0, fmt.Errorf("confine by landlock: %w", err)
	}
	return abi, nil
}

// ABI is the version of the kernel's Landlock, as far as it is made use of; 0 is none.
func ABI() int {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return min(version, newest)
}

func (o Options) rules() (rules []landlock.Rule) {
	for _, path := range o.Read {
		rules = append(rules, rule(toRead, path)...)
	}
	for _, path := range o.Write {
		rules = append(rules, rule(toWrite, path)...)
	}
	for _, port := range o.TCP {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	return rules
}

// rule is none for what has no directory but the root.
func rule(access landlock.AccessFSSet, path string) []landlock.Rule {
	at, mode := nearest(path)
	switch {
	case mode&fs.ModeDevice != 0:
		access &= toWriteFile
	case !mode.IsDir():
		at = filepath.Dir(at)
	}
	if at == "/" {
		return nil
	}
	return []landlock.Rule{landlock.PathAccess(access, at).IgnoreIfMissing()}
}

// nearest is what is at a path, or the nearest directory above where it will be: a link counts for where it leads, and
// what is not there for what it will be in. The root is what is not known.
func nearest(path string) (at string, mode fs.FileMode) {
	for range maxLinks {
		info, err := os.Lstat(path)
		switch {
		case err == nil && info.Mode().Type() != fs.ModeSymlink:
			return path, info.Mode()
		case err == nil:
			to, err := os.Readlink(path)
			if err != nil {
				return "/", fs.ModeDir
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(path), to)
			}
			path = to
		case errors.Is(err, fs.ErrNotExist) && path != "/":
			path = filepath.Dir(path)
		default:
			return "/", fs.ModeDir
		}
	}
	return "/", fs.ModeDir
}
