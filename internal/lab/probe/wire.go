package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// wire sends frames by an interface, as they are (packet(7)).
type wire struct {
	fd   int
	to   *unix.SockaddrLinklayer
	pace pace
	sent int
}

func openWire(index int) (*wire, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	return &wire{fd: fd, to: &unix.SockaddrLinklayer{Ifindex: index}}, err
}

// put counts what the interface took: a queue that is full refuses.
func (w *wire) put(frame []byte) {
	w.pace.wait(w.sent)
	if unix.Sendto(w.fd, frame, 0, w.to) == nil {
		w.sent++
	}
}

// pace is a rate a second; 0 is no bound.
type pace struct {
	began time.Time
	rate  int
}

func newPace(rate int) pace { return pace{time.Now(), rate} }

// wait sleeps in steps that a timer can keep.
func (p pace) wait(sent int) {
	if p.rate == 0 || sent%8 != 0 {
		return
	}
	time.Sleep(time.Until(p.began.Add(time.Duration(sent) * time.Second / time.Duration(p.rate))))
}
