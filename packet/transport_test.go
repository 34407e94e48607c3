package packet

import (
	"slices"
	"testing"
)

func TestTransportHeadersGiveTheirData(t *testing.T) {
	udp := func(length uint16, data ...byte) []byte {
		return append([]byte{0, 53, 200, 0, byte(length >> 8), byte(length), 0, 0}, data...)
	}
	for name, test := range map[string]struct {
		upper, data []byte
		ok          bool
	}{
		"a datagram":                       {udp(10, 1, 2), []byte{1, 2}, true},
		"one with padding behind":          {udp(9, 1, 2), []byte{1}, true},
		"one whose length is more":         {udp(99, 1, 2), []byte{1, 2}, true},
		"one whose length is no length":    {udp(3, 1, 2), []byte{1, 2}, true},
		"one without data":                 {udp(8), []byte{}, true},
		"one cut off in its header":        {udp(8)[:7], nil, false},
		"a later fragment, without header": {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			data, ok := UDP(test.upper)
			if ok != test.ok || !slices.Equal(data, test.data) {
				t.Errorf("%v %v", data, ok)
			}
		})
	}
	tcp := func(offset, flags byte, rest ...byte) []byte {
		return append([]byte{0, 53, 200, 0, 1, 2, 3, 4, 0, 0, 0, 0, offset << 4, flags, 0, 0, 0, 0, 0, 0}, rest...)
	}
	for name, test := range map[string]struct {
		upper []byte
		want  Segment
		ok    bool
	}{
		"a segment":            {tcp(5, 0x18, 7, 8), Segment{Seq: 0x01020304, Data: []byte{7, 8}}, true},
		"one with options":     {tcp(6, 0x10, 1, 1, 1, 1, 9), Segment{Seq: 0x01020304, Data: []byte{9}}, true},
		"an opening one":       {tcp(5, 0x12), Segment{Seq: 0x01020304, SYN: true, Data: []byte{}}, true},
		"a last one":           {tcp(5, 0x11), Segment{Seq: 0x01020304, FIN: true, Data: []byte{}}, true},
		"a reset":              {tcp(5, 0x04), Segment{Seq: 0x01020304, RST: true, Data: []byte{}}, true},
		"one cut off":          {tcp(5, 0)[:19], Segment{}, false},
		"an offset beyond it":  {tcp(6, 0, 1), Segment{}, false},
		"an offset too little": {tcp(4, 0, 1), Segment{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := TCP(test.upper)
			same := got.Seq == test.want.Seq && got.SYN == test.want.SYN && got.FIN == test.want.FIN && got.RST == test.want.RST
			if ok != test.ok || !same || !slices.Equal(got.Data, test.want.Data) {
				t.Errorf("%+v %v", got, ok)
			}
		})
	}
}
