package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// watchBuffer holds the notifications of our own large commits, too: they come to every listener.
const watchBuffer = 8 << 20

// Watch calls changed after anybody but this Kernel touched a table named dockerwall or a tap's, until ctx is done.
// After lost notifications somebody may have. The packet path's own elements notify nobody.
func (k *Kernel) Watch(ctx context.Context, changed func(lost bool)) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: k.options.NetNS})
	if err != nil {
		return explainErrno(fmt.Errorf("open netlink socket: %w", err))
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadBuffer(watchBuffer) // a smaller one loses notifications, of which we hear
	port, err := k.conn.GetPortID()
	if err != nil {
		return fmt.Errorf("read netlink port: %w", err)
	}
	if err := conn.SetBPF(exceptFrom(port)); err != nil {
		return fmt.Errorf("filter nf_tables changes: %w", err)
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return explainErrno(fmt.Errorf("subscribe to nf_tables changes: %w", err))
	}
	for {
		messages, err := conn.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			changed(true)
		case err != nil:
			return fmt.Errorf("receive nf_tables changes: %w", err)
		case foreign(messages, port):
			changed(false)
		}
	}
}

// exceptFrom hides the notifications of a port's own commits from the socket: each would wake the reader. One datagram
// has those of one commit (nf_tables_api.c, nft_commit_notify). The filter reads nlmsg_pid in network order.
func exceptFrom(port uint32) []bpf.RawInstruction {
	var pid [4]byte
	binary.NativeEndian.PutUint32(pid[:], port)
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(pid[:]), SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: math.MaxUint32},
	})
	if err != nil {
		panic(err) // it is a constant but for the port
	}
	return filter
}

// foreign says whether one of the messages tells of a change of our table by another netlink port:
// the kernel puts the requester's into the header (nf_tables_api.c, nf_tables_*_notify).
func foreign(messages []netlink.Message, port uint32) bool {
	for _, m := range messages {
		if m.Header.PID != port && concernsUs(m) {
			return true
		}
	}
	return false
}

// concernsUs reads the table's name, which is attribute 1 of every nf_tables object.
func concernsUs(m netlink.Message) bool {
	const tableName = unix.NFTA_TABLE_NAME
	if uint16(m.Header.Type)>>8 != unix.NFNL_SUBSYS_NFTABLES || len(m.Data) < 4 {
		return false
	}
	ours := map[uint8]string{unix.NFPROTO_INET: TableName, unix.NFPROTO_BRIDGE: TableName, unix.NFPROTO_IPV4: tapTable, unix.NFPROTO_IPV6: tapTable}[m.Data[0]]
	if uint16(m.Header.Type)&0xff == unix.NFT_MSG_NEWGEN {
		return false
	}
	attributes, err := netlink.UnmarshalAttributes(m.Data[4:])
	if err != nil {
		return false
	}
	for _, a := range attributes {
		if a.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == tableName {
			return strings.TrimRight(string(a.Data), "\x00") == ours
		}
	}
	return false
}
