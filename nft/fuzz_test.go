package nft

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/tools/txtar"
)

// FuzzValidate holds Validate to its promise: what it accepts, the kernel takes, nft loads, and both
// list alike. Input is a ruleset as JSON, as it might lie on disk.
func FuzzValidate(f *testing.F) {
	files, _ := filepath.Glob("../testdata/ruleset/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	g := nasty{generator{rand.New(rand.NewSource(1))}}
	for range 15 {
		text, err := json.Marshal(g.ruleset())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r Ruleset
		if json.Unmarshal(text, &r) != nil || r.Validate() != nil {
			return
		}
		equalInKernel(t, r)
	})
}

// nasty makes small rulesets at the edges of what there is; most of them valid.
type nasty struct{ generator }

func TestWhatValidateAcceptsTheKernelTakes(t *testing.T) {
	g := nasty{newGenerator(t)}
	n, ref := namespace(t), reference{namespace(t)}
	k := open(t, n)
	accepted := 0
	for i := range 80 {
		r := g.ruleset()
		if r.Validate() != nil {
			continue
		}
		accepted++
		if _, err := k.Apply(r); err != nil {
			text, _ := json.Marshal(r)
			t.Fatalf("%v\n%s", err, text)
		}
		sameTable(t, n, ref, r, fmt.Sprint("ruleset ", i))
	}
	if accepted < 25 {
		t.Errorf("only %d of 80 were valid", accepted)
	}
}

func (g nasty) ruleset() Ruleset {
	r := Ruleset{FenceUnknown: g.chance(50), LogGroup: pick(g.generator, []uint16{0, 1, 65535}), NotPublic: g.prefixes()}
	for i := range g.Intn(3) {
		b := Bridge{Name: g.name(), Subnets: g.prefixes()}
		if g.chance(50) {
			b.Network = fmt.Sprintf("b%011x", i)
		}
		r.Bridges = append(r.Bridges, b)
	}
	for range g.Intn(3) {
		r.Free = append(r.Free, g.name())
	}
	g.bind(&r)
	if g.chance(50) {
		r.Sources = []Source{{Name: pick(g.generator, []string{"a", "accept", "set", "default0123456789abcdefghijklmno"}), Allow: g.matches(), Deny: g.matches()}}
	}
	if len(r.Bridges) > 0 {
		c := Container{ID: "ffffffffffff", Name: g.comment(), Mode: Mode(g.Intn(3)), Reject: g.chance(50), Own: Source{Allow: g.matches(), Deny: g.matches()}}
		for _, a := range some(g.generator, g.edges(), 3) {
			c.Endpoints = append(c.Endpoints, Endpoint{r.Bridges[0].Name, a})
		}
		for _, s := range r.Sources {
			c.Shared = append(c.Shared, s.Name)
		}
		r.Containers = []Container{c}
	}
	return r
}

// bind adds ports, and the host's own on bridges.
func (g nasty) bind(r *Ruleset) {
	macs := []MAC{{}, {0, 0, 0, 0, 0, 1}, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e}, {2, 0x42}}
	r.BindPorts = g.chance(60)
	for i := range r.Bridges {
		r.Bridges[i].MAC, r.Bridges[i].Addrs = pick(g.generator, macs[:2]), mostly(g, some(g.generator, g.edges(), 2), validOwn)
	}
	for range g.Intn(3) {
		p := Port{Name: g.name(), MAC: pick(g.generator, macs), Addrs: mostly(g, some(g.generator, g.edges(), 3), validOwn), Also: mostly(g, some(g.generator, g.edges(), 2), validOwn)}
		if r.Ports = append(r.Ports, p); r.validatePorts() != nil && g.chance(95) {
			r.Ports = r.Ports[:len(r.Ports)-1]
		}
	}
}

// mostly is list, or most often nil if check finds fault with it.
func mostly[T any](g nasty, list []T, check func([]T) error) []T {
	if check(list) != nil && g.chance(98) {
		return nil
	}
	return list
}

