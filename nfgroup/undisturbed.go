package nfgroup

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Undisturbed has requests made of the kernel over a socket that packets may come to already, from a group or a queue.
// One that came between a request and its acknowledgement would be taken for that, and fail the request. Until they
// are through, packets are not shown to the socket: copies are lost, and what is in a queue waits there for a verdict.
func Undisturbed(con *netlink.Conn, requests func() error) error {
	filter, err := bpf.Assemble(onlyErrors())
	if err != nil {
		return fmt.Errorf("filter netlink socket: %w", err)
	}
	if err := con.SetBPF(filter); err != nil {
		return fmt.Errorf("filter netlink socket: %w", err)
	}
	if err := requests(); err != nil {
		return err
	}
	if err := con.RemoveBPF(); err != nil {
		return fmt.Errorf("filter netlink socket no longer: %w", err)
	}
	return nil
}

// onlyErrors lets acknowledgements through (struct nlmsghdr, of type NLMSG_ERROR).
func onlyErrors() []bpf.Instruction {
	var kind [2]byte
	binary.NativeEndian.PutUint16(kind[:], unix.NLMSG_ERROR)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // in network order
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(kind[:])), SkipFalse: 1},
		bpf.RetConstant{Val: math.MaxUint32},
		bpf.RetConstant{Val: 0},
	}
}
