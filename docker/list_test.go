package docker_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestListTellsWhatDockerHas(t *testing.T) {
	e := dockertest.New(t)
	web := bridge("web", at("app", "172.18.0.2", ""), docker.Endpoint{ContainerID: "ingress-sbox"})
	web.Subnets = append(web.Subnets, netip.MustParsePrefix("fd00:1::/64"))
	web.Gateways = append(web.Gateways, netip.MustParseAddr("fd00:1::1"))
	web.Endpoints[0].IPv6 = netip.MustParseAddr("fd00:1::2")
	web.Ranges = []netip.Prefix{netip.MustParsePrefix("172.18.1.0/24")}
	web.Reserved = []netip.Addr{netip.MustParseAddr("172.18.1.9")}
	app, idle := box("app", "running"), box("idle", "exited")
	idle.NetworkMode = "default"
	idle.Networks = []string{web.ID}
	idle.Fixed = map[string][]netip.Addr{web.ID: {netip.MustParseAddr("172.18.0.9"), netip.MustParseAddr("fd00:1::9")}}
	e.PutContainer(app)
	e.PutContainer(idle)
	e.PutNetwork(web)
	e.PutNetwork(overlay("mesh"))
	for _, n := range []string{"host", "null", "macvlan", "ipvlan"} {
		e.PutNetwork(docker.Network{ID: dockertest.ID(n), Name: n, Driver: n})
	}

	got := list(t, client(t, docker.Options{Host: e.Host()}))

	idle.NetworkMode = "bridge"
	web.Endpoints = web.Endpoints[:1]
	want := docker.Host{
		Containers: []docker.Container{app, idle},
		Networks: []docker.Network{
			web, overlay("mesh"), {ID: dockertest.ID("host"), Name: "host", Driver: "host"}, {ID: dockertest.ID("null"), Name: "null", Driver: "null"},
			{ID: dockertest.ID("macvlan"), Name: "macvlan", Driver: "macvlan"}, {ID: dockertest.ID("ipvlan"), Name: "ipvlan", Driver: "ipvlan"},
		},
	}
	slices.SortFunc(want.Containers, func(a, b docker.Container) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(want.Networks, func(a, b docker.Network) int { return strings.Compare(a.ID, b.ID) })
	same(t, got, want)
	same(t, e.Counts(), map[string]int{dockertest.Ping: 1, dockertest.ListContainers: 1, dockertest.ListNetworks: 1, dockertest.InspectNetwork: 1})
}

func TestWithoutRunEveryListReadsEverything(t *testing.T) {
	e := dockertest.New(t)
	c := client(t, docker.Options{Host: e.Host()})
	list(t, c)
	e.PutContainer(box("app", "running"))
	if _, ok := find(list(t, c), "app"); !ok {
		t.Error("the second List did not see the new container")
	}
}

func TestAStartReadsOnlyWhatItTouches(t *testing.T) {
	e := dockertest.New(t)
	busy := bridge("busy")
	for i := range 1000 {
		name := fmt.Sprint("c", i)
		e.PutContainer(box(name, "running"))
		busy.Endpoints = append(busy.Endpoints, at(name, netip.AddrFrom4([4]byte{172, 18, byte(1 + i/250), byte(1 + i%250)}).String(), ""))
	}
	e.PutNetwork(busy)
	e.PutNetwork(bridge("web"))
	f := follow(t, e)
	e.Create(box("app", "created"))
	f.next()
	e.Connect(dockertest.ID("web"), at("app", "172.18.0.2", ""))
	h := f.next()
	if !attached(h, "web", "app") || len(h.Containers) != 1001 {
		t.Errorf("after connect: attached %v, %d containers", attached(h, "web", "app"), len(h.Containers))
	}
	counts := e.Counts()
	delete(counts, dockertest.InspectContainer) // goes on beside, for the thousand
	same(t, counts, map[string]int{dockertest.ListSome: 1, dockertest.InspectNetwork: 1})

	e.Start(dockertest.ID("app"))
	if c, _ := find(f.next(), "app"); c.State != "running" {
		t.Errorf("state after start: %q", c.State)
	}
	if n := e.Count(dockertest.ListContainers); n != 0 {
		t.Errorf("listed all containers %d times", n)
	}
}

func TestNothingMarkedIsNoRequest(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web"))
	f := follow(t, e)
	e.DropNetwork(dockertest.ID("web"))
	if h := f.list(); len(h.Networks) != 1 {
		t.Errorf("networks: %v", h.Networks)
	}
	same(t, e.Counts(), map[string]int{})
	f.Invalidate()
	if h := f.list(); len(h.Networks) != 0 {
		t.Errorf("networks after Invalidate: %v", h.Networks)
	}
}

func TestEventsAreFollowed(t *testing.T) {
	running := func(f *followed) {
		f.engine.PutContainer(box("app", "running"))
		f.engine.PutNetwork(bridge("web", at("app", "172.18.0.2", "")))
		f.Invalidate()
		f.list()
	}
	tests := map[string]struct {
		before func(*followed)
		event  func(*dockertest.Engine)
		want   func(docker.Host) bool
	}{
		"a network is created": {
			event: func(e *dockertest.Engine) { e.CreateNetwork(bridge("new")) },
			want:  func(h docker.Host) bool { return len(h.Networks) == 1 && h.Networks[0].Bridge != "" },
		},
		"a network is removed": {
			before: func(f *followed) { f.engine.CreateNetwork(bridge("old")); f.next() },
			event:  func(e *dockertest.Engine) { e.RemoveNetwork(dockertest.ID("old")) },
			want:   func(h docker.Host) bool { return len(h.Networks) == 0 },
		},
		"a container is renamed": {
			before: running,
			event:  func(e *dockertest.Engine) { e.Rename(dockertest.ID("app"), "other") },
			want:   func(h docker.Host) bool { c, _ := find(h, "app"); return c.Name == "other" },
		},
		"a container is removed": {
			before: running,
			event:  func(e *dockertest.Engine) { e.Destroy(dockertest.ID("app")) },
			want:   func(h docker.Host) bool { return len(h.Containers) == 0 },
		},
		"disconnect comes before die, as in Docker 28": {
			before: running,
			event:  func(e *dockertest.Engine) { e.Disconnect(dockertest.ID("web"), dockertest.ID("app")) },
			want:   func(h docker.Host) bool { return !attached(h, "web", "app") },
		},
		"die comes before the endpoint is freed, as in Docker 20.10": {
			before: running,
			event:  func(e *dockertest.Engine) { e.Die(dockertest.ID("app")) },
			want: func(h docker.Host) bool {
				c, _ := find(h, "app")
				return !attached(h, "web", "app") && c.State == "exited"
			},
		},
		"die comes before the listing shows it, as in Docker 20.10": {
			before: running,
			event:  func(e *dockertest.Engine) { e.Emit("container", "die", dockertest.ID("app"), nil) },
			want:   func(h docker.Host) bool { c, _ := find(h, "app"); return c.State == "exited" },
		},
		"a restart": {
			before: running,
			event: func(e *dockertest.Engine) {
				e.Die(dockertest.ID("app"))
				e.Start(dockertest.ID("app"))
				e.Create(box("later", "created"))
			},
			want: func(h docker.Host) bool {
				c, _ := find(h, "app")
				_, later := find(h, "later")
				return later && c.State == "running"
			},
		},
		"a network that has no bridge is connected while the container runs": {
			before: func(f *followed) {
				running(f)
				f.engine.PutNetwork(docker.Network{ID: dockertest.ID("lan"), Name: "lan", Driver: "macvlan"})
				f.Invalidate()
				f.list()
			},
			event: func(e *dockertest.Engine) {
				app := box("app", "running")
				app.Networks = []string{dockertest.ID("web"), dockertest.ID("lan")}
				e.PutContainer(app)
				e.Connect(dockertest.ID("lan"), at("app", "192.0.2.9", ""))
			},
			want: func(h docker.Host) bool {
				c, _ := find(h, "app")
				return slices.Contains(c.Networks, dockertest.ID("lan"))
			},
		},
		"a create event was lost": {
			before: func(f *followed) { f.engine.PutNetwork(bridge("web")) },
			event: func(e *dockertest.Engine) {
				e.PutContainer(box("app", "created"))
				e.Connect(dockertest.ID("web"), at("app", "172.18.0.2", ""))
			},
			want: func(h docker.Host) bool { _, ok := find(h, "app"); return ok && attached(h, "web", "app") },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := follow(t, dockertest.New(t))
			if tt.before != nil {
				tt.before(f)
			}
			tt.event(f.engine)
			f.until(name, tt.want)
		})
	}
}

