package boot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab"
	"github.com/dockerwall/dockerwall/nft"
)

// sample has something of everything.
func sample() Saved {
	a := netip.MustParseAddr
	own := nft.Source{Allow: nft.Matches{
		All: []nft.Clause{{Proto: nft.TCP, Ports: nft.Ports{First: 80, Last: 80}}}, Resolvers: []netip.Addr{a("192.0.2.53")},
		Nets:  nft.Literals{Any: []nft.Range{{First: a("192.0.2.0"), Last: a("192.0.2.9")}}, Boxes: []nft.Box{{Range: nft.Range{First: a("2001:db8::1"), Last: a("2001:db8::2")}, Proto: nft.UDP, Ports: nft.Ports{First: 1, Last: 9}}}},
		Names: []nft.NameSet{{Addrs: []nft.NamedAddr{{Addr: a("203.0.113.1"), Name: "www.example.com"}}}},
	}}
	return Saved{Boot: "b", Excluded: []string{"lan0"}, Settings: Settings{Networks: "!x", Policy: "p"}, Ruleset: nft.Ruleset{
		LogGroup: 32, FenceUnknown: true, Free: []string{"lan0"},
		Bridges:    []nft.Bridge{{Name: "docker0", Network: "0123456789ab", Subnets: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}}},
		Sources:    []nft.Source{{Name: "default", Deny: nft.Matches{Host: []nft.Clause{{}}}}},
		Containers: []nft.Container{{ID: "0123456789ab", Name: "web (boot)", Endpoints: []nft.Endpoint{{Bridge: "docker0", Addr: a("172.17.0.2")}}, Own: own, Shared: []string{"default"}}},
	}}
}

func encoded(t testing.TB, s Saved) string {
	t.Helper()
	var out bytes.Buffer
	if err := Encode(&out, s); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	got, err := Decode(strings.NewReader(encoded(t, sample())))
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("%v\n%+v\n%+v", err, got, sample())
	}
}

