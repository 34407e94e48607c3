package docker

import (
	"context"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/swarm"
)

// About is what an Engine says of itself; its texts are as they came.
type About struct {
	Product string // of the version's first component: "Engine", "Podman Engine"
	Version string // "28.5.2"
	API     string // the version that is spoken with it, "1.51"
	// Unsaid is why the Engine did not tell what follows, which is of GET /info; a socket proxy may refuse it.
	Unsaid          string
	OperatingSystem string // "Debian GNU/Linux 12 (bookworm)", "Docker Desktop"
	Firewall        string // "iptables", "iptables+firewalld", "nftables"; "" before Docker 29
	LiveRestore     bool
	Rootless        bool
	UserNamespaces  bool // userns-remap
	Swarm           bool // this host is a node of one
}

// About asks the Engine for its version and its state: GET /version and /info. An Engine that cannot be reached or is too
// old is an error; one whose proxy refuses them is not.
func (c *Client) About(ctx context.Context) (About, error) {
	var out About
	const without = "doctor cannot say what kind of Engine this is"
	err := c.ask(ctx, call{what: "ask for the version of Docker", endpoint: "GET /version", without: without}, func(ctx context.Context, e engine) error {
		v, err := e.ServerVersion(ctx)
		out.Version, out.API = v.Version, e.ClientVersion()
		if len(v.Components) > 0 {
			out.Product = v.Components[0].Name
		}
		return err
	})
	switch {
	case Refused(err):
		out.Unsaid = err.Error()
	case err != nil:
		return About{}, err
	}
	err = c.ask(ctx, call{what: "ask for the state of Docker", endpoint: "GET /info", without: without}, func(ctx context.Context, e engine) error {
		i, err := e.Info(ctx)
		out.OperatingSystem, out.LiveRestore = i.OperatingSystem, i.LiveRestoreEnabled
		out.Rootless, out.UserNamespaces = secured(i.SecurityOptions, "rootless"), secured(i.SecurityOptions, "userns")
		out.Swarm = i.Swarm.LocalNodeState == swarm.LocalNodeStateActive
		if i.FirewallBackend != nil {
			out.Firewall = i.FirewallBackend.Driver
		}
		return err
	})
	if err != nil {
		out.Unsaid = err.Error()
	}
	return out, nil
}

// secured looks for "name=what" or "name=what,key=value".
func secured(options []string, what string) bool {
	return slices.ContainsFunc(options, func(o string) bool {
		name, _, _ := strings.Cut(o, ",")
		return name == "name="+what
	})
}
