package reconcile

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
	"github.com/dockerwall/dockerwall/policy"
)

// UnheldDNS says where a denial of _dns_ does not hold for c, given the version of the Engine's API. A container on a
// network of its own asks Docker's resolver, which from 28 on (API 1.48) passes the question on from the host's
// namespace, unless somebody set whom to ask (daemon/libnetwork/resolver.go); a resolver on the host's loopback it always
// asked from there.
func (s State) UnheldDNS(c docker.Container, engineAPI string) (policy.Problem, bool) {
	if c.NetworkMode == "host" || c.NetworkMode == "none" || strings.HasPrefix(c.NetworkMode, "container:") {
		return policy.Problem{}, false // it has no resolver that we could keep it from
	}
	loopback := slices.ContainsFunc(s.Resolvers.Host, netip.Addr.IsLoopback)
	switch {
	case !s.Policy(c).Denies(policy.DNS), c.NetworkMode == "bridge", len(c.Resolvers) > 0, s.Resolvers.Set, !loopback && !fromHost(engineAPI):
		return policy.Problem{}, false
	}
	return policy.Problem{
		Severity: policy.Warning, Rule: RuleUnheldDNS, Token: "!" + policy.DNS.String(),
		Message: "this Docker asks the host's resolvers from the host's own network, so questions that go through it are not denied",
		Remedy:  `set "dns" in Docker's daemon.json, or create the container with --dns`,
	}, true
}

// fromHost says whether an Engine of that API version is Docker 28 or newer.
func fromHost(version string) bool {
	major, minor, _ := strings.Cut(version, ".")
	a, err := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	return err == nil && err2 == nil && (a > 1 || a == 1 && b >= 48)
}
