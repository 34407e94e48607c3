package main

import (
	"errors"
	"testing"

	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/reconcile"
)

// TestWhoIsGoneIsCountedOnce also when the commit by which he goes has to be tried again, and without what goes on being
// counted under a reason of its own.
func TestWhoIsGoneIsCountedOnce(t *testing.T) {
	failed := reconcile.Outcome{Err: errors.New("busy")}
	goes := nft.Traffic{Denied: nft.Count{Packets: 7, Bytes: 700}, Invalid: nft.Count{Packets: 2, Bytes: 80}}
	tests := map[string]struct {
		do   func(r *remembered)
		want nft.Count
	}{
		"a commit that succeeds": {func(r *remembered) { r.left(goes); r.committed(reconcile.Outcome{}) }, nft.Count{Packets: 5, Bytes: 620}},
		"two that go at once":    {func(r *remembered) { r.left(goes); r.left(goes); r.committed(reconcile.Outcome{}) }, nft.Count{Packets: 10, Bytes: 1240}},
		"tried three times": {func(r *remembered) {
			for range 3 {
				r.left(goes)
				r.committed(failed)
			}
			r.left(goes)
			r.committed(reconcile.Outcome{})
			r.committed(reconcile.Outcome{})
		}, nft.Count{Packets: 5, Bytes: 620}},
		"back before it succeeds": {func(r *remembered) { r.left(goes); r.committed(failed); r.committed(reconcile.Outcome{}) }, nft.Count{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := &remembered{}
			if tt.do(r); r.gone != tt.want {
				t.Errorf("%+v are gone, want %+v", r.gone, tt.want)
			}
		})
	}
}
