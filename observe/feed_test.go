package observe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func denials(n int) []Denial {
	out := make([]Denial, n)
	for i := range out {
		out[i] = Denial{Packets: 1, Names: []string{"www.example.com"}}
	}
	return out
}

func TestAFeedRemembersTheLatest(t *testing.T) {
	f := NewFeed(nil)
	for range 15 {
		f.Publish(denials(1000))
	}
	last := f.Last(MaxDenials + 1)
	if len(last) != MaxDenials || last[0].ID != 5001 || last[MaxDenials-1].ID != 15000 {
		t.Errorf("%d of them, %d to %d", len(last), last[0].ID, last[len(last)-1].ID)
	}
	if few := f.Last(2); len(few) != 2 || few[0].ID != 14999 {
		t.Errorf("the last two: %+v", few)
	}
	if none := f.Last(-1); len(none) != 0 {
		t.Errorf("%d of -1", len(none))
	}
}

func TestAFeedIsBoundedInBytes(t *testing.T) {
	f := NewFeed(nil)
	long := strings.Repeat("a", 100_000)
	for range 500 {
		f.Publish([]Denial{{Names: []string{long, long}}})
	}
	if n := len(f.Last(MaxDenials)); n == 0 || n*200_000 > maxFeedBytes {
		t.Errorf("%d of 200,000 bytes", n)
	}
}

// follow collects what a follower gets until it has the Denial with the last ID, or for 10 seconds.
func follow(t *testing.T, f *Feed, n int, last uint64) <-chan []Denial {
	t.Helper()
	out := make(chan []Denial, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	go func() {
		defer cancel()
		var got []Denial
		_ = f.Follow(ctx, n, true, func(d Denial) error {
			got = append(got, d)
			if d.ID == last {
				cancel()
			}
			return nil
		})
		out <- got
	}()
	return out
}

func TestAFollowerGetsWhatWasAndWhatComesWithoutAGap(t *testing.T) {
	joined := make(chan struct{}, 1)
	f := NewFeed(func() { joined <- struct{}{} })
	f.Publish(denials(5))
	got := follow(t, f, 3, 9)
	<-joined
	if !f.Watched() {
		t.Error("nobody seems to follow")
	}
	for range 4 {
		f.Publish(denials(1))
	}
	all := <-got
	for i, d := range all {
		if d.ID != uint64(3+i) || d.Lost != 0 {
			t.Errorf("the %dth is %+v", i, d)
		}
	}
	if len(all) != 7 || f.Watched() {
		t.Errorf("%d came; followed still: %v", len(all), f.Watched())
	}
}

// TestASlowFollowerLosesTheOldestAndIsTold: the Feed does not wait for it, and what came and what was lost add up.
func TestASlowFollowerLosesTheOldestAndIsTold(t *testing.T) {
	const many = 5 * maxBacklog
	joined, goOn := make(chan struct{}, 1), make(chan struct{})
	f := NewFeed(func() { joined <- struct{}{} })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan uint64, 1)
	go func() {
		var sum, next uint64 = 0, 1
		_ = f.Follow(ctx, 0, true, func(d Denial) error {
			if d.ID == 1 {
				<-goOn
			}
			if d.ID != next+d.Lost {
				t.Errorf("%d came after %d, with %d lost", d.ID, next-1, d.Lost)
			}
			sum, next = sum+1+d.Lost, d.ID+1
			if d.ID == many {
				cancel()
			}
			return nil
		})
		done <- sum
	}()
	<-joined
	for range many { // returns though nobody reads
		f.Publish(denials(1))
	}
	close(goOn)
	if sum := <-done; sum != many {
		t.Errorf("%d came or were told lost, of %d", sum, many)
	}
}

func TestAFollowerEndsWithItsReader(t *testing.T) {
	f, broken := NewFeed(nil), errors.New("broken pipe")
	f.Publish(denials(1))
	if err := f.Follow(t.Context(), 1, true, func(Denial) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if err := f.Follow(t.Context(), 1, false, func(Denial) error { return nil }); err != nil {
		t.Errorf("without following: %v", err)
	}
	if f.Watched() {
		t.Error("it follows still")
	}
}

func TestNotMoreThanAHundredFollow(t *testing.T) {
	f := NewFeed(nil)
	for range maxFollowers {
		if _, _, err := f.join(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Follow(t.Context(), 0, true, func(Denial) error { return nil }); !errors.Is(err, ErrCrowded) {
		t.Errorf("%v", err)
	}
}
