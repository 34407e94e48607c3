package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// Digest is a short text that differs where what files say differs in any effect, "" where they say nothing. Shipped groups
// are not in it.
func (p Policies) Digest() string {
	sum, says := sha256.New(), false
	for _, name := range slices.Sorted(maps.Keys(p.Groups)) {
		if g := p.Groups[name]; g.File != "" {
			says = true
			fmt.Fprintf(sum, "group %q %v\n", name, g.Policy.Tokens)
		}
	}
	for _, r := range p.Rules {
		says = true
		fmt.Fprintf(sum, "rule %q %q %q %q %q %q\n", r.Match.Container, r.Match.Project, r.Match.Service, r.Match.SwarmService, r.Match.Image, r.Match.Network)
		for _, key := range slices.Sorted(maps.Keys(r.Match.Labels)) {
			fmt.Fprintf(sum, "label %q %q\n", key, r.Match.Labels[key])
		}
		fmt.Fprintf(sum, "%v %v\n", r.Policy.Tokens, r.Policy.Void)
		if r.Mode != nil {
			fmt.Fprintf(sum, "mode %v\n", *r.Mode)
		}
		if r.Reject != nil {
			fmt.Fprintf(sum, "reject %v\n", *r.Reject)
		}
	}
	if !says {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}
