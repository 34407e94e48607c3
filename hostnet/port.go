package hostnet

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Port is a port of a bridge: the host's end of a veth pair, with what the other end says of itself, or else a foreign
// one.
type Port struct {
	Index  int32   // of the interface; names are used again, indexes hardly ever
	Name   string  // "veth1a2b3c4"
	Bridge string  // the name of its master
	MAC    [6]byte // of the other end when both were first up, wherever that is; none of a foreign port
	// Foreign is a port that leads elsewhere than to a container's namespace: an interface of the host, or the one of a
	// virtual machine.
	Foreign bool
}

// board is the ports as others may see them.
type board struct {
	mu    sync.Mutex
	ports []Port // sorted by Name
	whole bool   // all there are have been put there
}

func (b *board) list() []Port {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.whole {
		return nil
	}
	return append([]Port{}, b.ports...)
}

func (b *board) complete() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.whole = true
}

func (b *board) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ports, b.whole = nil, false
}

// swap puts a port where another was; the zero Port is none. It says whether anything changed.
func (b *board) swap(old, now Port) bool {
	if old == now {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i, found := slices.BinarySearchFunc(b.ports, old, comparePorts); found {
		b.ports = slices.Delete(b.ports, i, i+1)
	}
	if now != (Port{}) {
		i, _ := slices.BinarySearchFunc(b.ports, now, comparePorts)
		b.ports = slices.Insert(b.ports, i, now)
	}
	return true
}

func comparePorts(x, y Port) int {
	return cmp.Or(strings.Compare(x.Name, y.Name), cmp.Compare(x.Index, y.Index))
}