func TestAFileThatIsNotAsItShouldBeIsRefusedWithAReason(t *testing.T) {
	good := encoded(t, sample())
	change := func(from, to string) string {
		if !strings.Contains(good, from) {
			t.Fatalf("there is no %s", from)
		}
		return strings.Replace(good, from, to, 1)
	}
	for name, test := range map[string]struct{ text, says string }{
		"empty":                      {"", "not JSON"},
		"zeros":                      {strings.Repeat("\x00", 4096), "not JSON"},
		"cut off":                    {good[:len(good)/2], "not JSON"},
		"twice":                      {good + good, "not JSON"},
		"another kind":               {change(`"Ruleset"`, `"Status"`), "Status"},
		"another version":            {change(`"apiVersion": "`, `"apiVersion": "9`), "this dockerwall reads"},
		"no version":                 {`{"spec":{"logGroup":32}}`, "this dockerwall reads"},
		"an unknown field":           {change(`"free"`, `"fre"`), "unknown field"},
		"a field of another type":    {change(`"logGroup": 32`, `"logGroup": "32"`), "cannot unmarshal"},
		"no group":                   {change(`"logGroup": 32`, `"logGroup": 0`), "logGroup"},
		"a bridge that is none":      {change(`"docker0"`, `"docker0; flush ruleset"`), "would not take it"},
		"a range that goes back":     {change(`192.0.2.9`, `192.0.1.9`), "backwards"},
		"an ID that is none":         {change(`"id": "0123456789ab"`, `"id": "../../etc/pa"`), "hex"},
		"a source that is not there": {change(`"default"`, `"defaul"`), "does not exist"},
		"larger than may be":         {strings.Repeat(" ", maxFile) + good, "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAFileThatAnotherCanWriteIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		lab.Cannot(t, "needs root, to give files away")
	}
	good := encoded(t, sample())
	for name, test := range map[string]struct {
		change func(dir, path string) error
		says   string // "" for one that is read
	}{
		"root's":                   {func(string, string) error { return nil }, ""},
		"writable by all":          {func(_, path string) error { return os.Chmod(path, 0o602) }, "others than its owner"},
		"by its group":             {func(_, path string) error { return os.Chmod(path, 0o620) }, "others than its owner"},
		"somebody else's":          {func(_, path string) error { return os.Chown(path, 4711, 0) }, "user 4711"},
		"of the directory's owner": {func(dir, path string) error { return errors.Join(os.Chown(dir, 4711, 0), os.Chown(path, 4711, 0)) }, ""},
		"of the owner of a directory for all": {func(dir, path string) error {
			return errors.Join(os.Chown(dir, 4711, 0), os.Chmod(dir, 0o777), os.Chown(path, 4711, 0))
		}, "user 4711"},
		"a link":      {func(_, path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) }, "a link"},
		"a pipe":      {func(_, path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) }, "not a regular file"},
		"a gigabyte":  {func(_, path string) error { return os.Truncate(path, 1<<30) }, "too large"},
		"none at all": {func(_, path string) error { return os.Remove(path) }, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := Path(dir)
			if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, []byte(good), 0o600), test.change(dir, path)); err != nil {
				t.Fatal(err)
			}
			_, err := Read(path)
			if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) || Missing(err) != (test.says == "no such file") {
				t.Errorf("%v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(encoded(f, sample())))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Ruleset","spec":{"logGroup":1,"bridges":[{"name":"b","addrs":["::ffff:1.2.3.4","fe80::1%eth0"]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		saved, err := Decode(bytes.NewReader(text))
		if err != nil {
			return
		}
		if err := saved.Validate(); err != nil {
			t.Fatal(err)
		}
		_ = saved.String()
		again, err := Decode(strings.NewReader(encoded(t, saved)))
		if err != nil || again.String() != saved.String() {
			t.Errorf("written again: %v", err)
		}
	})
}

// TestTheKernelTakesWhatIsRead as it takes any valid ruleset, see package nft.
func TestTheKernelTakesWhatIsRead(t *testing.T) {
	saved, err := Decode(strings.NewReader(encoded(t, sample())))
	if err != nil {
		t.Fatal(err)
	}
	n := lab.NamespaceForTest(t)
	if err := n.Do(func() error {
		k, err := nft.Open(nft.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = k.Close() }()
		_, err = k.Apply(saved.Ruleset)
		return err
	}); err != nil {
		t.Error(err)
	}
}

// keeping runs a Keeper in a bubble; stop ends it.
func keeping(t *testing.T, dir string) (k *Keeper, log *bytes.Buffer, stop func()) {
	t.Helper()
	log = &bytes.Buffer{}
	k = NewKeeper(KeeperOptions{Dir: dir, Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	return k, log, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func numbered(n int) func() Saved {
	return func() Saved {
		s := sample()
		s.LogGroup = uint16(n)
		return s
	}
}

func group(t *testing.T, dir string) int {
	t.Helper()
	s, err := Read(Path(dir))
	if err != nil {
		t.Error(err)
	}
	return int(s.LogGroup)
}

func TestTheNewestIsWrittenSoonAndSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		k, _, stop := keeping(t, dir)
		var made atomic.Int32
		keep := func(n int) { k.Keep(func() Saved { made.Add(1); return numbered(n)() }) }
		keep(1)
		synctest.Wait()
		if n := group(t, dir); n != 1 {
			t.Errorf("at once: %d", n)
		}
		for i := range 100 { // two seconds
			keep(2 + i)
			time.Sleep(20 * time.Millisecond)
		}
		if n := group(t, dir); n != 1 || made.Load() != 1 {
			t.Errorf("while it rests: %d, made %d times", n, made.Load())
		}
		time.Sleep(3 * time.Second)
		if n := group(t, dir); n != 101 || made.Load() != 2 {
			t.Errorf("after: %d, made %d times", n, made.Load())
		}
		keep(102)
		k.Trust()
		stop()
		if n := group(t, dir); n != 102 {
			t.Errorf("at the end: %d", n)
		}
		if info, err := os.Stat(Path(dir)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	})
}

func TestWhatNobodyFollowsOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, _, stop := keeping(t, dir)
		k.Keep(numbered(1))
		synctest.Wait()
		stop()
		if s, err := Read(Path(dir)); err != nil || len(s.Containers) != 0 || len(s.Bridges) != 1 {
			t.Errorf("%v: %+v", err, s)
		}
	})
}

func TestAFileTellsThatItIsNotOfOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, _, stop := keeping(t, dir)
		defer stop()
		now := time.Now
		k.Keep(numbered(1))
		synctest.Wait()
		if err := os.Chtimes(Path(dir), now(), now()); err != nil { // the file system's clock is not the test's
			t.Fatal(err)
		}
		for range 8 * 24 {
			time.Sleep(time.Hour)
			k.Keep(numbered(1))
			synctest.Wait()
			if Old(Path(dir), now()) {
				t.Fatal("it is old while it is kept")
			}
		}
		if err := os.Remove(Path(dir)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		k.Keep(numbered(1))
		synctest.Wait()
		if n := group(t, dir); n != 1 || Old(Path(dir), now()) {
			t.Errorf("after somebody removed it: %d", n)
		}
		if err := os.Chtimes(Path(dir), now(), now()); err != nil {
			t.Fatal(err)
		}
		if Old(Path(dir), now().Add(6*24*time.Hour)) || !Old(Path(dir), now().Add(8*24*time.Hour)) {
			t.Error("a week is not the bound")
		}
	})
}

func TestWhatIsDoubtedOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(Path(dir), []byte(encoded(t, sample())), 0o600); err != nil {
			t.Fatal(err)
		}
		k, _, stop := keeping(t, dir)
		k.Doubt()
		synctest.Wait()
		if _, err := Read(Path(dir)); !Missing(err) {
			t.Errorf("what an earlier daemon left is there: %v", err)
		}
		for name, step := range map[string]struct {
			do   func()
			want int // containers
		}{"kept": {func() { k.Keep(numbered(1)) }, 1}, "doubted": {k.Doubt, 0}, "twice": {func() { k.Doubt(); k.Doubt() }, 0}} {
			k.Keep(numbered(1))
			time.Sleep(4 * time.Second)
			step.do()
			time.Sleep(4 * time.Second)
			if s, err := Read(Path(dir)); err != nil || len(s.Containers) != step.want || len(s.Bridges) != 1 {
				t.Errorf("%s: %v: %d containers", name, err, len(s.Containers))
			}
		}
		k.Doubt()
		k.Trust()
		stop()
		if s, err := Read(Path(dir)); err != nil || len(s.Containers) != 0 {
			t.Errorf("at the end: %v: %d containers", err, len(s.Containers))
		}
	})
}

func TestAFileThatCannotBeWrittenIsSaidOnceAndTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, log, stop := keeping(t, dir)
		defer stop()
		k.Keep(numbered(1))
		synctest.Wait()
		if err := os.Mkdir(Path(dir)+".new", 0o700); err != nil { // which cannot be removed
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(Path(dir)+".new", "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		k.Keep(numbered(2))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || k.Err() == nil {
			t.Errorf("said %d times: %v\n%s", n, k.Err(), log)
		}
		if _, err := os.Lstat(Path(dir)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the old one is left: %v", err)
		}
		if err := os.RemoveAll(Path(dir) + ".new"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := group(t, dir); n != 2 || k.Err() != nil || !strings.Contains(log.String(), "kept again") {
			t.Errorf("%d, %v:\n%s", n, k.Err(), log)
		}
	})
}

func TestWhatWouldBeTooLargeOpensNothing(t *testing.T) {
	s := sample()
	k := NewKeeper(KeeperOptions{Dir: t.TempDir()})
	k.last, k.most = s, len(encoded(t, s))-1
	if err := k.write(); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(Path(k.options.Dir)); err != nil || len(s.Containers) != 0 {
		t.Errorf("%v, %d containers", err, len(s.Containers))
	}
}
