package hostnet

import (
	"fmt"
	"testing"
)

// thousand is a follower of as many ports, without a kernel.
func thousand() *follower {
	f := newFollower(NewPorts(PortsOptions{}), nil)
	f.put(link{index: 1, name: "docker0", kind: "bridge"})
	for i := range int32(1000) {
		f.members[i+2] = &member{known: true}
		f.put(link{index: i + 2, name: fmt.Sprintf("veth%07x", i*7919), kind: "veth", master: 1, peer: 2, carrier: true})
	}
	return f
}

func BenchmarkList(b *testing.B) {
	f := thousand()
	b.ReportAllocs()
	for b.Loop() {
		if len(f.List()) != 1000 {
			b.Fatal("ports are missing")
		}
	}
}

// BenchmarkEvent is a port that goes and comes again.
func BenchmarkEvent(b *testing.B) {
	f := thousand()
	l := f.members[500].link
	b.ReportAllocs()
	for b.Loop() {
		f.drop(l.index)
		f.members[l.index] = &member{known: true}
		f.put(l)
	}
}
