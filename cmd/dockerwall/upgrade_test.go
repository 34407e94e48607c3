package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dockerwall/dockerwall/internal/lab"
)

// released is the last commit before state was kept for the boot, and daemons kept each other away by more than a socket.
const released = "8c9a4e0"

// previous is the binary of that commit, built from this tree's history.
func previous(t *testing.T) string {
	t.Helper()
	cache, err := lab.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "bin", "dockerwall-"+released)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, _, err := outputs(exec.CommandContext(t.Context(), "git", "rev-parse", "--verify", released+"^{commit}")); err != nil {
		lab.Cannot(t, "needs the history of this tree ("+err.Error()+")")
	}
	script := `git -C ../.. archive "$1" | tar -x -C "$2" && cd "$2" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$3.new" ./cmd/dockerwall && mv "$3.new" "$3"`
	if _, _, err := outputs(exec.CommandContext(t.Context(), "sh", "-c", script, "sh", released, t.TempDir(), path)); err != nil {
		t.Fatal(err)
	}
	return path
}

// outputs runs a command; what it says on its error stream is part of the error.
func outputs(cmd *exec.Cmd) (out, said string, err error) {
	var streams [2]strings.Builder
	cmd.Stdout, cmd.Stderr = &streams[0], &streams[1]
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%s: %w: %s", cmd.Path, err, streams[1].String())
	}
	return streams[0].String(), streams[1].String(), err
}

// upgraded is a host whose daemon ends and begins under load.
type upgraded struct {
	*world
	t       *testing.T // daemons end with it
	d       *wall
	b, free *box
	former  string // the build before; world has this one
}

// TestFaultUpgrade has daemons end and begin while containers send.
func TestFaultUpgrade(t *testing.T) {
	u := &upgraded{world: newWorld(t, lab.DockerOptions{Config: `{"live-restore": true}`}), t: t, former: previous(t)}
	u.names()
	u.begin(u.former)
	u.b = u.labelled(t, "203.0.113.1, 203.0.113.2, www.example.com")
	u.free = u.run(t, lab.RunSpec{Network: other})
	u.b.reaches(t, "tcp 203.0.113.10:80", "udp 203.0.113.1:5000")
	t.Run("upgrade, downgrade and upgrade", u.thereAndBack)
	t.Run("state of a build to come is left alone", u.leavesTheNewer)
	t.Run("told to end while it commits", u.endsAnywhere)
	t.Run("it begins while Docker begins", u.withDocker)
}

// begin starts a build of the daemon, in place of the one that runs.
func (u *upgraded) begin(binary string) {
	u.t.Helper()
	if u.d != nil {
		u.d.stop()
		if code := u.d.code(u.t); code != exitOK {
			u.t.Errorf("it ends with code %d", code)
		}
	}
	this := u.binary
	u.binary = binary
	u.d = u.start(u.t, "GATEWAY_NETWORKS=!"+other)
	u.binary = this
}

// probed sends until its end.
func (u *upgraded) probed(t *testing.T) *prober {
	t.Helper()
	p := u.prober(t)
	p.allowed(u.b, "udp 203.0.113.1:6000", "echo 203.0.113.1:6001", "ping 203.0.113.2", "tcp 203.0.113.10:80", "stream 203.0.113.1:7")
	p.denied(u.b, "udp 203.0.113.77:6000", "tcp 203.0.113.78:80")
	p.control(u.free, "udp 203.0.113.5:6000")
	p.start()
	return p
}

func (u *upgraded) thereAndBack(t *testing.T) {
	p, faults, counted := u.probed(t), []time.Time{}, u.scrape(t)
	for _, binary := range []string{u.binary, u.former, u.binary} {
		p.goesOn(30)
		faults = append(faults, time.Now())
		u.begin(binary)
		p.goesOn(30)
		after := u.scrape(t)
		for _, action := range []string{"accept", "drop"} {
			if was, is := counted.packets(u.b, action), after.packets(u.b, action); is <= was {
				t.Errorf("%s: %v packets before, %v after", action, was, is)
			}
		}
		counted = after
		u.remembers(t, "203.0.113.77:6000/udp", "203.0.113.78:80/tcp")
	}
	s := p.stop()
	s.clean(t)
	fault{table: ofKernel, what: "upgrade from the build before, back, and again", times: len(faults), sum: s, repaired: s.repaired(faults)}.told(t)
	if held := u.scrape(t).packets(u.b, "drop"); held < float64(s.denied()) {
		t.Errorf("%v packets are counted as denied, of at least %d", held, s.denied())
	}
}

