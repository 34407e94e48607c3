package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
)

// minAPIVersion is that of Docker 20.10.
const minAPIVersion = "1.41"

// engine is what this package asks of the Docker client, at a negotiated API version.
type engine interface {
	ContainerList(context.Context, container.ListOptions) ([]container.Summary, error)
	ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error)
	NetworkList(context.Context, network.ListOptions) ([]network.Summary, error)
	NetworkInspect(ctx context.Context, id string, o network.InspectOptions) (network.Inspect, error)
	ImageList(context.Context, image.ListOptions) ([]image.Summary, error)
	ServerVersion(context.Context) (types.Version, error)
	Info(context.Context) (system.Info, error)
	ServiceList(context.Context, swarm.ServiceListOptions) ([]swarm.Service, error)
	ClientVersion() string
	Close() error

	// events opens the event stream, which ends with ctx; it returns once the Engine has accepted the request.
	events(ctx context.Context, since time.Time) (io.ReadCloser, error)
}

// sdk is the engine of production. A new one is made for each connection to the Engine, because the
// client's negotiation only ever lowers its version, and must not run beside other requests.
type sdk struct {
	*client.Client
	base      url.URL // what the client puts before "/v1.41/…"
	transport *http.Transport
}

var _ engine = (*sdk)(nil)

// newSDK makes a client for host without connecting.
func newSDK(host string) (*sdk, error) {
	parsed, err := parseHost(host)
	if err != nil {
		return nil, err
	}
	s := &sdk{
		base:      url.URL{Scheme: "http", Host: client.DummyHost, Path: "/"},
		transport: &http.Transport{MaxIdleConns: 2 * parallel, MaxIdleConnsPerHost: 2 * parallel, IdleConnTimeout: 30 * time.Second},
	}
	options := []client.Opt{client.WithHTTPClient(&http.Client{Transport: s.transport}), client.WithHost(host)}
	if parsed.Scheme == "tcp" {
		s.base.Host, s.base.Path = parsed.Host, "/"+strings.Trim(parsed.Path, "/")
		if files := Certificates(); files != "" {
			s.base.Scheme = "https"
			options = append(options, s.withTLS(files))
		}
	}
	s.Client, err = client.NewClientWithOpts(append(options,
		client.WithHTTPClient(&http.Client{Transport: readOnly{s.transport}, CheckRedirect: client.CheckRedirect}),
		client.WithScheme(s.base.Scheme),
		client.WithUserAgent("dockerwall"),
		client.WithVersionFromEnv())...)
	if err != nil {
		return nil, fmt.Errorf("set up Docker client for %s: %w; check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY", host, err)
	}
	return s, nil
}

// parseHost accepts what DOCKER_HOST may say, as far as a daemon on the Engine's own host needs it.
func parseHost(host string) (*url.URL, error) {
	parsed, err := client.ParseHostURL(host)
	if err != nil || (parsed.Scheme != "unix" && parsed.Scheme != "tcp") {
		return nil, fmt.Errorf("understand DOCKER_HOST %q: want unix:///path/to/docker.sock or tcp://host:port", host)
	}
	return parsed, nil
}

// Certificates is the directory of ca.pem, cert.pem and key.pem, which are read at each connect by tcp; "" for plain TCP:
// the docker command's own rule.
func Certificates() string {
	if dir := os.Getenv(client.EnvOverrideCertPath); dir != "" {
		return dir
	}
	if home, err := os.UserHomeDir(); err == nil && os.Getenv(client.EnvTLSVerify) != "" {
		return filepath.Join(home, ".docker")
	}
	return ""
}

func (s *sdk) withTLS(dir string) client.Opt {
	files := client.WithTLSClientConfig(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	return func(c *client.Client) error {
		if err := files(c); err != nil {
			return err
		}
		s.transport.TLSClientConfig.InsecureSkipVerify = os.Getenv(client.EnvTLSVerify) == ""
		return nil
	}
}

// negotiate settles the API version. It does not use the client's own lazy negotiation, which
// swallows errors and takes an answer without a version for API 1.24.
func (s *sdk) negotiate(ctx context.Context) error {
	ping, err := s.Ping(ctx)
	if err != nil {
		return err
	}
	switch {
	case ping.APIVersion == "":
		return errors.New("the answer to /_ping names no API version; is this Docker, and does a proxy before it pass HEAD /_ping?")
	case versions.LessThan(ping.APIVersion, minAPIVersion):
		return fmt.Errorf("the Engine's API %s is older than %s; upgrade to Docker 20.10 or newer", ping.APIVersion, minAPIVersion)
	}
	s.NegotiateAPIVersionPing(ping)
	return nil
}

// Close gives up the idle connections; requests under way are not touched.
func (s *sdk) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// readOnly refuses every request that could change something, whoever made it, and keeps the
// cause of a failed connection, which the client replaces by a sentence of its own. No answer can fill the memory.
type readOnly struct{ next http.RoundTripper }

func (t readOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, fmt.Errorf("send %s %s to Docker: %w", r.Method, r.URL.Path, errNotReadOnly)
	}
	response, err := t.next.RoundTrip(r)
	if err != nil && r.Context().Err() == nil {
		return nil, &unreachableError{err}
	}
	if err == nil && !strings.HasSuffix(r.URL.Path, "/events") { // whose body has no end
		response.Body = &bounded{response.Body, maxAnswer}
	}
	return response, err
}
