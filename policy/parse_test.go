package policy

import (
	"slices"
	"strings"
	"testing"
)

// texts are tokens as text, in order, the way [Token.String] writes them.
func texts(tokens []Token) string {
	var out []string
	for _, t := range tokens {
		out = append(out, t.String())
	}
	return strings.Join(out, " ")
}

func TestParseUnderstands(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"an empty text":   {"", ""},
		"separators only": {" , \n,\r\n\t", ""},
		"a name":          {"www.example.com", "www.example.com"},
		"names in any order, spaces and repetitions":       {" b.example ,a.example\n b.example", "a.example b.example"},
		"windows line ends":                                {"a.example\r\nb.example\r\n", "a.example b.example"},
		"case and the trailing dot":                        {"WWW.Example.COM.", "www.example.com"},
		"international names":                              {"Bücher.example, faß.example", "xn--bcher-kva.example xn--fa-hia.example"},
		"underscores beside international labels":          {"_x.bücher.example, a--b.example", "_x.xn--bcher-kva.example a--b.example"},
		"a wildcard":                                       {"*.example.com", "*.example.com"},
		"a wildcard and its apex, repeated":                {"*.a.example,a.example,*.a.example", "a.example *.a.example"},
		"a wildcard with ports":                            {"*.example.com:8000-8080/udp", "*.example.com:8000-8080/udp"},
		"an address":                                       {"192.0.2.7", "192.0.2.7"},
		"a mapped address":                                 {"::ffff:192.0.2.7", "192.0.2.7"},
		"a mapped prefix":                                  {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		"an IPv6 prefix in any spelling":                   {"2001:DB8:0::/32", "2001:db8::/32"},
		"everything by prefix":                             {"0.0.0.0/0,::/0", "0.0.0.0/0 ::/0"},
		"a range":                                          {"192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"},
		"a range that is a prefix":                         {"10.0.0.0-10.255.255.255, 10.0.0.0/8", "10.0.0.0/8"},
		"a range of one":                                   {"10.0.0.1-10.0.0.1", "10.0.0.1"},
		"an IPv6 range with a clause":                      {"[2001:db8::1-2001:db8::9]:443", "[2001:db8::1-2001:db8::9]:443"},
		"a port":                                           {"db.example.com:5432", "db.example.com:5432"},
		"a port of one protocol":                           {"10.0.0.0/8:443/TCP", "10.0.0.0/8:443/tcp"},
		"a range of one port":                              {"a.example:80-80", "a.example:80"},
		"a prefix with a protocol":                         {"10.0.0.0/8/tcp,10.0.0.0/8/icmp", "10.0.0.0/8/tcp 10.0.0.0/8/icmp"},
		"IPv6 in brackets":                                 {"[2001:db8::1],[2001:db8::/32]:443/tcp", "[2001:db8::/32]:443/tcp 2001:db8::1"},
		"IPv6 with a protocol, without brackets":           {"2001:db8::/32/udp", "[2001:db8::/32]/udp"},
		"words":                                            {"_dns_, _host_:5432, _internet_:443, *:443", "_dns_ _host_:5432 _internet_:443 *:443"},
		"words in any case":                                {"_DNS_", "_dns_"},
		"denials":                                          {"!_dns_, ! 10.0.0.0/8:22, !*", "!10.0.0.0/8:22 !_dns_ !*"},
		"an allow and denials in canonical order":          {"!a.example,b.example,*,10.0.0.1", "10.0.0.1 b.example * !a.example"},
		"a name that looks a little like a range":          {"10-0-0-1.example.com", "10-0-0-1.example.com"},
		"an IPv6 address whose end follows the double one": {"2001:db8::443", "2001:db8::443"},
		"a full IPv6 address that ends in digits":          {"2001:db8:1:2:3:4:5:443", "2001:db8:1:2:3:4:5:443"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(tt.text)
			if got := texts(p.Tokens); got != tt.want || p.Void {
				t.Errorf("Parse(%q) = %s, void %v; want %s", tt.text, got, p.Void, tt.want)
			}
			for _, problem := range problems {
				if !strings.HasPrefix(problem.Message, "everything is allowed") {
					t.Errorf("problem: %v", problem)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct {
		text string
		pos  int
		want string // part of message and remedy
	}{
		"a URL":                               {"https://x.example/y", 1, `write the host, "x.example:443/tcp"`},
		"a URL with a user and a port":        {"a.b,https://u:p@x.example:8/y", 5, `"x.example:8"`},
		"a star inside a label":               {"a*.x.example", 1, "*.example.com"},
		"a star behind":                       {"x.*", 1, "*.example.com"},
		"two stars":                           {"**.x", 1, "*.example.com"},
		"two star labels":                     {"*.*.x", 1, "*.example.com"},
		"a star without a dot":                {"*x.example", 1, "*.example.com"},
		"a full width star":                   {"＊.example.com", 1, "IDNA"},
		"one label":                           {"localhost", 1, "one label"},
		"an unknown word":                     {"_hosts_", 1, "_host_"},
		"a port out of range":                 {"host.example:99999", 13, "1 to 65535"},
		"port 0, which would mean every port": {"a.example:0", 10, "1 to 65535"},
		"a range from port 0":                 {"a.example:0-65535", 10, "1 to 65535"},
		"a port by name":                      {"a.example:https", 10, "1 to 65535"},
		"a port with a sign":                  {"a.example:+443", 10, "1 to 65535"},
		"ports backwards":                     {"a.example:9-8", 10, `"8-9"`},
		"an empty port":                       {"a.example:", 10, `nothing follows the ":"`},
		"an empty end of a range of ports":    {"a.example:80-", 10, "not a port"},
		"an empty protocol":                   {"a.example:443/", 10, `nothing follows the "/"`},
		"an empty prefix length":              {"10.0.0.0/", 9, `nothing follows the "/"`},
		"a clause alone":                      {":443", 1, "without a destination"},
		"a port alone":                        {"a.example:80,443", 14, "only a number"},
		"a protocol nobody fences":            {"a.example/sctp", 10, "tcp, udp and icmp"},
		"a path":                              {"a.example/index.html", 10, "tcp, udp and icmp"},
		"icmp with a port":                    {"a.example:8/icmp", 10, "no ports"},
		"icmpv6":                              {"a.example/icmpv6", 10, "/icmp"},
		"the protocol in front":               {"a.example/tcp:443", 10, ":443/tcp"},
		"two ports":                           {"a.example:80:90", 1, `more than one ":"`},
		"an octal address":                    {"010.0.0.1", 1, "leading zeros"},
		"a short address":                     {"127.1", 1, "four decimal numbers"},
		"an address that is too big":          {"1.2.3.256", 1, "0 to 255"},
		"an address that ends in hex":         {"1.2.3.0x7f", 1, "IPv4"},
		"an address in full width digits":     {"127.0.0.１", 1, "number"},
		"a name that ends in a number":        {"a.example.1", 1, "IPv4"},
		"a zone":                              {"fe80::1%eth0", 1, "zone"},
		"a long prefix":                       {"10.0.0.0/33", 1, "0 to 32"},
		"a netmask":                           {"10.0.0.0/255.0.0.0", 1, "10.0.0.0/8"},
		"a prefix of a name":                  {"a.example/24", 1, "port"},
		"a short mapped prefix":               {"::ffff:10.0.0.0/95", 1, "IPv4 prefix itself"},
		"a short end of a range":              {"192.0.2.1-9", 1, "in full"},
		"a range backwards":                   {"192.0.2.9-192.0.2.1", 1, `"192.0.2.1-192.0.2.9"`},
		"a range over families":               {"192.0.2.1-2001:db8::1", 1, "families"},
		"an IPv6 prefix with a bare port":     {"2001:db8::/32:443", 1, "[2001:db8::/32]:443"},
		"nine groups":                         {"1:2:3:4:5:6:7:8:443", 1, "[2001:db8::1]:443"},
		"brackets around IPv4":                {"[10.0.0.1]:443", 1, `"10.0.0.1:443"`},
		"brackets around a name":              {"[a.example]:443", 1, "IPv6 only"},
		"an open bracket":                     {"[2001:db8::1", 1, `"]"`},
		"a length behind the brackets":        {"[2001:db8::]/32", 13, "tcp, udp and icmp"},
		"text behind the brackets":            {"[2001:db8::1]x", 14, "clause"},
		"a clause of _dns_":                   {"_dns_:53", 6, "_dns_ alone"},
		"an unknown group":                    {"@github", 1, "dockerwall groups"},
		"a group of ports":                    {"@github:443", 1, `"@github" alone`},
		"no name of a group":                  {"@-x", 1, "letters"},
		"a space inside":                      {"a.example b.example", 1, "commas"},
		"a semicolon":                         {"a.example;b.example", 1, "character"},
		"quotation marks":                     {`"a.example"`, 1, "quotation mark"},
		"a control byte":                      {"exam\x00ple.com", 1, "not printable"},
		"invalid UTF-8":                       {"exam\xffple.com", 1, "not printable"},
		"a bidirectional control":             {"a\u202eb.example", 1, "not printable"},
		"an empty label":                      {"a..example", 1, "empty label"},
		"a leading dot":                       {".a.example", 1, "empty label"},
		"two trailing dots":                   {"a.example..", 1, "empty label"},
		"a wildcard of nothing":               {"*.", 1, "empty label"},
		"a long label":                        {strings.Repeat("a", 64) + ".example", 1, "63 at most"},
		"a long name":                         {strings.Repeat("abcdefg.", 32) + "example", 1, "253 at most"},
		"a very long token":                   {strings.Repeat("a", 1<<16), 1, "65536 bytes"},
		"positions count characters":          {"faß.example, ä ,b.example:x", 26, "not a port"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bad := tt.text[strings.LastIndexAny(tt.text, ",")+1:]
			p, problems := Parse(tt.text)
			if slices.ContainsFunc(p.Tokens, func(token Token) bool { return token.String() == strings.TrimSpace(bad) }) || p.Void {
				t.Errorf("Parse(%q) = %s, void %v", tt.text, texts(p.Tokens), p.Void)
			}
			if len(problems) == 0 {
				t.Fatal("no problem")
			}
			got := problems[len(problems)-1]
			if got.Severity != Error || got.Pos != tt.pos || !strings.Contains(got.Message+got.Remedy, tt.want) {
				t.Errorf("got  %v\nwant an error at %d that has %q", got, tt.pos, tt.want)
			}
			if got.Remedy == "" {
				t.Error("no remedy")
			}
		})
	}
}

func TestParseWarns(t *testing.T) {
	tests := map[string]struct{ text, tokens, want string }{
		"host bits":                          {"10.0.0.1/8", "10.0.0.0/8", `write "10.0.0.0/8"`},
		"host bits of IPv6":                  {"2001:db8::1/32", "2001:db8::/32", `write "2001:db8::/32"`},
		"an IPv6 address that ends in :port": {"2001:db8::1:443", "2001:db8::1:443", `write "[2001:db8::1]:443"`},
		"the same in a range":                {"2001:db8::1-2001:db8::2:443", "2001:db8::1-2001:db8::2:443", `"[2001:db8::1-2001:db8::2]:443"`},
		"everything":                         {"*", "*", "_internet_"},
		"a top-level domain":                 {"*.com", "*.com", "public suffix"},
		"a suffix with private owners":       {"*.github.io", "*.github.io", "public suffix"},
		"a name both ways":                   {"a.example,!a.example", "a.example !a.example", "both allowed and denied"},
		"a name under a denied wildcard":     {"a.b.example:443,!*.example", "a.b.example:443 !*.example", "both allowed and denied"},
		"an address in a denied prefix":      {"10.0.0.1:80/tcp, !10.0.0.0/9:80, !10.128.0.0/9:80", "10.0.0.1:80/tcp !10.0.0.0/9:80 !10.128.0.0/9:80", "both allowed and denied"},
		"a prefix in two denied prefixes":    {"10.0.0.0/8, !10.0.0.0/9, !10.128.0.0/9", "10.0.0.0/8 !10.0.0.0/9 !10.128.0.0/9", "both allowed and denied"},
		"anything beside a denial of all":    {"_internet_, !*", "_internet_ !*", "both allowed and denied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, problems := Parse(tt.text)
			if got := texts(p.Tokens); got != tt.tokens || p.Void {
				t.Errorf("tokens %s, void %v; want %s", got, p.Void, tt.tokens)
			}
			if len(problems) != 1 || problems[0].Severity != Warning || problems[0].Pos != 1 || !strings.Contains(problems[0].String(), tt.want) {
				t.Errorf("problems %v, want one warning that has %q", problems, tt.want)
			}
		})
	}
}

func TestParseDoesNotWarn(t *testing.T) {
	for _, text := range []string{
		"*.example.com", "!*", "!*.com", "*:443", "*.internal", "2001:db8::/32", "2001:db8::1:1",
		"10.0.0.0/8, !10.0.0.5",       // the usual way to take one out
		"10.0.0.0/8, !10.0.0.0/8:22",  // the rest is still allowed
		"10.0.0.0/8, !10.0.0.0/9",     // the other half is
		"example.com, !*.example.com", // the apex is not below itself
		"::a00:1, !10.0.0.0/8",        // families are apart
	} {
		if _, problems := Parse(text); len(problems) > 0 {
			t.Errorf("Parse(%q): %v", text, problems)
		}
	}
}

func TestParseBadDenialVoidsEveryAllow(t *testing.T) {
	for _, bad := range []string{
		"!", "!!a.example", "!@github", "!localhost", "!https://x/y", "!a.example:99999", "!10.0.0.0/33", "!_dns_:53",
		"!a.example b.example", "a.example;!b.example", "!\xff", "\u200b!a.example", `"!a.example"`,
		"\uff01a.example", "\ufe57a.example", "a.example!",
	} {
		for _, text := range []string{bad + ",*,10.0.0.0/8,!b.example", "!b.example\n_host_\n" + bad} {
			p, problems := Parse(text)
			if got := texts(p.Tokens); !p.Void || got != "!b.example" {
				t.Errorf("Parse(%q) = %s, void %v", text, got, p.Void)
			}
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error && strings.Contains(p.Message, voids) }) {
				t.Errorf("Parse(%q) says nothing: %v", text, problems)
			}
		}
	}
}
