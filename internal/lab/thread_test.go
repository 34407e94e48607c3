package lab_test

import (
	"sync"
	"testing"
	"time"

	"github.com/dockerwall/dockerwall/internal/lab"
)

func TestProgramsOutliveTheThreadsThatVisitNamespaces(t *testing.T) {
	l := lab.ForTest(t)
	cmd := l.HostCommand(t.Context(), "sleep", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var visits sync.WaitGroup
	for range 8 {
		visits.Go(func() {
			for range 300 {
				_ = l.Host.Do(func() error { return nil })
			}
		})
	}
	visits.Wait()
	select {
	case err := <-ended:
		t.Errorf("ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	_ = cmd.Process.Kill()
}
