package doctor

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// Known is a value, or why it is not known. The zero value is a known zero.
type Known[T any] struct {
	Value  T
	Why    string // it is not known, "" if it is
	Rights bool   // it is not known for lack of rights
}

// known makes a Known of what a function returned.
func known[T any](value T, err error) Known[T] {
	if err == nil {
		return Known[T]{Value: value}
	}
	return Known[T]{Why: err.Error(), Rights: errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)}
}

// unknown is the line of a value that is not known. Errors of ours end with "; " and the remedy.
func (k Known[T]) unknown() Line {
	what, remedy, _ := strings.Cut(k.Why, "; ")
	if remedy == "" && k.Rights {
		remedy = "sudo dockerwall doctor"
	}
	return skip(word(what), word(remedy))
}

// Facts are what [Read] saw. Their texts may be anything.
type Facts struct {
	Version   string        // of the program
	Took      time.Duration // to read them
	Container bool          // this process is in one
	Process   Known[Process]
	Kernel    string // "6.18.0-1-amd64"
	Landlock  int    // the version of its ABI, 0 for none
	Nftables  Known[nft.Features]
	Table     Known[Table]
	Sysctl    map[string]string // by name, "net.ipv4.ip_forward"; those that do not exist are missing
	Bridges   Known[[]hostnet.Bridge]

	EngineHost string // DOCKER_HOST
	Engine     Known[docker.About]
	Networks   Known[[]docker.Network]
	DaemonJSON Known[DaemonJSON]

	UFW       Known[bool] // is enabled
	Firewalld Known[bool] // runs
	Flushes   Known[[]string]
	Reloads   Known[bool] // nftables.service is enabled
	Unit      Known[bool] // a systemd unit of ours is enabled
	Restore   Known[bool] // that of `dockerwall nft restore` is
	Kept      Known[bool] // there is a file for the next boot
	Leftovers Known[nft.Leftovers]
	Resolvers resolver.Servers

	Metrics  Listener
	Nflog    Numbered
	Queue    Numbered
	DNSHold  string // the setting
	Socket   Path
	StateDir Path
	Daemon   Known[api.Health]
	Silent   bool // no daemon listens
	Unfenced Known[[]Unfenced]
}

// Process is what this process may do.
type Process struct {
	UID          int    // effective
	Capabilities uint64 // effective: bit n is capability n
}

// Table is what stands in the kernel under our name.
type Table struct {
	Exists  bool
	Owned   bool // by a process, which alone can change it
	Foreign int  // things in it that are not ours
}

// DaemonJSON is what of the Engine's configuration file matters; nil is what it does not say.
type DaemonJSON struct {
	IPTables      *bool    `json:"iptables"`
	IP6Tables     *bool    `json:"ip6tables"`
	IPv6          *bool    `json:"ipv6"`
	UserlandProxy *bool    `json:"userland-proxy"`
	DNS           []string `json:"dns"`
}

// Listener is the address of metrics.
type Listener struct {
	Addr  string // the setting
	Off   bool
	Port  uint16 // 0: the address is not understood
	Error string // why nobody can listen there now
	Ours  bool   // what answers there has our metrics
}

// Numbered is an nflog group or an nfqueue queue.
type Numbered struct {
	Number uint16 // 0: the setting is not understood
	Reader Known[Reader]
}

// Reader is who has taken a number. The zero value is nobody.
type Reader struct {
	Taken bool
	PID   int    // 0 when its process is not to be found from here
	Name  string // of the process
}

// Unfenced is a running container of which nothing is fenced.
type Unfenced struct{ Name, Why string }

// Path is a file or directory of ours.
type Path struct {
	Path  string // "" is none
	Error string // why it cannot be used
}
