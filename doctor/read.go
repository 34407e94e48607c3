package doctor

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/confine"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

// defaultPatience is how long another process may take for an answer, and inAll how often the Engine for all of its.
const (
	defaultPatience = 5 * time.Second
	inAll           = 3
)

// Options say what to look at: the daemon's settings, and where the host is.
type Options struct {
	Version    string // of the program
	Root       fs.FS  // the host's files, /proc included; nil is this process's own
	DockerHost string // "" takes DOCKER_HOST
	Socket     string // of the daemon
	StateDir   string // "" is none
	Metrics    string // --metrics-addr
	Resolvers  string // --resolvers
	DNSHold    string // --dns-hold
	NflogGroup uint16 // 0 is one that is not understood; as DNSQueue
	DNSQueue   uint16
	Patience   time.Duration                             // how long the daemon, and each request to the Engine, may take; 0 is 5 s
	Unfenced   func(context.Context) ([]Unfenced, error) // may be nil

}

// Read looks at the host in the network namespace of the calling thread. It changes nothing that lasts: of nf_tables it
// makes a scratch table and deletes it in the same batch, and it listens on the port of metrics for a moment. It needs
// no rights, but knows less without; what it cannot know says why. It waits for the Engine and the daemon within bounds.
func Read(ctx context.Context, o Options) Facts {
	start := time.Now()
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	o.Patience = cmp.Or(o.Patience, defaultPatience)
	host := files{o.Root}
	f := Facts{Version: o.Version, Container: host.container(), Process: host.process(), Kernel: host.word("proc/sys/kernel/osrelease"), DNSHold: o.DNSHold, Landlock: confine.ABI()}
	f.Bridges = known(bridges())
	f.Sysctl = host.sysctls(f.Bridges.Value)
	f.Nftables = known(features())
	f.Table = known(table())
	f.Leftovers = known(nft.FindLeftovers())
	f.readDaemon(ctx, o)
	f.readEngine(ctx, o)
	f.readFiles(host, o)
	f.Metrics = readMetrics(ctx, o)
	f.Nflog = Numbered{o.NflogGroup, known(host.reader("nfnetlink_log", o.NflogGroup))}
	f.Queue = Numbered{o.DNSQueue, known(host.reader("nfnetlink_queue", o.DNSQueue))}
	f.StateDir = Path{o.StateDir, ""}
	if o.StateDir != "" {
		f.StateDir.Error = unusable(o.StateDir)
	}
	f.Took = time.Since(start)
	return f
}

func bridges() ([]hostnet.Bridge, error) {
	i, err := hostnet.Read()
	return i.Bridges, err
}

func features() (nft.Features, error) {
	k, err := nft.Open(nft.Options{})
	if err != nil {
		return nft.Features{}, err
	}
	return k.Features(), k.Close()
}

func table() (Table, error) {
	live, err := nft.ReadLive(nft.Options{})
	return Table{Exists: live.Exists, Owned: live.Owned, Foreign: len(live.Foreign)}, err
}

// readDaemon asks who listens on the socket.
func (f *Facts) readDaemon(ctx context.Context, o Options) {
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	h, err := api.Dial(o.Socket).Health(ctx)
	f.Daemon, f.Silent = known(h, err), errors.Is(err, api.ErrNoDaemon)
	f.Daemon.Rights = f.Daemon.Rights || errors.Is(err, api.ErrPermission)
	f.Socket = Path{Path: cmp.Or(o.Socket, api.DefaultPath)}
	if f.Silent {
		f.Socket.Error = noSocket(f.Socket.Path)
	}
}

// readEngine asks the Engine what it is and has.
func (f *Facts) readEngine(ctx context.Context, o Options) {
	ctx, cancel := context.WithTimeout(ctx, inAll*o.Patience)
	defer cancel()
	client, err := docker.New(docker.Options{Host: o.DockerHost, Timeout: o.Patience})
	if err != nil {
		f.Engine = known(docker.About{}, err)
	} else {
		defer func() { _ = client.Close() }()
		f.EngineHost = client.Host()
		f.Engine = known(client.About(ctx))
	}
	const silent = "the Engine does not answer"
	f.Networks.Why, f.Unfenced.Why = silent, silent
	if f.Engine.Why == "" {
		host, err := client.List(ctx)
		f.Networks = known(host.Networks, err)
	}
	switch {
	case o.Unfenced == nil:
		f.Unfenced.Why = "not asked for"
	case f.Engine.Why == "" || f.Daemon.Why == "":
		f.Unfenced = known(o.Unfenced(ctx))
	}
}
