package policy

import (
	"strconv"
	"strings"
)

// cutClause splits a token into destination and clause. The clause begins at the last "/", unless
// digits follow it (then that is a prefix length), or at the only ":" in front of that. More than
// one ":" is an IPv6 address, which takes a port only in brackets.
func cutClause(s string) (dest, clause string) {
	end := len(s)
	if i := strings.LastIndexByte(s, '/'); i >= 0 && !startsWithDigit(s[i+1:]) {
		end = i
	}
	if head := s[:end]; strings.Count(head, ":") == 1 {
		end = strings.IndexByte(head, ':')
	}
	return s[:end], s[end:]
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

// parseClause reads ":443", ":8000-8080/tcp", "/icmp" or nothing.
func parseClause(s string) (Clause, *mistake) {
	var c Clause
	ports, proto, hasProto := strings.Cut(s, "/")
	if ports != "" {
		number, ok := strings.CutPrefix(ports, ":")
		if !ok {
			return c, &mistake{rule: RuleClause, what: quote(ports) + ` follows the "]"`, remedy: `only a clause can, as in "[2001:db8::/32]:443/tcp"`}
		}
		var bad *mistake
		if c.Ports, bad = parsePorts(number); bad != nil {
			return c, bad
		}
	}
	if !hasProto {
		return c, nil
	}
	var bad *mistake
	if c.Proto, bad = parseProto(proto); bad != nil {
		return c, bad
	}
	if c.Proto == ProtoICMP && ports != "" {
		return c, &mistake{rule: RuleClause, what: "icmp has no ports", remedy: `write "/icmp" alone`}
	}
	return c, nil
}

func parsePorts(s string) (PortRange, *mistake) {
	if s == "" {
		return PortRange{}, &mistake{rule: RuleClause, what: `nothing follows the ":"`, remedy: `write a port or ports, as in ":443" or ":8000-8080"`}
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, bad := parsePort(from)
	if bad != nil {
		return PortRange{}, bad
	}
	last, bad := parsePort(to)
	if bad != nil {
		return PortRange{}, bad
	}
	if last < first {
		return PortRange{}, &mistake{rule: RuleClause, what: "the ports " + quote(s) + " run backwards", remedy: "write the lower port first, " + quote(to+"-"+from)}
	}
	return PortRange{First: first, Last: last}, nil
}

// parsePort refuses 0: as a range of its own it would mean every port.
func parsePort(s string) (uint16, *mistake) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' {
		return 0, &mistake{rule: RuleClause, what: quote(s) + " is not a port", remedy: "ports are decimal numbers from 1 to 65535"}
	}
	return uint16(n), nil
}

func parseProto(s string) (Proto, *mistake) {
	switch strings.ToLower(s) {
	case "tcp":
		return ProtoTCP, nil
	case "udp":
		return ProtoUDP, nil
	case "icmp":
		return ProtoICMP, nil
	case "":
		return 0, &mistake{rule: RuleClause, what: `nothing follows the "/"`, remedy: "write a prefix length, tcp, udp or icmp"}
	case "icmpv6", "icmp6", "ipv6-icmp", "ping":
		return 0, &mistake{rule: RuleClause, what: quote(s) + " is not a protocol here", remedy: `write "/icmp", which stands for ICMPv6 too`}
	}
	if proto, port, ok := strings.Cut(s, ":"); ok {
		return 0, &mistake{rule: RuleClause, what: "the protocol stands in front of the port", remedy: "write " + quote(":"+port+"/"+proto)}
	}
	return 0, &mistake{rule: RuleClause, what: quote(s) + " is not a protocol", remedy: "the protocols are tcp, udp and icmp, and paths are not looked at"}
}
