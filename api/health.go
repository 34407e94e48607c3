package api

// DefaultPath is where the daemon listens unless the operator says otherwise.
const DefaultPath = "/run/dockerwall/dockerwall.sock"

// Version is the version of this API. Within it, fields are only added.
const Version = "v1"

// Health is how the daemon is. The zero value is a daemon that is not healthy and cannot say why.
type Health struct {
	// Healthy says that the wanted table is in the kernel and the daemon's loop is alive. A dry run
	// is healthy.
	Healthy bool `json:"healthy"`
	// Reasons say, one sentence each, what is wrong; also what is degraded while Healthy.
	Reasons []string `json:"reasons"`
	Version string   `json:"version"` // of the program
	DryRun  bool     `json:"dryRun"`
	// DockerUp says that the Engine answers. The fence stands without it.
	DockerUp bool `json:"dockerUp"`
	// DNSMode says how names are learned: queue or xt (answers wait until they are in the table), copy, or ask.
	DNSMode    string `json:"dnsMode"`
	Fenced     int    `json:"fenced"`     // containers whose policy is enforced, or would be without DryRun
	Unfenced   int    `json:"unfenced"`   // containers that none of our hooks sees
	Generation int    `json:"generation"` // commits since the daemon started
	// Problems is how many there are with labels, containers and networks, which leave the daemon Healthy; Findings are
	// the first few, one sentence each.
	Problems int      `json:"problems"`
	Findings []string `json:"findings"`
}

// failure is the body of an answer that is an error. Code, if there is one, is a sentinel of ours.
type failure struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"`
}

// flushed is the answer to a flush.
type flushed struct {
	Flushed bool `json:"flushed"`
}