func (g nasty) edges() []netip.Addr {
	return parseAddrs("0.0.0.0", "0.0.0.1", "127.0.0.1", "10.0.0.0", "10.255.255.255", "11.0.0.0", "255.255.255.254", "255.255.255.255", "::", "::1", "2001:db8::",
		"2001:db8::ffff", "fe80::1", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
}

func (g nasty) prefixes() []netip.Prefix {
	return some(g.generator, prefixes("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.1.2.3/8", "11.0.0.0/8", "255.255.255.255/32", "255.0.0.0/9", "::/0", "::/1", "8000::/1", "2001:db8::/31",
		"2001:db8::1/128", "fe80::/10", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"), 4)
}

func (g nasty) ranges(n int) []Range {
	if g.chance(15) {
		return nets("0.0.0.0/0", "::/0")
	}
	edges := g.edges()
	var out []Range
	for range g.Intn(n + 1) {
		i := g.Intn(len(edges))
		out = append(out, Range{edges[i], edges[min(len(edges)-1, i+g.Intn(3))]})
	}
	return mostly(g, out, disjoint)
}

func (g nasty) single(n int) []Range {
	return singles(some(g.generator, g.edges(), n))
}

func (g nasty) ports() Ports {
	return pick(g.generator, []Ports{{}, {0, 65535}, {0, 1}, {1, 65535}, {65535, 65535}, {53, 53}, {1024, 2047}, {1023, 2048}, {7, 3}})
}

func (g nasty) boxes(over []Range) []Box {
	var out []Box
	for _, r := range over {
		out = append(out, Box{r, pick(g.generator, []uint8{TCP, UDP, TCP, UDP, 0}), g.ports()})
	}
	return mostly(g, out, func(b []Box) error { return Literals{Boxes: b}.validate() })
}

func (g nasty) clauses() []Clause {
	var out []Clause
	for range g.Intn(3) {
		out = append(out, Clause{pick(g.generator, []uint8{0, ICMP, TCP, UDP, SCTP, 47}), g.ports()})
	}
	return mostly(g, out, func(list []Clause) error {
		for _, c := range list {
			if err := c.validate(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g nasty) matches() Matches {
	m := Matches{
		All: g.clauses(), Host: g.clauses(), Internet: g.clauses(), Resolvers: some(g.generator, g.edges(), 2),
		Addrs: Literals{Any: g.single(2), ICMP: g.single(2), Boxes: g.boxes(g.single(2))},
		Nets:  Literals{Any: g.ranges(2), ICMP: g.ranges(2), Boxes: g.boxes(g.ranges(2))},
	}
	for _, c := range g.clauses() {
		n := NameSet{Clause: c}
		for _, a := range some(g.generator, g.edges(), 5) {
			n.Addrs = append(n.Addrs, NamedAddr{a, g.comment()})
		}
		m.Names = append(m.Names, n)
	}
	return m
}

func (g nasty) name() string {
	for {
		if name := g.anyName(); validInterface(name) == nil || g.chance(1) {
			return name
		}
	}
}

func (g nasty) anyName() string {
	if g.chance(30) {
		return g.text(1 + g.Intn(15))
	}
	return pick(g.generator, []string{"br-0123456789ab", "abcdefghijklmno", "accept", "12", "a.b", "a b", `a\b`, `a\`, "a$b", "a*b", "a*", "*", "a{b}", "#x", "a;b", "é", "日本語", "a\"b",
		"a'b", "@a", "a,b", "-", "a\x01", "a\u00a0b", "0x1", "lo", "jump", "\\*", "br-x*"})
}

func (g nasty) comment() string {
	if g.chance(50) {
		return g.text(g.Intn(200))
	}
	return pick(g.generator, []string{"", "web", "a\"b", `a\`, `\`, "#", "$x", "; drop", "}", "a\nb", "é", "\u202e", "日本語", "*", "\x00", "\xff", "a\tb", " ", "  x "})
}

// text is any bytes, mostly printable.
func (g nasty) text(n int) string {
	var b []byte
	for range n {
		if g.chance(90) {
			b = append(b, byte(32+g.Intn(95)))
		} else {
			b = append(b, string(rune(g.Intn(0x3000)))...)
		}
	}
	return string(b[:min(n, len(b))])
}
