package docker_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// followed is a Client that follows a fake Engine.
type followed struct {
	*docker.Client
	t      *testing.T
	engine *dockertest.Engine
	kicked chan struct{} // of 1, as the loop's
	kicks  atomic.Int64
	log    *logged
}

// follow runs a Client on e, waits until it is connected and has listed once.
func follow(t *testing.T, e *dockertest.Engine) *followed {
	t.Helper()
	f := &followed{t: t, engine: e, kicked: make(chan struct{}, 1), log: &logged{}}
	f.Client = client(t, docker.Options{Host: e.Host(), Logger: slog.New(slog.NewTextHandler(f.log, nil))})
	f.run()
	f.wait()
	f.list()
	e.ResetCounts()
	return f
}

// run runs the Client until the test ends.
func (f *followed) run() {
	ctx, cancel := context.WithCancel(f.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx, f.kick) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("Run after cancel: %v", err)
		}
	})
}

func (f *followed) kick() {
	f.kicks.Add(1)
	select {
	case f.kicked <- struct{}{}:
	default:
	}
}

func (f *followed) wait() {
	f.t.Helper()
	select {
	case <-f.kicked:
	case <-time.After(patience):
		f.t.Fatalf("no kick; the client said:\n%s", f.log)
	}
}

func (f *followed) list() docker.Host {
	f.t.Helper()
	return list(f.t, f.Client)
}

// next is the host after the next kick.
func (f *followed) next() docker.Host {
	f.t.Helper()
	f.wait()
	return f.list()
}

// until lists at each kick until the host is as wanted.
func (f *followed) until(want string, ok func(docker.Host) bool) docker.Host {
	f.t.Helper()
	for {
		f.wait()
		if h, err := f.List(f.t.Context()); err == nil && ok(h) {
			return h
		}
		f.t.Logf("not yet: %s", want)
	}
}

func client(t *testing.T, o docker.Options) *docker.Client {
	t.Helper()
	c, err := docker.New(o)
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return c
}

func list(t *testing.T, c *docker.Client) docker.Host {
	t.Helper()
	h, err := c.List(t.Context())
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	return h
}

// logged is a log that a test reads while others write it.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	if l == nil {
		return "nothing: it has no log"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func bridge(name string, endpoints ...docker.Endpoint) docker.Network {
	return docker.Network{
		ID: dockertest.ID(name), Name: name, Driver: "bridge", Scope: "local", Bridge: "br-" + dockertest.ID(name)[:12],
		Subnets:   []netip.Prefix{netip.MustParsePrefix("172.18.0.0/16")},
		Gateways:  []netip.Addr{netip.MustParseAddr("172.18.0.1")},
		Endpoints: endpoints,
	}
}

func overlay(name string) docker.Network {
	return docker.Network{ID: dockertest.ID(name), Name: name, Driver: "overlay", Scope: "swarm"}
}

func box(name, state string) docker.Container {
	return docker.Container{
		ID: dockertest.ID(name), Name: name, Image: "app:1", ImageID: "sha256:" + dockertest.ID("app:1"),
		State: state, NetworkMode: "web", Labels: map[string]string{"dockerwall.outbound": "www.example.com"},
	}
}

// at is a container's endpoint; life makes its endpoint ID another one.
func at(name, addr, life string) docker.Endpoint {
	return docker.Endpoint{
		ContainerID: dockertest.ID(name), EndpointID: dockertest.ID(name + life),
		IPv4: netip.MustParseAddr(addr), MAC: "02:42:ac:12:00:02",
	}
}

func attached(h docker.Host, network, container string) bool {
	return slices.ContainsFunc(h.Networks, func(n docker.Network) bool {
		return n.Name == network && slices.ContainsFunc(n.Endpoints, func(e docker.Endpoint) bool {
			return e.ContainerID == dockertest.ID(container)
		})
	})
}

func find(h docker.Host, container string) (docker.Container, bool) {
	i := slices.IndexFunc(h.Containers, func(c docker.Container) bool { return c.ID == dockertest.ID(container) })
	if i < 0 {
		return docker.Container{}, false
	}
	return h.Containers[i], true
}
