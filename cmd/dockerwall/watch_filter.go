package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/nft"
	"github.com/dockerwall/dockerwall/packet"
	"github.com/dockerwall/dockerwall/policy"
)

// watchFlags are the filters as they are given.
type watchFlags struct {
	containers, verdicts, reasons, names, addrs, ports, protocols []string
	not                                                           bool
}

func verdicts() []string { return []string{api.VerdictDenied, api.VerdictAudit} }

// reasons are those that a denial can have.
func reasons() []string {
	return []string{string(nft.Denied), string(nft.Unknown), string(nft.Invalid), string(nft.Cutoff), string(nft.Spoof), api.ReasonOther}
}

func (f *watchFlags) declare(c *cobra.Command) {
	list := func(to *[]string, name, usage string) { c.Flags().StringSliceVar(to, name, nil, usage) }
	list(&f.containers, "container", "only of this container, by name or the beginning of its ID")
	list(&f.verdicts, "verdict", "only these: "+strings.Join(verdicts(), " or "))
	list(&f.reasons, "reason", "only for this reason: "+strings.Join(reasons(), ", "))
	list(&f.names, "to-fqdn", "only to this name, or with *.example.com to names below it")
	list(&f.addrs, "to-ip", "only to this address or prefix")
	list(&f.ports, "to-port", "only to this port")
	list(&f.protocols, "protocol", "only this protocol: "+strings.Join(packet.ProtocolNames(), ", ")+" or a number")
	c.Flags().BoolVar(&f.not, "not", false, "show what the filters would leave out")
}

// watchFilter chooses denials. The zero value chooses all.
type watchFilter struct {
	kinds []func(api.Denial) bool // each of them
	not   bool
	since time.Time // not inverted
}

func (f watchFilter) empty() bool { return len(f.kinds) == 0 && f.since.IsZero() }

func (f watchFilter) match(d api.Denial) bool {
	if d.Time.Before(f.since) {
		return false
	}
	for _, kind := range f.kinds {
		if !kind(d) {
			return f.not
		}
	}
	return !f.not
}

// parse checks the flags.
func (f watchFlags) parse() (out watchFilter, err error) {
	out.not = f.not
	add := func(given int, kind func(api.Denial) bool) {
		if given > 0 {
			out.kinds = append(out.kinds, kind)
		}
	}
	add(len(f.containers), func(d api.Denial) bool {
		return slices.ContainsFunc(f.containers, func(c string) bool { return isCalled(d, c) })
	})
	for _, part := range []struct {
		flag   string
		given  []string
		known  []string
		member func(api.Denial) string
	}{
		{"verdict", f.verdicts, verdicts(), func(d api.Denial) string { return d.Verdict }},
		{"reason", f.reasons, reasons(), func(d api.Denial) string { return d.Reason }},
	} {
		given, err := words(part.flag, part.given, part.known)
		if err != nil {
			return out, err
		}
		add(len(given), func(d api.Denial) bool { return slices.Contains(given, part.member(d)) })
	}
	if err := f.destinations(add); err != nil {
		return out, err
	}
	if out.not && len(out.kinds) == 0 {
		return out, errors.New("--not: there is no filter to invert")
	}
	return out, nil
}

// destinations are the filters of where to.
func (f watchFlags) destinations(add func(int, func(api.Denial) bool)) error {
	names, err := parsed("to-fqdn", f.names, policy.ParsePattern)
	if err != nil {
		return err
	}
	addrs, err := parsed("to-ip", f.addrs, parsePrefix)
	if err != nil {
		return err
	}
	ports, err := parsed("to-port", f.ports, parsePort)
	if err != nil {
		return err
	}
	protocols, err := parsed("protocol", f.protocols, parseProtocol)
	if err != nil {
		return err
	}
	add(len(names), func(d api.Denial) bool {
		return slices.ContainsFunc(d.Names, func(name string) bool {
			return slices.ContainsFunc(names, func(p policy.Pattern) bool { return p.Match(name) })
		})
	})
	add(len(addrs), func(d api.Denial) bool {
		return slices.ContainsFunc(addrs, func(p netip.Prefix) bool { return p.Contains(d.Destination) })
	})
	add(len(ports), func(d api.Denial) bool { return d.Destination.IsValid() && slices.Contains(ports, d.Port) })
	add(len(protocols), func(d api.Denial) bool { return slices.Contains(protocols, d.Protocol) })
	return nil
}

// isCalled says whether a denial is of the container that a person means.
func isCalled(d api.Denial, container string) bool {
	return d.Container == container || len(container) >= 4 && strings.HasPrefix(d.ContainerID, container)
}

func words(flag string, given, known []string) ([]string, error) {
	return parsed(flag, given, func(s string) (string, error) {
		if s = strings.ToLower(s); !slices.Contains(known, s) {
			return "", fmt.Errorf("want %s; see `dockerwall watch --help`", strings.Join(known, ", "))
		}
		return s, nil
	})
}

func parsed[T any](flag string, given []string, parse func(string) (T, error)) (out []T, err error) {
	for _, text := range given {
		v, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("--%s %q: %w", flag, text, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return addr.Prefix(addr.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("want an address or a prefix, such as 203.0.113.0/24")
	}
	return p.Masked(), nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, errors.New("want a number from 0 to 65535")
	}
	return uint16(n), nil
}

func parseProtocol(s string) (string, error) {
	p, ok := packet.ParseProtocol(strings.ToLower(s))
	if !ok {
		return "", fmt.Errorf("want %s, or a number up to 255", strings.Join(packet.ProtocolNames(), ", "))
	}
	return packet.ProtocolName(p), nil
}
