package site

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Access says who may see the status.
type Access struct {
	// Allow are who may besides the host's own.
	Allow []netip.Prefix
	// Managed is where containers are: every subnet of Docker's networks and every address of a container. Nil means that
	// nobody knows yet; then only the host's own may.
	Managed []netip.Prefix
}

// Visit is what is known of a request.
type Visit struct {
	Peer  netip.Addr // who asks; IPv4-mapped addresses and zones may be in it
	Local netip.Addr // which address it came to
	Host  string     // the header of that name, or the authority of the request's URL
}

// Verdict is what becomes of a visit.
type Verdict int

// The verdicts. Refused is the zero value.
const (
	Refused   Verdict = iota // it comes from where containers are
	Stranger                 // it may not see the status
	WrongHost                // it may, but asks for another site
	Welcome
)

// Decide judges one visit.
func (a Access) Decide(v Visit) Verdict {
	peer, local := v.Peer.Unmap().WithZone(""), v.Local.Unmap().WithZone("")
	host, named := hostOf(v.Host)
	switch {
	// A container's link-local address is in no subnet that Docker knows, and no link's neighbours are told apart.
	case !peer.IsValid(), peer.IsLinkLocalUnicast(), within(a.Managed, peer):
		return Refused
	case peer.IsLoopback():
		if named || host.IsLoopback() {
			return Welcome
		}
	case a.Managed == nil || !within(a.Allow, peer):
		return Stranger
	}
	if host.IsValid() && host == local {
		return Welcome
	}
	return WrongHost
}

func within(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// hostOf reads a Host header, whose port does not matter: it is an address, or the one name that only this host can be.
func hostOf(header string) (addr netip.Addr, localhost bool) {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if strings.EqualFold(host, "localhost") {
		return netip.Addr{}, true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap(), false
}

// ParseAllow reads a list of prefixes and addresses, by comma.
func ParseAllow(list string) (out []netip.Prefix, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q: want a prefix such as 192.0.2.0/24, or an address", text)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%q: write it as IPv4", text)
		case p != p.Masked():
			return nil, fmt.Errorf("%q: the prefix begins at %s; write that, or the address alone", text, p.Masked().Addr())
		}
		out = append(out, p)
	}
	return out, nil
}
