package nft

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/dockerwall/dockerwall/internal/lab"
	"golang.org/x/sys/unix"
)

func TestRejectAnswersAndDropDoesNot(t *testing.T) {
	pin(t)
	o := newRouter(t)
	lab.Nft(t, o.host, observers, "-f", "-")
	ipBatch(t, o.host, "neigh add 172.18.0.2 lladdr 02:00:00:00:01:62 dev br-blue\nneigh add fd00:2::2 lladdr 02:00:00:00:01:62 dev br-blue\n")
	answers := o.listen(t, "blue")
	k := open(t, o.host)
	src, src6 := netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fd00:2::2")
	dst, dst6 := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8:2::2")
	tests := map[string]struct {
		packet frame
		answer func(b []byte) bool // of the IP packet
	}{
		"tcp is reset":                       {frame{Src: src, Dst: dst, Proto: TCP, Flags: syn}, func(b []byte) bool { return b[9] == TCP && b[33]&rst != 0 }},
		"udp is told prohibited":             {frame{Src: src, Dst: dst, Proto: UDP}, func(b []byte) bool { return b[9] == ICMP && b[20] == 3 && b[21] == 13 }},
		"tcp over IPv6 is reset":             {frame{Src: src6, Dst: dst6, Proto: TCP, Flags: syn}, func(b []byte) bool { return b[6] == TCP && b[53]&rst != 0 }},
		"udp over IPv6 is told prohibited":   {frame{Src: src6, Dst: dst6, Proto: UDP}, func(b []byte) bool { return b[6] == ICMPv6 && b[40] == 1 && b[41] == 1 }},
		"tcp to the host is reset":           {frame{Src: src, Dst: netip.MustParseAddr("172.18.0.1"), Proto: TCP, Flags: syn}, func(b []byte) bool { return b[9] == TCP && b[33]&rst != 0 }},
		"udp to the host is told prohibited": {frame{Src: src, Dst: netip.MustParseAddr("172.18.0.1"), Proto: UDP}, func(b []byte) bool { return b[9] == ICMP && b[20] == 3 && b[21] == 13 }},
	}
	last := uint16(100)
	for name, test := range tests {
		for _, reject := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s: %v", name, reject), func(t *testing.T) {
				r := fenced()
				r.Containers[0].Reject = reject
				apply(t, k, r)
				answers() // what came before is of no matter
				last++
				test.packet.Sport, test.packet.Dport = 3000+last, 7
				o.send(t, "blue", test.packet)
				last++
				o.settled(t, last)
				got := false
				for _, b := range answers() {
					got = got || test.answer(b)
				}
				if got != reject {
					t.Errorf("answered: %v", got)
				}
			})
		}
	}
}

// listen returns what came out of a wire since the last call, as IP packets of at least 64 bytes.
func (r *router) listen(t testing.TB, wire string) func() [][]byte {
	t.Helper()
	name, err := unix.Getsockname(r.sockets[wire])
	if err != nil {
		t.Fatal(err)
	}
	var fd int
	err = r.wires.Do(func() error {
		all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(all)); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: name.(*unix.SockaddrLinklayer).Ifindex})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() [][]byte {
		var out [][]byte
		for {
			b := make([]byte, 2048)
			n, from, err := unix.Recvfrom(fd, b, 0)
			if err != nil {
				return out
			}
			if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype != unix.PACKET_OUTGOING {
				out = append(out, b[:max(n, 64)])
			}
		}
	}
}
