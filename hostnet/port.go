package hostnet

// Port is a port of a bridge, the host's end of a veth pair, with what the other end says of itself.
type Port struct {
	Index  int32   // of the interface; names are used again, indexes hardly ever
	Name   string  // "veth1a2b3c4"
	Bridge string  // the name of its master
	MAC    [6]byte // of the other end when it was first seen, wherever that is
}
