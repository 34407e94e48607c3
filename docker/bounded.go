package docker

import (
	"errors"
	"fmt"
	"io"
)

// What one answer, and one event, may have, in bytes. A container is some 2 KiB of a list, and its labels.
const (
	maxAnswer = 32 << 20
	maxEvent  = 1 << 20
)

var errTooLong = errors.New("longer than any Engine's")

// bounded is a body of which at most left bytes may come; then reading it is an error.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w; is this Docker, or a proxy's page?", errTooLong)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
