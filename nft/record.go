package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Denials reads a container's record of denied destinations, at most 1,024 of each family. What is
// not in it is in the container's total all the same.
func (k *Kernel) Denials(id string) ([]Denial, error) {
	out, err := k.Records([]string{id})
	return out[id], err
}

// Records is [Kernel.Denials] for many containers, by 12-digit ID. With an error it has those that could be read.
func (k *Kernel) Records(ids []string) (map[string][]Denial, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS})
	if err != nil {
		return nil, explainErrno(fmt.Errorf("read denials: %w", err))
	}
	defer func() { _ = conn.Close() }()
	out := make(map[string][]Denial, len(ids))
	var failed error // the last: they are alike
	for _, id := range ids {
		denials, err := k.recordOf(conn, id)
		if err != nil {
			failed = fmt.Errorf("read denials of %s: %w", id, err)
			continue
		}
		out[id] = denials
	}
	return out, failed
}

func (k *Kernel) recordOf(conn *netlink.Conn, id string) ([]Denial, error) {
	var out []Denial
	for _, f := range families() {
		messages, err := k.dumpLast(conn, deniedSet(chainOf(id), f).Name)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			out = append(out, denialsIn(m, f)...)
		}
	}
	return out, nil
}

// dumpLast lists the elements of a set; none where the table has none of that name. It may go, and come back, between the
// two questions.
func (k *Kernel) dumpLast(conn *netlink.Conn, name string) (messages []netlink.Message, err error) {
	for range readAttempts {
		if !k.lastSet(name) {
			return nil, nil
		}
		messages, err = conn.Execute(dumpRequest(unix.NFPROTO_INET, unix.NFT_MSG_GETSETELEM, TableName, name))
		if !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	return messages, err
}

func (k *Kernel) lastSet(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last.table.set(name) != nil
}

// denialsIn decodes one message of a dump. The library decodes elements too, but not those that carry
// several expressions (NFTA_SET_ELEM_EXPRESSIONS, kernel 5.11).
func denialsIn(m netlink.Message, f family) []Denial {
	var out []Denial
	if len(m.Data) < 4 {
		return nil
	}
	each(m.Data[4:], func(a *netlink.AttributeDecoder) {
		if a.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return
		}
		each(a.Bytes(), func(a *netlink.AttributeDecoder) {
			if d, ok := denial(a.Bytes(), f); ok {
				out = append(out, d)
			}
		})
	})
	return out
}

// each visits the attributes in b; what is malformed ends it.
func each(b []byte, visit func(*netlink.AttributeDecoder)) {
	decoder, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return
	}
	decoder.ByteOrder = binary.BigEndian
	for decoder.Next() {
		visit(decoder)
	}
}

// setElemExpressions is NFTA_SET_ELEM_EXPRESSIONS of nf_tables.h.
const setElemExpressions = 11

func denial(element []byte, f family) (Denial, bool) {
	var d Denial
	var ok bool
	each(element, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.NFTA_SET_ELEM_KEY:
			each(a.Bytes(), func(a *netlink.AttributeDecoder) { ok = d.readKey(string(a.Bytes()), f) })
		case unix.NFTA_SET_ELEM_EXPR:
			d.readCounter(a.Bytes())
		case setElemExpressions:
			each(a.Bytes(), func(a *netlink.AttributeDecoder) { d.readCounter(a.Bytes()) })
		}
	})
	return d, ok
}

func (d *Denial) readKey(key string, f family) bool {
	fields := fieldsOf(deniedSet("", f).Types, key)
	if fields == nil {
		return false
	}
	d.Dst, d.Proto, d.Port = addrFrom(fields[0]), fields[1][0], binary.BigEndian.Uint16([]byte(fields[2]))
	return true
}

// readCounter takes the values of an expression that is a counter.
func (d *Denial) readCounter(expression []byte) {
	var name string
	each(expression, func(a *netlink.AttributeDecoder) {
		switch {
		case a.Type() == unix.NFTA_EXPR_NAME:
			name = a.String()
		case a.Type() == unix.NFTA_EXPR_DATA && name == "counter":
			each(a.Bytes(), func(a *netlink.AttributeDecoder) {
				switch a.Type() {
				case unix.NFTA_COUNTER_PACKETS:
					d.Packets = a.Uint64()
				case unix.NFTA_COUNTER_BYTES:
					d.Bytes = a.Uint64()
				}
			})
		}
	})
}
