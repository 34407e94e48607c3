// Package chromium drives a headless Chromium by the DevTools protocol, over a pipe: for tests that look at a page as a
// person would.
package chromium

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// Browser is one that runs.
type Browser struct {
	cmd  *exec.Cmd
	to   *os.File
	gone chan struct{} // closed when it says no more

	mu      sync.Mutex
	last    int
	waiting map[int]chan<- message
	heard   []message // events
}

// message is one of the protocol, in either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// ForTest is a browser that ends with the test. It reaches nothing but 127.0.0.1.
func ForTest(t testing.TB) *Browser {
	t.Helper()
	program := ""
	for _, name := range []string{"google-chrome", "chromium-browser", "chromium"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
		}
	}
	if program == "" {
		lab.Cannot(t, "needs chromium")
	}
	b, err := start(program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b
}

func start(program, dir string) (*Browser, error) {
	theirs, to, err := os.Pipe() // what it reads, its descriptor 3
	if err != nil {
		return nil, err
	}
	from, said, err := os.Pipe() // what it writes, its descriptor 4
	if err != nil {
		return nil, err
	}
	b := &Browser{to: to, gone: make(chan struct{}), waiting: map[int]chan<- message{}}
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir="+dir, // no sandbox: root has none
		"--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync", "--disable-background-networking",
		"--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--hide-scrollbars")
	b.cmd.ExtraFiles = []*os.File{theirs, said}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = b.cmd.Start()
	_, _ = theirs.Close(), said.Close()
	if err != nil {
		_, _ = to.Close(), from.Close()
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go b.listen(from)
	return b, nil
}

// close ends it and its children.
func (b *Browser) close() {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	_ = b.cmd.Wait()
	_ = b.to.Close()
	<-b.gone
}

func (b *Browser) listen(from *os.File) {
	defer close(b.gone)
	defer func() { _ = from.Close() }()
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(text[:len(text)-1], &m) == nil {
			b.hear(m)
		}
	}
}

func (b *Browser) hear(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if answer := b.waiting[m.ID]; answer != nil {
		delete(b.waiting, m.ID)
		answer <- m
		return
	}
	b.heard = append(b.heard, m)
}

// call asks one thing of the browser, or of a tab, and reads the answer into out, which may be nil.
func (b *Browser) call(ctx context.Context, session, method string, params, out any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer := make(chan message, 1)
	if err := b.say(message{Session: session, Method: method, Params: text}, answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case <-b.gone:
		return fmt.Errorf("%s: the browser has ended", method)
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(m.Result, out)
	}
}

func (b *Browser) say(m message, answer chan<- message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	m.ID = b.last
	b.waiting[m.ID] = answer
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = b.to.Write(append(text, 0))
	return err
}

// events are those of a tab so far.
func (b *Browser) events(session, method string) (out []json.RawMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.heard {
		if m.Session == session && m.Method == method {
			out = append(out, m.Params)
		}
	}
	return out
}

var errNoLoad = errors.New("the page did not load")
