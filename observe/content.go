package observe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/sortby"
)

// fileVersion grows when a line gets a field, or another meaning. Version 1 had no contacts, and is read.
const fileVersion = 2

const maxLine = 16 << 20 // bytes; a subject with all its records, names and text is shorter

// content is what a file says: a line that begins it, one for each subject, what was told and one for each container that
// was counted, and one that ends it.
type content struct {
	at       time.Time
	boot     string
	subjects map[identity]*observed
	baseline *Baseline
}

func empty() content { return content{subjects: map[identity]*observed{}} }

type lineHead struct {
	Version int       `json:"observations"`
	Time    time.Time `json:"time"`
	Boot    string    `json:"boot"`
}

type lineSubject struct {
	Name     string               `json:"subject"`
	Image    string               `json:"image"`
	Project  string               `json:"project,omitempty"`
	Service  string               `json:"service,omitempty"`
	Since    time.Time            `json:"since"`
	Last     time.Time            `json:"last"`
	Outbound string               `json:"outbound,omitempty"`
	Records  []lineRecord         `json:"records,omitempty"`
	Asked    map[string]time.Time `json:"asked,omitempty"`
	Reached  map[string]time.Time `json:"reached,omitempty"`
	Contacts []lineContact        `json:"contacts,omitempty"`
	Lost     uint64               `json:"lost,omitempty"`
}

type lineRecord struct {
	lineTarget
	Names []string  `json:"names,omitempty"`
	Host  bool      `json:"host,omitempty"`
	Audit bool      `json:"audit,omitempty"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

type lineTarget struct {
	Dst   netip.Addr `json:"to,omitzero"`
	Port  uint16     `json:"port,omitempty"`
	Proto uint8      `json:"proto,omitempty"`
	lineCount
}

func (l lineTarget) target() Target { return Target{l.Dst, l.Port, l.Proto} }

type lineEnd struct {
	Lines int `json:"end"` // before this one
}

// encode writes the lines, the same for the same content.
func (c content) encode(w io.Writer) error {
	out := json.NewEncoder(w)
	lines := 1
	if err := out.Encode(lineHead{fileVersion, c.at.UTC(), c.boot}); err != nil {
		return err
	}
	for _, h := range bySubject(c.subjects) {
		if err := out.Encode(h.line()); err != nil {
			return err
		}
		lines++
	}
	if c.baseline == nil {
		return out.Encode(lineEnd{lines})
	}
	told, counted := c.baseline.lines()
	if err := out.Encode(told); err != nil {
		return err
	}
	for _, l := range counted {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return out.Encode(lineEnd{lines + 1 + len(counted)})
}

func bySubject(subjects map[identity]*observed) []*observed {
	return sortby.Collect(maps.Values(subjects), func(a, b *observed) int {
		if n := strings.Compare(a.subject.Name, b.subject.Name); n != 0 {
			return n
		}
		return strings.Compare(a.subject.Image, b.subject.Image)
	})
}

func (h *observed) line() lineSubject {
	out := lineSubject{
		Name: h.subject.Name, Image: h.subject.Image, Project: h.subject.Project, Service: h.subject.Service,
		Since: h.since.UTC(), Last: h.last.UTC(), Outbound: h.outbound, Asked: h.asked, Reached: h.reached,
		Contacts: h.contactLines(), Lost: h.lost,
	}
	for _, r := range h.export().Records {
		out.Records = append(out.Records, lineRecord{
			lineTarget: lineTarget{r.Dst, r.Port, r.Proto, lineCount{r.Packets, r.Bytes}},
			Names:      r.Names, Host: r.Host, Audit: r.Audit, First: r.First.UTC(), Last: r.Last.UTC(),
		})
	}
	return out
}

// decode reads what encode wrote. What it would not have written is [errBroken]; another version [errNewer].
func decode(r io.Reader, now time.Time) (content, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	d := decoder{content: empty(), now: now, ids: map[string]bool{}}
	for lines.Scan() {
		if err := d.line(lines.Bytes()); err != nil {
			if !errors.Is(err, errNewer) {
				err = fmt.Errorf("%w: line %d: %w", errBroken, d.lines+1, err)
			}
			return content{}, err
		}
		d.lines++
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("%w: line %d is too long", errBroken, d.lines+1)
		}
		return content{}, err
	}
	if !d.ended {
		return content{}, fmt.Errorf("%w: its end is missing", errBroken)
	}
	return d.content, nil
}

// decoder reads line by line.
type decoder struct {
	content
	now   time.Time
	lines int             // read
	ids   map[string]bool // counted
	ended bool
}

func (d *decoder) line(text []byte) error {
	switch {
	case d.ended:
		return errors.New("there is more after the end")
	case d.lines == 0:
		return d.head(text)
	case bytes.HasPrefix(text, []byte(`{"subject":`)):
		return d.subject(text)
	case bytes.HasPrefix(text, []byte(`{"told":`)):
		return d.told(text)
	case bytes.HasPrefix(text, []byte(`{"counted":`)):
		return d.counted(text)
	}
	var end lineEnd
	if err := strictly(text, &end); err != nil {
		return err
	}
	d.ended = true
	if end.Lines != d.lines {
		return fmt.Errorf("%d lines are here, %d were written", d.lines, end.Lines)
	}
	return nil
}

// head is lenient: a newer version may have more in it.
func (d *decoder) head(text []byte) error {
	var head lineHead
	if err := json.Unmarshal(text, &head); err != nil {
		return err
	}
	switch {
	case head.Version > fileVersion:
		return fmt.Errorf("version %d: %w", head.Version, errNewer)
	case head.Version < 1 || len(head.Boot) > maxText:
		return errors.New("it does not begin as it should")
	}
	d.at, d.boot = head.Time, head.Boot
	return nil
}

func strictly(text []byte, into any) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return err
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more in it")
	}
	return nil
}
