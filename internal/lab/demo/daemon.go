package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// socket is the daemon's, in the lab's own /run.
const socket = "/run/dockerwall/demo.sock"

// record is a line of the daemon's log.
type record struct {
	Level       string `json:"level"`
	Msg         string `json:"msg"`
	Container   string `json:"container"`
	Reason      string `json:"reason"`
	Destination string `json:"destination"`
	Port        int    `json:"port"`
	Protocol    string `json:"protocol"`
	line        string
}

// daemon is a running `dockerwall run`. The zero value has said nothing.
type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu      sync.Mutex
	records []record
}

// command is dockerwall on the lab's host, with none of this shell's settings.
func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := d.lab.HostCommand(ctx, d.bin, args...)
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch {
		case strings.HasPrefix(name, "DOCKER"), name == "GATEWAY_NETWORKS", name == "DEFAULT_OUTBOUND", name == "DRY_RUN",
			name == "LOG_LEVEL", name == "TRUST_IMAGE_LABELS":
		default:
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "DOCKER_HOST="+d.docker.Host())
	return cmd
}

// dockerwall runs a command to its end and returns its standard output.
func (d *demo) dockerwall(ctx context.Context, args ...string) (string, error) {
	out, err := d.command(ctx, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("dockerwall %s: %w: %s%s", strings.Join(args, " "), err, exit.Stderr, out)
	}
	return string(out), err
}

func (d *demo) startDaemon(ctx context.Context) error {
	cmd := d.command(ctx, "run", "--socket="+socket, "--log-format=json", "--state-dir=off")
	said, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dockerwall: %w", err)
	}
	d.daemon.cmd, d.daemon.exited = cmd, make(chan struct{})
	go d.daemon.listen(said)
	return d.until(ctx, "dockerwall is healthy", func() error {
		select {
		case <-d.daemon.exited:
			return fatal{errors.New("it ended")}
		default:
		}
		_, err := d.dockerwall(ctx, "health", "--socket="+socket)
		return err
	})
}

// listen keeps what the daemon says.
func (d *daemon) listen(said io.Reader) {
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		r := record{line: lines.Text()}
		_ = json.Unmarshal(lines.Bytes(), &r)
		d.mu.Lock()
		d.records = append(d.records, r)
		d.mu.Unlock()
	}
	_ = d.cmd.Wait()
	close(d.exited)
}

func (d *daemon) kill() error {
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	<-d.exited
	return nil
}

// said returns the first line that match accepts.
func (d *daemon) said(match func(record) bool) (record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.records {
		if match(r) {
			return r, true
		}
	}
	return record{}, false
}

// tail is the end of the daemon's log, for a failure.
func (d *daemon) tail() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.records) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nthe daemon's last words:")
	for _, r := range d.records[max(0, len(d.records)-15):] {
		b.WriteString("\n  " + r.line)
	}
	return b.String()
}

// fatal is an error that waiting does not mend.
type fatal struct{ error }

// until tries again until f succeeds, for ten seconds.
func (d *demo) until(ctx context.Context, what string, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if errors.As(err, new(fatal)) {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
