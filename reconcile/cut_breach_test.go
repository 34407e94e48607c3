package reconcile

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/flows"
	"github.com/dockerwall/dockerwall/nft"
)

// TestABreachIsNotKeptWaiting by the rest that follows a pass over many flows, as a suspicion is.
func TestABreachIsNotKeptWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		tell   func(*Cutter)
		within time.Duration // from when it is told to the next look at the flows
	}{
		"the table was open": {(*Cutter).Breached, cutRest},
		"something more is forbidden, and somebody waits for it": {func(c *Cutter) {
			c.Suspect()
			c.Hurry()
		}, cutRest},
		"something more is forbidden": {(*Cutter).Suspect, cutShare * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state, r := walled()
				var looked []time.Time
				cutter, err := NewCutter(CutterOptions{
					Now: func() (State, nft.Ruleset) { return state, r }, Keep: func([]nft.Cut) error { return nil },
					Flows: func(choose func([]flows.Flow) []int) (int, error) {
						looked = append(looked, time.Now())
						time.Sleep(time.Second)
						return len(choose(nil)), nil
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				go func() { _ = cutter.Run(t.Context()) }()
				cutter.Suspect()
				time.Sleep(time.Second + time.Millisecond)
				told := time.Now()
				c.tell(cutter)
				time.Sleep(time.Minute)
				synctest.Wait()
				if len(looked) != 2 || looked[1].Sub(told) > c.within || c.within > cutRest && looked[1].Sub(told) < c.within/2 {
					t.Errorf("told at %v, looked at %v", told, looked)
				}
			})
		})
	}
}
