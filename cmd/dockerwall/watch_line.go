package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/api"
)

// denialLine is "18:13:40 DENIED web -> files.pythonhosted.org:443 (151.101.0.223) tcp x14 no rule". What is of another day
// than now has the day in front.
func denialLine(d api.Denial, now time.Time, c colour) string {
	words := []string{denialTime(d, now), fmt.Sprintf("%-6s", strings.ToUpper(d.Verdict)), denialSource(d), "->", denialDestination(d)}
	if len(d.Names) > 0 && d.Destination.IsValid() {
		words = append(words, "("+d.Destination.String()+")")
	}
	if d.Protocol != "" {
		words = append(words, d.Protocol)
	}
	words = append(words, "x"+strconv.FormatUint(d.Packets, 10), d.Why())
	if d.First {
		words = append(words, "(first seen)")
	}
	for i := range words {
		words[i] = clean(words[i])
	}
	if d.Verdict == api.VerdictAudit {
		words[1] = c.yellow(words[1])
	} else {
		words[1] = c.red(words[1])
	}
	return strings.Join(words, " ")
}

func denialTime(d api.Denial, now time.Time) string {
	at, now := d.Time.Local(), now.Local()
	if at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		return at.Format("Jan _2 15:04:05")
	}
	return at.Format(time.TimeOnly)
}

// denialSource is the container, or where packets of nobody we know came from.
func denialSource(d api.Denial) string {
	switch {
	case d.Container != "":
		return d.Container
	case d.ContainerID != "":
		return d.ContainerID[:min(len(d.ContainerID), 12)]
	case d.Source != "" && d.Interface != "":
		return d.Source + "@" + d.Interface
	case d.Source != "" || d.Interface != "":
		return d.Source + d.Interface
	}
	return "unknown"
}

// denialDestination is the name, else the address, with the port.
func denialDestination(d api.Denial) string {
	if !d.Destination.IsValid() {
		return "unrecorded"
	}
	if len(d.Names) > 0 {
		name := clean(d.Names[0])
		if d.Port != 0 {
			name += ":" + strconv.Itoa(int(d.Port))
		}
		return name
	}
	if d.Port != 0 {
		return netip.AddrPortFrom(d.Destination, d.Port).String()
	}
	return d.Destination.String()
}

// denialTable is of those before.
func denialTable(w io.Writer, denials []api.Denial) error {
	t := newTable(w, "TIME", "VERDICT", "CONTAINER", "DESTINATION", "ADDRESS", "PROTOCOL", "PACKETS", "REASON", "TOKEN")
	now := time.Now()
	for _, d := range denials {
		address := ""
		if d.Destination.IsValid() {
			address = d.Destination.String()
		}
		t.row(denialTime(d, now), strings.ToUpper(d.Verdict), denialSource(d), denialDestination(d), address, d.Protocol,
			strconv.FormatUint(d.Packets, 10), d.Why(), d.Token)
	}
	return t.flush()
}
