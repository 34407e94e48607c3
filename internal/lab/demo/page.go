package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// page is where the demo writes. Words carry the meaning, colour only repeats it.
type page struct {
	w      io.Writer
	colour bool
	steps  int
	began  time.Time
}

func newPage(f *os.File) *page {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	plain := err != nil || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb"
	return &page{w: f, colour: !plain, began: time.Now()}
}

func (p *page) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

// step heads the next part, with the time since the beginning.
func (p *page) step(title string) {
	p.steps++
	p.printf("\n%s\n", p.paint("1", fmt.Sprintf("[%4.1f s] %d. %s", time.Since(p.began).Seconds(), p.steps, title)))
}

// say is a line below a step.
func (p *page) say(format string, args ...any) { p.printf("  "+format+"\n", args...) }

// text is several lines below a step.
func (p *page) text(s string) {
	for line := range strings.Lines(s) {
		p.printf("  %s\n", strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    "))
	}
}

// paint is SGR (ECMA-48): 1 bold, 2 faint, 31 red, 32 green, 33 yellow.
func (p *page) paint(code, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
