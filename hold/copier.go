package hold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/florianl/go-nflog/v2"

	"github.com/dockerwall/dockerwall/nfgroup"
)

// Copier reads copies of DNS replies from an nflog group, where there is no queue to hold them in. The replies
// themselves go on at once, and many first packets after them are too early (measured: `make bench-dns`).
type Copier struct {
	opt    Options
	counts counts
	reader reader
}

// NewCopier checks opt; it opens nothing yet.
func NewCopier(opt Options) (*Copier, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	return &Copier{opt: opt}, nil
}

// Run learns from copies until ctx is done, and then returns nil. It returns [ErrTaken] if another program reads
// the group.
func (c *Copier) Run(ctx context.Context) error {
	group, err := nfgroup.Open(ctx, nfgroup.Options{
		Number: c.opt.Number, NetNS: c.opt.NetNS, CopyRange: wholePacket,
		Packet: c.packet, Overrun: func() { c.counts.overruns.Add(1) },
	})
	if errors.Is(err, nfgroup.ErrTaken) {
		err = ErrTaken
	}
	if err != nil {
		return fmt.Errorf("read nflog group %d: %w", c.opt.Number, err)
	}
	defer group.Close()
	c.opt.Bound(true)
	defer c.opt.Bound(false)
	if err := group.Wait(ctx); err != nil {
		return fmt.Errorf("read nflog group %d: %w", c.opt.Number, err)
	}
	return nil
}

func (c *Copier) packet(a nflog.Attribute) {
	c.counts.packets.Add(1)
	as := &c.counts.empty
	defer func() { as.Add(1) }()
	defer survive(c.opt.Logger, &c.counts, "learn from a copied DNS reply")
	if a.Payload == nil {
		return
	}
	if messages := c.reader.messages(*a.Payload, time.Now()); len(messages) > 0 {
		as = &c.counts.released
		c.opt.Learn(messages)
	}
}

// Counts is what was counted since NewCopier. Nothing is held.
func (c *Copier) Counts() Counts { return c.counts.now() }
