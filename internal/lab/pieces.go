package lab

import (
	"encoding/binary"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// streams is a listener whose connections are found again by their peer: package dns shows its handlers addresses only.
type streams struct{ net.Listener }

// Accept implements net.Listener.
func (s streams) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stream{conn}, nil
}

type stream struct{ net.Conn }

// RemoteAddr is a peer.
func (s stream) RemoteAddr() net.Addr { return peer{Addr: s.Conn.RemoteAddr(), conn: s.Conn} }

// peer is the far end of a TCP connection, and the connection.
type peer struct {
	net.Addr
	conn net.Conn
}

// send writes a message; over tcp, in pieces of so many bytes, if that is not 0.
func send(w dns.ResponseWriter, message []byte, size int) {
	to, tcp := w.RemoteAddr().(peer)
	switch {
	case message == nil:
	case tcp && size > 0 && len(message) <= dns.MaxMsgSize:
		framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
		sendPieces(to.conn, framed, size)
	default:
		_, _ = w.Write(message)
	}
}

// sendPieces makes a segment of each piece: package net sets TCP_NODELAY on every connection, and the pause lets the
// kernel send one piece before the next is there.
func sendPieces(conn net.Conn, framed []byte, size int) {
	for piece := range slices.Chunk(framed, size) {
		if _, err := conn.Write(piece); err != nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}
