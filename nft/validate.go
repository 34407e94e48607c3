package nft

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validate says why the kernel would refuse r, why nft could not load its text, or why r means
// something else than it says. What it accepts, both take.
func (r Ruleset) Validate() error {
	return r.validate(compiled{}.compare(r))
}

// validate passes over the policies of containers, and over ports, that are as they were in a valid ruleset.
func (r Ruleset) validate(same comparison) error {
	v := validator{bridges: map[string]bool{}, sources: map[string]bool{}, endpoints: make(map[Endpoint]string, len(r.Containers))}
	if err := v.networks(r); err != nil {
		return err
	}
	if !same.hosts || !same.ports.none() {
		if err := r.validatePorts(); err != nil {
			return err
		}
	}
	for i, s := range r.Sources {
		if !sourcePattern.MatchString(s.Name) || i > 0 && r.Sources[i-1].Name >= s.Name {
			return fmt.Errorf("source %q: names are lower-case words, sorted", s.Name)
		}
		if isID(s.Name) { // see Learned
			return fmt.Errorf("source %q: a name is not a container's ID", s.Name)
		}
		if !same.sources[i] {
			if err := s.validate(); err != nil {
				return fmt.Errorf("source %s: %w", s.Name, err)
			}
		}
		v.sources[s.Name] = true
	}
	for i, c := range r.Containers {
		if i > 0 && r.Containers[i-1].ID >= c.ID {
			return fmt.Errorf("container %s: not sorted or twice", c.ID)
		}
		err := v.container(c)
		if err == nil && same.kept[i] == nil {
			err = c.Own.validate()
		}
		if err != nil {
			return fmt.Errorf("container %s: %w", c.ID, err)
		}
	}
	return nil
}

// validator remembers what was seen of a ruleset.
type validator struct {
	bridges   map[string]bool
	sources   map[string]bool
	endpoints map[Endpoint]string // container
}

func (v validator) networks(r Ruleset) error {
	networks := map[string]bool{}
	for _, b := range r.Bridges {
		if err := validBridge(b); err != nil {
			return fmt.Errorf("bridge %q: %w", b.Name, err)
		}
		if v.bridges[b.Name] || b.Network != "" && networks[b.Network] {
			return fmt.Errorf("bridge %q or its network stands twice", b.Name)
		}
		v.bridges[b.Name], networks[b.Network] = true, true
	}
	free := map[string]bool{}
	for _, name := range r.Free {
		if err := validInterface(name); err != nil || free[name] || v.bridges[name] {
			return fmt.Errorf("free bridge %q: not an interface name, fenced, or twice", name)
		}
		free[name] = true
	}
	return validPrefixes(r.NotPublic)
}

func validBridge(b Bridge) error {
	if err := validInterface(b.Name); err != nil {
		return err
	}
	if b.Network != "" && !isID(b.Network) {
		return fmt.Errorf("network %q is not 12 hex digits", b.Network)
	}
	if err := validOwn(b.Addrs); err != nil {
		return err
	}
	return validPrefixes(b.Subnets)
}

// validInterface refuses what Linux takes for no interface's name (dev_valid_name), what nft has no
// spelling for (a quote, control characters, a star at the end), and what JSON cannot carry.
func validInterface(name string) error {
	bad := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || strings.ContainsRune(`"/:`, r) }
	switch {
	case name == "" || len(name) > 15:
		return fmt.Errorf("an interface name has 1 to 15 bytes")
	case name == "." || name == ".." || strings.ContainsFunc(name, bad) || strings.HasSuffix(name, "*") || !utf8.ValidString(name):
		return fmt.Errorf("the name of an interface has no space, control character, quote, slash or colon, and no star at its end")
	}
	return nil
}

func validPrefixes(prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if !p.IsValid() || validAddr(p.Addr()) != nil {
			return fmt.Errorf("prefix %q is not a plain IPv4 or IPv6 prefix", p)
		}
	}
	return nil
}

func (v validator) container(c Container) error {
	switch {
	case !isID(c.ID):
		return fmt.Errorf("the ID is not 12 hex digits")
	case c.Mode > Off:
		return fmt.Errorf("mode %d is not one", c.Mode)
	}
	for _, e := range c.Endpoints {
		if !v.bridges[e.Bridge] {
			return fmt.Errorf("endpoint %s is on %q, which is not fenced", e.Addr, e.Bridge)
		}
		if err := validAddr(e.Addr); err != nil {
			return fmt.Errorf("endpoint on %s: %w", e.Bridge, err)
		}
		if other, ok := v.endpoints[e]; ok {
			return fmt.Errorf("endpoint %s on %s is also container %s's", e.Addr, e.Bridge, other)
		}
		v.endpoints[e] = c.ID
	}
	for _, s := range c.Shared {
		if !v.sources[s] {
			return fmt.Errorf("follows source %q, which does not exist", s)
		}
	}
	return nil
}

// isID says whether s is 12 hex digits; no regular expression, because it is asked for every object of
// the table.
func isID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range s {
		if !('0' <= s[i] && s[i] <= '9' || 'a' <= s[i] && s[i] <= 'f') {
			return false
		}
	}
	return true
}

func (s Source) validate() error {
	if err := s.Allow.validate(); err != nil {
		return fmt.Errorf("allow: %w", err)
	}
	if err := s.Deny.validate(); err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	return nil
}