func TestANewLifeIsNotEndedByAnOldDeath(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web", at("app", "172.18.0.2", "first")))
	e.PutContainer(box("app", "running"))
	f := follow(t, e)

	e.Die(dockertest.ID("app"))
	f.until("gone at die", func(h docker.Host) bool { return !attached(h, "web", "app") })
	e.Connect(dockertest.ID("web"), at("app", "172.18.0.3", "second"))
	f.until("back at connect", func(h docker.Host) bool { return attached(h, "web", "app") })
	e.EmitAt(time.Now().Add(-time.Second), "container", "die", dockertest.ID("app"), nil) // a replay
	if h := f.next(); !attached(h, "web", "app") {
		t.Error("a die from before the restart ended the new endpoint")
	}
}

func TestSwarmLeavesByTheGatewayBridge(t *testing.T) {
	gateway := func(endpoints ...docker.Endpoint) docker.Network {
		n := bridge("docker_gwbridge", endpoints...)
		n.Bridge = "docker_gwbridge"
		return n
	}
	for name, known := range map[string]bool{"the gateway bridge is known": true, "libnetwork has just made it": false} {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			e.PutNetwork(overlay("mesh"))
			if known {
				e.PutNetwork(gateway())
			}
			f := follow(t, e)
			e.PutContainer(box("task", "created"))
			e.PutNetwork(gateway(at("task", "172.18.0.5", ""), docker.Endpoint{ContainerID: "ingress-sbox"}))
			e.Connect(dockertest.ID("mesh"), at("task", "10.0.1.5", ""))
			h := f.next()
			if !attached(h, "docker_gwbridge", "task") || attached(h, "mesh", "task") {
				t.Errorf("networks: %+v", h.Networks)
			}
			if _, ok := find(h, "task"); !ok {
				t.Error("the task's container is missing")
			}
		})
	}
}

