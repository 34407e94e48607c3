package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// DockerOptions say how the lab's dockerd starts.
type DockerOptions struct {
	Args   []string // further flags, such as --dns=198.51.100.53, --live-restore
	Config string   // /etc/docker/daemon.json; empty is none
	Newest bool     // the newest Engine of Debian's suites (see FetchNewest) instead of this machine's own
}

// fetch makes sure that the Engine asked for is in the cache and returns its folder.
func (o DockerOptions) fetch(ctx context.Context) (string, error) {
	if o.Newest {
		return FetchNewest(ctx)
	}
	return Fetch(ctx)
}

// Docker is the lab's own dockerd. It ends with the lab.
type Docker struct {
	lab     *Lab
	bin     string
	options DockerOptions
	storage string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// StartDocker starts dockerd on the host and waits until it answers. Data, sockets and containers live in the lab's
// own mounts and pids; a lab has one.
func (l *Lab) StartDocker(ctx context.Context, options DockerOptions) (*Docker, error) {
	if l.docker != nil {
		return nil, errors.New("start dockerd: this lab has one already")
	}
	bin, err := options.fetch(ctx)
	if err != nil {
		return nil, err
	}
	d := &Docker{lab: l, bin: bin, options: options, storage: l.storageDriver(ctx)}
	if options.Config != "" {
		if err := l.WriteFile("/etc/docker/daemon.json", options.Config); err != nil {
			return nil, err
		}
	}
	if err := d.Start(ctx); err != nil {
		return nil, err
	}
	l.docker = d
	return d, nil
}

// storageDriver is overlay2 where the kernel has it, and vfs elsewhere. Both work on the lab's tmpfs.
func (l *Lab) storageDriver(ctx context.Context) string {
	try := `cd "$1" && mkdir a b c d && mount -t overlay -o lowerdir=a,upperdir=b,workdir=c overlay d && umount d`
	if l.machine.command(ctx, "sh", "-c", try, "sh", filepath.Join(l.dir, "own")).Run() != nil {
		return "vfs"
	}
	return "overlay2"
}

// Socket is the path of the Engine's socket, for this process and for programs of HostCommand. Inside the lab it is
// also /run/docker.sock.
func (d *Docker) Socket() string { return filepath.Join(d.lab.dir, "docker.sock") }

// Programs is the folder of the Engine's programs, docker among them; the newest Engine's has docker-compose too.
func (d *Docker) Programs() string { return d.bin }

// Host is the value of DOCKER_HOST.
func (d *Docker) Host() string { return "unix://" + d.Socket() }

// Version is what the Engine says of itself, such as 28.5.2+dfsg4: a distribution adds to the number.
func (d *Docker) Version(ctx context.Context) (string, error) {
	return d.CLI(ctx, "version", "--format", "{{.Server.Version}}")
}

func (d *Docker) log() string { return filepath.Join(d.lab.dir, "daemon.log") }

// Start starts dockerd again after Stop or Kill9, with the same options.
func (d *Docker) Start(ctx context.Context) error {
	if d.running() {
		return errors.New("start dockerd: it runs")
	}
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := d.lab.machine.command(context.WithoutCancel(ctx), filepath.Join(d.bin, "dockerd"), d.args()...)
	cmd.Env = append(os.Environ(), "PATH="+d.bin+":/usr/sbin:/usr/bin:/sbin:/bin", "DOCKER_HOST=")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dockerd: %w", err)
	}
	d.cmd, d.exited = cmd, make(chan struct{})
	go d.wait(cmd, d.exited)
	if err := d.ready(ctx); err != nil {
		d.Kill9()
		return fmt.Errorf("start dockerd: %w\n%s", err, d.LogTail())
	}
	return nil
}

func (d *Docker) wait(cmd *exec.Cmd, exited chan<- struct{}) {
	_ = cmd.Wait()
	close(exited)
}

func (d *Docker) args() []string {
	return append([]string{
		"--host=" + d.Host(), "--host=unix:///run/docker.sock",
		"--data-root=" + filepath.Join(d.lab.dir, "own", "docker"), "--exec-root=/run/docker", "--pidfile=/run/docker.pid",
		"--storage-driver=" + d.storage, "--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=" + d.lab.cgroup(),
	}, d.options.Args...)
}

// ready waits until the Engine answers, for at most a minute.
func (d *Docker) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.dial}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.exited:
			return errors.New("it ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (d *Docker) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket())
}

func (d *Docker) running() bool {
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.exited:
		return false
	default:
		return true
	}
}

// PID is dockerd's own, or 0 when it does not run.
func (d *Docker) PID() int {
	if !d.running() {
		return 0
	}
	if pids := children(d.cmd.Process.Pid); len(pids) == 1 {
		return pids[0]
	}
	return 0
}

func (d *Docker) signal(s syscall.Signal) {
	if pid := d.PID(); pid != 0 {
		_ = syscall.Kill(pid, s)
	}
}

// Stop ends dockerd as an administrator would; without --live-restore its containers end too.
func (d *Docker) Stop(ctx context.Context) error {
	if !d.running() {
		return nil
	}
	d.signal(syscall.SIGTERM)
	select {
	case <-d.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop dockerd: %w\n%s", ctx.Err(), d.LogTail())
	}
}

// Restart is Stop and Start.
func (d *Docker) Restart(ctx context.Context) error {
	if err := d.Stop(ctx); err != nil {
		return err
	}
	return d.Start(ctx)
}

// Kill9 kills dockerd alone: its containerd and the containers go on.
func (d *Docker) Kill9() {
	if !d.running() {
		return
	}
	if d.PID() == 0 { // its parent has not come to it yet
		_ = d.cmd.Process.Kill()
	}
	d.signal(syscall.SIGKILL)
	<-d.exited
}

// LogTail is the end of dockerd's log, without what it says of its own parts.
func (d *Docker) LogTail() string {
	text, _ := os.ReadFile(d.log())
	lines := slices.DeleteFunc(strings.SplitAfter(string(text), "\n"), func(line string) bool {
		return strings.Contains(line, "module=grpc") || strings.Contains(line, "type=io.containerd.")
	})
	return strings.Join(lines[max(0, len(lines)-60):], "")
}
