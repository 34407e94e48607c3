package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/resolver"
)

// stayers are containers that live throughout, with the sets of theirs and of the default's that names belong to.
func stayers() []scenarioContainer {
	label := func(name, text string) scenarioContainer {
		return scenarioContainer{Name: name, ID: id(name), State: "running", Labels: map[string]string{"dockerwall.outbound": text}}
	}
	return []scenarioContainer{label("aaaaaaaaaaa1", "*.example.com, www.example.com:443"), label("aaaaaaaaaaa2", "www.example.com, !*.evil.example:443"), label("aaaaaaaaaaa3", ""),
		label("aaaaaaaaaaa4", "*.net/tcp"), label("aaaaaaaaaaa5", "*.net/tcp")} // which is one source, and may be others' too
}

const stayingDefault = "*.org, !bad.example.com"

func stayingSets(name string) (out []set) {
	port := nft.Clause{Ports: nft.Ports{First: 443, Last: 443}}
	add := func(yes bool, s set) {
		if yes {
			out = append(out, s)
		}
	}
	add(strings.HasSuffix(name, ".example.com"), set{"aaaaaaaaaaa1", false, nft.Clause{}})
	add(name == "www.example.com", set{"aaaaaaaaaaa1", false, port})
	add(name == "www.example.com", set{"aaaaaaaaaaa2", false, nft.Clause{}})
	add(strings.HasSuffix(name, ".evil.example"), set{"aaaaaaaaaaa2", true, port})
	for _, alike := range []string{"aaaaaaaaaaa4", "aaaaaaaaaaa5"} {
		add(strings.HasSuffix(name, ".net"), set{alike, false, nft.Clause{Proto: nft.TCP}})
	}
	add(strings.HasSuffix(name, ".org"), set{sourceDefault, false, nft.Clause{}})
	add(name == "bad.example.com", set{sourceDefault, true, nft.Clause{}})
	return out
}

