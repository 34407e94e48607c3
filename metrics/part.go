package metrics

import "maps"

// part is one of the kernel's counters that a total is the sum of, as far as it has been told. It is followed by itself: in
// a sum, one that goes looks like a sum that begins anew, and all the others would be told again.
type part struct {
	packets, bytes uint64 // the last reading
	missing        int    // scrapes since it was last there
	leaving        bool   // the coming commit deletes it
}

// part finds what was last read of a counter.
func (a *account) part(name string) *part {
	p := a.parts[name]
	if p == nil {
		p = &part{}
		a.parts[name] = p
	}
	return p
}

// grow takes a reading and returns how much was added. One that shows fewer packets than before began anew.
func (p *part) grow(now Part) (packets, bytes uint64) {
	packets, bytes = now.Packets, now.Bytes
	if now.Packets >= p.packets {
		packets, bytes = now.Packets-p.packets, less(now.Bytes, p.bytes)
	}
	p.packets, p.bytes, p.missing = now.Packets, now.Bytes, -1
	return packets, bytes
}

// forgetParts drops parts that have not been there for a while, as forgetReadings does and for the same reason.
func (a *account) forgetParts() {
	maps.DeleteFunc(a.parts, func(_ string, p *part) bool {
		p.missing++
		return p.missing > forgetReading
	})
}

// leave marks the parts of c as about to go.
func (a *account) leave(c Container) {
	for _, list := range [][]Part{c.Sent, c.Drops} {
		for _, p := range list {
			a.part(p.Name).leaving = true
		}
	}
	a.gone = !c.Partial
}

// left forgets what was about to go and went: a counter of that name is another one then, which counts from zero.
func (a *account) left(went bool) {
	maps.DeleteFunc(a.parts, func(_ string, p *part) bool { return p.leaving && went })
	for _, p := range a.parts {
		p.leaving = false
	}
	a.gone = a.gone && went
}