func TestAFaultIsAnErrorAndNothingIsForgotten(t *testing.T) {
	faults := map[string]dockertest.Fault{
		"500":    {Status: 500},
		"cut":    {Cut: true},
		"silent": {Wait: make(chan struct{})},
	}
	endpoints := []string{dockertest.ListContainers, dockertest.ListSome, dockertest.ListNetworks, dockertest.InspectNetwork}
	for kind, fault := range faults {
		for _, endpoint := range endpoints {
			t.Run(kind+" "+endpoint, func(t *testing.T) {
				e := dockertest.New(t)
				e.PutNetwork(bridge("web"))
				f := follow(t, e)
				e.PutContainer(box("app", "created"))
				e.PutContainer(box("quiet", "created"))
				e.SetFault(endpoint, fault)
				e.Connect(dockertest.ID("web"), at("app", "172.18.0.2", "")) // ListSome and InspectNetwork
				f.wait()
				if endpoint == dockertest.ListContainers || endpoint == dockertest.ListNetworks {
					f.Invalidate()
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				if kind != "silent" {
					ctx = t.Context()
				}
				h, err := f.List(ctx)
				cancel()
				if err == nil || len(h.Containers)+len(h.Networks) != 0 {
					t.Fatalf("a List through the fault: %+v, %v", h, err)
				}
				t.Log(err)
				e.SetFault(endpoint, dockertest.Fault{})
				if h := f.list(); !attached(h, "web", "app") || len(h.Containers) == 0 {
					t.Errorf("after the fault: %+v", h)
				}
			})
		}
	}
}

func TestANetworkThatVanishesBetweenListAndInspectIsNormal(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web"))
	e.PutNetwork(overlay("mesh"))
	e.SetFault(dockertest.InspectNetwork, dockertest.Fault{Status: 404})
	if h := list(t, client(t, docker.Options{Host: e.Host()})); len(h.Networks) != 1 || h.Networks[0].Name != "mesh" {
		t.Errorf("networks: %+v", h.Networks)
	}
}

// TestAHostStaysAsItWas, for it shares what it is made of with the next.
func TestAHostStaysAsItWas(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web", at("app", "172.18.0.2", ""), at("db", "172.18.0.3", "")))
	e.PutContainer(box("app", "running"))
	e.PutContainer(box("db", "running"))
	f := follow(t, e)
	again := box("app", "running")
	again.Labels["dockerwall.outbound"] = "*"
	hosts := []docker.Host{f.list()}
	texts := []string{fmt.Sprintf("%+v", hosts[0])}
	for _, change := range []func(){
		func() { e.Die(dockertest.ID("db")) },                                                // its endpoint is over
		func() { e.PutContainer(again); e.Rename(again.ID, "renamed") },                      // a container is read
		func() { e.Connect(dockertest.ID("web"), at("late", "172.18.0.4", "")) },             // a network is
		func() { e.Disconnect(dockertest.ID("web"), dockertest.ID("app")); e.Die(again.ID) }, // and all that changes
	} {
		change()
		h := f.next()
		hosts, texts = append(hosts, h), append(texts, fmt.Sprintf("%+v", h))
	}
	for i, h := range hosts {
		same(t, fmt.Sprintf("%+v", h), texts[i])
	}
	same(t, hosts[2].Networks, []docker.Network{bridge("web", at("app", "172.18.0.2", ""))})
}