// storm is a host where everything happens at once, in a real kernel.
type storm struct {
	*rig
	kernel  *nft.Kernel
	options nft.Options

	quiet    sync.RWMutex // held to look: only a run may be under way then
	mu       sync.Mutex
	promised contents // what Learn said that the kernel holds
	promises int
	waits    int
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	s := &storm{rig: &rig{engine: &fakeEngine{}, resolver: &fakeResolver{}}, options: nft.Options{NetNS: lab.NamespaceForTest(t).FD()}, promised: contents{}}
	var err error
	if s.kernel, err = nft.Open(s.options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.kernel.Close() })
	config := Config{LogGroup: 32}
	config.Default, _ = policy.Parse(stayingDefault)
	s.change(rand.New(rand.NewPCG(0, 0)))
	s.loop, err = New(Options{
		Gather: Gather{Config: config, Engine: s.engine, Resolver: s.resolver, TrustImage: true, Interfaces: func() (hostnet.Interfaces, error) { return hostnet.Interfaces{}, nil }},
		Kernel: s.kernel, Retry: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.loop.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	s.aRun()
	return s
}

// aRun waits for the end of one that begins after the call.
func (s *storm) aRun() {
	<-s.loop.Learn([]resolver.Found{{Name: "nobody.example", Addrs: addrs("203.0.113.1")}})
}

// change has containers come and go beside the stayers.
func (s *storm) change(r *rand.Rand) {
	host := scenario{Containers: stayers(), Networks: []scenarioNetwork{{Name: "bridge", Bridge: "docker0", Subnets: prefixes("172.17.0.0/16"), Endpoints: map[string][]netip.Addr{}}}}
	labels := []string{"*.example.com", "www.example.com:443, *.org", "!*.example.com", "*, !www.example.com", "*.evil.example, new.example.net", "", "*.net/tcp"}
	for i := range 5 {
		if r.IntN(2) == 0 {
			name := fmt.Sprintf("bbbbbbbbbbb%d", i)
			host.Containers = append(host.Containers, scenarioContainer{Name: name, ID: id(name), State: "running", Labels: map[string]string{"dockerwall.outbound": labels[r.IntN(len(labels))]}})
		}
	}
	for i, c := range host.Containers {
		host.Networks[0].Endpoints[c.Name] = []netip.Addr{netip.AddrFrom4([4]byte{172, 17, 1, byte(i)})}
	}
	s.engine.show(host)
}

// disturb is what else may happen.
func (s *storm) disturb(r *rand.Rand) {
	switch r.IntN(5) {
	case 0:
		s.engine.fail(errors.New("restarting"))
	case 1:
		s.engine.fail(nil)
	case 2: // as after a stranger's change
		s.kernel.Invalidate()
		s.loop.Repair()
	}
}

// answer has one learned, and notes what that promises.
func (s *storm) answer(r *rand.Rand) {
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	names := []string{"www.example.com", "a.b.example.com", "bad.example.com", "x.evil.example", "x.example.org", "new.example.net", "nobody.example.edu"}
	name, addr := names[r.IntN(len(names))], netip.AddrFrom4([4]byte{20, 0, byte(r.IntN(4)), byte(r.IntN(256))})
	done := s.loop.Learn(s.resolver.learn(name, addr))
	if done != nil {
		<-done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if done != nil {
		s.waits++
		return
	}
	s.promises++
	for _, set := range stayingSets(name) {
		if s.promised[set] == nil {
			s.promised[set] = map[netip.Addr]bool{}
		}
		s.promised[set][addr] = true
	}
}

// missing says which of what was promised by now the kernel lacks.
func (s *storm) missing() (string, error) {
	s.quiet.Lock()
	defer s.quiet.Unlock()
	live, err := s.live()
	if err != nil {
		return "", err
	}
	for set, addrs := range s.promised {
		for a := range addrs {
			if !live[set][a] {
				return fmt.Sprintf("%s in %+v", a, set), nil
			}
		}
	}
	return "", nil
}

// live is what the kernel's sets of names hold, those of a label that containers have alike under each of them.
func (s *storm) live() (contents, error) {
	live, err := nft.ReadLive(s.options)
	for errors.Is(err, nft.ErrChanging) {
		live, err = nft.ReadLive(s.options)
	}
	out, objects := contents{}, live.Table.Objects()
	followers := map[string]map[string]bool{}
	for _, chain := range objects.Chains {
		for _, rule := range chain.Rules {
			_, looked, _ := strings.Cut(rule, "@")
			source, _, ok := strings.Cut(looked, "_")
			if id := nft.ContainerOf(chain.Name); ok && id != "" && strings.HasPrefix(source, sourceLabel) {
				if followers[source] == nil {
					followers[source] = map[string]bool{}
				}
				followers[source][id] = true
			}
		}
	}
	for _, object := range objects.Sets {
		owner, kind, ok := strings.Cut(strings.TrimPrefix(object.Name, "c_"), "_dns4")
		if !ok {
			continue
		}
		set := set{owner: strings.TrimSuffix(owner, "_no"), deny: strings.HasSuffix(owner, "_no")}
		switch kind {
		case "_443":
			set.clause.Ports = nft.Ports{First: 443, Last: 443}
		case "_tcp":
			set.clause.Proto = nft.TCP
		}
		elements := map[netip.Addr]bool{}
		for _, e := range object.Elements {
			text, _, _ := strings.Cut(e, " ")
			elements[netip.MustParseAddr(text)] = true
		}
		if !strings.HasPrefix(set.owner, sourceLabel) {
			out[set] = elements
		}
		for set.owner = range followers[set.owner] {
			out[set] = elements
		}
	}
	return out, err
}

// wanted is what the sets should hold, of the policies as they are now and all that was ever learned.
func (s *storm) wanted() contents {
	out := contents{}
	add := func(owner, text string) {
		p, _ := policy.Parse(text)
		for _, token := range p.Tokens {
			pattern, ok := token.Dest.(policy.Pattern)
			if !ok {
				continue
			}
			set := set{owner, token.Deny, clauseOf(token.Clause)}
			if out[set] == nil {
				out[set] = map[netip.Addr]bool{}
			}
			for name, addrs := range s.resolver.known {
				for _, a := range addrs {
					if pattern.Match(name) {
						out[set][a] = true
					}
				}
			}
		}
	}
	add(sourceDefault, stayingDefault)
	for _, c := range s.engine.host.Containers {
		add(short(c.ID), c.Labels["dockerwall.outbound"])
	}
	return out
}

func TestNothingLearnedIsLostInTheKernel(t *testing.T) {
	s := newStorm(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const changes, clients = 80, 4
	stop := make(chan struct{})
	var wg sync.WaitGroup
	until := func(f func(r *rand.Rand), number uint64) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, number))
			for {
				select {
				case <-stop:
					return
				default:
					f(r)
				}
			}
		})
	}
	for i := range clients {
		until(s.answer, uint64(i))
	}
	looks := 0
	until(func(*rand.Rand) {
		looks++
		if lost, err := s.missing(); err != nil || lost != "" {
			t.Errorf("lost %q: %v", lost, err)
		}
	}, clients)
	r := rand.New(rand.NewPCG(seed, clients+1))
	for range changes {
		s.quiet.RLock()
		s.change(r)
		s.disturb(r)
		s.quiet.RUnlock()
		s.aRun()
	}
	close(stop)
	wg.Wait()
	s.engine.fail(nil)
	s.aRun()
	live, err := s.live()
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(s.wanted(), live, gocmp.AllowUnexported(set{})); diff != "" {
		t.Errorf("what was learned (-) and what the kernel holds (+) differ:\n%s", diff)
	}
	t.Logf("%d answers were let go at once, %d after a run; %d looks", s.promises, s.waits, looks)
	if s.promises < 200 || looks < 20 {
		t.Errorf("too few to tell anything: %d answers, %d looks", s.promises, looks)
	}
}
