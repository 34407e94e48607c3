package nft

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Awake says that the daemon lives, for the next three seconds: it would bind a port that comes, so one that is not bound
// may not use what is bound elsewhere. It does nothing while there is no table bridge dockerwall, or nobody knows.
func (k *Kernel) Awake() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known || k.removed || k.last.table.Ports == nil {
		return nil
	}
	set, types := awakeSet(), awakeTypes()
	// In this order it is the same whether they are there, have just expired, or not; see beat.
	ops := []Op{onPorts{addElements{set, types}}, onPorts{delElements{set, types}}, onPorts{addElements{set, types}}}
	if err := k.commit(ops); err != nil {
		k.known = false
		return explainErrno(fmt.Errorf("keep table %s awake: %w", portsTableName, err))
	}
	return nil
}

// awakeTypes are what a frame can be that claims an address or a MAC; behind a tag nothing is seen.
func awakeTypes() []Element {
	var out []Element
	for _, protocol := range []uint16{unix.ETH_P_IP, unix.ETH_P_ARP, unix.ETH_P_8021Q, unix.ETH_P_IPV6, unix.ETH_P_8021AD} {
		out = append(out, Element{Key: frameBytes(protocol)})
	}
	return out
}
