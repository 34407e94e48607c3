package main

import (
	"context"
	"time"

	"github.com/dockerwall/dockerwall/hostnet"
)

// What the daemon follows beside Docker, and goes on without.

// watchPorts keeps addresses bound to their ports. When it cannot, none is for a while: what is known of ports that are
// gone would keep containers from their own addresses.
func (f *fence) watchPorts(ctx context.Context) error {
	for {
		err := f.ports.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.logger.Error("bridge ports are not followed, and no address is bound to one; trying again", "err", err)
		f.ports.Forget()
		f.loop.Kick()
		if !sleep(ctx, time.Second) {
			return nil
		}
	}
}

// beat keeps what is bound from ports that are not known yet, for as long as there is a daemon that would know them.
func (f *fence) beat(ctx context.Context) error {
	for sleep(ctx, time.Second) {
		if err := f.kernel.Awake(); err != nil {
			f.logger.Debug("ports that are not known may use any address for now", "err", err)
			f.loop.Kick()
		}
	}
	return nil
}

// watchBridges keeps bridges that are not Docker's free, and what is the host's closed, as soon as they are there;
// without it they wait for the next relisting.
func (f *fence) watchBridges(ctx context.Context) error {
	if err := hostnet.Watch(ctx, f.loop.Kick); err != nil {
		f.logger.Warn("new bridges and addresses are seen at the next relisting only", "err", err)
	}
	return nil
}

// readDrops logs denied packets; without them the fence stands and counts all the same.
func (f *fence) readDrops(ctx context.Context) error {
	if err := f.drops.Run(ctx); err != nil {
		f.noted.unlogged(err)
		f.logger.Error("denied packets are counted but not logged", "err", err)
	}
	return nil
}
