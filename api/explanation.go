package api

import "net/netip"

// Explanation says what becomes of a container's packets to a destination, and why.
type Explanation struct {
	Container   string       `json:"container"`
	ContainerID string       `json:"containerID"`
	Question    string       `json:"question"` // the destination as it was asked
	Name        string       `json:"name,omitempty"`
	Addrs       []netip.Addr `json:"addresses"`
	Port        uint16       `json:"port,omitempty"` // 0 for every port
	Protocol    string       `json:"protocol"`       // "" for every protocol
	Verdict     Decision     `json:"verdict"`
	Steps       []Step       `json:"steps"` // in the order in which they decide
	// Failed is the Name of the step that decided against it; "" when allowed.
	Failed string `json:"failed,omitempty"`
	// Token is what would allow it in the container's label, by comma if it takes a few; "" when it is allowed, or nothing
	// would.
	Token string `json:"token,omitempty"`
	// Remedy is what to do, in a sentence, when a token alone does not help.
	Remedy string `json:"remedy,omitempty"`
	// Depends completes the sentence "it depends" where it is undecidable.
	Depends string `json:"depends,omitempty"`
}

// Decision is the verdict of an [Explanation].
type Decision string

// The decisions. Undecidable is what depends on something the question leaves open, or what policy and kernel disagree
// about.
const (
	Allowed     Decision = "allowed"
	Refused     Decision = "denied"
	Undecidable Decision = "undecidable"
)

// Step is one thing that was looked at.
type Step struct {
	Name   string     `json:"name"`   // network, mode, policy, dns, kernel
	Result StepResult `json:"result"` // ok, fail, info or unknown
	Text   string     `json:"text"`
}

// StepResult is how a step went.
type StepResult string

// The results.
const (
	StepOK      StepResult = "ok"
	StepFail    StepResult = "fail"
	StepInfo    StepResult = "info"
	StepUnknown StepResult = "unknown"
)
