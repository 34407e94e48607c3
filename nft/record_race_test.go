package nft

import "testing"

// TestDenialsOfAContainerThatGoesAreNoError: it may go between the look at what is committed and that at its set.
func TestDenialsOfAContainerThatGoesAreNoError(t *testing.T) {
	k, r := open(t, namespace(t)), fleet(1)
	with := r.with(fleetContainer(1))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range 600 {
			if _, err := k.Apply([]Ruleset{with, r}[i%2]); err != nil {
				t.Error(err)
			}
		}
	}()
	defer func() { <-ended }()
	for {
		if _, err := k.Records([]string{fleetContainer(1).ID}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}
