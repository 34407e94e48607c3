package observe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// subject reads one and all about it, within the bounds of what a [Store] holds.
func (d *decoder) subject(text []byte) error {
	var l lineSubject
	if err := strictly(text, &l); err != nil {
		return err
	}
	s := Subject{l.Name, l.Image, l.Project, l.Service}
	key := identity{l.Name, l.Image}
	switch {
	case s == (Subject{}) || shortened(s) != s || d.subjects[key] != nil:
		return fmt.Errorf("subject %q is none, or there twice", l.Name)
	case len(d.subjects) >= maxSubjects || len(l.Records) > maxOwn || len(l.Asked) > maxAsked || len(l.Reached) > maxReached || len(l.Contacts) > maxOwn || len(l.Outbound) > maxLabel:
		return errors.New("more is in it than is kept")
	}
	h := newObserved(s, d.past(l.Since))
	h.last, h.outbound = d.past(l.Last), l.Outbound
	for _, r := range l.Records {
		if err := d.record(h, r); err != nil {
			return err
		}
	}
	for _, c := range l.Contacts {
		if err := d.contact(h, c); err != nil {
			return err
		}
	}
	h.lost = l.Lost
	for name, at := range l.Asked {
		if canonical(name) != name {
			return fmt.Errorf("%q is no name", name)
		}
		h.asked[name] = d.past(at)
		h.askedLast = later(h.askedLast, d.past(at))
	}
	for name, at := range l.Reached {
		if _, err := netip.ParseAddr(name); err != nil && canonical(name) != name {
			return fmt.Errorf("%q is neither a name nor an address", name)
		}
		h.reached[name] = d.past(at)
	}
	d.subjects[key] = h
	return nil
}

func (d *decoder) record(h *observed, l lineRecord) error {
	t := l.target()
	if h.records[t] != nil || len(l.Names) > maxNames || l.Dst != l.Dst.Unmap() {
		return fmt.Errorf("%v is recorded twice, or wrongly", t)
	}
	for _, name := range l.Names {
		if canonical(name) != name {
			return fmt.Errorf("%q is no name", name)
		}
	}
	h.records[t] = &Record{
		Target: t, Names: l.Names, Host: l.Host, Audit: l.Audit,
		First: d.past(l.First), Last: d.past(l.Last), Packets: l.Packets, Bytes: l.Bytes,
	}
	return nil
}

// past is a time that is not in the future: after a clock was set back, nothing would ever be old.
func (d *decoder) past(t time.Time) time.Time {
	if t.After(d.now) {
		return d.now
	}
	return t
}
