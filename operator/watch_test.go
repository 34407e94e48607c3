package operator

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestRunSeesChanges changes files while a store runs, each in a way that programs do.
func TestRunSeesChanges(t *testing.T) {
	p := newPlace(t)
	p.must(os.Remove(p.dir))
	changed := make(chan Policies, 100)
	s := NewStore(Options{Dir: p.dir, StateDir: p.state, Changed: func(_, after Policies) { changed <- after }})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	wait := func(want string) {
		t.Helper()
		timeout := time.After(30 * time.Second)
		for says(s) != want {
			select {
			case <-changed:
			case <-timeout:
				t.Fatalf("in force: %q, want %q; %v", says(s), want, s.Problems())
			}
		}
	}
	staged := p.dir + ".new"
	p.must(os.Mkdir(staged, 0o755))
	p.must(os.WriteFile(filepath.Join(staged, "a.yaml"), []byte(rule("one")), 0o644))
	p.must(os.Rename(staged, p.dir)) // made later
	wait("a.yaml:one")
	p.write("a.yaml", rule("two"))
	wait("a.yaml:two")
	p.write("tmp", rule("three"))
	p.must(os.Rename(p.dir+"/tmp", p.dir+"/a.yaml"))
	wait("a.yaml:three")
	for _, version := range []string{"four", "five"} { // as Kubernetes does
		data := filepath.Join(p.dir, "..", version)
		p.must(os.Mkdir(data, 0o755))
		p.must(os.WriteFile(filepath.Join(data, "b.yaml"), []byte(rule(version)), 0o644))
		p.must(os.Symlink(data, p.dir+"/..next"))
		p.must(os.Rename(p.dir+"/..next", p.dir+"/..data"))
		if version == "four" {
			p.must(os.Symlink("..data/b.yaml", p.dir+"/b.yaml"))
			p.must(os.Remove(p.dir + "/a.yaml"))
		}
		wait("b.yaml:" + version)
	}
	p.must(os.Rename(p.dir, p.dir+".old")) // another directory
	p.must(os.Mkdir(p.dir, 0o755))
	p.write("c.yaml", rule("six"))
	wait("c.yaml:six")
	p.write("c.yaml", rule("seven"))
	wait("c.yaml:seven")
	beside := filepath.Join(p.dir, "..", "beside")
	p.must(os.WriteFile(beside, []byte(rule("eight")), 0o644))
	p.must(os.Symlink(beside, p.dir+"/d.yaml"))
	wait("c.yaml:seven d.yaml:eight")
	p.must(os.WriteFile(beside, []byte(rule("nine")), 0o644)) // of which no event tells
	wait("c.yaml:seven d.yaml:nine")
}

// TestAWriterWithoutEndPutsNothingOff changes a file beside one that a program never stops writing. Nothing but events
// tells the store.
func TestAWriterWithoutEndPutsNothingOff(t *testing.T) {
	p := newPlace(t)
	changed := make(chan Policies, 1)
	s := NewStore(Options{Dir: p.dir, Changed: func(_, after Policies) { changed <- after }})
	s.lookout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = s.Run(ctx) })
	all.Go(func() {
		for ctx.Err() == nil {
			_ = os.WriteFile(p.dir+"/.noise", nil, 0o644)
			time.Sleep(quiet / 10)
		}
	})
	defer all.Wait()
	defer cancel()
	again := time.NewTicker(quiet) // until there is a watch
	defer again.Stop()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case <-changed:
			return
		case <-again.C:
			p.write("a.yaml", rule("one"))
		case <-timeout:
			t.Fatal("the change is not seen")
		}
	}
}
