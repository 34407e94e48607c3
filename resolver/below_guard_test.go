package resolver

import (
	"net/netip"
	"testing"
	"time"
)

func TestWildcardsOpenNothingTheGuardRefuses(t *testing.T) {
	guard := Guard{
		Host: list("198.51.100.7 2001:db8::7"), Docker: []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}, Private: []string{"corp.example.org"},
	}
	for name, tt := range map[string]struct{ name, addr, reason string }{
		"loopback":                          {"a.example.org", "127.0.0.1", reasonLoopback},
		"loopback, mapped":                  {"a.example.org", "::ffff:127.0.0.1", reasonLoopback},
		"loopback behind NAT64":             {"a.example.org", "64:ff9b::127.0.0.1", reasonLoopback},
		"loopback behind 6to4":              {"a.example.org", "2002:7f00:1::1", reasonLoopback},
		"link-local":                        {"a.example.org", "169.254.1.1", reasonLinkLocal},
		"link-local, mapped":                {"a.example.org", "::ffff:169.254.1.1", reasonLinkLocal},
		"link-local of IPv6":                {"a.example.org", "fe80::1", reasonLinkLocal},
		"the metadata service":              {"a.example.org", "169.254.169.254", reasonMetadata},
		"the metadata service, mapped":      {"a.example.org", "::ffff:169.254.169.254", reasonMetadata},
		"the metadata service behind NAT64": {"a.example.org", "64:ff9b::a9fe:a9fe", reasonMetadata},
		"the metadata service behind 6to4":  {"a.example.org", "2002:a9fe:a9fe::", reasonMetadata},
		"the host":                          {"a.example.org", "198.51.100.7", reasonHost},
		"the host, mapped":                  {"a.example.org", "::ffff:198.51.100.7", reasonHost},
		"the host behind NAT64":             {"a.example.org", "64:ff9b::198.51.100.7", reasonHost},
		"the host behind 6to4":              {"a.example.org", "2002:c633:6407::", reasonHost},
		"the host by IPv6":                  {"a.example.org", "2001:db8::7", reasonHost},
		"Docker's":                          {"a.example.org", "172.17.0.2", reasonDocker},
		"Docker's, mapped":                  {"a.example.org", "::ffff:172.17.0.2", reasonDocker},
		"Docker's behind NAT64":             {"a.example.org", "64:ff9b::172.17.0.2", reasonDocker},
		"Docker's behind 6to4":              {"a.example.org", "2002:ac11:2::", reasonDocker},
		"private":                           {"a.example.org", "10.0.0.1", reasonPrivate},
		"shared":                            {"a.example.org", "100.64.0.1", reasonPrivate},
		"local":                             {"a.example.org", "fd12::1", reasonPrivate},
		"private behind NAT64":              {"a.example.org", "64:ff9b::10.0.0.1", reasonPrivate},
		"private, of a private zone":        {"db.corp.example.org", "10.0.0.1", ""},
		"of what only ends like one":        {"evilcorp.example.org", "10.0.0.1", reasonPrivate},
		"Docker's, of a private zone":       {"db.corp.example.org", "172.17.0.2", reasonDocker},
		"public":                            {"a.example.org", "192.0.2.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := beneath("example.org")
			b.want([]string{"example.org"}, []string{"org"}, new(Cache))
			b.guard = guard
			var told []string
			b.refuse = func(_ string, _ netip.Addr, reason string) { told = append(told, reason) }
			addr := netip.MustParseAddr(tt.addr).Unmap().String()
			a := said(tt.name, 0, tt.addr+" 192.0.2.99")
			allowed := "allow *.example.org " + tt.name + ": 192.0.2.99"
			if tt.reason == "" {
				allowed = "allow *.example.org " + tt.name + ": " + join(sortedRecords(a.Addrs))
			}
			want := "deny *.org " + tt.name + ": " + join(sortedRecords(a.Addrs)) + "\n" + allowed
			if got := spellFound(b.tell(epoch, a)); got != want {
				t.Errorf("found\n%s\nwant\n%s", got, want)
			}
			b.observe(a, at(1))
			if e := b.names[tt.name]; (len(e.having(a.Addrs[:1])) == 1) != (tt.reason == "") {
				t.Errorf("learned %v", e.live())
			}
			if b.deny["org"].addrs[netip.MustParseAddr(addr)] == "" {
				t.Error("the denial has forgotten it")
			}
			if tt.reason != "" && (len(told) != 2 || told[0] != tt.reason || told[1] != tt.reason) || tt.reason == "" && told != nil {
				t.Errorf("told %q, want %q, of each answer", told, tt.reason)
			}
		})
	}
}

func TestARefusedAnswerIsNoName(t *testing.T) {
	b := beneath("example.org")
	if found := b.tell(epoch, said("a.example.org", time.Hour, "127.0.0.1 10.0.0.1")); len(found)+len(b.names)+len(b.warm) != 0 {
		t.Errorf("found %v, %d names", found, len(b.names))
	}
	b.tell(epoch, said("a.example.org", 0, "192.0.2.1"))
	b.observe(said("a.example.org", time.Hour, "127.0.0.1"), at(time.Minute)) // the name has moved to where nobody may go
	if got := b.has("example.org", at(5*time.Minute)); got != "" {
		t.Errorf("%q lives on", got)
	}
	checkBelow(t, b)
}
