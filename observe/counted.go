package observe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/sortby"
)

// maxCounted is how many destinations of a [Baseline] a file has. Where there are more, those of the containers with most
// are left out: what they were denied since is then told, but maybe of another of their destinations.
const maxCounted = 100000

// lineTold says what of the kernel's counters of no container was told, and when.
type lineTold struct {
	Time    time.Time                `json:"told"`
	Reasons map[nft.Reason]lineCount `json:"reasons,omitempty"`
}

// lineCounted says what was told of the kernel's counters of one container.
type lineCounted struct {
	ID      string       `json:"counted"`
	Parts   []linePart   `json:"parts,omitempty"`
	Records []lineTarget `json:"records,omitempty"`
}

type linePart struct {
	Name    string `json:"name"`
	Invalid bool   `json:"invalid,omitempty"`
	lineCount
}

type lineCount struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// lines are a baseline's, in order.
func (b *Baseline) lines() (lineTold, []lineCounted) {
	told := lineTold{b.Time.UTC(), map[nft.Reason]lineCount{}}
	for reason, c := range b.Reasons {
		told.Reasons[reason] = lineCount{c.Packets, c.Bytes}
	}
	byID := map[string]*lineCounted{}
	of := func(id string) *lineCounted {
		if byID[id] == nil {
			byID[id] = &lineCounted{ID: id}
		}
		return byID[id]
	}
	for _, p := range b.Parts {
		of(p.ID).Parts = append(of(p.ID).Parts, linePart{p.Name, p.Invalid, lineCount{p.Packets, p.Bytes}})
	}
	most := b.most(maxCounted)
	for id, records := range b.Records {
		if len(records) > most {
			continue
		}
		for _, r := range records {
			of(id).Records = append(of(id).Records, lineTarget{r.Dst, r.Port, r.Proto, lineCount{r.Packets, r.Bytes}})
		}
	}
	var out []lineCounted
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		l := byID[id]
		sortby.Func(l.Parts, func(a, b linePart) int { return strings.Compare(a.Name, b.Name) })
		sortby.Func(l.Records, func(a, b lineTarget) int { return compareTargets(a.target(), b.target()) })
		out = append(out, *l)
	}
	return told, out
}

// most is how many records one container may have so that all have no more than limit.
func (b *Baseline) most(limit int) int {
	sizes := make([]int, 0, len(b.Records))
	for _, records := range b.Records {
		sizes = append(sizes, len(records))
	}
	sortby.Func(sizes, cmp.Compare[int])
	for _, n := range sizes {
		if limit -= n; limit < 0 {
			return n - 1
		}
	}
	return maxCounted
}

func (d *decoder) told(text []byte) error {
	var l lineTold
	if err := strictly(text, &l); err != nil {
		return err
	}
	if d.baseline != nil {
		return fmt.Errorf("what was told is there twice")
	}
	d.baseline = &Baseline{Time: l.Time, Records: map[string][]nft.Denial{}, Reasons: map[nft.Reason]nft.Count{}}
	for reason, c := range l.Reasons {
		d.baseline.Reasons[reason] = nft.Count(c)
	}
	return nil
}

func (d *decoder) counted(text []byte) error {
	var l lineCounted
	if err := strictly(text, &l); err != nil {
		return err
	}
	if d.baseline == nil || d.ids[l.ID] || nft.ContainerOf("c_"+l.ID) != l.ID {
		return fmt.Errorf("%q is no container that was counted once", l.ID)
	}
	d.ids[l.ID] = true
	for _, p := range l.Parts {
		d.baseline.Parts = append(d.baseline.Parts, nft.Part{ID: l.ID, Name: p.Name, Invalid: p.Invalid, Count: nft.Count(p.lineCount)})
	}
	for _, r := range l.Records {
		d.baseline.Records[l.ID] = append(d.baseline.Records[l.ID], nft.Denial{Dst: r.Dst, Proto: r.Proto, Port: r.Port, Count: nft.Count(r.lineCount)})
	}
	return nil
}
