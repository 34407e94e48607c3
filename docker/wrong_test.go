package docker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
)

func TestWhatIsNoEnginesAnswerIsAnErrorThatSaysSo(t *testing.T) {
	id := dockertest.ID("web")
	for name, test := range map[string]struct {
		endpoint string
		fault    dockertest.Fault
		want     []string
	}{
		"a page":                     {dockertest.ListContainers, dockertest.Fault{Body: "<html>Bad gateway</html>"}, []string{"list containers of Docker at ", "not JSON"}},
		"another kind of JSON":       {dockertest.ListNetworks, dockertest.Fault{Body: `{"message":"hello"}`}, []string{"list networks of Docker at ", "cannot unmarshal object"}},
		"a network without a driver": {dockertest.ListNetworks, dockertest.Fault{Body: `[{"Id":"` + id + `","Name":"web"}]`}, []string{"list networks of Docker at ", "a network without driver"}},
		"a network without a name":   {dockertest.ListNetworks, dockertest.Fault{Body: `[{"Id":"` + id + `","Driver":"bridge"}]`}, []string{"list networks of Docker at ", "a network without name"}},
		"an empty network":           {dockertest.InspectNetwork, dockertest.Fault{Body: `{"Id":"` + id + `"}`}, []string{"inspect network " + id, "a network without"}},
		"another network":            {dockertest.InspectNetwork, dockertest.Fault{Body: `{"Id":"` + dockertest.ID("db") + `","Name":"db","Driver":"bridge"}`}, []string{"inspect network " + id, "the answer is about network"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := dockertest.New(t)
			e.PutNetwork(bridge("web", at("app", "172.18.0.2", "")))
			e.PutContainer(box("app", "running"))
			f := follow(t, e)
			e.SetFault(test.endpoint, test.fault)
			f.Invalidate()
			h, err := f.List(t.Context())
			if len(h.Containers)+len(h.Networks) != 0 {
				t.Errorf("through the fault: %+v", h)
			}
			for _, want := range test.want {
				mention(t, err, want)
			}
			e.SetFault(test.endpoint, dockertest.Fault{})
			if h := f.list(); !attached(h, "web", "app") {
				t.Errorf("after the fault: %+v", h)
			}
		})
	}
}

func TestANetworkThatASwarmHasNotAllocatedKeepsNobodyFromBeingListed(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web", at("app", "172.18.0.2", "")))
	e.PutContainer(box("app", "running"))
	waiting := overlay("waiting")
	waiting.Driver = ""
	e.PutNetwork(waiting)
	h, err := follow(t, e).List(t.Context())
	if err != nil || !attached(h, "web", "app") || len(h.Networks) != 2 {
		t.Errorf("%v: %+v", err, h)
	}
}

func TestAnAnswerWithoutEndIsCutOff(t *testing.T) {
	e := dockertest.New(t)
	e.SetFault(dockertest.ListContainers, dockertest.Fault{Body: `[{"Id":"`, Endless: strings.Repeat("a", 1<<20)})
	_, err := client(t, docker.Options{Host: e.Host(), Timeout: 5 * time.Minute}).List(t.Context())
	mention(t, err, "list containers of Docker at ")
	mention(t, err, "longer than any Engine's")
}

func TestAnEventWithoutEndIsCutOff(t *testing.T) {
	e := dockertest.New(t)
	f := follow(t, e)
	e.SetFault(dockertest.Events, dockertest.Fault{Body: `{"Type":"`, Endless: strings.Repeat("a", 1<<16)})
	e.Down()
	e.Up()
	for end := time.Now().Add(patience); !strings.Contains(f.log.String(), "longer than any Engine's"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the client said:\n%s", f.log)
		}
	}
	e.SetFault(dockertest.Events, dockertest.Fault{})
	f.wait()
}

func TestAnEmptyListMakesNoEndOfNetworks(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web", at("app", "172.18.0.2", "")))
	e.PutContainer(box("app", "running"))
	f := follow(t, e)
	for _, endpoint := range []string{dockertest.ListNetworks, dockertest.ListContainers} {
		e.SetFault(endpoint, dockertest.Fault{Body: "[]"})
	}
	f.Invalidate()
	if h := f.list(); !attached(h, "web", "app") || len(h.Containers) != 1 {
		t.Errorf("%+v", h)
	}
	e.DropNetwork(dockertest.ID("web"))
	f.Invalidate()
	if h := f.list(); len(h.Networks) != 0 {
		t.Errorf("a network that is gone is still there: %+v", h)
	}
}

func TestADeathDuringASlowListingCounts(t *testing.T) {
	e := dockertest.New(t)
	e.PutNetwork(bridge("web", at("app", "172.18.0.2", "")))
	e.PutContainer(box("app", "running"))
	f := follow(t, e)
	slow := make(chan struct{})
	e.SetFault(dockertest.ListContainers, dockertest.Fault{Wait: slow}) // networks are read, and say what was
	f.Invalidate()
	answer := make(chan docker.Host, 1)
	go func() { answer <- f.list() }()
	for end := time.Now().Add(patience); e.Count(dockertest.InspectNetwork) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody asks")
		}
	}
	e.Die(dockertest.ID("app"))
	f.wait()
	close(slow)
	if h := <-answer; attached(h, "web", "app") {
		t.Errorf("the dead has its address: %+v", h.Networks)
	}
}
