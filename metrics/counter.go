package metrics

// counter follows a counter of the kernel without ever decreasing. The kernel's may start anew (the
// table was removed, the container restarted): then what it shows is what came since. A zero says
// nothing: nothing came, or the reading missed it.
type counter struct {
	raw   uint64 // the last reading
	total uint64
}

// due is how much the kernel's counter grew.
func (c *counter) due(raw uint64) uint64 {
	switch {
	case raw == 0:
		return 0
	case raw < c.raw:
		return raw
	default:
		return raw - c.raw
	}
}

// advance takes a reading and returns how much was added.
func (c *counter) advance(raw uint64) uint64 { return c.advanceBy(raw, c.due(raw)) }

// advanceBy takes at most limit of what is due; the rest stays due.
func (c *counter) advanceBy(raw, limit uint64) uint64 {
	if raw == 0 {
		return 0
	}
	due := c.due(raw)
	taken := min(due, limit)
	c.raw = raw - (due - taken)
	c.total += taken
	return taken
}
