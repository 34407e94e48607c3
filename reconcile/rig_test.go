package reconcile

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/operator"
	"github.com/dockerwall/dockerwall/overlay"
)

type fakeEngine struct {
	mu          sync.Mutex
	host        docker.Host
	err         error
	hangs       bool          // until the one who asks gives up
	images      chan struct{} // what is asked of images waits for; nil is nothing
	invalidated int
	listed      int
	doubted     []string
}

func (e *fakeEngine) List(ctx context.Context) (docker.Host, error) {
	if e.stuck() {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second) // the client's
		defer cancel()
		<-ctx.Done()
		return docker.Host{}, ctx.Err()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listed++
	return docker.Host{Containers: slices.Clone(e.host.Containers), Networks: slices.Clone(e.host.Networks)}, e.err
}

func (e *fakeEngine) ImageLabels(context.Context) (map[string]map[string]string, error) {
	e.mu.Lock()
	wait := e.images
	e.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return map[string]map[string]string{"": nil}, nil
}

// holdImages has what is asked of images wait until the answer is called.
func (e *fakeEngine) holdImages() (answer func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	wait := make(chan struct{})
	e.images = wait
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.images = nil
		close(wait)
	}
}

func (e *fakeEngine) Invalidate() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invalidated++
}

func (e *fakeEngine) Doubt(network string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doubted = append(e.doubted, network)
}

func (e *fakeEngine) stuck() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hangs
}

func (e *fakeEngine) hang(hangs bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hangs = hangs
}

func (e *fakeEngine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

// show replaces what containers and networks there are.
func (e *fakeEngine) show(s scenario) {
	state, _ := s.state()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.host = state.Docker
}

// counts are how often it was listed and invalidated.
func (e *fakeEngine) counts() (listed, invalidated int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listed, e.invalidated
}

type rig struct {
	loop     *Loop
	kernel   *fakeKernel
	engine   *fakeEngine
	resolver *fakeResolver
	leaving  func([]nft.Container) // nil: nobody is told
	losing   func([]nft.Container)
	bridges  func() []string       // of the host; nil: none
	ports    func() []hostnet.Port // nil: none are known
	overlay  func() overlay.Overlay
	files    func() operator.Policies
	images   bool         // are asked for
	told     Options      // StandFirst, Standing, Alive
	ended    <-chan error // what Run returns
	stop     func()
}

// start runs a loop in a synctest bubble.
func start(t *testing.T, config Config) *rig {
	t.Helper()
	r := &rig{kernel: &fakeKernel{}, engine: &fakeEngine{}}
	return r.start(t, config)
}

func (r *rig) start(t *testing.T, config Config) *rig {
	t.Helper()
	r.resolver = &fakeResolver{}
	o := r.told
	o.Gather = Gather{Config: config, Engine: r.engine, Resolver: r.resolver, TrustImage: !r.images,
		Interfaces: func() (hostnet.Interfaces, error) {
			if r.bridges == nil {
				return hostnet.Interfaces{}, nil
			}
			return hostnet.Interfaces{Bridges: hostBridges(r.bridges()...)}, nil
		}, Ports: r.ports, Overlay: r.overlay, Operator: r.files}
	o.Kernel, o.Leaving, o.Losing = r.kernel, r.leaving, r.losing
	loop, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	r.loop, r.ended = loop, done
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return r
}
