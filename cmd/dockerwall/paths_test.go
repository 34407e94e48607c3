package main

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerwall/dockerwall/internal/lab"
)

var update = flag.Bool("update", false, "rewrite docs/paths.md, docs/reference and packaging/man")

// verdict is what becomes of a path.
type verdict string

const (
	fenced   verdict = "fenced"           // closed, and open for who may
	passes   verdict = "passes by design" //
	unfenced verdict = "cannot be fenced" // and said so
)

// path is a row of docs/paths.md: a way on which packets leave a container.
type path struct {
	name, sentence string
	want           verdict
	absent         map[string]string // "newest IPv6", "IPv6" or "" -> why there is no such cell
	proxyless      bool              // on an Engine with userland-proxy=false
	try            func(*course, *testing.T, family)
}

// missing is why a path has no cell for an Engine and a family.
func (p path) missing(engine string, f family) string {
	for _, key := range []string{engine + " " + string(f), string(f), engine, ""} {
		if why := p.absent[key]; why != "" {
			return why
		}
	}
	return ""
}

type family string

const (
	v4 family = "IPv4"
	v6 family = "IPv6"
)

// engine is a column of the document.
type engine struct {
	name, title string
	options     lab.DockerOptions
}

func pathEngines() []engine {
	return []engine{{"20.10", "Docker 20.10", lab.DockerOptions{}}, {"newest", "newest Docker", lab.DockerOptions{Newest: true}}}
}

// TestPaths walks every path of docs/paths.md with real packets. The name of a cell's test is
// TestPaths/ENGINE/FAMILY/PATH, with "userland-proxy=false" before the family where the Engine has none.
func TestPaths(t *testing.T) {
	for _, e := range pathEngines() {
		t.Run(e.name, func(t *testing.T) {
			t.Run("userland-proxy=false", func(t *testing.T) {
				e.options.Args = []string{"--userland-proxy=false"}
				walk(t, e, true)
			})
			e.options.Args = nil
			walk(t, e, false)
		})
	}
}

func walk(t *testing.T, e engine, proxyless bool) {
	c := newCourse(t, e)
	for _, f := range []family{v4, v6} {
		t.Run(string(f), func(t *testing.T) {
			for _, p := range allPaths() {
				if p.proxyless == proxyless && p.missing(e.name, f) == "" {
					t.Run(p.name, func(t *testing.T) { p.try(c, t, f) })
				}
			}
		})
	}
}

func TestThePathsAreThoseOfTheDocument(t *testing.T) {
	const name = "../../docs/paths.md"
	if *update {
		if err := os.WriteFile(name, []byte(pathsDocument()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pathsDocument(), string(got)); diff != "" {
		t.Errorf("table (-), document (+); go test ./cmd/dockerwall -run Document -update rewrites it:\n%s", diff)
	}
	for _, p := range allPaths() {
		if strings.ContainsAny(p.name, " /|") || strings.ContainsAny(p.sentence, "|\n") || (p.try == nil) != (p.absent[""] != "") {
			t.Errorf("path %q: its name, its sentence or its trial", p.name)
		}
	}
}

func pathsDocument() string {
	var out strings.Builder
	out.WriteString(pathsPreface)
	columns, rule := "| Path |", "|---|"
	for _, e := range pathEngines() {
		for _, f := range []family{v4, v6} {
			columns, rule = columns+fmt.Sprintf(" %s, %s |", e.title, f), rule+"---|"
		}
	}
	fmt.Fprintf(&out, "%s\n%s\n", columns, rule)
	var notes []string
	for _, p := range allPaths() {
		fmt.Fprintf(&out, "| **%s**: %s |", p.name, p.sentence)
		for _, e := range pathEngines() {
			for _, f := range []family{v4, v6} {
				fmt.Fprintf(&out, " %s |", p.cell(e, f, &notes))
			}
		}
		out.WriteString("\n")
	}
	out.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&out, "%d. %s\n", i+1, note)
	}
	return out.String()
}

// cell is the verdict with its test's name as the link's title, or a dash with the number of a note.
func (p path) cell(e engine, f family, notes *[]string) string {
	if why := p.missing(e.name, f); why != "" {
		if !slices.Contains(*notes, why) {
			*notes = append(*notes, why)
		}
		return fmt.Sprintf("– (%d)", slices.Index(*notes, why)+1)
	}
	name := []string{"TestPaths", e.name, string(f), p.name}
	if p.proxyless {
		name = slices.Insert(name, 2, "userland-proxy=false")
	}
	return fmt.Sprintf("[%s](../cmd/dockerwall/paths_test.go %q)", p.want, strings.Join(name, "/"))
}

