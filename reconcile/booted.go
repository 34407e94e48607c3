package reconcile

import (
	"fmt"
	"slices"

	"github.com/dockerwall/dockerwall/hostnet"
	"github.com/dockerwall/dockerwall/nft"
)

// booted is the boot ruleset that was committed, and what it was made for.
type booted struct {
	interfaces hostnet.Interfaces
	rules      nft.Ruleset
}

// freeLate frees the host's own bridges that have come since the boot ruleset was committed: an administrator may come in by
// one, and the Engine may not come at all. What tells them from those that Docker makes before it answers is a port that is
// no container's, such as a network card.
func (l *Loop) freeLate() (nft.Report, error) {
	if l.booted == nil {
		return nft.Report{}, nil
	}
	now, err := l.options.Gather.Interfaces()
	if err != nil {
		return nft.Report{}, err
	}
	ports := l.options.Gather.ports()
	now.Bridges = slices.DeleteFunc(slices.Clone(now.Bridges), func(b hostnet.Bridge) bool {
		stood := slices.ContainsFunc(l.booted.interfaces.Bridges, func(before hostnet.Bridge) bool { return before.Name == b.Name })
		return !stood && !slices.ContainsFunc(ports, func(p hostnet.Port) bool { return p.Bridge == b.Name && p.Foreign })
	})
	rules := Boot(l.options.Gather.config(), now)
	if slices.Equal(rules.Free, l.booted.rules.Free) {
		return nft.Report{}, nil
	}
	report, err := l.options.Kernel.Apply(rules)
	if err != nil {
		return report, fmt.Errorf("boot ruleset: %w", err)
	}
	l.options.Logger.Info("bridges of the host are free, as they have ports that are no container's", "bridges", rules.Free)
	l.booted = &booted{now, rules}
	return report, nil
}
