package observe

import (
	"maps"
	"slices"
	"time"

	"github.com/dockerwall/dockerwall/nft"
)

// Read reads once, tells the sinks what is new, and returns whether there was anything. Only Run and tests call it.
func (o *Observer) Read() bool {
	defer o.rounds.begin()()
	o.mu.Lock()
	clear(o.left)
	o.mu.Unlock()
	view, known := o.opt.View()
	if !known {
		return false
	}
	r := Reading{Sightings: o.seen.take()}
	counters, err := o.opt.Kernel.Counters()
	if err != nil {
		o.report(err)
		return false
	}
	r.Time, r.Reasons = time.Now(), counters.Reasons
	r.Parts = counters.Parts
	unknown := map[string]bool{}
	for _, p := range r.Parts {
		if _, ok := view.Container(p.ID); !ok {
			unknown[p.ID] = true
		}
	}
	r.without(unknown)
	if grown := o.grown(&r); len(grown) > 0 {
		r.Records, err = o.opt.Kernel.Records(grown)
	}
	o.report(err)
	o.take(r, view)
	return o.deliver(nil)
}

// take takes a reading in, a few records at a time: the loop, which waits for the lock, may come between. What it then says
// of containers that leave is later than what the reading has of them.
func (o *Observer) take(r Reading, view View) {
	for _, some := range r.slices(maxHeld) {
		o.mu.Lock()
		some.without(o.left)
		o.add(o.ledger.some(some), view)
		o.mu.Unlock()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r.without(o.left)
	o.add(o.ledger.rest(r), view)
}

// slices parts a reading so that none has many more destinations than limit. Each container is whole in one of them.
func (r *Reading) slices(limit int) (out []Reading) {
	byID := map[string][]nft.Part{}
	for _, p := range r.Parts {
		byID[p.ID] = append(byID[p.ID], p)
	}
	room := 0
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		if room <= 0 {
			out, room = append(out, Reading{Time: r.Time, Records: r.Records}), limit
		}
		last := &out[len(out)-1]
		last.Parts = append(last.Parts, byID[id]...)
		room -= len(r.Records[id]) + 1
	}
	return out
}

// grown are the containers to read the records of. When they are many, some take their turn at the next reading, with all
// of theirs.
func (o *Observer) grown(r *Reading) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.ledger.Grown(r.Parts)
	if len(all) <= maxGrown || !o.ledger.Begun() {
		return all
	}
	first, _ := slices.BinarySearch(all, o.turn)
	later := map[string]bool{}
	for i, id := range slices.Concat(all[first:], all[:first]) {
		if i == maxGrown {
			o.turn = id
		}
		later[id] = i >= maxGrown
	}
	r.without(later)
	o.Kick()
	return slices.DeleteFunc(all, func(id string) bool { return later[id] })
}

// report says once that something could not be read.
func (o *Observer) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	o.mu.Lock()
	said, ended := o.failed, o.ended
	o.failed = text
	o.mu.Unlock()
	if err != nil && text != said && !ended {
		o.opt.Logger.Warn("denials not read; they are told when they can be", "err", err)
	}
}

// without has the reading say nothing of some containers.
func (r *Reading) without(ids map[string]bool) {
	if r.Unread == nil {
		r.Unread = map[string]bool{}
	}
	r.Parts = slices.DeleteFunc(r.Parts, func(p nft.Part) bool { return ids[p.ID] })
	for id, out := range ids {
		r.Unread[id] = r.Unread[id] || out
	}
}

// add has Denials wait for the sinks. The caller holds the lock, so they are completed later.
func (o *Observer) add(denials []Denial, view View) {
	if len(denials) == 0 {
		return
	}
	o.waiting = append(o.waiting, batch{denials, view})
	more := -maxWaiting
	for _, b := range o.waiting {
		more += len(b.denials)
	}
	for ; more > 0; more -= min(more, len(denials)) {
		oldest := &o.waiting[0]
		denials = oldest.denials
		if oldest.denials = denials[min(more, len(denials)):]; len(oldest.denials) == 0 {
			o.waiting = o.waiting[1:]
		}
	}
}

// completed are the Denials of all batches, in order, with who, names and tokens.
func completed(all []batch) (out []Denial) {
	for _, b := range all {
		for i := range b.denials {
			b.view.complete(&b.denials[i])
		}
		out = append(out, b.denials...)
	}
	return out
}

// deliver hands what waits to the sinks, then calls settled, if there is one, and returns whether there was anything.
func (o *Observer) deliver(settled func(Baseline)) bool {
	o.delivery.Lock()
	defer o.delivery.Unlock()
	o.mu.Lock()
	waiting, base := o.waiting, Baseline{}
	o.waiting = nil
	if settled != nil {
		base = o.ledger.Baseline()
	}
	o.mu.Unlock()
	denials := completed(waiting)
	if len(denials) > 0 {
		for _, sink := range o.opt.Sinks {
			sink(denials)
		}
	}
	if settled != nil {
		settled(base)
	}
	return len(denials) > 0
}

// complete fills in who, names and token.
func (v View) complete(d *Denial) {
	d.Audit = v.DryRun
	if d.ContainerID != "" {
		if c, ok := v.Container(d.ContainerID); ok {
			d.ContainerID, d.Subject, d.Audit = c.ID, c.Subject, v.DryRun || c.Audit
		}
	}
	if !d.Target.Dst.IsValid() {
		return
	}
	d.Names = v.Names(d.Target.Dst)
	own := d.Names
	if v.Own != nil {
		own = v.Own(d.Subject, own)
	}
	token, host := v.Token(d.Target, own)
	d.Host = host
	if d.Reason == string(nft.Denied) {
		d.Token = token
	}
}
