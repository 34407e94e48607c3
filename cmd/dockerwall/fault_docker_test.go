package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// middleman stands between a daemon and its Engine, and does to answers what it is told.
type middleman struct {
	w      *world
	socket string

	mu    sync.Mutex
	lied  int // answers that were not the Engine's
	conns map[net.Conn]bool
	delay time.Duration               // of each answer's first bytes
	say   func(request string) string // instead of the Engine's answer; "" lets the Engine answer
}

// middleman starts one for this world's Engine.
func (w *world) middleman(t *testing.T) *middleman {
	t.Helper()
	dir, err := os.MkdirTemp("", "middleman") // t.TempDir may be too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &middleman{w: w, socket: filepath.Join(dir, "docker.sock"), conns: map[net.Conn]bool{}}
	l, err := net.Listen("unix", m.socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { m.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		m.cut()
		serving.Wait()
	})
	return m
}

// host is its DOCKER_HOST.
func (m *middleman) host() string { return "DOCKER_HOST=unix://" + m.socket }

func (m *middleman) become(delay time.Duration, say func(request string) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay, m.say = delay, say
}

func (m *middleman) lies() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lied
}

// cut ends all connections.
func (m *middleman) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		_ = c.Close()
	}
}

func (m *middleman) hold(c net.Conn, held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held {
		m.conns[c] = true
	} else {
		delete(m.conns, c)
	}
	if !held {
		_ = c.Close()
	}
}

// serve passes on requests, each of which is one write, and what comes back.
func (m *middleman) serve(client net.Conn) {
	m.hold(client, true)
	defer m.hold(client, false)
	engine, err := net.Dial("unix", m.w.engine.Socket())
	if err != nil {
		return
	}
	m.hold(engine, true)
	defer m.hold(engine, false)
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, engine)
		_ = client.Close()
	}()
	defer func() { <-back }()
	defer func() { _ = engine.Close() }()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		request := string(buf[:n])
		m.mu.Lock()
		delay, say := m.delay, m.say
		m.mu.Unlock()
		if delay > 0 && !strings.Contains(request, "/events") {
			time.Sleep(delay)
		}
		if say != nil {
			if answer := say(request); answer != "" {
				m.mu.Lock()
				m.lied++
				m.mu.Unlock()
				_, _ = io.WriteString(client, answer)
				return
			}
		}
		if _, err := engine.Write(buf[:n]); err != nil {
			return
		}
	}
}

// sentence is an HTTP answer.
func sentence(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body)
}

// lies are answers that no Engine gives, or not to this.
func lies() map[string]func(request string) string {
	to := func(path, answer string) func(string) string {
		return func(request string) string {
			if !strings.Contains(request, path) {
				return ""
			}
			return answer
		}
	}
	long := "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n[{\"Id\":"
	return map[string]func(string) string{
		"500":                         func(string) string { return sentence(500, `{"message":"no"}`) },
		"a page":                      to("/containers/json", sentence(200, "<html>hello</html>")),
		"truncated JSON":              to("/networks", sentence(200, `[{"Id":"01`)),
		"an end in the middle":        to("/containers/json", long),
		"no networks":                 to("/networks ", sentence(200, "[]")),
		"networks without a driver":   to("/networks ", sentence(200, `[{"Id":"`+strings.Repeat("0", 64)+`","Name":"web"}]`)),
		"another network":             to("/networks/", sentence(200, `{"Id":"`+strings.Repeat("1", 64)+`","Name":"web","Driver":"bridge"}`)),
		"an object instead of a list": to("/containers/json", sentence(200, `{"message":"hello"}`)),
		"nothing, and the connection": to("/networks", "HTTP/1.1 200 OK\r\n"),
	}
}

// TestFaultAnEngineThatCannotBeBelieved has the Engine say nonsense, be slow, and be cut off every second while containers come and go.
func TestFaultAnEngineThatCannotBeBelieved(t *testing.T) {
	w := newWorld(t, lab.DockerOptions{Config: `{"live-restore": true}`})
	m := w.middleman(t)
	d := w.start(t, m.host())
	b := w.labelled(t, "203.0.113.1")
	b.reaches(t, "udp 203.0.113.1:5000")
	probed := func(what string, times int, strike func(i int, p *prober)) {
		t.Helper()
		p := w.prober(t)
		p.allowed(b, "udp 203.0.113.1:6000", "echo 203.0.113.1:6001", "ping 203.0.113.1", "tcp 203.0.113.1:80", "stream 203.0.113.1:7")
		p.denied(b, "udp 203.0.113.77:6000", "tcp 203.0.113.77:80", "ping 203.0.113.77")
		p.start()
		for i := range times {
			strike(i, p)
		}
		p.goesOn(20)
		s := p.stop()
		s.clean(t)
		w.healthy(t, d)
		fault{table: ofDocker, what: what, times: times, sum: s}.told(t)
	}
	for name, say := range lies() {
		times := often(1, 10)
		probed("the Engine answers wrongly: "+name, times, func(_ int, p *prober) {
			before := m.lies()
			m.become(0, say)
			m.cut()
			p.goesOn(uint64(often(20, 200)))
			eventually(t, func() error {
				if m.lies() == before {
					return errors.New("nobody was lied to")
				}
				return nil
			})
			m.become(0, nil)
			m.cut()
			p.goesOn(20)
		})
	}
	probed("dockerd restarted and killed in turn, with live-restore", often(2, 20), func(i int, p *prober) {
		if i%2 == 0 {
			w.engine.Kill9()
		} else if err := w.engine.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.goesOn(20)
	})
	probed("the Engine answers after 2 s, a container comes", often(1, 5), func(i int, p *prober) {
		m.become(2*time.Second, nil)
		young := w.labelled(t, "203.0.113.3")
		young.isKeptFrom(t, "tcp 203.0.113.2:80")
		m.become(0, nil)
		young.reaches(t, "tcp 203.0.113.3:80")
		_ = young.Remove(t.Context())
	})
	probed("the connection to the Engine cut every second while containers come and go", often(5, 60), func(i int, p *prober) {
		m.cut()
		n := strconv.Itoa(i + 1)
		r, err := w.engine.RunProbe(t.Context(), lab.RunSpec{Network: other, Labels: map[string]string{"dockerwall.outbound": "198.18.1." + n},
			Cmd: []string{"script", "udp 198.18.2." + n + ":9 -count 50", "tcp 198.18.1." + n + ":80 -timeout 10s"}})
		if err != nil || r.Outcome != result.OK {
			t.Errorf("container %d: %+v, %v", i, r, err)
		}
		if leaked := w.ArrivedAt("udp", netip.MustParseAddrPort("198.18.2."+n+":9")); leaked != 0 {
			t.Errorf("container %d: %d packets leaked", i, leaked)
		}
	})
}
