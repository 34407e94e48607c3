package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/confine"
	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/resolver"
)

// confine makes the directories of the daemon, says what rights it lacks, and then takes from it what it does not need from
// here on. The fence is none the worse where that cannot be.
func (f *fence) confine(s settings, env environment) {
	for _, err := range []error{api.MakeDirectory(s.socket), makeStateDir(s.directory())} {
		if err != nil {
			f.logger.Debug("a directory is not there yet", "err", err)
		}
	}
	f.probeRights(s)
	_ = time.Now().String() // the zone's file is read at first use
	abi, err := confine.Self(f.needs(s, env))
	switch {
	case err != nil:
		f.logger.Warn("the daemon could not confine itself; the fence is none the worse", "err", err)
	case abi == 0:
		f.logger.Debug("the daemon is not confined to its files: this kernel has no landlock")
	default:
		f.logger.Debug("the daemon is confined to its files", "landlock", abi)
	}
}

// makeStateDir makes the directory before nothing can be made above it; "" is none.
func makeStateDir(dir string) error {
	if dir == "" {
		return nil
	}
	return os.MkdirAll(dir, 0o700)
}

// needs are the files that the daemon opens while it runs, and where it connects to.
func (f *fence) needs(s settings, env environment) confine.Options {
	o := confine.Options{
		// In /etc: resolv.conf and what it links to, docker/daemon.json, group, hosts.
		Read:     []string{"/etc", "/etc/resolv.conf", "/etc/docker/daemon.json", "/run/systemd/resolve/resolv.conf", "/proc"},
		Write:    []string{s.socket},
		Abstract: strings.HasPrefix(env.getenv("NOTIFY_SOCKET"), "@"),
	}
	if dir := docker.Certificates(); dir != "" {
		o.Read = append(o.Read, dir)
	}
	o.Read = append(o.Read, policyPaths(s.policyFiles())...)
	for _, path := range []string{s.directory(), s.decisionLog} {
		if path != "" {
			o.Write = append(o.Write, path)
		}
	}
	if strings.HasPrefix(f.engine.Host(), "unix:") { // else the Engine's port, or a proxy's on the way there
		o.TCP = []uint16{resolver.Port}
		for _, server := range f.resolver.Servers().Named {
			o.TCP = append(o.TCP, server.Port())
		}
	}
	for _, list := range [][]string{o.Read, o.Write} {
		for i, path := range list {
			if absolute, err := filepath.Abs(path); err == nil {
				list[i] = absolute
			}
		}
	}
	return o
}