// leavesTheNewer has a file that a newer build wrote: it fences all the same, and says what is the matter.
func (u *upgraded) leavesTheNewer(t *testing.T) {
	const path, text = stateDir + "/observations.jsonl", `{"observations":1000,"news":true}` + "\n"
	u.b.isKeptFrom(t, "udp 203.0.113.77:6000")
	u.remembers(t, "203.0.113.77:6000/udp")
	u.d.stop()
	old := u.read(t, path)
	if err := u.WriteFile(path, text); err != nil {
		t.Fatal(err)
	}
	u.begin(u.binary)
	u.d.says(t, "level=ERROR", "written by a newer dockerwall, and is left alone", path)
	u.b.reaches(t, "tcp 203.0.113.1:80")
	u.b.isKeptFrom(t, "tcp 203.0.113.79:80")
	u.d.stop()
	if now := u.read(t, path); now != text {
		t.Errorf("it is %q now", now)
	}
	if err := u.WriteFile(path, old); err != nil {
		t.Fatal(err)
	}
	u.begin(u.binary)
	u.remembers(t, "203.0.113.77:6000/udp")
}

// denied is how many datagrams were sent that must not arrive.
func (s sum) denied() (n uint64) {
	for _, l := range s.lines {
		if l.want == mustNot {
			n += l.count.Load()
		}
	}
	return n
}

// remembers fails unless the daemon suggests these tokens.
func (w *world) remembers(t *testing.T, tokens ...string) {
	t.Helper()
	eventually(t, func() error {
		out, said, _ := w.answer(t, "suggest")
		for _, token := range tokens {
			if !strings.Contains(out, token) {
				return fmt.Errorf("no %s is suggested: %s%s", token, out, said)
			}
		}
		return nil
	})
}

// endsAnywhere has daemons told to end at some moment of their first commits or of those of a network that comes and goes.
func (u *upgraded) endsAnywhere(t *testing.T) {
	const seed = 6
	random := rand.New(rand.NewPCG(seed, seed))
	ctx, cancel := context.WithCancel(t.Context())
	mover := u.run(t, lab.RunSpec{Network: web, Labels: map[string]string{"dockerwall.outbound": "203.0.113.3"}})
	u.network(t, "visited", "172.30.4.0/24", "")
	var moving errgroup.Group
	moving.Go(func() error {
		for ctx.Err() == nil {
			for _, do := range []string{"connect", "disconnect"} {
				if _, err := u.engine.CLI(t.Context(), "network", do, "visited", mover.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	p, faults := u.probed(t), []time.Time{}
	for range often(8, 200) {
		u.d.stop()
		if code := u.d.code(t); code != exitOK {
			t.Errorf("it ends with code %d:\n%s", code, u.d.log.String())
		}
		u.d = u.launch(t, "GATEWAY_NETWORKS=!"+other)
		u.d.says(t, "starting")
		time.Sleep(time.Duration(random.Int64N(int64(200 * time.Millisecond)))) // the fault's moment
		faults = append(faults, time.Now())
	}
	cancel()
	if err := moving.Wait(); err != nil {
		t.Error(err)
	}
	u.begin(u.binary)
	p.goesOn(30)
	s := p.stop()
	s.clean(t)
	fault{table: ofKernel, what: "SIGTERM at random instants of commits", times: len(faults), sum: s, repaired: s.repaired(faults)}.told(t)
	u.isWhole(t)
}

// withDocker has the daemon begin while dockerd does, which keeps its containers.
func (u *upgraded) withDocker(t *testing.T) {
	p, faults := u.probed(t), []time.Time{}
	for range often(1, 20) {
		faults = append(faults, time.Now())
		var docker errgroup.Group
		docker.Go(func() error { return u.engine.Restart(t.Context()) })
		u.begin(u.binary)
		if err := docker.Wait(); err != nil {
			t.Fatal(err)
		}
		u.healthy(t, u.d)
		p.goesOn(30)
	}
	s := p.stop()
	s.clean(t)
	fault{table: ofDocker, what: "dockerwall begins while dockerd does", times: len(faults), sum: s, repaired: s.repaired(faults)}.told(t)
	young := u.labelled(t, "203.0.113.4")
	young.reaches(t, "tcp 203.0.113.4:80")
	young.isKeptFrom(t, "tcp 203.0.113.1:80")
}
