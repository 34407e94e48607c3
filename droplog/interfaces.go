package droplog

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxInterfaces = 1024        // names kept; a host with more just asks again
	interfacesFor = time.Minute // how long a name is believed: interfaces can be renamed
)

// interfaces remembers interface names, so that a flood costs no system call per packet.
type interfaces struct {
	lookup func(index uint32) string // "" when there is no such interface
	names  map[uint32]string
	until  time.Time
}

// name is the interface's name, "" for index 0 and for one that is gone.
func (i *interfaces) name(index uint32, now time.Time) string {
	if index == 0 {
		return ""
	}
	if len(i.names) >= maxInterfaces || !now.Before(i.until) {
		i.names, i.until = make(map[uint32]string), now.Add(interfacesFor)
	}
	name, known := i.names[index]
	if !known {
		name = i.lookup(index)
		i.names[index] = name
	}
	return name
}

// interfaceName asks the kernel in the network namespace of the socket (SIOCGIFNAME works on any
// socket, netlink ones included: netdevice(7)).
func interfaceName(socket syscall.RawConn, index uint32) string {
	request, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	request.SetUint32(index)
	var failed error
	err = socket.Control(func(fd uintptr) { failed = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, request) })
	if err != nil || failed != nil {
		return ""
	}
	return request.Name()
}
