package policy

import (
	"strings"
	"testing"
)

func TestAQuestionIsOneDestination(t *testing.T) {
	for name, test := range map[string]struct {
		text, want string // the token, or
		says       string // of the error
	}{
		"a name":                       {"API.Stripe.com.", "api.stripe.com", ""},
		"a name with a port":           {"api.stripe.com:443", "api.stripe.com:443", ""},
		"a clause alone":               {":443/tcp", "*:443/tcp", ""},
		"a protocol alone":             {"/icmp", "*/icmp", ""},
		"an address":                   {" 1.2.3.4:53/udp ", "1.2.3.4:53/udp", ""},
		"a ping":                       {"1.2.3.4/icmp", "1.2.3.4/icmp", ""},
		"IPv6 with a port":             {"[2001:db8::1]:443", "[2001:db8::1]:443", ""},
		"a prefix of one address":      {"1.2.3.4/32", "1.2.3.4", ""},
		"this host":                    {"_host_:5432", "_host_:5432", ""},
		"the resolvers":                {"_dns_", "_dns_", ""},
		"nothing":                      {" ", "", "no destination"},
		"two":                          {"a.example.com,b.example.com", "", "one at a time"},
		"a denial":                     {"!api.stripe.com", "", "denial"},
		"a wildcard":                   {"*.stripe.com:443", "", `"www.stripe.com:443"`},
		"a prefix":                     {"10.0.0.0/8:443", "", `"10.0.0.0:443"`},
		"a range":                      {"10.0.0.1-10.0.0.9", "", "many addresses"},
		"everything":                   {"*", "", "many addresses"},
		"everything, on a port":        {"*:443", "", "many addresses"},
		"the internet":                 {"_internet_", "", "many addresses"},
		"a URL":                        {"https://api.stripe.com/v1", "", "api.stripe.com:443/tcp"},
		"a name of one label":          {"db", "", `"db"`},
		"what a terminal must not see": {"a\x1b[31m.example.com", "", `\x1b`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseQuestion(test.text)
			if (err == nil) != (test.says == "") || err != nil && (!strings.Contains(err.Error(), test.says) || strings.ContainsAny(err.Error(), "\x1b\n")) {
				t.Fatalf("%v %v, want an error with %q", got, err, test.says)
			}
			if err == nil && got.String() != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
