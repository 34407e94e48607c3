package hostnet

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Watch calls changed when a bridge comes or goes in the namespace of the calling thread, until ctx is done.
func Watch(ctx context.Context, changed func()) error {
	updates := make(chan netlink.LinkUpdate, 64)
	failed := make(chan error, 1)
	err := netlink.LinkSubscribeWithOptions(updates, ctx.Done(), netlink.LinkSubscribeOptions{
		ErrorCallback: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	})
	if err != nil {
		return fmt.Errorf("subscribe to interface changes: %w", err)
	}
	known := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("receive interface changes: %w", err)
		case u := <-updates:
			if news(u, known) {
				changed()
			}
		}
	}
}

// news says whether a bridge is new or gone; the kernel tells of it at each change of its state too.
func news(u netlink.LinkUpdate, known map[string]bool) bool {
	if u.Link == nil || u.Link.Type() != "bridge" {
		return false
	}
	name, gone := u.Link.Attrs().Name, u.Header.Type == unix.RTM_DELLINK
	if known[name] == !gone {
		return false
	}
	known[name] = !gone
	return true
}
