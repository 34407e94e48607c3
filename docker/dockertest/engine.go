// Package dockertest is a Docker Engine for tests, without Docker: it serves the GET endpoints that package
// docker uses, from state that the test changes, and counts who asked for what.
//
// The Put methods change the state behind everybody's back, like a lost event. The methods named
// after what Docker does (Create, Connect, Die, …) change it and send Docker's event. What Docker does
// in between, such as freeing an endpoint when a container dies, is left to the test, because it
// differs between Docker's versions.
package dockertest

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
)

// Engine is the fake. Its methods may be called from any goroutine.
type Engine struct {
	tb     testing.TB
	socket string

	delivered atomic.Int64

	mu         sync.Mutex
	server     *http.Server // nil while down
	served     chan struct{}
	containers map[string]docker.Container
	networks   map[string]docker.Network
	images     map[string]map[string]string
	history    []event
	services   map[string]map[string]string
	streams    map[chan event]struct{}
	requests   map[string]int
	refused    []string
	faults     map[string]Fault
	min, max   string

	version, info map[string]any
}

// New starts an Engine on a unix socket of its own; it ends with the test. It has no containers, no
// networks, and speaks API 1.24 to 1.51, as Docker 28 does.
func New(tb testing.TB) *Engine {
	tb.Helper()
	dir, err := os.MkdirTemp("", "dockertest") // tb.TempDir may be too long for a socket's path
	if err != nil {
		tb.Fatalf("make a directory for the socket: %v", err)
	}
	e := &Engine{
		tb:         tb,
		socket:     filepath.Join(dir, "docker.sock"),
		containers: map[string]docker.Container{},
		networks:   map[string]docker.Network{},
		images:     map[string]map[string]string{},
		services:   map[string]map[string]string{},
		streams:    map[chan event]struct{}{},
		requests:   map[string]int{},
		faults:     map[string]Fault{},
		min:        "1.24",
		max:        "1.51",
		version:    map[string]any{"Version": "28.5.2", "Components": []any{map[string]any{"Name": "Engine", "Version": "28.5.2"}}},
		info:       map[string]any{"OperatingSystem": "Debian GNU/Linux 13 (trixie)"},
	}
	e.Up()
	tb.Cleanup(func() {
		e.Down()
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("remove the socket's directory: %v", err)
		}
	})
	return e
}

// ID makes a container's or network's ID, 64 hex digits, from any name.
func ID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

// Host is what DOCKER_HOST would be.
func (e *Engine) Host() string { return "unix://" + e.socket }

// Up starts listening; New has done it already.
func (e *Engine) Up() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server != nil {
		return
	}
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		e.tb.Fatalf("listen as Docker: %v", err)
	}
	server, served := &http.Server{Handler: e}, make(chan struct{})
	e.server, e.served = server, served
	go func() {
		defer close(served)
		_ = server.Serve(l) // always ErrServerClosed, by Down
	}()
}

// Down cuts every connection and removes the socket, as a stopped Docker does. The state stays, the
// history of events does not.
func (e *Engine) Down() {
	e.mu.Lock()
	server, served := e.server, e.served
	e.server, e.history = nil, nil
	e.mu.Unlock()
	if server == nil {
		return
	}
	if err := server.Close(); err != nil {
		e.tb.Errorf("stop the fake Docker: %v", err)
	}
	<-served
}

// SetVersions sets the oldest and newest API version that is served, such as "1.44" and "1.52". A
// request below or above is refused with status 400, as the Engine does.
func (e *Engine) SetVersions(oldest, newest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.min, e.max = oldest, newest
}

// SetAbout replaces the answers to GET /version and GET /info, in the Engine's own words.
func (e *Engine) SetAbout(version, info map[string]any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.version, e.info = version, info
}

// PutContainer adds or replaces a container without an event. Resolvers are its --dns.
func (e *Engine) PutContainer(c docker.Container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.Labels = maps.Clone(c.Labels)
	e.containers[c.ID] = c
}

// PutNetwork adds or replaces a network, endpoints included, without an event. Endpoints of any
// network are served, with ContainerID as the key whatever it is.
func (e *Engine) PutNetwork(n docker.Network) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n.Endpoints = slices.Clone(n.Endpoints)
	e.networks[n.ID] = n
}

// PutImage adds or replaces an image without an event.
func (e *Engine) PutImage(id string, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.images[id] = maps.Clone(labels)
}

// PutService adds or replaces a Swarm service with labels of its own.
func (e *Engine) PutService(id string, labels map[string]string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.services[id] = maps.Clone(labels)
}

// DropContainer removes a container without an event.
func (e *Engine) DropContainer(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id)
}

// DropNetwork removes a network without an event.
func (e *Engine) DropNetwork(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.networks, id)
}

// DropImage removes an image without an event.
func (e *Engine) DropImage(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.images, id)
}
