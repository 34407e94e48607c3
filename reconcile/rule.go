package reconcile

// The rules that a [Problem] of this package can break, besides those of package policy. They are names for programs,
// and do not change.
const (
	RuleAddressTwice  = "address-claimed-twice"
	RuleBridge        = "bad-bridge"
	RuleContainerID   = "bad-container-id"
	RuleFreeWayOut    = "free-way-out"
	RuleHostNetwork   = "host-network"
	RuleImageGone     = "image-gone"
	RuleMACTwice      = "mac-used-twice"
	RuleNetworkID     = "bad-network-id"
	RuleNoHook        = "unfenced-driver"
	RuleOverlay       = "overlay-network"
	RuleRefused       = "refused-address"
	RuleSharedLabels  = "shared-network-labels"
	RuleStepsAround   = "steps-around"
	RuleStrangePort   = "strange-port"
	RuleUnheldDNS     = "dns-not-held"
	RuleUnlisted      = "unlisted-network"
	RuleUnknownDenial = "denied-name-unknown"
	RuleUnmanaged     = "unmanaged-network"
)
