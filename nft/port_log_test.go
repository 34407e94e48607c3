package nft

import (
	"testing"

	"github.com/dockerwall/dockerwall/droplog"
)

func TestASpoofedFrameIsLoggedUnderItsPort(t *testing.T) {
	pin(t)
	n := newNeighbours(t)
	apply(t, open(t, n.host), n.fence())
	log := readLog(t, n.host)
	for name, frame := range map[string]portFrame{
		"a datagram":     attacks()["a datagram in a sibling's name"].frame,
		"an ARP request": attacks()["an ARP request in the gateway's name"].frame,
	} {
		before := len(log.from(droplog.NoChain))
		for tries := 0; len(log.from(droplog.NoChain)) == before && tries < 500; tries++ { // until the reader is there
			n.heal(t)
			n.strike(t, frame)
		}
		drops := log.from(droplog.NoChain)[before:]
		if len(drops) == 0 {
			t.Fatalf("%s: no line came", name)
		}
		d := drops[0]
		if d.Prefix != "- spoof drop" || d.In != "v2" || d.HwAddr.String() != evilMAC.String() || frame.ARP == 0 && d.Src != sibling4 || frame.ARP != 0 && d.Src.IsValid() {
			t.Errorf("%s: got %+v", name, d)
		}
	}
}
