package observe

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// slow is a kernel whose records are full: each takes a while.
type slow struct{ crowd }

func (s *slow) CountersOf(c nft.Container) (nft.Counters, error) {
	return nft.Counters{Parts: []nft.Part{{ID: c.ID, Name: c.ID, Count: count(s.drop, 60*s.drop)}}}, nil
}

func (s *slow) Records(ids []string) (map[string][]nft.Denial, error) {
	time.Sleep(time.Duration(len(ids)) * 5 * time.Millisecond)
	return s.crowd.Records(ids)
}

// TestACommitDoesNotWaitForManyRecords: however many leave with full records, it is told how much they were denied.
func TestACommitDoesNotWaitForManyRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := newRig(t), &slow{crowd{drop: 3}}
		view, _ := r.opt.View()
		view.Container = func(id string) (Container, bool) { return Container{ID: id}, true }
		r.opt.Kernel, r.opt.View = k, func() (View, bool) { return view, true }
		var leaving []nft.Container
		for i := range 200 {
			leaving = append(leaving, nft.Container{ID: fmt.Sprintf("%012x", i)})
		}
		began := time.Now()
		r.Leaving(leaving)
		if took := time.Since(began); took > 2*maxLeaving {
			t.Errorf("the commit waits for %v", took)
		}
		r.Committed()
		r.Read()
		if r.packets() != 600 {
			t.Errorf("%d packets told of 600", r.packets())
		}
		if r.told[0].Reason != string(nft.Denied) || r.told[len(r.told)-1].Reason != ReasonOther {
			t.Errorf("first %+v, last %+v", r.told[0], r.told[len(r.told)-1])
		}
	})
}
