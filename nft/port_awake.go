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
	set, types := awakeSet(), []Element{}
	for _, protocol := range []uint16{unix.ETH_P_IP, unix.ETH_P_ARP, unix.ETH_P_IPV6} {
		types = append(types, Element{Key: frameBytes(protocol)})
	}
	// In this order it is the same whether they are there, have just expired, or not; see beat.
	ops := []Op{onPorts{addElements{set, types}}, onPorts{delElements{set, types}}, onPorts{addElements{set, types}}}
	if err := k.commit(ops); err != nil {
		k.known = false
		return explainErrno(fmt.Errorf("keep table %s awake: %w", portsTableName, err))
	}
	return nil
}
