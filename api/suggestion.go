package api

import "time"

// Suggestion is what one container would need to be allowed for what it was seen to send.
type Suggestion struct {
	Container string    `json:"container"`
	Image     string    `json:"image"`
	Project   string    `json:"project,omitempty"`
	Service   string    `json:"service,omitempty"`
	From      time.Time `json:"from"` // observed since
	Until     time.Time `json:"until"`
	Mode      string    `json:"mode"`     // as in [Container]; "" when it is gone
	Existing  string    `json:"existing"` // the label as it stands; "" without one
	// Tokens are to be added, fewest first: names before addresses.
	Tokens []SuggestedToken `json:"tokens"`
	// Outbound is the whole label to write: Existing and Tokens.
	Outbound string `json:"outbound"`
	// Notes are sentences about what cannot be suggested, or should be looked at before it is allowed.
	Notes []string `json:"notes"`
}

// SuggestedToken is one token and what was seen that asks for it.
type SuggestedToken struct {
	Token   string    `json:"token"`
	Why     string    `json:"why"`
	Packets uint64    `json:"packets"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}
