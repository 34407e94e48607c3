package reconcile

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// knowing is a resolver that knows names.
type knowing map[string][]netip.Addr

func (knowing) Want(resolver.Wanted)                     {}
func (k knowing) Names() map[string][]netip.Addr         { return k }
func (k knowing) Denied() map[string][]netip.Addr        { return k }
func (knowing) Below() map[string][]resolver.Named       { return nil }
func (knowing) DeniedBelow() map[string][]resolver.Named { return nil }
func (knowing) Overflown() map[string]bool               { return nil }
func (knowing) Servers() resolver.Servers                { return asking("198.51.100.53") }

// asking is a host whose containers are given these resolvers.
func asking(containers ...string) resolver.Servers {
	return resolver.Servers{Containers: addrs(containers...)}
}

// gathering is a Gather of a fake Engine with one container, "web", whose label it was given.
func gathering(t *testing.T, label string) (*Gather, *dockertest.Engine) {
	t.Helper()
	engine := dockertest.New(t)
	web := docker.Container{ID: dockertest.ID("web"), Name: "web", ImageID: "sha256:app", State: "running", Labels: map[string]string{"dockerwall.outbound": label}}
	engine.PutImage("sha256:app", map[string]string{"maintainer": "x"})
	engine.PutContainer(web)
	engine.PutNetwork(docker.Network{
		ID: dockertest.ID("bridge"), Name: "bridge", Driver: "bridge", Bridge: "docker0", Scope: "local", Subnets: prefixes("172.17.0.0/16"),
		Endpoints: []docker.Endpoint{{ContainerID: web.ID, EndpointID: "e", IPv4: addrs("172.17.0.2")[0]}},
	})
	return newGather(t, engine), engine
}

// newGather is that of a daemon that has just started.
func newGather(t *testing.T, engine *dockertest.Engine) *Gather {
	t.Helper()
	client, err := docker.New(docker.Options{Host: engine.Host()})
	if err != nil {
		t.Fatal(err)
	}
	return &Gather{
		Engine: client, Resolver: knowing{"www.example.com": addrs("203.0.113.10")},
		Interfaces: func() (hostnet.Interfaces, error) { return hostnet.Interfaces{Addrs: addrs("198.51.100.1")}, nil },
	}
}

// passes says whether web reaches a destination, and what was wrong.
func passes(t *testing.T, g *Gather, dest string) (bool, []Problem) {
	t.Helper()
	state, err := g.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, problems := build(t, state)
	return r.Judge(parsePacket(t, "forward "+dest)).Pass, problems
}

func TestGatherTakesAllThatARulesetDependsOn(t *testing.T) {
	g, _ := gathering(t, "www.example.com")
	for dest, want := range map[string]bool{"203.0.113.10:443/tcp": true, "198.51.100.53:53/udp": true, "203.0.113.11:443/tcp": false} {
		if pass, problems := passes(t, g, dest); pass != want || len(problems) > 0 {
			t.Errorf("%s: pass %v\n%s", dest, pass, problemText(problems))
		}
	}
}

func TestGatherFailsAsAWhole(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*Gather, *dockertest.Engine)
		want  string
	}{
		"interfaces": {func(g *Gather, _ *dockertest.Engine) {
			g.Interfaces = func() (hostnet.Interfaces, error) { return hostnet.Interfaces{}, errors.New("no netlink") }
		}, "read interfaces: no netlink"},
		"containers": {func(_ *Gather, e *dockertest.Engine) {
			e.SetFault(dockertest.ListContainers, dockertest.Fault{Status: http.StatusInternalServerError})
		}, "list containers and networks: "},
		"networks": {func(_ *Gather, e *dockertest.Engine) {
			e.SetFault(dockertest.InspectNetwork, dockertest.Fault{Status: http.StatusInternalServerError})
		}, "list containers and networks: "},
		"images": {func(_ *Gather, e *dockertest.Engine) {
			e.SetFault(dockertest.ListImages, dockertest.Fault{Status: http.StatusForbidden})
		}, "list images: "},
		"no Engine": {func(_ *Gather, e *dockertest.Engine) { e.Down() }, "list containers and networks: "},
	} {
		t.Run(name, func(t *testing.T) {
			g, engine := gathering(t, "*")
			test.spoil(g, engine)
			state, err := g.State(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if len(state.Docker.Containers) > 0 || state.library != nil {
				t.Error("there is half a state")
			}
		})
	}
}

