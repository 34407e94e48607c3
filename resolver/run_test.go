package resolver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// internet is a fake asker: what names mean now, and how they were asked.
type internet struct {
	mu      sync.Mutex
	zone    map[string]Answer
	delay   time.Duration
	asked   []string // names, in order
	servers []netip.AddrPort
	busy    int
	most    int // names asked at once
}

func (n *internet) set(name string, ttl time.Duration, addrs string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := ans(ttl, addrs)
	a.Name = name
	n.zone[name] = a
}

func (n *internet) forget(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.zone, name)
}

func (n *internet) slow(delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = delay
}

func (n *internet) ask(ctx context.Context, name string, servers []netip.AddrPort) outcome {
	n.mu.Lock()
	n.asked, n.servers = append(n.asked, name), servers
	n.busy++
	n.most = max(n.most, n.busy)
	delay := n.delay
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	if a, ok := n.zone[name]; ok && ctx.Err() == nil {
		return outcome{name: name, answer: &a}
	}
	return outcome{name: name, failure: &Failure{Name: name, Empty: both, Err: &LookupError{Name: name, Result: NXDomain, Server: servers[0]}}}
}

// count is how often anything was asked since the last count.
func (n *internet) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.asked = nil }()
	return len(n.asked)
}

// bench is a running Resolver over a fake internet, inside a synctest bubble.
type bench struct {
	*Resolver
	net   *internet
	root  string
	kicks atomic.Int32
	log   bytes.Buffer
}

