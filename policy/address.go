package policy

import (
	"net/netip"
	"strings"
)

// looksLikeAddress says whether s is meant as an address, prefix or range, so that a mistyped one is
// an error and never becomes a name.
func looksLikeAddress(s string) bool {
	host, _, _ := strings.Cut(s, "/")
	return strings.Contains(s, ":") || strings.Trim(host, "0123456789.-") == "" ||
		isNumber(strings.ToLower(host[strings.LastIndexByte(host, '.')+1:]))
}

func (r *reader) literal(s string) (Literal, *mistake) {
	first, last, isRange := strings.Cut(s, "-")
	switch {
	case strings.Contains(s, "%"):
		return Literal{}, &mistake{rule: RuleAddress, what: "a zone is nothing to send to", remedy: `write the address without "%" and what follows`}
	case isRange:
		return literalRange(first, last)
	case strings.Contains(s, "/"):
		return r.prefix(s)
	}
	a, bad := parseAddr(s)
	return Literal{a, a}, bad
}

func literalRange(first, last string) (Literal, *mistake) {
	const form = `write both ends in full, as in "192.0.2.1-192.0.2.9"`
	a, bad := parseAddr(first)
	if bad != nil {
		return Literal{}, &mistake{rule: bad.rule, what: bad.what, remedy: form}
	}
	b, bad := parseAddr(last)
	switch {
	case bad != nil:
		return Literal{}, &mistake{rule: bad.rule, what: bad.what, remedy: form}
	case a.BitLen() != b.BitLen():
		return Literal{}, &mistake{rule: RuleAddress, what: "the ends of the range are of different families", remedy: "write one range for IPv4 and one for IPv6"}
	case b.Less(a):
		return Literal{}, &mistake{rule: RuleAddress, what: "the range runs backwards", remedy: "write " + quote(Literal{b, a}.String())}
	}
	return Literal{a, b}, nil
}

func parseAddr(s string) (netip.Addr, *mistake) {
	a, err := netip.ParseAddr(s)
	switch {
	case err == nil:
		return a.Unmap(), nil
	case isDigits(s):
		return a, &mistake{rule: RuleAddress, what: quote(s) + " is only a number", remedy: `write address and port together, as in "192.0.2.7:443", once for each port`}
	case !strings.Contains(s, ":"):
		return a, &mistake{rule: RuleAddress, what: quote(s) + " is not an IPv4 address", remedy: `write four decimal numbers from 0 to 255 without leading zeros, as in "192.0.2.7"`}
	case strings.Trim(s, "0123456789abcdefABCDEF:.") == "":
		return a, &mistake{rule: RuleAddress, what: quote(s) + " is not an IPv6 address", remedy: `an address with a port is written "[2001:db8::1]:443"`}
	}
	return a, &mistake{rule: RuleAddress, what: quote(s) + ` has more than one ":"`, remedy: `write one port or range of ports, as in "example.com:443", once for each`}
}

func (r *reader) prefix(s string) (Literal, *mistake) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Literal{}, badPrefix(s)
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return Literal{}, &mistake{rule: RuleAddress, what: "an IPv4-mapped prefix shorter than /96 is more than IPv4", remedy: "write the IPv4 prefix itself"}
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if m := p.Masked(); m != p {
		r.warn(RuleHostBits, quote(s)+" has bits set beyond its length, which are ignored", "write "+quote(m.String()))
		p = m
	}
	return Literal{p.Addr(), lastAddr(p)}, nil
}

func badPrefix(s string) *mistake {
	host, bits, _ := strings.Cut(s, "/")
	if _, err := netip.ParseAddr(host); err != nil {
		_, bad := parseAddr(host)
		return bad
	}
	if strings.Contains(host, ":") && strings.Contains(bits, ":") {
		return &mistake{rule: RuleAddress, what: "an IPv6 prefix with a port needs brackets", remedy: `write it as in "[2001:db8::/32]:443"`}
	}
	return &mistake{rule: RuleAddress, what: quote(bits) + " is not a prefix length", remedy: `lengths are 0 to 32 for IPv4, 0 to 128 for IPv6, as in "10.0.0.0/8"`}
}

// lastAddr is the highest address of a masked prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// endsLikePort says whether an IPv6 address that was written without brackets would still be one
// without its last group, and that group could be a port: 2001:db8::1:443.
func endsLikePort(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || !isDigits(s[i+1:]) || s[i+1] == '0' {
		return false
	}
	_, err := netip.ParseAddr(s[strings.LastIndexByte(s, '-')+1 : i])
	return err == nil && len(s[i+1:]) > 1
}
