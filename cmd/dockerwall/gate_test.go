package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// gate is a proxy of the Engine's socket that lets through what an allow-list names, as packaging/compose/socket-proxy.yml
// has it, and answers 403 to all else. It stands in for wollomatic/socket-proxy, whose image cannot be had here: by its
// documentation, a request passes that a pattern of its method matches from beginning to end.
type gate struct {
	allow map[string]*regexp.Regexp // by method
	proxy *httputil.ReverseProxy

	mu      sync.Mutex
	seen    map[string]int // by endpoint, what passed
	refused map[string]int // the same of what did not pass, but for what is shut
	shut    map[string]bool
	last    int // number of a request
	streams map[int]context.CancelFunc
}

// newGate makes one and returns the address for DOCKER_HOST.
func newGate(t *testing.T, engine *lab.Docker, list map[string]*regexp.Regexp) (*gate, string) {
	t.Helper()
	g := &gate{allow: list, seen: map[string]int{}, refused: map[string]int{}, shut: map[string]bool{}, streams: map[int]context.CancelFunc{}}
	g.proxy = &httputil.ReverseProxy{
		FlushInterval: -1, // events are to come at once
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", engine.Socket())
		}},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	dir, err := os.MkdirTemp("", "gate") // the test's own may have too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "docker.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(t, listener)
	return g, "unix://" + path
}

func (g *gate) serve(t *testing.T, listener net.Listener) {
	server := &http.Server{Handler: g}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	number, passes := g.admit(r, cancel)
	if !passes {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.streams, number)
		_ = recover() // the proxy's way to end a stream that is cut
	}()
	g.proxy.ServeHTTP(w, r.WithContext(ctx))
}

func (g *gate) admit(r *http.Request, cancel context.CancelFunc) (number int, passes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	endpoint := endpointOf(r)
	switch list := g.allow[r.Method]; {
	case g.shut[endpoint]:
		return 0, false
	case list == nil || !list.MatchString(r.URL.Path):
		g.refused[endpoint]++
		return 0, false
	}
	g.seen[endpoint]++
	g.last++
	number = g.last
	if strings.HasSuffix(endpoint, "/events") {
		g.streams[number] = cancel
	}
	return number, true
}

// endpointOf is a request as the documents name it: "GET /networks/{id}".
func endpointOf(r *http.Request) string {
	path := regexp.MustCompile(`^/v1\.\d+`).ReplaceAllString(r.URL.Path, "")
	return r.Method + " " + regexp.MustCompile(`^/(networks|containers)/[0-9a-z]{25,}`).ReplaceAllString(path, "/$1/{id}")
}

// shutting refuses endpoints, and no others, from now on. Event streams end.
func (g *gate) shutting(endpoints ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.shut)
	for _, e := range endpoints {
		g.shut[e] = true
	}
	for _, cut := range g.streams {
		cut()
	}
}

func (g *gate) passed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.seen))
}

// nothingRefused fails if anything was asked for that is not on the list.
func (g *gate) nothingRefused(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refused) > 0 {
		t.Errorf("the list lacks %v", g.refused)
	}
}

const composedProxy = "packaging/compose/socket-proxy.yml"

// allowList is that of the example, read as the proxy reads its flags; one that it does not document fails the test.
func allowList(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	list := map[string]*regexp.Regexp{}
	for _, flag := range servicesIn(t, composedProxy)["socket-proxy"]["command"].Content {
		name, value, _ := strings.Cut(flag.Value, "=")
		method, allows := strings.CutPrefix(name, "-allow")
		if allows && list[method] == nil {
			list[method] = regexp.MustCompile("^" + value + "$")
			continue
		}
		if !slices.Contains([]string{"-proxysocketendpoint", "-watchdoginterval", "-stoponwatchdog"}, name) {
			t.Errorf("%s: the proxy documents no %s", composedProxy, flag.Value)
		}
	}
	return list
}

// servicesIn are the services of a Compose file.
func servicesIn(t *testing.T, name string) map[string]map[string]yaml.Node {
	t.Helper()
	var file struct {
		Version  string
		Services map[string]map[string]yaml.Node
	}
	if err := yaml.Unmarshal([]byte(document(t, name)), &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

// askedOf are the endpoints of the table in docs/howto/socket-proxy.md, and what is said to be lost without each.
func askedOf(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| (.+) \\|$").FindAllStringSubmatch(document(t, "docs/howto/socket-proxy.md"), -1) {
		out[row[1]] = row[2]
	}
	return out
}

// TestAProxyThatLetsOnlyReadIsEnough puts the example's list between the daemon and the Engine, has it do all that it does,
// and compares what was asked for with the list.
func TestAProxyThatLetsOnlyReadIsEnough(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{})
	w.names()
	fresh(w.DNS, "fresh.example")
	g, host := newGate(t, w.engine, allowList(t))
	d := w.start(t, "DOCKER_HOST="+host)
	b := w.labelled(t, "203.0.113.1, www.example.com, *.fresh.example")
	t.Run("everything works", func(t *testing.T) { w.allOf(t, b, host) })
	t.Run("and nothing but what is listed was asked for", func(t *testing.T) {
		g.nothingRefused(t)
		w.engineAnswersPingsByGET(t, g)
		want := slices.Sorted(maps.Keys(askedOf(t)))
		if got := g.passed(); !slices.Equal(got, want) {
			t.Errorf("asked for:\n%s\nlisted:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
	t.Run("refused, each says what is lost and what to allow", func(t *testing.T) { w.withoutEach(t, d, b, g, host) })
	t.Run("by tcp", func(t *testing.T) {
		d.stop()
		listener, err := w.Host.Listen("127.0.0.1:2375")
		if err != nil {
			t.Fatal(err)
		}
		g.serve(t, listener)
		w.start(t, "DOCKER_HOST=tcp://127.0.0.1:2375")
		w.labelled(t, "203.0.113.5").reaches(t, "tcp 203.0.113.5:80")
	})
}

// allOf has the daemon and the commands do what asks the Engine.
func (w *world) allOf(t *testing.T, b *box, host string) {
	b.reaches(t, "tcp 203.0.113.1:80", "tcp 203.0.113.10:443")
	b.isKeptFrom(t, "tcp 203.0.113.2:80")
	b.contacts(t, "gate.fresh.example", 20)
	w.docker(t, "network", "connect", other, b.ID)
	w.docker(t, "tag", lab.ProbeImage, "probe:again")
	w.run(t, lab.RunSpec{Network: other, Labels: map[string]string{"com.docker.swarm.service.id": "s1", "com.docker.swarm.task.id": "t1"}})
	for _, args := range [][]string{{"status"}, {"doctor"}, {"nft", "dump"}, {"check", "--running"}} {
		eventually(t, func() error {
			cmd := w.command(t.Context(), append(args, "DOCKER_HOST="+host)...)
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exitOK && code != exitDegraded && code != exitFindings {
				return fmt.Errorf("%v: exit %d, %w\n%s", args, code, err, out)
			}
			return nil
		})
	}
}

// engineAnswersPingsByGET makes HEAD /_ping fail once, as proxies do that know no HEAD: the client then takes GET.
func (w *world) engineAnswersPingsByGET(t *testing.T, g *gate) {
	g.shutting("HEAD /_ping")
	defer g.shutting()
	eventually(t, func() error {
		if !slices.Contains(g.passed(), "GET /_ping") {
			return errors.New("nobody asked by GET")
		}
		return nil
	})
}
