package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/docker/dockertest"
	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const (
	connects    = 40 // of which the 95th percentile is taken
	maxConnect  = 10 // ms
	connectCase = "network connect to committed"
)

// BenchmarkBudgetConnectSynthetic takes the time from an event of the synthetic Engine to the commit: of a second network,
// and of one that all containers are in. What the daemon works for it, until it rests again, does not depend on who else
// has the cores.
func BenchmarkBudgetConnectSynthetic(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		c := newCrowd(b, n)
		second := c.second(b)
		d, _ := c.whole(b)
		heard := c.commits(b)
		for _, to := range []struct {
			name, network string
			from          [4]byte
		}{
			{connectCase, second, [4]byte{172, 31, 1, 2}},
			{connectCase + ", into a network of all", dockertest.ID("crowd"), [4]byte{172, 30, 201, 2}},
		} {
			took, worked := pair.Figure{Case: to.name, N: n, Unit: "ms", P95: true}, pair.Figure{Case: to.name + ", CPU", N: n, Unit: "ms"}
			if n == crowded {
				took.Max = maxConnect
			}
			for i := range connects {
				heard.quiet(b)
				to.from[3]++
				addr := netip.AddrFrom4(to.from)
				cpu, committed, began := processTime(b, d.cmd.Process.Pid), heard.of(addr), time.Now()
				id := fmt.Sprintf("c%d", 10+i)
				c.engine.Connect(to.network, docker.Endpoint{ContainerID: dockertest.ID(id), EndpointID: dockertest.ID(id + to.network), IPv4: addr})
				took.Ours = append(took.Ours, milliseconds(before(b, committed, addr.String()).Sub(began)))
				heard.quiet(b)
				worked.Ours = append(worked.Ours, milliseconds(processTime(b, d.cmd.Process.Pid)-cpu))
			}
			publish(b, took, worked)
		}
		d.stop()
	}
}

// second is another network of the crowd's host, with nobody in it.
func (c *crowd) second(tb testing.TB) string {
	tb.Helper()
	id := dockertest.ID("second")
	bridge := "br-" + id[:12]
	c.host(tb, "sh", "-c", `ip link add "$1" type bridge && ip address add 172.31.0.1/16 dev "$1" && ip link set "$1" up`, "sh", bridge)
	c.engine.PutNetwork(docker.Network{
		ID: id, Name: "second", Driver: "bridge", Scope: "local", Bridge: bridge,
		Subnets: []netip.Prefix{netip.MustParsePrefix("172.31.0.0/16")}, Gateways: []netip.Addr{netip.MustParseAddr("172.31.0.1")},
	})
	return id
}

// BenchmarkBudgetConnect takes the time from Docker's own word, the event's, to the commit; and from the request to the
// commit beside the time that Docker takes to answer it.
func BenchmarkBudgetConnect(b *testing.B) {
	w := anotherWorld(b, lab.DockerOptions{})
	w.start(b)
	e := newEngineAPI(w.engine)
	heard, told := w.commits(b), e.connected(b)
	var ids []string
	for _, n := range []int{5, 50, 200} {
		ids = append(ids, e.sleepers(b, n-len(ids))...)
		event := pair.Figure{Case: connectCase + ", real Engine", N: n, Unit: "ms", Max: maxConnect, P95: true}
		request := pair.Figure{Case: "network connect, request to committed", N: n, Unit: "ms", Beside: "Docker's answer"}
		for i := range connects {
			heard.quiet(b)
			addr := netip.AddrFrom4([4]byte{172, 30, 2, byte(200 + i)})
			committed, began := heard.of(addr), time.Now()
			e.post(b, "/networks/"+other+"/connect", map[string]any{
				"Container": ids[i%n], "EndpointConfig": map[string]any{"IPAMConfig": map[string]any{"IPv4Address": addr.String()}},
			})
			answered, at := time.Now(), before(b, committed, addr.String())
			event.Ours = append(event.Ours, milliseconds(at.Sub(before(b, told, "event"))))
			request.Ours, request.Theirs = append(request.Ours, milliseconds(at.Sub(began))), append(request.Theirs, milliseconds(answered.Sub(began)))
			e.post(b, "/networks/"+other+"/disconnect", map[string]any{"Container": ids[i%n]})
		}
		publish(b, event, request)
	}
}

// engineAPI asks a real Engine without the docker program.
type engineAPI struct{ client *http.Client }

func newEngineAPI(d *lab.Docker) engineAPI {
	return engineAPI{&http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket())
	}}}}
}

func (e engineAPI) post(tb testing.TB, path string, body any) []byte {
	tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://docker"+path, bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := e.client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	out, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode >= http.StatusBadRequest {
		tb.Fatalf("POST %s: %s %s %v", path, answer.Status, out, err)
	}
	return out
}

// sleepers are so many containers that run and do nothing.
func (e engineAPI) sleepers(tb testing.TB, n int) []string {
	tb.Helper()
	ids := make([]string, n)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range ids {
		g.Go(func() error {
			var made struct{ ID string }
			out := e.post(tb, "/containers/create", map[string]any{
				"Image": lab.ProbeImage, "Cmd": []string{"sleep"}, "Labels": map[string]string{"dockerwall.outbound": "203.0.113.1, 10.1.0.0/16:443"},
				"HostConfig": map[string]any{"NetworkMode": web},
			})
			if err := json.Unmarshal(out, &made); err != nil {
				return err
			}
			ids[i] = made.ID
			e.post(tb, "/containers/"+made.ID+"/start", nil)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
	return ids
}

// connected are the times of the connects to come, as the Engine tells them.
func (e engineAPI) connected(tb testing.TB) <-chan time.Time {
	tb.Helper()
	filters := url.QueryEscape(`{"type":["network"],"event":["connect"],"network":["` + other + `"]}`)
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://docker/events?filters="+filters, nil)
	if err != nil {
		tb.Fatal(err)
	}
	answer, err := e.client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	out := make(chan time.Time, connects)
	go func() {
		defer func() { _ = answer.Body.Close() }()
		for stream := json.NewDecoder(answer.Body); ; {
			var event struct {
				TimeNano int64 `json:"timeNano"`
			}
			if stream.Decode(&event) != nil {
				return
			}
			out <- time.Unix(0, event.TimeNano)
		}
	}()
	return out
}
