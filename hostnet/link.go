package hostnet

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// link is what an rtnetlink message says of an interface (linux/if_link.h).
type link struct {
	index   int32
	name    string
	kind    string // "bridge", "veth", ...
	mac     [6]byte
	master  int32 // 0 for none
	peer    int32 // of a veth: the other end's index in its own namespace
	peerNet int32 // the ID of that namespace as this one numbers them; here if it is this one
	carrier bool  // both ends are up

	noLinkLocalLearn bool // of a bridge
}

const here = -1

// readLink reads RTM_NEWLINK and RTM_DELLINK. Not ok are those of family AF_BRIDGE: they tell of ports as bridges
// see them, and one that leaves its bridge is deleted there (net/bridge/br_netlink.c, br_ifinfo_notify).
func readLink(message []byte) (l link, ok bool) {
	if len(message) < unix.SizeofIfInfomsg || message[0] != unix.AF_UNSPEC {
		return link{}, false
	}
	l = link{index: int32(binary.NativeEndian.Uint32(message[4:])), peerNet: here}
	l.carrier = binary.NativeEndian.Uint32(message[8:])&unix.IFF_LOWER_UP != 0
	attributes, err := netlink.NewAttributeDecoder(message[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, false
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_IFNAME:
			l.name = attributes.String()
		case unix.IFLA_ADDRESS:
			copy(l.mac[:], attributes.Bytes())
		case unix.IFLA_MASTER:
			l.master = attributes.Int32()
		case unix.IFLA_LINK:
			l.peer = attributes.Int32()
		case unix.IFLA_LINK_NETNSID:
			l.peerNet = attributes.Int32()
		case unix.IFLA_LINKINFO:
			attributes.Nested(func(info *netlink.AttributeDecoder) error {
				for info.Next() {
					switch info.Type() {
					case unix.IFLA_INFO_KIND:
						l.kind = string(bytes.TrimRight(info.Bytes(), "\x00"))
					case unix.IFLA_INFO_DATA: // after the kind: net/core/rtnetlink.c, rtnl_link_info_fill
						if l.kind == "bridge" {
							info.Nested(l.readBridge)
						}
					}
				}
				return info.Err()
			})
		}
	}
	return l, attributes.Err() == nil
}

// readBridge reads the switches of a bridge (kernel 5.0, a428afe82f98; linux/if_bridge.h).
func (l *link) readBridge(data *netlink.AttributeDecoder) error {
	const noLinkLocalLearn = 1 << 0 // BR_BOOLOPT_NO_LL_LEARN
	for data.Next() {
		if b := data.Bytes(); data.Type() == unix.IFLA_BR_MULTI_BOOLOPT && len(b) >= 4 { // struct br_boolopt_multi: values, mask
			l.noLinkLocalLearn = binary.NativeEndian.Uint32(b)&noLinkLocalLearn != 0
		}
	}
	return data.Err()
}

// linkRequest asks for one interface by index, or with index 0 for all, without counters.
func linkRequest(index, namespace int32) (netlink.Message, error) {
	const skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS, kernel 4.4
	attributes := netlink.NewAttributeEncoder()
	attributes.Uint32(unix.IFLA_EXT_MASK, skipStats)
	if namespace != here {
		attributes.Int32(unix.IFLA_TARGET_NETNSID, namespace)
	}
	body, err := attributes.Encode()
	if err != nil {
		return netlink.Message{}, err
	}
	request := netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}}
	if index == 0 {
		request.Header.Flags |= netlink.Dump
	}
	request.Data = make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+len(body))
	binary.NativeEndian.PutUint32(request.Data[4:], uint32(index))
	request.Data = append(request.Data, body...)
	return request, nil
}

// getLink reads one interface of this namespace or, as IFLA_TARGET_NETNSID, of another that this one has a number
// for: that takes CAP_NET_ADMIN in the user namespace which owns it (kernel 4.15, 79e1ad148c84).
func getLink(conn *netlink.Conn, index, namespace int32) (link, error) {
	request, err := linkRequest(index, namespace)
	if err != nil {
		return link{}, err
	}
	answer, err := conn.Execute(request)
	if err != nil {
		return link{}, err
	}
	for _, m := range answer {
		if l, ok := readLink(m.Data); ok && l.index == index {
			return l, nil
		}
	}
	return link{}, fmt.Errorf("no answer about interface %d", index)
}

// listLinks reads all interfaces of this namespace. Those that stood all the while are among them.
func listLinks(conn *netlink.Conn) ([]link, error) {
	request, err := linkRequest(0, here)
	if err != nil {
		return nil, err
	}
	var out []link
	for try := 1; ; try++ {
		answer, err := conn.Execute(request)
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		interrupted := false
		for _, m := range answer {
			if l, ok := readLink(m.Data); ok {
				out = append(out, l)
			}
			interrupted = interrupted || m.Header.Flags&netlink.DumpInterrupted != 0
		}
		if !interrupted || try == tries {
			return out, nil
		}
	}
}

// listen subscribes to changes in the namespace of the calling thread.
func listen(buffer int, groups ...uint32) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	_ = conn.SetReadBuffer(buffer) // a smaller one loses messages, of which we hear
	for _, group := range groups {
		if err := conn.JoinGroup(group); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("subscribe to interface changes: %w", err)
		}
	}
	return conn, nil
}