// start runs a Resolver until the test ends. Its options may be changed first.
func start(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{net: &internet{zone: map[string]Answer{}, delay: time.Millisecond}, root: t.TempDir()}
	b.write(t, "nameserver 192.0.2.53\n")
	options := Options{
		Files: Files{Root: b.root}, Limits: Limits{Jitter: func() float64 { return 0 }}, Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	for _, f := range change {
		f(&options)
	}
	r, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	r.ask = b.net.ask
	b.Resolver = r
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx, func() { b.kicks.Add(1) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return b
}

func (b *bench) write(t *testing.T, resolvConf string) {
	t.Helper()
	path := filepath.Join(b.root, "etc/resolv.conf")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(resolvConf), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// after lets d pass, and reports questions and kicks since it did last.
func (b *bench) after(d time.Duration) (asked, kicks int) {
	time.Sleep(d)
	synctest.Wait()
	return b.net.count(), int(b.kicks.Swap(0))
}

func (b *bench) show() string { return join(b.Names()[www]) }

func TestRun(t *testing.T) {
	tests := map[string]func(t *testing.T, b *bench){
		"without names nothing is asked and nobody kicked": func(t *testing.T, b *bench) {
			if asked, kicks := b.after(time.Hour); asked != 0 || kicks != 0 {
				t.Errorf("asked %d, kicked %d", asked, kicks)
			}
		},
		"a new name is asked at once": func(t *testing.T, b *bench) {
			b.net.set(www, time.Hour, "192.0.2.1 2001:db8::1")
			b.Want(Wanted{Allow: []string{www}})
			if asked, kicks := b.after(time.Millisecond); asked != 1 || kicks != 1 || b.show() != "192.0.2.1 2001:db8::1" {
				t.Errorf("asked %d, kicked %d, live %q", asked, kicks, b.show())
			}
		},
		"a name is asked as its TTL runs out, and kicks only when something changed": func(t *testing.T, b *bench) {
			b.net.set(www, time.Minute, "192.0.2.1")
			b.Want(Wanted{Allow: []string{www}})
			b.after(10 * time.Second)
			if asked, kicks := b.after(10 * time.Minute); asked != 20 || kicks != 0 {
				t.Errorf("asked %d, kicked %d", asked, kicks)
			}
			b.net.set(www, time.Minute, "192.0.2.2")
			if _, kicks := b.after(30 * time.Second); kicks != 1 || b.show() != "192.0.2.1 192.0.2.2" {
				t.Errorf("kicked %d, live %q", kicks, b.show())
			}
			if _, kicks := b.after(5 * time.Minute); kicks != 1 || b.show() != "192.0.2.2" {
				t.Errorf("after expiry: kicked %d, live %q", kicks, b.show())
			}
		},
		"a name that stops to exist is kept for five failures and its lifetime": func(t *testing.T, b *bench) {
			b.net.set(www, time.Minute, "192.0.2.1")
			b.Want(Wanted{Allow: []string{www}})
			b.after(time.Second)
			b.net.forget(www)
			if asked, kicks := b.after(4 * time.Minute); asked < enough || kicks != 0 || b.show() != "192.0.2.1" {
				t.Errorf("asked %d, kicked %d, live %q", asked, kicks, b.show())
			}
			if s := b.Status()[0]; s.Error != "www.example.org does not exist (NXDOMAIN from 192.0.2.53)" || s.Addrs != 1 {
				t.Errorf("status %+v", s)
			}
			if _, kicks := b.after(2 * time.Minute); kicks != 1 || b.show() != "" {
				t.Errorf("kicked %d, live %q", kicks, b.show())
			}
			b.net.set(www, time.Minute, "192.0.2.9")
			if _, kicks := b.after(6 * time.Minute); kicks != 1 || b.show() != "192.0.2.9" {
				t.Errorf("back: kicked %d, live %q", kicks, b.show())
			}
			for _, want := range []string{`level=WARN msg="name not resolved" name=www.example.org`, `level=INFO msg="name resolved again"`} {
				if n := strings.Count(b.log.String(), want); n != 1 {
					t.Errorf("logged %d times: %s\n%s", n, want, &b.log)
				}
			}
		},
		"a name no longer wanted is not asked": func(t *testing.T, b *bench) {
			b.net.set(www, time.Minute, "192.0.2.1")
			b.Want(Wanted{Allow: []string{www}})
			b.after(time.Second)
			b.Want(Wanted{})
			if asked, _ := b.after(time.Hour); asked != 0 || len(b.Names()) != 0 {
				t.Errorf("asked %d, names %v", asked, b.Names())
			}
		},
		"at most 16 names at once, and each": func(t *testing.T, b *bench) {
			var names []string
			for i := range 100 {
				names = append(names, string(rune('a'+i/10))+string(rune('a'+i%10))+".example.org")
				b.net.set(names[i], time.Hour, "192.0.2.1")
			}
			b.Want(Wanted{Allow: names})
			if asked, _ := b.after(time.Second); asked != 100 || b.net.most != 16 {
				t.Errorf("asked %d, %d at once", asked, b.net.most)
			}
		},
		"new servers are picked up, kick, and are asked at once": func(t *testing.T, b *bench) {
			b.net.set(www, time.Hour, "192.0.2.1")
			b.Want(Wanted{Allow: []string{www}})
			b.after(time.Second)
			b.write(t, "# moved\nnameserver 198.51.100.53\n")
			if asked, kicks := b.after(pollFiles); asked != 1 || kicks != 1 {
				t.Errorf("asked %d, kicked %d", asked, kicks)
			}
			if got := join(b.net.servers); got != "198.51.100.53:53" || join(b.Servers().Containers) != "198.51.100.53" {
				t.Errorf("asked %s, servers %+v", got, b.Servers())
			}
			b.write(t, "# moved, and says the same\nnameserver 198.51.100.53\n")
			if asked, kicks := b.after(time.Minute); asked != 0 || kicks != 0 {
				t.Errorf("same servers: asked %d, kicked %d", asked, kicks)
			}
		},
		"answers that are late do not hold up others": func(t *testing.T, b *bench) {
			b.net.slow(time.Minute)
			b.net.set("slow.example.org", time.Hour, "192.0.2.2")
			b.Want(Wanted{Allow: []string{"slow.example.org"}})
			b.after(time.Second)
			b.net.slow(time.Millisecond)
			b.net.set(www, time.Hour, "192.0.2.1")
			b.Want(Wanted{Allow: []string{www, "slow.example.org"}})
			if asked, _ := b.after(time.Second); asked != 1 || b.show() != "192.0.2.1" {
				t.Errorf("asked %d, live %q", asked, b.show())
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, start(t)) })
		})
	}
}

func TestRunEndsInTheMiddleOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &internet{zone: map[string]Answer{}, delay: time.Hour}
		r, err := New(Options{Files: Files{Root: t.TempDir()}})
		if err != nil {
			t.Fatal(err)
		}
		r.ask = n.ask
		r.Want(Wanted{Allow: []string{www}})
		for run := range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := r.Run(ctx, func() {}); err != nil {
				t.Errorf("Run: %v", err)
			}
			cancel()
			if asked := n.count(); asked != 1 || n.busy != 0 || r.Status()[0].Failures != 0 {
				t.Errorf("run %d: asked %d, %d still asking, %+v", run, asked, n.busy, r.Status())
			}
		}
	})
}
