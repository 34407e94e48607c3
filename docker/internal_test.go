package docker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
)

// scripted is an engine without a socket, for tests whose time is not real.
type scripted struct {
	engine // nil: what is not below is not called

	mu       sync.Mutex
	asked    []time.Duration // when, since the start
	start    time.Time
	failures int
	stream   io.ReadCloser
}

func (*scripted) ClientVersion() string { return "1.51" }
func (*scripted) Close() error          { return nil }

func (s *scripted) events(context.Context, time.Time) (io.ReadCloser, error) { return s.stream, nil }

func (s *scripted) attempt() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Since(s.start))
	if len(s.asked) <= s.failures {
		return errors.New("not yet")
	}
	return nil
}

func (s *scripted) attempts() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *scripted) ContainerInspect(context.Context, string) (container.InspectResponse, error) {
	return container.InspectResponse{}, s.attempt()
}

func (s *scripted) client(t *testing.T) *Client {
	t.Helper()
	c, err := New(Options{Host: "unix:///none"})
	if err != nil {
		t.Fatal(err)
	}
	s.start = time.Now()
	c.connect = func(context.Context) (engine, error) { return s, nil }
	return c
}

func TestConnectsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := &scripted{failures: 8, stream: r}
		c := s.client(t)
		log := &counter{}
		c.log = slog.New(log)
		c.connect = func(context.Context) (engine, error) { return s, s.attempt() }
		ctx, cancel := context.WithCancel(t.Context())
		kicked := make(chan struct{}, 9)
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx, func() { kicked <- struct{}{} }) }()
		<-kicked

		const ms = time.Millisecond
		want := []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms, 16300 * ms}
		if got := s.attempts(); !slices.Equal(got, want) {
			t.Errorf("connects at %v\nwant        %v", got, want)
		}
		if !c.Connected() || log.n != 2 {
			t.Errorf("connected %v, logged %d times, want once lost and once found", c.Connected(), log.n)
		}
		cancel()
		_ = w.Close() // as the transport does when its context ends
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// counter counts records.
type counter struct {
	slog.Handler
	n int
}

func (*counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) Handle(context.Context, slog.Record) error {
	c.n++
	return nil
}

func TestInspectsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{failures: 3}
		c := s.client(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.inspectRunning(ctx, func() {}) }()
		c.inspect.follow(map[string]Container{"a": {State: "running"}, "b": {State: "created"}, "c": {State: "exited"}})
		time.Sleep(time.Hour) // the bubble's
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}
		if got := s.attempts(); !slices.Equal(got, want) {
			t.Errorf("inspects at %v, want %v", got, want)
		}
		cancel()
		<-ended
	})
}

func TestAStreamThatDoesNotOpenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := (&scripted{}).client(t)
		began := time.Now()
		_, err := c.open(t.Context(), stuck{}, began)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != defaultTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// stuck never opens its stream.
type stuck struct{ engine }

func (stuck) events(ctx context.Context, _ time.Time) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestOnlyGETAndHEADLeaveTheProcess(t *testing.T) {
	s, err := newSDK("tcp://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ContainerStart(t.Context(), "x", container.StartOptions{}); !errors.Is(err, errNotReadOnly) {
		t.Errorf("POST by the client: %v", err)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodConnect} {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1:1/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (readOnly{}).RoundTrip(r); !errors.Is(err, errNotReadOnly) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestPermissionDeniedNamesTheRemedy(t *testing.T) {
	c := (&scripted{}).client(t)
	err := c.explain(call{what: "list containers"}, &unreachableError{syscall.EACCES})
	const want = "reach Docker at unix:///none: permission denied; run as the socket's owner, such as root, or in its group, such as docker"
	if err.Error() != want || !errors.Is(err, syscall.EACCES) {
		t.Errorf("got %q", err)
	}
}

func TestBridgeNames(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	tests := map[string]struct {
		network network.Inspect
		want    string
	}{
		"a network of its own":     {network.Inspect{ID: id, Name: "web", Driver: "bridge"}, "br-0123456789ab"},
		"named by option":          {network.Inspect{ID: id, Driver: "bridge", Options: map[string]string{bridgeNameOption: "lan0"}}, "lan0"},
		"default without option":   {network.Inspect{ID: id, Name: "bridge", Driver: "bridge"}, "docker0"},
		"default on --bridge=mybr": {network.Inspect{ID: id, Name: "bridge", Driver: "bridge", Options: map[string]string{bridgeNameOption: "mybr"}}, "mybr"},
		"overlay":                  {network.Inspect{ID: id, Driver: "overlay"}, ""},
		"only a configuration":     {network.Inspect{ID: id, Driver: "bridge", ConfigOnly: true}, ""},
		"no ID worth the name":     {network.Inspect{ID: "x", Driver: "bridge"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := bridgeName(tt.network); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"172.18.0.2/16": "172.18.0.2", "172.18.0.1": "172.18.0.1", "fd00::2/64": "fd00::2", "::ffff:10.0.0.1/128": "10.0.0.1",
		"fe80::1%eth0": "fe80::1", "": "invalid IP", "none": "invalid IP",
	} {
		if got := parseAddr(text).String(); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestPathsThatHoldAnEnginesSocket(t *testing.T) {
	for source, want := range map[string]bool{
		"/var/run/docker.sock": true, "/run/docker.sock": true, "/srv/proxy/docker.sock": true, "/run/user/1000/podman/podman.sock": true,
		"/run/containerd/containerd.sock": true, "/run": true, "/var/run/": true, "/run/podman": true, "/": true, "/var": true, "/var/run/../run": true,
		"": false, "/etc": false, "/var/lib/docker": false, "/run/systemd/resolve": false, "/home/docker.sock.d": false, "/run/docker": false,
	} {
		if got := ShowsSocket(source); got != want {
			t.Errorf("%q: %v", source, got)
		}
	}
}

func TestTheProperNameIsNotALinks(t *testing.T) {
	if got := properName([]string{"/web/db", "/db"}); got != "db" {
		t.Errorf("got %q", got)
	}
}

func TestMarksOfAFailedListDoNotHideNewerOnes(t *testing.T) {
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	now := marks{died: map[string]time.Time{"a": late}}
	now.add(marks{died: map[string]time.Time{"a": early, "b": early}, networks: map[string]struct{}{"n": {}}})
	if now.died["a"] != late || now.died["b"] != early || len(now.networks) != 1 {
		t.Errorf("got %+v", now)
	}
}
