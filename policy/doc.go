// Package policy parses what labels, settings and policy files ask for: destinations that a
// container may send to, or may not. It is pure: text in, values and problems out.
//
// # Grammar
//
// A text is a list of tokens, separated by commas or newlines. Spaces around a token are trimmed,
// empty tokens ignored; neither order nor repetition matters.
//
//	token       = [ "!" ] destination [ clause ]
//	destination = name | "*." name | address | prefix | range | word | "@" group
//	word        = "_dns_" | "_host_" | "_internet_" | "*"
//	clause      = [ ":" port [ "-" port ] ] [ "/" protocol ]
//	protocol    = "tcp" | "udp" | "icmp"
//
//	www.example.com         that name; case folded, IDN to A-labels, one trailing dot stripped
//	*.example.com           every name one or more labels below; never example.com itself
//	192.0.2.7               one address; strict, so 010.0.0.1 and 127.1 are errors
//	10.0.0.0/8              a prefix; host bits are masked, with a warning
//	192.0.2.1-192.0.2.9     a range of addresses, both ends included
//	2001:db8::/32           IPv6 likewise; ::ffff:192.0.2.7 means 192.0.2.7
//	db.example.com:5432     that port, tcp and udp
//	10.0.0.0/8:8000-8080    these ports, tcp and udp
//	10.0.0.0/8:443/tcp      one protocol as well
//	10.0.0.0/8/icmp         ICMP and ICMPv6, all types; /tcp and /udp mean every port of theirs
//	[2001:db8::/32]:443     IPv6 with a port needs brackets, around prefixes and ranges too
//	_dns_                   port 53 of the resolvers the container was given; takes no clause
//	_host_:5432             this host's own addresses
//	_internet_:443          every public address, see [NotPublic]
//	*                       everything, the host included; reported as a warning
//	@pypi                   what the group of that name lists, see [Group]; takes no clause
//	!db.example.com         denies what the token without "!" would allow
//
// Without a clause a destination stands for every protocol and port.
//
// # Precedence
//
// Any denial, whichever source it comes from, beats every allow; then allows count; what nothing
// allows is denied.
//
// # Bad input never widens
//
// A bad allow is skipped. A bad denial makes its source void: all its allows go, see [Policy]. What
// cannot be understood and has an exclamation mark anywhere counts as a denial. A text above
// [MaxText] or [MaxTokens] is cut there, at a whole token, and what is left out is judged the same
// way. Each case is a [Problem] that says what is wrong, where, and what to write instead.
package policy
