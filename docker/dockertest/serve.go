package dockertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dockerwall/dockerwall/docker"
)

// The endpoints, as Count and SetFault name them.
const (
	Ping             = "/_ping"
	Events           = "/events"
	ListContainers   = "/containers/json"
	ListSome         = "/containers/json?filters" // a listing by ID
	InspectContainer = "/containers/{id}/json"
	ListNetworks     = "/networks"
	InspectNetwork   = "/networks/{id}"
	ListImages       = "/images/json"
	Version          = "/version"
	Info             = "/info"
	ListServices     = "/services"
)

// Fault is what goes wrong at an endpoint; the zero value is nothing. What is not Wait comes after it.
type Fault struct {
	Wait    <-chan struct{} // no answer before it is closed
	Status  int             // answer this instead, such as 500
	Cut     bool            // send half of the answer
	Body    string          // answer this instead
	Endless string          // and go on with this until who asked has gone
}

// SetFault makes an endpoint go wrong from now on, or, with the zero Fault, go right again.
func (e *Engine) SetFault(endpoint string, f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults[endpoint] = f
}

// Count is how often an endpoint was asked since the last ResetCounts.
func (e *Engine) Count(endpoint string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests[endpoint]
}

// Counts are all of them, endpoints that were not asked left out.
func (e *Engine) Counts() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.requests)
}

// ResetCounts begins to count anew.
func (e *Engine) ResetCounts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.requests)
}

// Refused are the requests, "POST /x", that were neither GET nor HEAD. They got status 405.
func (e *Engine) Refused() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.refused)
}

// ServeHTTP answers as the Engine does.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, path := splitVersion(r.URL.Path)
	endpoint, id := route(path, r)
	f, oldest, newest := e.arrived(r, endpoint)
	if f.Wait != nil {
		select {
		case <-f.Wait:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Api-Version", newest)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusMethodNotAllowed, "only GET and HEAD are served")
	case f.Status != 0:
		refuse(w, f.Status, "fault made by the test")
	case f.Body != "":
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, f.Body)
		for err == nil && f.Endless != "" {
			_, err = io.WriteString(w, f.Endless)
		}
	case version != 0 && version > minor(newest):
		refuse(w, http.StatusBadRequest, fmt.Sprintf("client version 1.%d is too new. Maximum supported API version is %s", version, newest))
	case version != 0 && version < minor(oldest):
		refuse(w, http.StatusBadRequest, fmt.Sprintf("client version 1.%d is too old. Minimum supported API version is %s", version, oldest))
	case endpoint == Events:
		e.serveEvents(w, r)
	default:
		e.serve(w, r, answer{endpoint, id, f.Cut})
	}
}

func (e *Engine) arrived(r *http.Request, endpoint string) (f Fault, oldest, newest string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests[endpoint]++
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.refused = append(e.refused, r.Method+" "+r.URL.Path)
	}
	return e.faults[endpoint], e.min, e.max
}

type answer struct {
	endpoint, id string
	cut          bool
}

