package reconcile

import (
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// fakeKernel refuses what the kernel would, and keeps what the sets of names hold.
type fakeKernel struct {
	mu      sync.Mutex
	applied []nft.Ruleset
	sets    contents
	learns  int // batches
	tap     nft.Tap
	exists  bool
	known   bool // an error leaves open what the table holds
	intact  bool // it holds what was applied last
	err     error
	tapErr  error
	took    time.Duration
}

func (k *fakeKernel) Apply(r nft.Ruleset) (nft.Report, error) {
	if k.took > 0 {
		time.Sleep(k.took) // in a bubble
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	adopted := !k.known
	k.known = false
	if k.err != nil {
		return nft.Report{}, k.err
	}
	if err := r.Validate(); err != nil {
		return nft.Report{}, err
	}
	changed := !k.exists || !k.intact || !reflect.DeepEqual(k.applied[len(k.applied)-1], r)
	k.applied, k.intact = append(k.applied, r), true
	k.sets, k.exists, k.known = contentsOf(r), true, true
	return nft.Report{Adopted: adopted, Changed: changed, Took: k.took}, nil
}

func (k *fakeKernel) Learn(l []nft.Learned) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil || !k.known {
		k.known = false
		return nft.ErrNotKnown
	}
	k.learns++
	k.sets.learn(l)
	return nil
}

func (k *fakeKernel) ApplyTap(t nft.Tap) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tapErr != nil {
		return k.tapErr
	}
	k.tap = t
	return t.Validate()
}

func (k *fakeKernel) Fences() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exists, nil
}

func (k *fakeKernel) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// take makes commits say that they took so long.
func (k *fakeKernel) take(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.took = d
}

func (k *fakeKernel) failTap(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tapErr = err
}

func (k *fakeKernel) tapped() nft.Tap {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tap
}

// flush is a stranger's.
func (k *fakeKernel) flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sets, k.known, k.intact = contents{}, false, false
}

// undo is a stranger who has changed the table, and changed it back.
func (k *fakeKernel) undo() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = false
}

func (k *fakeKernel) runs() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.applied)
}

func (k *fakeKernel) last() nft.Ruleset {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applied[len(k.applied)-1]
}

func (k *fakeKernel) has(s set, addr netip.Addr) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sets[s][addr]
}

// set is that of the names of one clause of a source, of both families.
type set struct {
	owner  string
	deny   bool
	clause nft.Clause
}

// contents are what the sets of names of a table hold.
type contents map[set]map[netip.Addr]bool

func contentsOf(r nft.Ruleset) contents {
	out := contents{}
	add := func(owner string, s nft.Source) {
		for deny, m := range map[bool]nft.Matches{false: s.Allow, true: s.Deny} {
			for _, n := range m.Names {
				addrs := map[netip.Addr]bool{}
				for _, a := range n.Addrs {
					addrs[a.Addr] = true
				}
				out[set{owner, deny, n.Clause}] = addrs
			}
		}
	}
	for _, s := range r.Sources {
		add(s.Name, s)
	}
	for _, c := range r.Containers {
		add(c.ID, c.Own)
	}
	return out
}

// learn is what package nft does: sets that are not there are passed over.
func (c contents) learn(all []nft.Learned) {
	for _, l := range all {
		if addrs, ok := c[set{l.Owner, l.Deny, l.Clause}]; ok {
			for _, a := range l.Addrs {
				addrs[a.Addr] = true
			}
		}
	}
}
