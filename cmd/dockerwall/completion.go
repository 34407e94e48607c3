package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerwall/dockerwall/api"
	"github.com/dockerwall/dockerwall/policy"
)

// completionTimeout is how long a shell waits for names.
const completionTimeout = 2 * time.Second

// containerNames completes names of running containers, as the daemon at --socket knows them; none without one.
func containerNames(c *cobra.Command) ([]string, cobra.ShellCompDirective) {
	if c.PreRunE != nil { // cobra does not run it here; it reads the settings
		_ = c.PreRunE(c, nil)
	} else if c.PreRun != nil {
		c.PreRun(c, nil)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(c)), completionTimeout)
	defer cancel()
	path := ""
	if f := c.Flags().Lookup("socket"); f != nil {
		path = f.Value.String()
	}
	status, err := api.Dial(path).Status(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, c := range status.Containers {
		if clean(c.Name) == c.Name && c.Name != "" { // a shell would take a name for what it is not
			names = append(names, c.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func contextOf(c *cobra.Command) context.Context {
	if ctx := c.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// find is the container that a person means: by name, or by the beginning of its ID if only one begins so. The error
// names those that may have been meant.
func find(containers []api.Container, name string) (api.Container, error) {
	var begins []api.Container
	for _, c := range containers {
		switch {
		case c.Name == name || c.ID == name:
			return c, nil
		case name != "" && strings.HasPrefix(c.ID, name):
			begins = append(begins, c)
		}
	}
	switch len(begins) {
	case 1:
		return begins[0], nil
	case 0:
		hint := "; `dockerwall status` lists those that run"
		if near := nearest(containers, name); near != "" {
			hint = "; did you mean " + clean(near) + "?"
		}
		return api.Container{}, fmt.Errorf("%w as %q%s", api.ErrNoContainer, clean(name), hint)
	}
	var names []string
	for _, c := range begins {
		names = append(names, clean(c.Name))
	}
	return api.Container{}, fmt.Errorf("%q begins the IDs of %d containers, name one of them: %s", clean(name), len(begins), strings.Join(names[:min(len(names), 5)], ", "))
}

// nearest is the container's name that is at most two slips away, or has name in it; "" if there is none.
func nearest(containers []api.Container, name string) string {
	best, at := "", 3
	for _, c := range containers {
		d := slips(c.Name, name)
		if d > 2 && len(name) > 2 && strings.Contains(c.Name, name) {
			d = 2
		}
		if d < at {
			best, at = c.Name, d
		}
	}
	return best
}

// slips is how far two names are apart, 3 for all that is further than 2. The work is bounded by the names of containers.
func slips(a, b string) int {
	if len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 3
	}
	return policy.Distance(a, b)
}
