package metrics

import (
	"context"
	"testing"
	"time"
)

// TestACommitDoesNotWaitForTheDetailsOfAScrape has a source that reads details for as long as it may.
func TestACommitDoesNotWaitForTheDetailsOfAScrape(t *testing.T) {
	tests := map[string]func(*Metrics){
		"of containers that go": func(m *Metrics) { m.Observe(func() []Container { return nil }) },
		"of what has gone":      func(m *Metrics) { m.leaving.Store(true); m.Committed(true) },
	}
	for name, commit := range tests {
		t.Run(name, func(t *testing.T) {
			reading, told := make(chan struct{}), make(chan int, 1)
			m, err := New(Options{Source: func(ctx context.Context) Snapshot {
				close(reading)
				<-ctx.Done()
				return Snapshot{}
			}})
			if err != nil {
				t.Fatal(err)
			}
			go func() { told <- len(m.collect()) }()
			<-reading
			committed := make(chan struct{})
			go func() {
				commit(m)
				close(committed)
			}()
			select {
			case <-committed:
			case <-time.After(sourceTimeout / 2): // without hurry the source reads for all of it
				t.Error("the commit waits")
			}
			if n := <-told; n == 0 {
				t.Error("the scrape has nothing")
			}
		})
	}
}
