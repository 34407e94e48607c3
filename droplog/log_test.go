package droplog

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

// textLog is a Log and what it wrote, without times.
func textLog(opt LogOptions) (*Log, *bytes.Buffer) {
	var out bytes.Buffer
	opt.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return NewLog(opt), &out
}

func dropOf(prefix string, d Drop) Drop { d.Prefix = prefix; return d }

func TestLogLines(t *testing.T) {
	opt := LogOptions{
		Container: func(chain string) (string, string) {
			if chain == "c_3f2a91b0c4d5" {
				return "3f2a91b0c4d5" + strings.Repeat("0", 52), "web"
			}
			return "", ""
		},
		Names: func(a netip.Addr) []string {
			if a == dst4 {
				return []string{"a.example.com", "evil\x1b[31m\n.example.com", "c.example.com", "d.example.com"}
			}
			return nil
		},
	}
	tests := map[string]struct {
		drop Drop
		want string
	}{
		"tcp with names": {
			dropOf("c_3f2a91b0c4d5 denied drop", Drop{Packet: packet.Packet{Src: src4, Dst: dst4, Proto: 6, DstPort: 443}}),
			`level=INFO msg=denied container=web id=3f2a91b0c4d5 reason=denied verdict=denied destination=198.51.100.9 port=443 protocol=tcp name=a.example.com,evil[31m.example.com,c.example.com count=1`,
		},
		"ping of a container that is gone": {
			dropOf("c_00000000beef denied reject", Drop{Packet: packet.Packet{Src: src6, Dst: dst6, Proto: 58, ICMPType: 128}}),
			`level=INFO msg=denied container="" id=00000000beef reason=denied verdict=denied destination=2001:db8:1::9 type=128 protocol=icmpv6 count=1`,
		},
		"what passed in audit": {
			dropOf("c_3f2a91b0c4d5 denied accept", Drop{Packet: packet.Packet{Src: src4, Dst: src4, Proto: 6, DstPort: 443}}),
			`level=INFO msg=denied container=web id=3f2a91b0c4d5 reason=denied verdict=audit destination=192.0.2.7 port=443 protocol=tcp count=1`,
		},
		"a source nobody knows": {
			dropOf("- unknown drop", Drop{In: "br-1\x00", Packet: packet.Packet{Src: src4, Dst: dst6, Proto: 47}}),
			`level=INFO msg=denied interface=br-1 source=192.0.2.7 reason=unknown verdict=denied destination=2001:db8:1::9 protocol=47 count=1`,
		},
		"a frame in another port's name": {
			dropOf("- spoof drop", Drop{In: "veth1", HwAddr: net.HardwareAddr{2, 0x42, 172, 17, 0, 3}}),
			`level=INFO msg=denied interface=veth1 source="invalid IP" mac=02:42:ac:11:00:03 reason=spoof verdict=denied destination="invalid IP" protocol=0 count=1`,
		},
		"a packet that could not be read": {
			dropOf("- invalid drop", Drop{}),
			`level=INFO msg=denied interface="" source="invalid IP" reason=invalid verdict=denied destination="invalid IP" protocol=0 count=1`,
		},
		"a stranger's prefix": {dropOf("[UFW BLOCK] ", Drop{}), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			log, out := textLog(opt)
			log.Handle(tt.drop)
			if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLogRunTellsRepeatsAndTheRestAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := textLog(LogOptions{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- log.Run(ctx) }()
		packet := dropOf("c_3f2a91b0c4d5 denied drop", udpTo(1))
		for range 15 {
			log.Handle(packet)
		}
		time.Sleep(repeatEvery + sweepEvery)
		synctest.Wait()
		if got := strings.Count(out.String(), "\n"); got != 2 || !strings.Contains(out.String(), `msg="denied again"`) || !strings.Contains(out.String(), "count=14") {
			t.Errorf("after a minute:\n%s", out.String())
		}
		out.Reset()
		for n := range 1000 {
			log.Handle(dropOf("c_3f2a91b0c4d5 denied drop", udpTo(n)))
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if got := strings.Count(out.String(), "\n"); got > lineBurst+2 || !strings.Contains(out.String(), `msg="denials suppressed" container="" id=3f2a91b0c4d5 count=9`) {
			t.Errorf("at the end, %d lines:\n%s", got, out.String())
		}
	})
}
