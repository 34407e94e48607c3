package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// EnvResolvers is the setting that names further resolvers: addresses, optionally with a port, separated by commas.
const EnvResolvers = "DOCKERWALL_RESOLVERS"

// Port is where containers and resolv.conf ask.
const Port = 53

// Sources is what Discover decides from: the texts of the files, and what the settings and Docker say.
type Sources struct {
	ResolvConf Text         // /etc/resolv.conf
	Resolved   Text         // /run/systemd/resolve/resolv.conf: what the stub 127.0.0.53 asks in turn
	DaemonJSON Text         // /etc/docker/daemon.json, for its "dns"
	Extra      string       // DOCKERWALL_RESOLVERS
	Containers []netip.Addr // the --dns of all containers
}

// Text is a file's content. Err is why there is none; a file that does not exist wraps fs.ErrNotExist.
type Text struct {
	Path string
	Data []byte
	Err  error
}

// Servers is who is asked on this host.
type Servers struct {
	// Ask is whom the daemon asks, in order: DOCKERWALL_RESOLVERS, daemon.json, resolv.conf, the
	// containers' --dns. Loopback addresses are among them, for the daemon lives in the host's namespace.
	Ask []netip.AddrPort
	// Containers is the addresses Docker gives to containers without a --dns of their own, which may
	// ask them on port 53; sorted, never loopback. A container's --dns is that container's alone and not here.
	Containers []netip.Addr
	// Host is whom the host's own processes ask, dockerd among them: resolv.conf's servers in their order, loopback
	// addresses too. Docker asks them for containers on networks of their own from 28 on, loopback ones always.
	Host []netip.Addr
	// Named is those of DOCKERWALL_RESOLVERS.
	Named []netip.AddrPort
	// Set says that daemon.json names the containers' resolvers: Docker then asks them from the container's own network.
	Set bool
	// Degraded says which mount or setting is missing when Containers cannot be known, else "".
	Degraded string
	// Problems is the entries that could not be used, in the order of the sources.
	Problems []Problem
}

// Problem is an entry of a file or setting that cannot be used. Text never holds raw control bytes.
type Problem struct {
	File string // a path, or the setting's name
	Line int    // from 1; for the setting the entry's number; 0 is the whole file
	Text string
}

// String is the problem as compilers print theirs.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Equal reports whether s and other say the same.
func (s Servers) Equal(other Servers) bool {
	return slices.Equal(s.Ask, other.Ask) && slices.Equal(s.Containers, other.Containers) &&
		slices.Equal(s.Host, other.Host) && slices.Equal(s.Named, other.Named) &&
		s.Set == other.Set && s.Degraded == other.Degraded && slices.Equal(s.Problems, other.Problems)
}

// Discover decides who is asked. It follows Docker (daemon/libnetwork/resolvconf and sandbox_dns_unix.go, 20.10 to 29): when
// 127.0.0.53 is resolv.conf's only entry, the default bridge's containers get systemd-resolved's list instead; loopback entries are
// left out; with none left they get 8.8.8.8 and 8.8.4.4. The "dns" of daemon.json replaces all that for containers
// started since; both count, for a running container keeps what it was given.
func Discover(src Sources) Servers {
	host, hostProblems := parseResolvConf(src.ResolvConf)
	daemon, daemonProblems := parseDaemonJSON(src.DaemonJSON)
	extra, extraProblems := parseExtra(src.Extra)
	given, degraded, listProblems := givenByDocker(src, host, len(daemon) > 0)

	s := Servers{Host: host, Named: extra, Set: len(daemon) > 0, Problems: slices.Concat(extraProblems, daemonProblems, hostProblems, listProblems)}
	for _, server := range extra {
		if server.Port() == Port {
			given = append(given, server.Addr())
		}
	}
	s.Containers = reachable(append(given, daemon...))
	if len(s.Containers) == 0 {
		s.Degraded = degraded
	}
	if len(host) == 0 {
		host = given
	}
	own := slices.SortedFunc(slices.Values(src.Containers), netip.Addr.Compare)
	s.Ask = askable(extra, daemon, host, own)
	return s
}

// givenByDocker is the addresses containers get from the host's files, and what is missing when that is unknown.
func givenByDocker(src Sources, host []netip.Addr, overridden bool) (given []netip.Addr, degraded string, problems []Problem) {
	if err := src.ResolvConf.unreadable(); err != nil {
		return nil, fmt.Sprintf("cannot read %s: make it readable or set %s", src.ResolvConf.Path, EnvResolvers), nil
	}
	given = host
	if stub := netip.AddrFrom4([4]byte{127, 0, 0, 53}); len(host) == 1 && host[0] == stub {
		if src.Resolved.Err != nil {
			return nil, fmt.Sprintf("%s names only systemd-resolved's stub %s and %s cannot be read: "+
				"mount /run/systemd/resolve read-only or set %s", src.ResolvConf.Path, stub, src.Resolved.Path, EnvResolvers), nil
		}
		given, problems = parseResolvConf(src.Resolved)
	}
	if given = reachable(given); len(given) == 0 && !overridden {
		given = []netip.Addr{netip.AddrFrom4([4]byte{8, 8, 8, 8}), netip.AddrFrom4([4]byte{8, 8, 4, 4})}
	}
	return given, "", problems
}

// reachable is the addresses a container can ask: no loopback, no address that needs a zone; sorted, each once.
func reachable(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if !a.IsLoopback() && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == "" {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// askable joins the lists in order, each server once.
func askable(extra []netip.AddrPort, lists ...[]netip.Addr) []netip.AddrPort {
	servers := slices.Clone(extra)
	for _, addr := range slices.Concat(lists...) {
		servers = append(servers, netip.AddrPortFrom(addr.Unmap(), Port))
	}
	var out []netip.AddrPort
	for _, s := range servers {
		if !slices.Contains(out, s) && s.Addr().IsValid() && !s.Addr().IsMulticast() {
			out = append(out, s)
		}
	}
	return out
}

// parseExtra reads DOCKERWALL_RESOLVERS.
func parseExtra(text string) (servers []netip.AddrPort, problems []Problem) {
	for i, entry := range strings.Split(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		server, err := parseServer(entry)
		if err != nil {
			problems = append(problems, Problem{File: EnvResolvers, Line: i + 1, Text: notAddress(entry)})
			continue
		}
		servers = append(servers, server)
	}
	return servers, problems
}

// parseServer reads an address, an address in brackets, or either with a port.
func parseServer(entry string) (netip.AddrPort, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")
	if addr, err := netip.ParseAddr(bare); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), Port), nil
	}
	server, err := netip.ParseAddrPort(entry)
	if err != nil || server.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("parse server %q: %w", entry, err)
	}
	return netip.AddrPortFrom(server.Addr().Unmap(), server.Port()), nil
}
