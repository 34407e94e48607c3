package droplog

import (
	"net/netip"
	"testing"
)

var (
	src4 = netip.MustParseAddr("192.0.2.7")
	dst4 = netip.MustParseAddr("198.51.100.9")
	src6 = netip.MustParseAddr("2001:db8::7")
	dst6 = netip.MustParseAddr("2001:db8:1::9")
)

func TestParsePrefix(t *testing.T) {
	tests := map[string]struct {
		text string
		want Prefix
		ok   bool
	}{
		"a container's":         {"c_3f2a91b0c4d5 denied drop", Prefix{"c_3f2a91b0c4d5", "denied", "drop"}, true},
		"nobody's":              {"- unknown drop", Prefix{"-", "unknown", "drop"}, true},
		"with dashes":           {"- not-ours log-and_accept2", Prefix{"-", "not-ours", "log-and_accept2"}, true},
		"two words":             {"unknown drop", Prefix{}, false},
		"four words":            {"- unknown drop please", Prefix{}, false},
		"two spaces":            {"-  unknown drop", Prefix{}, false},
		"another's":             {"[UFW BLOCK] in out", Prefix{}, false},
		"short ID":              {"c_3f2a91b0c4d denied drop", Prefix{}, false},
		"long ID":               {"c_3f2a91b0c4d51 denied drop", Prefix{}, false},
		"upper-case ID":         {"c_3F2A91B0C4D5 denied drop", Prefix{}, false},
		"control byte":          {"- unk\x1bnown drop", Prefix{}, false},
		"word beyond reason":    {"- aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa drop", Prefix{}, false},
		"nothing":               {"", Prefix{}, false},
		"a chain without digit": {"c_ denied drop", Prefix{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := ParsePrefix(tt.text)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v", got, ok)
			}
			if ok && got.String() != tt.text {
				t.Errorf("written as %q", got.String())
			}
		})
	}
}
