package droplog

// gaps counts lost packets exactly. The kernel tells of a loss twice: at once as ENOBUFS, without a
// number, and as a gap in the sequence numbers (NFULNL_CFG_F_SEQ) of the next packet that arrives.
// The zero value is ready: the kernel numbers a group's packets from 0.
type gaps struct {
	next uint32 // the sequence number that should come
	owed uint64 // losses reported for ENOBUFS that the next gap includes
}

// overrun records an ENOBUFS and returns the loss to report now: at least one packet.
func (g *gaps) overrun() uint64 {
	g.owed++
	return 1
}

// arrived records a packet and returns how many were lost before it and not yet reported.
func (g *gaps) arrived(seq uint32) uint64 {
	missing := uint64(seq - g.next) // wraps with the kernel's counter
	g.next = seq + 1
	if missing >= 1<<31 {
		return 0 // older than expected: not a gap
	}
	if missing == 0 {
		return 0
	}
	lost := missing - min(missing, g.owed)
	g.owed = 0
	return lost
}
