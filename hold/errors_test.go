package hold

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorsOfBindingAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		cause error
		want  error
	}{
		"another reader":        {"could not bind to requested queue 5300: %w", unix.EPERM, ErrTaken},
		"another one just now":  {"could not bind to requested queue 5300: %w", unix.EBUSY, ErrTaken},
		"no right":              {"could not unbind existing handlers (if any): %w", unix.EPERM, unix.EPERM},
		"no such subsystem":     {"could not unbind existing handlers (if any): %w", unix.EINVAL, ErrNoQueue},
		"no fail-open":          {"netlink receive: %w", unix.EOPNOTSUPP, ErrNoQueue},
		"no netfilter":          {"socket: %w", unix.EPROTONOSUPPORT, ErrNoQueue},
		"what nobody expected":  {"socket: %w", unix.EMFILE, unix.EMFILE},
		"no memory for a queue": {"could not bind to requested queue 5300: %w", unix.ENOMEM, unix.ENOMEM},
	} {
		t.Run(name, func(t *testing.T) {
			got := bindError(fmt.Errorf(test.text, test.cause))
			if !errors.Is(got, test.want) {
				t.Errorf("%v", got)
			}
			for _, other := range []error{ErrTaken, ErrNoQueue} {
				if errors.Is(got, other) != errors.Is(test.want, other) {
					t.Errorf("%v", got)
				}
			}
		})
	}
}

func TestReadingGoesOnAfterWhatIsNoFailure(t *testing.T) {
	r := &running{Holder: &Holder{}, failed: make(chan error, 1)}
	for _, err := range []error{unix.ENOBUFS, unix.ENOENT, unix.ENOBUFS} {
		if r.receiveError(fmt.Errorf("netlink receive: %w", err)) != 0 {
			t.Errorf("ends with %v", err)
		}
	}
	if n := r.counts.now().Overruns; n != 2 || len(r.failed) != 0 {
		t.Errorf("%d overruns", n)
	}
}
