package packet

import "encoding/binary"

// UDP is the data of a UDP datagram (RFC 768), given the upper layer of [Split]. It reports false if the header
// is cut off. A length that says more than there is, or nothing, takes what there is.
func UDP(upper []byte) (data []byte, ok bool) {
	const header = 8
	if len(upper) < header {
		return nil, false
	}
	if length := int(binary.BigEndian.Uint16(upper[4:])); length >= header && length < len(upper) {
		upper = upper[:length]
	}
	return upper[header:], true
}

// Segment is what a TCP segment (RFC 9293) says about the stream it belongs to.
type Segment struct {
	Seq           uint32 // of the first byte of Data, or of SYN
	SYN, FIN, RST bool
	Data          []byte
}

// TCP reads a segment, given the upper layer of [Split]. It reports false if the header is cut off or lies about
// its length.
func TCP(upper []byte) (Segment, bool) {
	const fixed = 20
	if len(upper) < fixed {
		return Segment{}, false
	}
	header := int(upper[12]>>4) * 4
	if header < fixed || header > len(upper) {
		return Segment{}, false
	}
	flags := upper[13]
	return Segment{
		Seq: binary.BigEndian.Uint32(upper[4:]),
		FIN: flags&0x01 != 0, SYN: flags&0x02 != 0, RST: flags&0x04 != 0,
		Data: upper[header:],
	}, true
}
