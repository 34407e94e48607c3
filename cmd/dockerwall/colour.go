package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// colour is how a word is shown on a terminal: words carry the meaning, colour only repeats it. The zero value shows none.
type colour bool

// colourOf is whether w is a terminal whose owner wants colours (no-color.org, terminfo's dumb).
func colourOf(env environment, w io.Writer) colour {
	return colour(isTerminal(w) && env.getenv("NO_COLOR") == "" && env.getenv("TERM") != "dumb")
}

// columns is how many a terminal has, 0 of what is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// The texts below are padded and cleaned before: their escapes have no width.

func (c colour) bold(text string) string   { return c.sgr("1", text) }
func (c colour) red(text string) string    { return c.sgr("31", text) }
func (c colour) green(text string) string  { return c.sgr("32", text) }
func (c colour) yellow(text string) string { return c.sgr("33", text) }

func (c colour) sgr(code, text string) string {
	if !c || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
