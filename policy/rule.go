package policy

// The rules that a [Problem] of this package can break. They are names for programs, and do not change.
const (
	RuleAddress      = "bad-address"
	RuleBoth         = "allowed-and-denied"
	RuleClause       = "bad-port-or-protocol"
	RuleDeny         = "bad-deny"
	RuleEverything   = "allows-everything"
	RuleGroup        = "unknown-group"
	RuleHostBits     = "host-bits"
	RuleImageLabel   = "image-label"
	RuleLimit        = "over-limit"
	RuleMode         = "bad-mode"
	RuleMore         = "more"
	RuleName         = "bad-name"
	RuleNetworks     = "gateway-networks"
	RulePort6        = "ipv6-port"
	RulePublicSuffix = "public-suffix"
	RuleQuotes       = "quoted-value"
	RuleSingleLabel  = "single-label"
	RuleSpace        = "space-in-token"
	RuleToken        = "bad-token"
	RuleUnknownLabel = "unknown-label"
	RuleUnprintable  = "not-printable"
	RuleURL          = "url"
	RuleWildcard     = "bad-wildcard"
	RuleWord         = "unknown-word"
)
