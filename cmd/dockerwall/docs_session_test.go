package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// session is a shell on the host of a world, in which the commands of a page are typed one after the other.
type session struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	close func()
	aside func(text string) *exec.Cmd // a shell of its own, beside the session's pids
}

// prelude is what a page finds: an empty folder, a home, the programs, and, for commands that are not shown, some
// functions. The machine's own /usr/local stays as it is.
const prelude = `set -e
for dir in /usr/local/bin /usr/local/share /usr/local/etc /var/lib; do
	[ ! -d $dir ] || mountpoint -q $dir || mount -t tmpfs -o mode=755 tmpfs $dir
done
mkdir -p $HOME/.docker/cli-plugins /usr/local/share/man "$FOLDER" /run/dockerwall
ln -sf "$ENGINE/docker-compose" $HOME/.docker/cli-plugins/docker-compose
cp "$BINARY" /usr/local/bin/dockerwall
cd "$FOLDER"
PATH=$PATH:$PROMETHEUS
set +e
# daemon [SETTINGS]: (re)starts dockerwall on the host and waits until it is well.
daemon() {
	undaemon
	env dockerwall run "$@" >>/run/dockerwall/log 2>&1 &
	daemon=$!
	for try in $(seq 300); do ! dockerwall health >/dev/null 2>&1 || return 0; sleep 0.05; done
	cat /run/dockerwall/log
	return 1
}
undaemon() { [ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; daemon=; }; }
# await WORDS... [= PATTERN]: repeats a command until it succeeds, or prints a line with the pattern.
await() { for try in $(seq 150); do "$@" >/run/dockerwall/awaited 2>&1 && return 0; sleep 0.1; done; cat /run/dockerwall/awaited; return 1; }
`

// epilogue leaves the host as the next page wants it.
const epilogue = `kill $(jobs -p) 2>/dev/null; wait
docker ps -aq | xargs -r docker rm -fv >/dev/null
docker network prune -f >/dev/null; docker volume prune -af >/dev/null
dockerwall nft flush >/dev/null 2>&1
rm -rf /run/dockerwall /var/lib/dockerwall`

const separator = "\x1e" // no program prints it

func (w *world) session(t *testing.T, folder string, env ...string) *session {
	t.Helper()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := &session{cmd: w.HostSession(t.Context(), "bash", "--noprofile", "--norc"), out: bufio.NewReader(r)}
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Env = append(os.Environ(), append([]string{
		"HOME=/run/home", "LC_ALL=C.UTF-8", "DOCKER_HOST=", "DOCKER_CONFIG=", "FOLDER=" + folder, "BINARY=" + w.binary, "ENGINE=" + w.engine.Programs(),
		"PATH=/usr/local/bin:" + w.engine.Programs() + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
	}, env...)...)
	s.aside = func(text string) *exec.Cmd {
		shell := w.HostCommand(t.Context(), "bash", "-c", "cd "+folder+"; "+text)
		shell.Env = append(slices.Clone(s.cmd.Env), "PATH=/usr/local/bin:"+os.Getenv("PATH")+":/usr/sbin:/sbin")
		return shell
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = out.Close()
	s.close = func() {
		_, _ = io.WriteString(s.in, epilogue+"\nexit\n")
		stop := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait()
		stop.Stop()
		_ = r.Close()
	}
	if out, code, err := s.run(prelude); err != nil || code != 0 {
		t.Fatalf("start a session: exit %d, %v\n%s", code, err, out)
	}
	return s
}

// typed is run, but for doctor, which takes a namespace of pids for a container's.
func (s *session) typed(text string) (out string, code int, err error) {
	if !strings.HasPrefix(text, "dockerwall doctor") {
		return s.run(text)
	}
	shell := s.aside(text)
	said, err := shell.CombinedOutput()
	if errors.As(err, new(*exec.ExitError)) {
		err = nil
	}
	return string(said), shell.ProcessState.ExitCode(), err
}

// run types a command and returns what it printed, on both streams, and its exit code. It has a minute.
func (s *session) run(text string) (out string, code int, err error) {
	stop := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer stop.Stop()
	if _, err := fmt.Fprintf(s.in, "{ %s\n} </dev/null\n__code=$?; printf '\\036%%d\\036' $__code; (exit $__code)\n", text); err != nil {
		return "", 0, err
	}
	if out, err = s.out.ReadString(separator[0]); err != nil {
		return out, 0, errors.Join(errors.New("the shell ended, or the command took longer than a minute"), err)
	}
	number, err := s.out.ReadString(separator[0])
	if err != nil {
		return out, 0, err
	}
	_, err = fmt.Sscanf(strings.TrimSuffix(number, separator), "%d", &code)
	return strings.TrimSuffix(out, separator), code, err
}
