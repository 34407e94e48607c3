package hold

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAQueuesLineIsFound(t *testing.T) {
	const text = `  101   4213     3 2 65531     1     2       77  1
 5300 2863311530   12 2 65531     4     5   123456  1
    0   9999     6 1   128     7     8        9  1
`
	for name, test := range map[string]struct {
		text   string
		number uint16
		want   Queue
		found  bool
	}{
		"the first":               {text, 101, Queue{3, 1, 2}, true},
		"one further down":        {text, 5300, Queue{12, 4, 5}, true},
		"number zero":             {text, 0, Queue{6, 7, 8}, true},
		"another's netlink port":  {text, 4213, Queue{}, false},
		"no queue":                {"", 5300, Queue{}, false},
		"words":                   {"queue port waiting mode range dropped user\n", 0, Queue{}, false},
		"a word among them":       {"5300 1 2 3 4 five 6 7 1\n", 5300, Queue{}, false},
		"a line that is cut off":  {"5300 1 2 3 4 5\n", 5300, Queue{}, false},
		"one whose end is not":    {"5300 1 2 3 4 5 6", 5300, Queue{2, 5, 6}, true},
		"junk before":             {"\n\x00\xff junk\n-1 1 2 3 4 5 6 7 1\n" + text, 101, Queue{3, 1, 2}, true},
		"a number beyond 16 bits": {"70836 1 2 3 4 5 6 7 1\n", 70836 - 65536, Queue{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, found := findQueue(test.text, test.number); got != test.want || found != test.found {
				t.Errorf("%+v, %v", got, found)
			}
		})
	}
}

func TestTheHistogramIsCumulative(t *testing.T) {
	var c counts
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 150 * time.Microsecond, 7 * time.Millisecond, time.Second, time.Minute} {
		c.observe(d)
	}
	got := c.now()
	if len(got.Held) != len(Bounds()) {
		t.Errorf("%d buckets for %d bounds", len(got.Held), len(Bounds()))
	}
	if diff := cmp.Diff([]uint64{2, 3, 3, 3, 3, 4, 4, 4, 4, 5}, got.Held); diff != "" {
		t.Errorf("want (-) and got (+) differ:\n%s", diff)
	}
	if want := 61*time.Second + 7250*time.Microsecond; got.HeldSum != want {
		t.Errorf("sum is %v, want %v", got.HeldSum, want)
	}
}