func (e *Engine) serve(w http.ResponseWriter, r *http.Request, a answer) {
	value, found := e.value(r, a)
	if !found {
		refuse(w, http.StatusNotFound, "no such object: "+a.id)
		return
	}
	var body bytes.Buffer
	if text, plain := value.(string); plain {
		body.WriteString(text)
	} else if err := json.NewEncoder(&body).Encode(value); err != nil {
		e.tb.Errorf("fake Docker: encode answer: %v", err)
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	if a.cut {
		body.Truncate(body.Len() / 2)
	}
	_, _ = w.Write(body.Bytes()) // a client that has gone is no fault of the test
}

func (e *Engine) value(r *http.Request, a answer) (value any, found bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch a.endpoint {
	case Ping:
		return "OK", true
	case ListContainers, ListSome:
		wanted := filter(r)
		return list(e.containers, func(c docker.Container) (any, bool) { return summary(c), wanted("id", c.ID) }), true
	case InspectContainer:
		c, ok := e.containers[a.id]
		return inspection(c), ok
	case ListNetworks:
		return list(e.networks, func(n docker.Network) (any, bool) { return network(n), true }), true
	case InspectNetwork:
		n, ok := e.networks[a.id]
		return withEndpoints(n), ok
	case Version:
		return e.version, true
	case Info:
		return e.info, true
	case ListImages:
		images := []any{}
		for id, labels := range e.images {
			images = append(images, map[string]any{"Id": id, "Labels": labels, "RepoTags": []string{}})
		}
		return images, true
	case ListServices:
		services := []any{}
		for id, labels := range e.services {
			services = append(services, map[string]any{"ID": id, "Spec": map[string]any{"Labels": labels}})
		}
		return services, true
	default:
		return nil, false
	}
}

func list[V any](from map[string]V, show func(V) (any, bool)) []any {
	out := []any{}
	for _, v := range from {
		if shown, ok := show(v); ok {
			out = append(out, shown)
		}
	}
	return out
}

func summary(c docker.Container) map[string]any {
	networks, mounts := map[string]any{}, []any{}
	for i, id := range c.Networks {
		networks["network"+strconv.Itoa(i)] = map[string]any{"NetworkID": id, "IPAMConfig": fixed(c.Fixed[id])}
	}
	if c.EngineSocket {
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s"})
	}
	image := c.Image
	if c.ImageUnsure { // the reference means another image by now
		image = c.ImageID
	}
	return map[string]any{
		"Id": c.ID, "Names": []string{"/" + c.Name}, "Image": image, "ImageID": c.ImageID,
		"Labels": c.Labels, "State": c.State, "HostConfig": map[string]any{"NetworkMode": c.NetworkMode},
		"NetworkSettings": map[string]any{"Networks": networks}, "Mounts": mounts,
	}
}

// fixed is nil where the container asked for nothing.
func fixed(addrs []netip.Addr) any {
	if len(addrs) == 0 {
		return nil
	}
	out := map[string]any{}
	for _, a := range addrs {
		if a.Is4() {
			out["IPv4Address"] = a.String()
		} else {
			out["IPv6Address"] = a.String()
		}
	}
	return out
}

func inspection(c docker.Container) map[string]any {
	dns := []string{}
	for _, r := range c.Resolvers {
		dns = append(dns, r.String())
	}
	restart := "no"
	if c.Restarts {
		restart = "always"
	}
	return map[string]any{"Id": c.ID, "Name": "/" + c.Name, "Config": map[string]any{"Image": c.Image}, "HostConfig": map[string]any{
		"NetworkMode": c.NetworkMode, "Dns": dns, "Privileged": c.Privileged, "CapAdd": c.CapAdd, "PidMode": c.PidMode,
		"RestartPolicy": map[string]any{"Name": restart},
	}}
}

func network(n docker.Network) map[string]any {
	pools := []any{}
	for i, s := range n.Subnets {
		pool := map[string]any{"Subnet": s.String()}
		if i < len(n.Gateways) {
			pool["Gateway"] = n.Gateways[i].String()
		}
		for _, part := range n.Ranges {
			if s.Overlaps(part) {
				pool["IPRange"] = part.String()
			}
		}
		reserved := map[string]any{}
		for _, a := range n.Reserved {
			if s.Contains(a) {
				reserved[a.String()] = a.String()
			}
		}
		pool["AuxiliaryAddresses"] = reserved
		pools = append(pools, pool)
	}
	options := map[string]string{}
	if n.Bridge != "" {
		options["com.docker.network.bridge.name"] = n.Bridge
	}
	return map[string]any{
		"Id": n.ID, "Name": n.Name, "Driver": n.Driver, "Scope": n.Scope, "Internal": n.Internal,
		"IPAM": map[string]any{"Driver": "default", "Config": pools}, "Options": options, "Containers": map[string]any{},
	}
}

func withEndpoints(n docker.Network) map[string]any {
	endpoints := map[string]any{}
	for _, ep := range n.Endpoints {
		endpoints[ep.ContainerID] = map[string]any{
			"EndpointID": ep.EndpointID, "MacAddress": ep.MAC,
			"IPv4Address": sized(ep.IPv4, 16), "IPv6Address": sized(ep.IPv6, 64),
		}
	}
	shown := network(n)
	shown["Containers"] = endpoints
	return shown
}

func sized(a netip.Addr, bits int) string {
	if !a.IsValid() {
		return ""
	}
	return netip.PrefixFrom(a, bits).String()
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // as above
}

var versioned = regexp.MustCompile(`^/v1\.(\d+)(/.*)$`)

// splitVersion takes "/v1.41" off; 0 is no version.
func splitVersion(path string) (version int, rest string) {
	if m := versioned.FindStringSubmatch(path); m != nil {
		version, _ = strconv.Atoi(m[1]) // digits by the pattern
		return version, m[2]
	}
	return 0, path
}

func minor(version string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(version, "1.")) // the test's own
	return n
}

// route names the endpoint of a path without version, and the ID in it.
func route(path string, r *http.Request) (endpoint, id string) {
	part := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == ListContainers && r.FormValue("filters") != "":
		return ListSome, ""
	case len(part) == 3 && part[0] == "containers" && part[2] == "json":
		return InspectContainer, part[1]
	case len(part) == 2 && part[0] == "networks":
		return InspectNetwork, part[1]
	default:
		return path, ""
	}
}
