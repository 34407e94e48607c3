package observe

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
)

// sample is a file's text with something of everything in it.
func sample(t testing.TB, c *clock) string {
	t.Helper()
	h := newObserved(Subject{"web", "app:1", "shop", "web"}, c.now)
	h.outbound = "www.example.com"
	target := Target{c.denied(webApp, "192.0.2.1:443").Target.Dst, 443, 6}
	h.add(target, c.denied(webApp, "192.0.2.1:443"), []string{"api.example.com"})
	note(h.asked, "api.example.com", c.now, maxAsked)
	note(h.reached, "192.0.2.1", c.now, maxReached)
	b := Baseline{Time: c.now}
	b.Parts = append(b.Parts, nft.Part{ID: "0123456789ab", Name: "c_0123456789ab_drop", Count: nft.Count{Packets: 3, Bytes: 180}})
	var out bytes.Buffer
	if err := (content{at: c.now, boot: "b", subjects: map[identity]*observed{{"web", "app:1"}: h}, baseline: &b}).encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestABrokenFileIsPutAsideAndReported(t *testing.T) {
	c := newClock()
	good := sample(t, c)
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"an empty file":                  "",
		"a file of something else":       "hello\n",
		"its end cut off":                strings.Join(lines[:len(lines)-2], ""),
		"the last line cut off":          good[:len(good)-4],
		"a line missing":                 lines[0] + strings.Join(lines[2:], ""),
		"a line twice":                   lines[0] + lines[1] + good[len(lines[0]):],
		"more after the end":             good + lines[1],
		"an unknown field":               strings.Replace(good, `"image"`, `"imago"`, 1),
		"an address that is none":        strings.Replace(good, `"192.0.2.1","port"`, `"192.0.2.1000","port"`, 1),
		"a mapped address":               strings.Replace(good, `"192.0.2.1","port"`, `"::ffff:192.0.2.1","port"`, 1),
		"a port that is none":            strings.Replace(good, `"port":443`, `"port":70000`, 1),
		"a name that is none":            strings.Replace(good, `["api.example.com"]`, `["api\u001b.example.com"]`, 1),
		"a name that is not canonical":   strings.Replace(good, `["api.example.com"]`, `["API.example.com"]`, 1),
		"a wildcard that was asked for":  strings.Replace(good, `"asked":{"api.`, `"asked":{"*.`, 1),
		"a container's name with escape": strings.Replace(good, `{"subject":"web"`, `{"subject":"\u001bweb"`, 1),
		"no version":                     strings.Replace(good, `"observations":2`, `"observation":2`, 1),
		"an ID that is none":             strings.Replace(good, `0123456789ab`, `../../etc/pa`, 1),
		"zeros":                          strings.Repeat("\x00", 4096),
	} {
		t.Run(name, func(t *testing.T) {
			if text == good {
				t.Fatal("nothing is broken")
			}
			dir := t.TempDir()
			path := filepath.Join(dir, FileName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, log := c.open(t, dir)
			if len(s.Observed()) != 0 || !strings.Contains(log.String(), "put aside") || s.Baseline() != nil {
				t.Errorf("%d subjects, log:\n%s", len(s.Observed()), log)
			}
			if kept, err := os.ReadFile(path + ".bad"); err != nil || string(kept) != text {
				t.Errorf("what was put aside: %v", err)
			}
			s.Add([]Denial{c.denied(webApp, "192.0.2.1:443")})
			s.Write()
			if s, _ = c.open(t, dir); len(s.Observed()) != 1 {
				t.Error("it was not begun anew")
			}
		})
	}
	if err := os.WriteFile(filepath.Join(t.TempDir(), FileName), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := decode(strings.NewReader(good), c.now); err != nil || len(got.subjects) != 1 || len(got.baseline.Parts) != 1 {
		t.Errorf("what is not broken: %+v, %v", got, err)
	}
}

func TestAFileOfANewerVersionIsLeftAlone(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	text := "{\"observations\":3,\"new\":true}\n{\"what\":\"ever\"}\n"
	path := filepath.Join(dir, FileName)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, log := c.open(t, dir)
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443")})
	s.Write()
	if now, err := os.ReadFile(path); err != nil || string(now) != text || !strings.Contains(log.String(), "newer") || len(s.Observed()) != 1 {
		t.Errorf("%s, %v, log:\n%s", now, err, log)
	}
}

func TestADirectoryThatCannotBeUsedIsSaidOnce(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "state")
	s, log := c.open(t, dir)
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		s.Add([]Denial{c.denied(webApp, fmt.Sprintf("192.0.2.%d:443", i))})
		s.Write()
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || len(s.Observed()[0].Records) != 5 {
		t.Errorf("said %d times, %d records:\n%s", n, len(s.Observed()[0].Records), log)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	s.Write()
	if s, _ := c.open(t, dir); len(s.Observed()) != 1 || !strings.Contains(log.String(), "kept again") {
		t.Errorf("not written once it could be:\n%s", log)
	}
}

func TestAFullDiskKeepsTheOldFile(t *testing.T) {
	if os.Geteuid() != 0 {
		lab.Cannot(t, "needs root, to mount a small disk")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		done <- fullDisk(t)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func fullDisk(t *testing.T) error {
	c, dir := newClock(), t.TempDir()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		return err
	}
	s, log := c.open(t, dir)
	s.Add([]Denial{c.denied(webApp, "192.0.2.1:443")})
	s.Write()
	for i := range 1000 {
		s.Add([]Denial{c.denied(webApp, fmt.Sprintf("10.0.%d.%d:443", i>>8, i&255))})
	}
	s.Write()
	s.Write()
	if n := strings.Count(log.String(), "no space left"); n != 1 {
		return fmt.Errorf("said %d times:\n%s", n, log)
	}
	s, log = c.open(t, dir)
	if h := s.Observed(); len(h) != 1 || len(h[0].Records) != 1 || log.Len() > 0 {
		return fmt.Errorf("the old file has %+v:\n%s", h, log)
	}
	if _, err := os.Stat(filepath.Join(dir, FileName+".new")); err == nil {
		return fmt.Errorf("the half of a file still fills the disk")
	}
	return nil
}

// writerDir is where a process that is to be killed writes; see TestAKilledWriterLeavesTheOldOrTheNewFile.
const writerDir = "DOCKERWALL_TEST_WRITER"

// writerEnd bounds a writer that nobody kills.
const writerEnd = time.Minute

func TestMain(m *testing.M) {
	dir := os.Getenv(writerDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s := OpenStore(StoreOptions{Dir: dir})
	for end := time.Now().Add(writerEnd); time.Now().Before(end); {
		h := s.Observed()
		round := 0
		if len(h) > 0 {
			round = int(h[0].Records[0].Packets)
		}
		for i := range 200 { // all records of a file have the same count
			c := clock{time.Now()}
			s.Add([]Denial{c.denied(webApp, fmt.Sprintf("10.0.0.%d:443", i+1))})
		}
		s.Write()
		fmt.Println(round + 1)
	}
}

func TestAKilledWriterLeavesTheOldOrTheNewFile(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	last, grew := uint64(0), 0
	for i := range 100 {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^$")
		cmd.Env = append(os.Environ(), writerDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it has written once
			t.Fatal(err)
		}
		for begin := time.Now(); time.Since(begin) < time.Duration(i%25)*2*time.Millisecond; {
			runtime.Gosched()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		got, err := fileIn(dir).read(time.Now())
		if err != nil {
			t.Fatalf("after kill %d: %v", i, err)
		}
		records := got.subjects[identity{webApp.Name, webApp.Image}].records
		var n uint64
		for _, r := range records {
			if n == 0 {
				n = r.Packets
			}
			if r.Packets != n {
				t.Fatalf("after kill %d: records of two writes, %d and %d", i, r.Packets, n)
			}
		}
		if len(records) != 200 || n <= last {
			t.Fatalf("after kill %d: %d records, write %d after %d", i, len(records), n, last)
		}
		if n > last+1 {
			grew++
		}
		last = n
	}
	t.Logf("%d writes survived 100 kills; %d writers came beyond their first", last, grew)
}

func TestADecoderReturnsWhatWasEncoded(t *testing.T) {
	c := newClock()
	rapid.Check(t, func(t *rapid.T) {
		s := OpenStore(StoreOptions{Now: func() time.Time { return c.now }})
		for range rapid.IntRange(0, 30).Draw(t, "denials") {
			d := c.denied(Subject{Name: rapid.String().Draw(t, "container"), Image: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "image")},
				fmt.Sprintf("192.0.2.%d:%d", rapid.IntRange(0, 9).Draw(t, "address"), rapid.IntRange(0, 65535).Draw(t, "port")), rapid.SliceOf(rapid.StringMatching(`[a-z*\\]{1,3}\.[a-z]{1,3}`)).Draw(t, "names")...)
			s.Add([]Denial{d})
		}
		content, _ := s.content(c.now)
		var out bytes.Buffer
		if err := content.encode(&out); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		got, err := decode(&out, c.now)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if err := got.encode(&out); err != nil || out.String() != text {
			t.Fatalf("%v\n%s\nis not\n%s", err, out.String(), text)
		}
	})
}

func FuzzDecode(f *testing.F) {
	c := newClock()
	good := sample(f, c)
	f.Add(good)
	f.Add(strings.Replace(good, "443", "-1", 1))
	f.Fuzz(func(t *testing.T, text string) {
		got, err := decode(strings.NewReader(text), c.now)
		if err != nil {
			return
		}
		if err := got.encode(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
	})
}
