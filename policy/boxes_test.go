package policy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func (b Box) text() string {
	return fmt.Sprintf("%v %v %d-%d", b.Literal, b.Proto, b.Ports.First, b.Ports.Last)
}

func boxesOf(t *testing.T, text string) []Box {
	t.Helper()
	p, problems := Parse(text)
	for _, problem := range problems {
		if problem.Severity == Error {
			t.Fatal(problem)
		}
	}
	boxes, ok := Boxes(p.Tokens)
	if !ok {
		t.Fatal("too many boxes")
	}
	return boxes
}

func TestBoxes(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"nothing of names, words, icmp and plain addresses": {"a.example:443, _host_:1, 10.0.0.0/8, 10.0.0.0/8/icmp", nil},
		"a port is one of tcp and one of udp":               {"10.0.0.1:53", []string{"10.0.0.1 tcp 53-53", "10.0.0.1 udp 53-53"}},
		"a protocol is every port":                          {"10.0.0.1/tcp", []string{"10.0.0.1 tcp 0-65535"}},
		"all ports swallow one": {"10.0.0.1/tcp,10.0.0.1:53", []string{
			"10.0.0.1 tcp 0-65535", "10.0.0.1 udp 53-53"}},
		"neighbouring ports and prefixes merge": {"10.0.0.0/9:80/tcp, 10.128.0.0/9:80/tcp, 10.0.0.0/8:81-90/tcp", []string{
			"10.0.0.0/8 tcp 80-90"}},
		"a nested prefix with another port leaves the outer whole": {"10.0.0.0/8:80/tcp, 10.1.0.0/16:443/tcp", []string{
			"10.0.0.0/8 tcp 80-80", "10.1.0.0/16 tcp 443-443"}},
		"a nested prefix with neighbouring ports splits the outer": {"10.0.0.0/14:80/tcp, 10.1.0.0/16:81/tcp", []string{
			"10.0.0.0/16 tcp 80-80", "10.1.0.0/16 tcp 80-81", "10.2.0.0/15 tcp 80-80"}},
		"both ends of both families": {"0.0.0.0/0:1/tcp, ::/0/udp, 255.255.255.255:2/tcp", []string{
			"0.0.0.0-255.255.255.254 tcp 1-1", "255.255.255.255 tcp 1-2", "::/0 udp 0-65535"}},
		"all ports reach the last one": {"10.0.0.1:65535/tcp,10.0.0.1:1-65534/tcp", []string{"10.0.0.1 tcp 1-65535"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			text := strings.ReplaceAll(tt.text, "::/0/", "[::/0]/")
			var got []string
			for _, b := range boxesOf(t, text) {
				got = append(got, b.text())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestBoxesMeanWhatTokensMean compares every point of a small world.
func TestBoxesMeanWhatTokensMean(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		tokens := randomTokens(random)
		boxes, ok := Boxes(tokens)
		if !ok {
			t.Fatalf("seed %d: too many", seed)
		}
		for _, a := range world() {
			for _, proto := range []Proto{ProtoTCP, ProtoUDP} {
				for _, port := range worldPorts() {
					want := slices.ContainsFunc(tokens, func(token Token) bool { return token.has(a, proto, port) })
					in := 0
					for _, b := range boxes {
						if b.Proto == proto && within(b.Literal, a) && b.Ports.First <= port && port <= b.Ports.Last {
							in++
						}
					}
					if want && in != 1 || !want && in != 0 {
						t.Fatalf("seed %d: %v %v %d is in %d boxes, want %v\n%s\n%v", seed, a, proto, port, in, want, texts(tokens), boxes)
					}
				}
			}
		}
	}
}

func TestBoxesIgnoreOrder(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 2))
		tokens := randomTokens(random)
		before, _ := Boxes(tokens)
		random.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
		after, _ := Boxes(append(tokens, tokens...))
		if !slices.Equal(before, after) {
			t.Fatalf("seed %d: %v\n%v", seed, before, after)
		}
	}
}

func (t Token) has(a netip.Addr, proto Proto, port uint16) bool {
	c := t.Clause
	if c.Ports == (PortRange{}) {
		c.Ports.Last = 65535
	}
	return within(t.Dest.(Literal), a) && (c.Proto == ProtoAny || c.Proto == proto) && c.Ports.First <= port && port <= c.Ports.Last
}

func within(l Literal, a netip.Addr) bool {
	return l.First.BitLen() == a.BitLen() && l.First.Compare(a) <= 0 && a.Compare(l.Last) <= 0
}

// world is the beginning and the end of both families, in order.
func world() []netip.Addr {
	var out []netip.Addr
	for _, s := range []string{"0.0.0.0", "255.255.255.248", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff8"} {
		a := netip.MustParseAddr(s)
		for range 8 {
			out = append(out, a)
			a = a.Next()
		}
	}
	return out
}

func worldPorts() []uint16 { return []uint16{0, 1, 2, 3, 4, 5, 65534, 65535} }

func randomTokens(random *rand.Rand) []Token {
	var out []Token
	for range 1 + random.IntN(12) {
		family := world()[16*random.IntN(2):][:16]
		i, j := random.IntN(16), random.IntN(16)
		ports := PortRange{worldPorts()[1+random.IntN(7)], worldPorts()[1+random.IntN(7)]}
		if ports.Last < ports.First {
			ports.First, ports.Last = ports.Last, ports.First
		}
		clause := []Clause{{Ports: ports}, {ProtoTCP, ports}, {ProtoUDP, ports}, {Proto: ProtoTCP}, {Proto: ProtoUDP}}[random.IntN(5)]
		out = append(out, Token{Dest: Literal{family[min(i, j)], family[max(i, j)]}, Clause: clause})
	}
	return out
}

func TestMerge(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":                       {"", ""},
		"adjacent":                      {"10.128.0.0/9, 10.0.0.0/9", "10.0.0.0/8"},
		"nested":                        {"10.0.0.0/8, 10.1.0.0/16", "10.0.0.0/8"},
		"overlapping":                   {"10.0.0.1-10.0.0.5, 10.0.0.3-10.0.0.9", "10.0.0.1-10.0.0.9"},
		"a gap stays":                   {"10.0.0.1, 10.0.0.3", "10.0.0.1 10.0.0.3"},
		"families stay apart":           {"::/0, 0.0.0.0/0", "0.0.0.0/0 ::/0"},
		"the last address of a family":  {"255.255.255.255, 255.0.0.0/8", "255.0.0.0/8"},
		"the end of one, begin of next": {"255.255.255.255, ::", "255.255.255.255 ::"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, _ := Parse(tt.text)
			var literals []Literal
			for _, token := range slices.Backward(p.Tokens) {
				literals = append(literals, token.Dest.(Literal))
			}
			given := slices.Clone(literals)
			var got []string
			for _, l := range Merge(literals) {
				got = append(got, l.String())
			}
			if strings.Join(got, " ") != tt.want || !slices.Equal(given, literals) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
