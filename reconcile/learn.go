package reconcile

import (
	"slices"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/resolver"
)

// Learn commits addresses that names were just found to have to every set that wants them, without a run: one batch,
// one element a set. It returns nil once the kernel holds them, whoever sent them. Where only a run can commit them,
// because a policy is newer than the table or the table is not known, it asks for one and returns a channel that
// is closed when it has ended. The resolver must know the addresses already. It waits for a commit that is under way.
func (l *Loop) Learn(found []resolver.Found) <-chan struct{} {
	if len(found) == 0 {
		return nil
	}
	l.learning.Lock()
	defer l.learning.Unlock()
	batch, whole := l.index.batch(found)
	if whole {
		err := l.options.Kernel.Learn(batch)
		if err == nil {
			return nil
		}
		l.options.Logger.Debug("what a DNS answer names waits for a commit", "err", err)
	}
	done := make(chan struct{})
	l.waiting = append(l.waiting, done)
	l.Kick()
	return done
}

// release lets go what waited for a commit. The caller holds learning.
func (l *Loop) release() {
	for _, done := range l.waiting {
		close(done)
	}
	l.waiting = nil
}

// index knows which sets of the committed table hold what patterns mean.
type index struct {
	owners map[string]*compiled // what of each owner is in wants
	wants  map[pattern][]want
}

// pattern is a name, or what stands behind the "*." of a wildcard.
type pattern struct {
	name        string
	below, deny bool
}

// want is the names of one clause of a source.
type want struct {
	owner  string
	clause nft.Clause
}

func newIndex() index { return index{owners: map[string]*compiled{}, wants: map[pattern][]want{}} }

// update takes over the policies that a state was committed with; what costs is those that changed. Policies of
// containers that have no sets are part of it, for the resolver finds what they want, too.
func (x *index) update(s State) {
	policies := make(map[string]*compiled, len(s.Docker.Containers)+1)
	if len(s.Config.Default.Tokens) > 0 {
		policies[sourceDefault] = x.owners[sourceDefault]
		if policies[sourceDefault] == nil { // it never changes
			preset := compile(s.Config.Default)
			policies[sourceDefault] = &preset
		}
	}
	for _, c := range s.Docker.Containers {
		id := short(c.ID)
		if _, taken := policies[id]; !taken && isShortID(id) && !ended(c) { // of two the first is Build's
			policies[id] = &s.labels(c).outbound
		}
	}
	for owner, old := range x.owners {
		if policies[owner] != old {
			x.each(owner, old, x.remove)
		}
	}
	for owner, policy := range policies {
		if x.owners[owner] != policy {
			x.each(owner, policy, x.add)
		}
	}
	x.owners = policies
}

func (x *index) each(owner string, c *compiled, do func(pattern, want)) {
	for _, n := range c.allowNames {
		do(pattern{n.pattern.Name(), n.pattern.Wild(), false}, want{owner, n.clause})
	}
	for _, n := range c.denyNames {
		do(pattern{n.pattern.Name(), n.pattern.Wild(), true}, want{owner, n.clause})
	}
}

func (x *index) add(p pattern, w want) { x.wants[p] = append(x.wants[p], w) }

func (x *index) remove(p pattern, w want) {
	x.wants[p] = slices.DeleteFunc(x.wants[p], func(o want) bool { return o == w })
	if len(x.wants[p]) == 0 {
		delete(x.wants, p)
	}
}

// batch is what the kernel has to learn, each source once for all that is found. It is not whole where somebody
// wants what no committed policy does.
func (x *index) batch(found []resolver.Found) (batch []nft.Learned, whole bool) {
	for _, f := range found {
		wants := x.wants[pattern{f.Name, false, f.Deny}]
		if f.Below != "" {
			wants = x.wants[pattern{f.Below, true, f.Deny}]
		}
		if len(wants) == 0 {
			return nil, false
		}
		addrs := make([]nft.NamedAddr, len(f.Addrs))
		for i, a := range f.Addrs {
			addrs[i] = nft.NamedAddr{Addr: a, Name: f.Name}
		}
		for _, w := range wants {
			batch = append(batch, nft.Learned{Owner: w.owner, Deny: f.Deny, Clause: w.clause, Addrs: addrs})
		}
	}
	return batch, true
}
