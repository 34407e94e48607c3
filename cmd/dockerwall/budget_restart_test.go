package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dockerwall/dockerwall/internal/lab/pair"
)

const (
	maxRestart  = 1000 // ms, of a thousand containers
	maxResident = 40   // MB, of a thousand
	settling    = 30 * time.Second
	idling      = time.Minute // so that there is one full listing in it
)

// BenchmarkBudgetRestart ends a daemon, in order and by force in turn, and takes the time from the start of the next to its
// first table of all containers: adopted, compared and committed. Of no containers, also on a host without a table.
func BenchmarkBudgetRestart(b *testing.B) {
	for _, n := range []int{0, 1000, 5000} {
		c := newCrowd(b, n)
		d, _ := c.whole(b)
		took, worked := pair.Figure{Case: "restart", N: n, Unit: "ms"}, pair.Figure{Case: "restart, CPU", N: n, Unit: "ms"}
		first := pair.Figure{Case: "first start without containers", Unit: "ms"}
		if n == crowded {
			took.Max = maxRestart
		}
		pair.Rounds(func(round int) {
			d.signal([]unix.Signal{unix.SIGTERM, unix.SIGKILL}[round%2])
			again, time := c.whole(b)
			took.Ours, worked.Ours = append(took.Ours, milliseconds(time)), append(worked.Ours, milliseconds(processTime(b, again.cmd.Process.Pid)))
			d = again
			if n > 0 {
				return
			}
			d.stop()
			c.host(b, "nft", "flush", "ruleset")
			d, time = c.whole(b)
			first.Ours = append(first.Ours, milliseconds(time))
		})
		d.stop()
		publish(b, took, worked)
		if n == 0 {
			publish(b, first)
		}
	}
}

// BenchmarkBudgetIdle lets daemons of hosts of several sizes rest, side by side, and looks at what they hold and do then.
func BenchmarkBudgetIdle(b *testing.B) {
	sizes := []int{10, 1000, 5000}
	var crowds []*crowd
	var held, own, work []pair.Figure
	for _, n := range sizes {
		crowds = append(crowds, newCrowd(b, n))
		held, own = append(held, pair.Figure{Case: "resident memory", N: n, Unit: "MB"}), append(own, pair.Figure{Case: "resident memory, without the program", N: n, Unit: "MB"})
		work = append(work, pair.Figure{Case: "idle CPU", N: n, Unit: "ms/s"})
	}
	held[1].Max = maxResident
	pair.Rounds(func(int) {
		var walls []*wall
		for _, c := range crowds {
			d, _ := c.whole(b)
			walls = append(walls, d)
		}
		time.Sleep(settling)
		began, before := time.Now(), make([]time.Duration, len(sizes))
		for i, d := range walls {
			before[i] = processTime(b, d.cmd.Process.Pid)
		}
		time.Sleep(idling)
		rested := time.Since(began).Seconds()
		for i, d := range walls {
			pid := d.cmd.Process.Pid
			work[i].Ours = append(work[i].Ours, milliseconds(processTime(b, pid)-before[i])/rested)
			held[i].Ours, own[i].Ours = append(held[i].Ours, memory(b, pid, "VmRSS")), append(own[i].Ours, memory(b, pid, "RssAnon"))
		}
		for _, d := range walls {
			d.stop()
		}
	})
	publish(b, slices.Concat(held, own, work)...)
}

// lines is how many a log has.
func (l *logged) lines() int { return strings.Count(l.String(), "\n") }
