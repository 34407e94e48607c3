package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// The lab's addresses: documentation ranges only (RFC 5737, RFC 3849); FarNetC is the exception.
const (
	HostAddr  = "198.51.100.1"      // the host's uplink
	HostAddr6 = "2001:db8:ffff::1"  //
	DNSAddr   = "198.51.100.53"     // the DNS server of the host's resolv.conf
	DNSAddr6  = "2001:db8:ffff::53" //

	// Every address of these answers on the internet's side.
	FarNet   = "203.0.113.0/24"
	FarNetB  = "192.0.2.0/24"
	FarNet6  = "2001:db8:1::/48"
	FarNetB6 = "2001:db8:2::/48"

	// ContainerNet6 is routed to the host, so that containers with addresses of it need no NAT.
	ContainerNet6 = "2001:db8:c::/48"
)

// Lab is a host and an internet. Close must be called, also after the context of New is cancelled.
type Lab struct {
	Host     *Namespace // where dockerd and the daemon under test run
	Internet *Namespace // the far side
	DNS      *DNS       // answers on DNSAddr and DNSAddr6

	dir     string
	machine *machine
	servers *servers
	docker  *Docker
	probe   func() (string, error) // builds it once
}

// New builds a lab: namespaces, wire, routes, servers, arrival counters. It takes about a tenth of a second.
func New(ctx context.Context) (*Lab, error) {
	sweep()
	dir, err := os.MkdirTemp("", dirPrefix())
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	l := &Lab{dir: dir, servers: &servers{}}
	l.probe = sync.OnceValues(func() (string, error) { return BuildProbe(context.WithoutCancel(ctx)) })
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("build lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(ctx context.Context) (err error) {
	if l.Host, err = NewNamespace(); err != nil {
		return err
	}
	if l.Internet, err = NewNamespace(); err != nil {
		return err
	}
	if err := join(l.Host, l.Internet); err != nil {
		return err
	}
	if err := countArrivals(ctx, l.Internet); err != nil {
		return err
	}
	if l.DNS, err = l.NewDNS(netip.MustParseAddr(DNSAddr), netip.MustParseAddr(DNSAddr6)); err != nil {
		return err
	}
	if err := l.serveWeb(); err != nil {
		return err
	}
	if err := l.serveEcho(); err != nil {
		return err
	}
	if l.machine, err = boot(ctx, l.Host, l.dir); err != nil {
		return err
	}
	return l.SetResolvConf("nameserver " + DNSAddr + "\n")
}

// SetResolvConf replaces the host's /etc/resolv.conf, as a DHCP client does: by a new file.
func (l *Lab) SetResolvConf(text string) error { return l.WriteFile("/etc/resolv.conf", text) }

// WriteFile replaces a file of the host's private /etc or /run. A relative path or one elsewhere is refused: it
// would be the machine's own.
func (l *Lab) WriteFile(path, text string) error {
	path = filepath.Clean(path)
	if !strings.HasPrefix(path, "/etc/") && !strings.HasPrefix(path, "/run/") {
		return fmt.Errorf("write %s in the lab: only /etc and /run are its own", path)
	}
	inside := l.machine.inside(path)
	if err := os.MkdirAll(filepath.Dir(inside), 0o755); err != nil {
		return fmt.Errorf("write %s in the lab: %w", path, err)
	}
	if err := os.WriteFile(inside+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %s in the lab: %w", path, err)
	}
	return os.Rename(inside+".new", inside)
}

// Close ends everything that runs in the lab and removes everything the lab made. It may be called twice.
func (l *Lab) Close() error {
	errs := []error{l.servers.close()}
	if l.machine != nil {
		errs = append(errs, l.machine.stop())
	}
	for _, ns := range []*Namespace{l.Host, l.Internet} {
		if ns != nil {
			errs = append(errs, killInside(ns), ns.Close())
		}
	}
	errs = append(errs, removeCgroups(l.cgroup()), os.RemoveAll(l.dir))
	l.Host, l.Internet, l.machine = nil, nil, nil
	return errors.Join(errs...)
}

// cgroup is the parent of all the lab's containers.
func (l *Lab) cgroup() string { return "/" + filepath.Base(l.dir) }