func TestImagesAreNotAskedForWhenTrusted(t *testing.T) {
	g, engine := gathering(t, "192.0.2.7")
	g.TrustImage = true
	engine.SetFault(dockertest.ListImages, dockertest.Fault{Status: http.StatusForbidden})
	if pass, _ := passes(t, g, "192.0.2.7:443/tcp"); !pass {
		t.Error("the label does not count")
	}
}

func TestAnImageThatGoesWhileItsContainerLives(t *testing.T) {
	g, engine := gathering(t, "192.0.2.7")
	const dest = "192.0.2.7:443/tcp"
	if pass, _ := passes(t, g, dest); !pass {
		t.Fatal("the label does not count")
	}
	engine.DropImage("sha256:app")
	if pass, problems := passes(t, g, dest); !pass || len(problems) > 0 {
		t.Errorf("a daemon that has seen the image: pass %v\n%s", pass, problemText(problems))
	}
	restarted := newGather(t, engine)
	pass, problems := passes(t, restarted, dest)
	if pass {
		t.Error("a daemon that has not seen the image trusts the label")
	}
	if p := only(t, problems); !strings.Contains(p.Message, "image is gone") || !strings.Contains(p.Remedy, "TRUST_IMAGE_LABELS") || p.Container != "web" {
		t.Errorf("unexpected problem: %+v", p)
	}
	engine.PutImage("sha256:app", nil)
	if pass, problems := passes(t, restarted, dest); !pass || len(problems) > 0 {
		t.Errorf("the image is there again: pass %v\n%s", pass, problemText(problems))
	}
}

func TestAnEngineThatTellsNoImagesIsNotTrusted(t *testing.T) {
	g, _ := gathering(t, "192.0.2.7")
	g.Engine = imageless{g.Engine}
	if pass, _ := passes(t, g, "192.0.2.7:443/tcp"); pass {
		t.Error("labels count though no image is known")
	}
}

type imageless struct{ Engine }

func (imageless) ImageLabels(context.Context) (map[string]map[string]string, error) { return nil, nil }

func TestLabelsAreReadAgainOnlyWhenTheyChange(t *testing.T) {
	g, engine := gathering(t, "192.0.2.7")
	state := func() State {
		s, err := g.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	id := dockertest.ID("web")
	first := state().library.labels[id]
	if again := state().library.labels[id]; again != first {
		t.Error("an unchanged label was read again")
	}
	for change, label := range map[string]map[string]string{
		"another value": {"dockerwall.outbound": "192.0.2.8"},
		"another key":   {"dockerwall.outbound": "192.0.2.7", "Dockerwall.mode": "audit"},
		"none":          {"other": "x"},
	} {
		engine.PutContainer(docker.Container{ID: id, Name: "web", ImageID: "sha256:app", State: "running", Labels: label})
		s := state()
		fresh := s.readLabels(s.Docker.Containers[0], s.Operator.Grammar())
		if !s.library.labels[id].equal(fresh) || len(s.library.labels[id].problems) != len(fresh.problems) {
			t.Errorf("%s: not read again", change)
		}
	}
	engine.PutContainer(docker.Container{ID: id, Name: "web", ImageID: "sha256:app", State: "running", Labels: map[string]string{"dockerwall.outbound": "192.0.2.7"}})
	state()
	engine.PutImage("sha256:other", map[string]string{"dockerwall.outbound": "192.0.2.7"})
	engine.PutContainer(docker.Container{ID: id, Name: "web", ImageID: "sha256:other", State: "running", Labels: map[string]string{"dockerwall.outbound": "192.0.2.7"}})
	if r, _ := Build(state()); len(r.Containers) != 1 || len(r.Containers[0].Own.Allow.Addrs.Any) > 0 {
		t.Error("the image's label counts")
	}
	engine.DropContainer(id)
	if s := state(); len(s.library.labels) > 0 {
		t.Error("a container that is gone is remembered")
	}
}

func TestReadLabelsAreNotChangedByBuild(t *testing.T) {
	s := crowd(50)
	s = s.ready()
	first, _ := Build(s)
	second, _ := Build(s)
	unread := s
	unread.library = nil
	third, _ := Build(unread)
	if first.String() != second.String() || first.String() != third.String() {
		t.Error("a ruleset depends on what was read before")
	}
	if nft.Ruleset.Validate(first) != nil {
		t.Error("the kernel would refuse it")
	}
}
