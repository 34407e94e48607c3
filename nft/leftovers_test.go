package nft

import (
	"os/exec"
	"strings"
	"testing"
)

func TestOldProgramsLeftoversAreFoundAndItsCommandsRemoveThem(t *testing.T) {
	n := namespace(t)
	run := func(command string) {
		t.Helper()
		if out, err := n.Command(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	for _, iptables := range []string{"iptables-nft", "iptables-legacy"} {
		if _, err := exec.LookPath(iptables); err != nil {
			t.Fatal(err)
		}
		run(strings.ReplaceAll(`
			ipset -N managed-subnets nethash; ipset -N managed-subnets-TEMP nethash; ipset -N 3f2a91b0c4d5e6f708-dst iphash
			IPT -N DOCKER-USER; IPT -N DOCKERWALL-ALLOW; IPT -N DOCKERWALL-DENY
			IPT -I DOCKER-USER -m set --match-set managed-subnets src -j DROP
			IPT -I DOCKER-USER -m set --match-set managed-subnets src -j DOCKERWALL-DENY
			IPT -I DOCKER-USER -m set --match-set managed-subnets src -j DOCKERWALL-ALLOW
			IPT -I DOCKERWALL-ALLOW -s 172.18.0.2 -m set --match-set 3f2a91b0c4d5e6f708-dst dst -j ACCEPT
			IPT -I INPUT -p udp -m udp --sport 53 -j NFLOG --nflog-prefix "_host_" --nflog-group 32`, "IPT", iptables))
		left := leftovers(t, n)
		if len(left.IPSets) != 3 || left.Legacy != (iptables == "iptables-legacy") || len(left.Chains) == 2 == left.Legacy {
			t.Errorf("%s: found %+v", iptables, left)
		}
		for _, command := range left.Commands() {
			if !left.Legacy {
				command = strings.Replace(command, "iptables ", "iptables-nft ", 1)
			}
			run(command)
		}
		if left := leftovers(t, n); !left.Empty() {
			t.Errorf("%s: still there after the commands: %+v", iptables, left)
		}
		run(iptables + " -X DOCKER-USER")
	}
}

type doer interface{ Do(func() error) error }

func leftovers(t *testing.T, n doer) (left Leftovers) {
	t.Helper()
	err := n.Do(func() (err error) {
		left, err = FindLeftovers()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}
