package droplog

import (
	"net"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/packet"
)

// NoChain stands in a prefix where no container is known.
const NoChain = "-"

// Drop is one denied packet as the kernel logged it.
type Drop struct {
	Prefix string // of the log rule; see [ParsePrefix]
	packet.Packet
	In, Out string           // interface names, "" where the hook has none or the interface is gone; In may be a bridge's port
	HwAddr  net.HardwareAddr // link-layer source, nil on output
	Time    time.Time        // of arrival, by the kernel's clock when it stamped the packet
}

// Prefix is what a log rule of ours says about the packets it logs: "<chain> <reason> <mode>".
type Prefix struct {
	Chain  string // the container's chain, "c_" and 12 hex digits; [NoChain] when none is known
	Reason string // "denied", "unknown", "invalid", "spoof", …
	Mode   string // what became of the packet: "drop" (also when it was answered with a reject) or "accept"
}

// String is the prefix as a log rule writes it.
func (p Prefix) String() string { return p.Chain + " " + p.Reason + " " + p.Mode }

// verdict is the mode in the word that everything else of ours has for it.
func (p Prefix) verdict() string {
	if p.Mode == "accept" {
		return "audit"
	}
	return "denied"
}

// ParsePrefix reads the prefix of a log rule. It reports false for anything that our rules do not
// write: the group may be shared with a rule of somebody else.
func ParsePrefix(s string) (Prefix, bool) {
	words := strings.Split(s, " ")
	if len(words) != 3 || !isChain(words[0]) || !isWord(words[1]) || !isWord(words[2]) {
		return Prefix{}, false
	}
	return Prefix{Chain: words[0], Reason: words[1], Mode: words[2]}, true
}

func isChain(s string) bool {
	if s == NoChain {
		return true
	}
	hex, ok := strings.CutPrefix(s, "c_")
	return ok && len(hex) == 12 && strings.Trim(hex, "0123456789abcdef") == ""
}

func isWord(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
