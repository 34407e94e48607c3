package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerwall/dockerwall/internal/lab/probe/result"
)

// CLI runs the docker program against the lab's Engine and returns its standard output without the last line's end.
func (d *Docker) CLI(ctx context.Context, args ...string) (string, error) {
	out, err := output(d.Command(ctx, args...))
	return strings.TrimRight(out, "\n"), err
}

// Command is the docker program, for callers that need more than its output.
func (d *Docker) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "docker"), args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Host(), "DOCKER_CONFIG="+filepath.Join(d.lab.dir, "cli"),
		"DOCKER_CONTEXT=", "DOCKER_TLS_VERIFY=", "DOCKER_API_VERSION=")
	return cmd
}

// RunSpec says what container to run.
type RunSpec struct {
	Image   string // empty: the probe's
	Name    string
	Network string
	Labels  map[string]string
	Args    []string // further flags of docker run
	Cmd     []string
}

func (s RunSpec) args() []string {
	args := slices.Clone(s.Args)
	if s.Name != "" {
		args = append(args, "--name="+s.Name)
	}
	if s.Network != "" {
		args = append(args, "--network="+s.Network)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		args = append(args, "--label="+key+"="+s.Labels[key])
	}
	image := s.Image
	if image == "" {
		image = ProbeImage
	}
	return append(append(args, image), s.Cmd...)
}

// Container is one that runs.
type Container struct {
	ID     string
	docker *Docker
}

// Run starts a container and leaves it running.
func (d *Docker) Run(ctx context.Context, spec RunSpec) (*Container, error) {
	id, err := d.CLI(ctx, append([]string{"run", "--detach"}, spec.args()...)...)
	if err != nil {
		return nil, err
	}
	return &Container{ID: id, docker: d}, nil
}

// Container is one that was started by other means than Run.
func (d *Docker) Container(id string) *Container { return &Container{ID: id, docker: d} }

// RunProbe runs a container of the probe to its end and returns the last of its results.
func (d *Docker) RunProbe(ctx context.Context, spec RunSpec) (Result, error) {
	out, err := d.CLI(ctx, append([]string{"run", "--rm"}, spec.args()...)...)
	return last(out, err)
}

// Result is what the probe says about one act.
type Result = result.Result

// Results are the probe's, from its output.
func Results(out string) ([]Result, error) { return result.Parse(out) }

// last is the last result. The probe's exit code is no error where it said a result.
func last(out string, err error) (Result, error) {
	all, parseErr := Results(out)
	if len(all) == 0 {
		return Result{}, errors.Join(err, parseErr, errors.New("read the probe's result: none"))
	}
	return all[len(all)-1], parseErr
}

// Exec runs a program in the container.
func (c *Container) Exec(ctx context.Context, args ...string) (string, error) {
	return c.docker.CLI(ctx, append([]string{"exec", c.ID}, args...)...)
}

// Probe runs the probe in a container of its image.
func (c *Container) Probe(ctx context.Context, args ...string) (Result, error) {
	return last(c.Exec(ctx, append([]string{ProbePath}, args...)...))
}

// Wait waits for the container's end and returns the results its first process printed.
func (c *Container) Wait(ctx context.Context) ([]Result, error) {
	if _, err := c.docker.CLI(ctx, "wait", c.ID); err != nil {
		return nil, err
	}
	out, err := c.docker.CLI(ctx, "logs", c.ID)
	if err != nil {
		return nil, err
	}
	return Results(out)
}

// Remove kills and removes the container.
func (c *Container) Remove(ctx context.Context) error {
	_, err := c.docker.CLI(ctx, "rm", "--force", "--volumes", c.ID)
	return err
}

// Inspect is docker inspect's answer to a format.
func (c *Container) Inspect(ctx context.Context, format string) (string, error) {
	return c.docker.CLI(ctx, "inspect", "--format", format, c.ID)
}

// Addr is the container's IPv4 address on a network; an empty network is the default bridge.
func (c *Container) Addr(ctx context.Context, network string) (netip.Addr, error) {
	return c.addr(ctx, network, "IPAddress")
}

// Addr6 is the container's IPv6 address on a network.
func (c *Container) Addr6(ctx context.Context, network string) (netip.Addr, error) {
	return c.addr(ctx, network, "GlobalIPv6Address")
}

func (c *Container) addr(ctx context.Context, network, field string) (netip.Addr, error) {
	if network == "" {
		network = "bridge"
	}
	text, err := c.Inspect(ctx, fmt.Sprintf(`{{(index .NetworkSettings.Networks %q).%s}}`, network, field))
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(text)
}

// Namespace is the container's network namespace; the caller closes it.
func (c *Container) Namespace(ctx context.Context) (*Namespace, error) {
	key, err := c.Inspect(ctx, "{{.NetworkSettings.SandboxKey}}")
	if err != nil {
		return nil, err
	}
	return c.docker.Sandbox(strings.TrimPrefix(key, "/var/run/docker/netns/"))
}

// Sandbox is a network namespace of the Engine's by its name, such as "ingress_sbox" of a swarm; the caller closes it.
func (d *Docker) Sandbox(name string) (*Namespace, error) {
	return OpenNamespace(d.lab.machine.inside(filepath.Join("/run/docker/netns", strings.TrimPrefix(name, "/run/docker/netns/"))))
}