// Networks of a course, beside web and other.
const (
	free     = "free"   // excluded by GATEWAY_NETWORKS
	internal = "inside" // --internal
	closed   = "203.0.113.1, 2001:db8:1::1"
)

// course is a world in which paths are walked, one after the other.
type course struct {
	*world
	version string
	t       *testing.T // the whole course's
	wall    *wall
	boxes   map[string]*box
	last    int // counts addresses and ports that nobody has used
}

func newCourse(t *testing.T, e engine) *course {
	t.Helper()
	c := &course{world: newWorld(t, e.options), version: e.name, t: t, boxes: map[string]*box{}}
	c.network(t, free, "172.30.3.0/24", "2001:db8:c:3::/64")
	c.docker(t, "network", "create", "--internal", "--subnet=172.30.4.0/24", "--ipv6", "--subnet=2001:db8:c:4::/64", internal)
	c.wider(t, publicNet, publicNet6, privateNet, "64:ff9b::/96", "2002::/16")
	c.permit(t)
	c.wall = c.start(t, "GATEWAY_NETWORKS=!"+free)
	return c
}

// permit lets Docker's own isolation of networks pass, so that only our wall stands.
func (c *course) permit(t *testing.T) {
	t.Helper()
	c.host(t, "iptables", "-I", "DOCKER-USER", "-j", "ACCEPT")
	if c.version != "20.10" { // since 27.0 with ip6tables, since 28.0 with a raw table against direct access
		c.host(t, "ip6tables", "-I", "DOCKER-USER", "-j", "ACCEPT")
		c.host(t, "iptables", "-t", "raw", "-F", "PREROUTING")
		c.host(t, "ip6tables", "-t", "raw", "-F", "PREROUTING")
	}
}

// on is a container on a network with a label, the same one for all who ask.
func (c *course) on(network, label string) *box {
	key := network + "|" + label
	if c.boxes[key] == nil {
		c.boxes[key] = c.run(c.t, lab.RunSpec{Network: network, Labels: map[string]string{"dockerwall.outbound": label}})
	}
	return c.boxes[key]
}

// far is an address of the internet that nothing else uses.
func (c *course) far(f family) netip.Addr {
	c.last++
	if f == v4 {
		return netip.AddrFrom4([4]byte{203, 0, 113, byte(2 + c.last)})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%x", 1+c.last))
}

// port is one that nothing else uses.
func (c *course) port() int {
	c.last++
	return 7100 + c.last
}

// trial is one thing tried by one who may not and by one who may.
type trial struct {
	network string // of both; empty is web
	label   string // of the one who may; empty: he is on the excluded network
	acts    []act
	frames  []string     // arguments of the probe's hostile
	ears    []*ear       // who would hear it
	far     []netip.Addr // where it would arrive
}

// fenced fails unless the trial comes to nothing without the label, and succeeds with it.
func (c *course) fenced(t *testing.T, try trial) {
	t.Helper()
	network := try.network
	if network == "" {
		network = web
	}
	before := c.heard(try)
	shut := c.on(network, closed)
	shut.isKeptFrom(t, try.acts...)
	c.sends(t, shut, try.frames)
	if n := c.settles(try) - before; n != 0 {
		t.Errorf("%d came through", n)
	}
	if try.label == "" {
		network = free
	}
	may := c.on(network, try.label)
	before = c.heard(try)
	may.reaches(t, try.acts...)
	c.sends(t, may, try.frames)
	if len(try.ears)+len(try.far) > 0 {
		eventually(t, func() error {
			if c.heard(try) == before {
				return fmt.Errorf("nothing arrives from one who may, so this tests nothing")
			}
			return nil
		})
	}
}

// heard is what has come to the trial's far side.
func (c *course) heard(try trial) (n uint64) {
	for _, e := range try.ears {
		n += uint64(e.heard.Load())
	}
	for _, a := range try.far {
		n += c.Arrived(a)
	}
	return n
}

// settles is what has come once no more comes.
func (c *course) settles(try trial) uint64 {
	last := c.heard(try)
	for quiet := 0; quiet < 10; time.Sleep(10 * time.Millisecond) {
		now := c.heard(try)
		if quiet++; now != last {
			last, quiet = now, 0
		}
	}
	return last
}

// sends has a container send frames, from its network.
func (c *course) sends(t *testing.T, b *box, frames []string) {
	t.Helper()
	for _, f := range frames {
		b.hostile(t, strings.Fields(f)...)
	}
}
