package docker

import (
	"context"
	"errors"

	"github.com/docker/docker/api/types/swarm"
)

// ServiceLabels returns the labels of Swarm's services themselves (compose's deploy.labels), by service ID, which their
// tasks' containers do not have. It asks each time, with one GET /services. None are known on a host that is no manager of
// a swarm. That a socket proxy does not let it through is an error; see [Refused].
func (c *Client) ServiceLabels(ctx context.Context) (map[string]map[string]string, error) {
	var out map[string]map[string]string
	what := call{what: "list services of Docker", endpoint: "GET /services", without: "labels under a service's deploy, which do nothing, are not reported"}
	err := c.ask(ctx, what, func(ctx context.Context, e engine) error {
		list, err := e.ServiceList(ctx, swarm.ServiceListOptions{})
		if _, unreachable := errors.AsType[*unreachableError](err); err != nil && (unreachable || Refused(err) || ctx.Err() != nil) {
			return err
		}
		if err != nil { // it answered: the connection is as good as it was
			return nil
		}
		out = make(map[string]map[string]string, len(list))
		for _, s := range list {
			out[s.ID] = s.Spec.Labels
		}
		return nil
	})
	return out, err
}
