package dockertest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/docker"
)

// event has the fields that every API version up to 1.52 has.
type event struct {
	Type   string
	Action string
	Actor  actor
	Scope  string `json:"scope"`

	Time     int64 `json:"time"`
	TimeNano int64 `json:"timeNano"`
}

type actor struct {
	ID         string
	Attributes map[string]string
}

// Create adds a container in state "created".
func (e *Engine) Create(c docker.Container) {
	c.State = cmp.Or(c.State, "created")
	e.PutContainer(c)
	e.Emit("container", "create", c.ID, c.Labels)
}

// Start makes a container run; Connect it first, as Docker does.
func (e *Engine) Start(id string) { e.turn(id, "running", "start") }

// Die ends a container's process. Its endpoints stay until Disconnect or PutNetwork.
func (e *Engine) Die(id string) { e.turn(id, "exited", "die") }

// Rename gives a container another name.
func (e *Engine) Rename(id, name string) {
	e.change(id, func(c *docker.Container) { c.Name = name })
	e.Emit("container", "rename", id, nil)
}

// Destroy removes a container.
func (e *Engine) Destroy(id string) {
	e.DropContainer(id)
	e.Emit("container", "destroy", id, nil)
}

func (e *Engine) turn(id, state, action string) {
	e.change(id, func(c *docker.Container) { c.State = state })
	e.Emit("container", action, id, nil)
}

func (e *Engine) change(id string, how func(*docker.Container)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		e.tb.Errorf("fake Docker: no container %s", id)
		return
	}
	how(&c)
	e.containers[id] = c
}

// CreateNetwork adds a network.
func (e *Engine) CreateNetwork(n docker.Network) {
	e.PutNetwork(n)
	e.Emit("network", "create", n.ID, map[string]string{"name": n.Name, "type": n.Driver})
}

// RemoveNetwork removes a network.
func (e *Engine) RemoveNetwork(id string) {
	e.DropNetwork(id)
	e.Emit("network", "destroy", id, nil)
}

// Connect attaches a container to a network, in place of the endpoint it may have there.
func (e *Engine) Connect(network string, ep docker.Endpoint) {
	e.attach(network, "connect", ep.ContainerID, ep)
}

// Disconnect takes a container off a network.
func (e *Engine) Disconnect(network, container string) {
	e.attach(network, "disconnect", container)
}

func (e *Engine) attach(network, action, container string, add ...docker.Endpoint) {
	e.mu.Lock()
	n, ok := e.networks[network]
	if !ok {
		e.tb.Errorf("fake Docker: no network %s", network)
	}
	others := func(ep docker.Endpoint) bool { return ep.ContainerID == container }
	n.Endpoints = append(slices.DeleteFunc(slices.Clone(n.Endpoints), others), add...)
	e.networks[network] = n
	e.mu.Unlock()
	e.Emit("network", action, network, map[string]string{"container": container, "name": n.Name, "type": n.Driver})
}

// Emit sends an event, now, to the streams whose filters want it, and keeps it for later ones.
func (e *Engine) Emit(kind, action, id string, attributes map[string]string) {
	e.EmitAt(time.Now(), kind, action, id, attributes)
}

// EmitAt sends an event that happened at another time.
func (e *Engine) EmitAt(at time.Time, kind, action, id string, attributes map[string]string) {
	ev := event{
		Type: kind, Action: action, Actor: actor{id, attributes}, Scope: "local",
		Time: at.Unix(), TimeNano: at.UnixNano(),
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.history = append(e.history, ev)
	for s := range e.streams {
		select {
		case s <- ev:
		default: // so does Docker, after 100 ms
		}
	}
}

// CutStreams ends every event stream, as a proxy does to an idle connection.
func (e *Engine) CutStreams() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		close(s)
		delete(e.streams, s)
	}
}

// Streams is how many event streams are open.
func (e *Engine) Streams() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.streams)
}

// Delivered is how many events were sent to all streams together: those that their filters wanted.
func (e *Engine) Delivered() int { return int(e.delivered.Load()) }

func (e *Engine) serveEvents(w http.ResponseWriter, r *http.Request) {
	wanted := filter(r)
	s, past := e.subscribe(since(r))
	defer e.unsubscribe(s)
	w.Header().Set("Content-Type", "application/json")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	send := func(ev event) bool {
		if !wanted("type", ev.Type) || !wanted("event", ev.Action) {
			return true
		}
		e.delivered.Add(1)
		return out.Encode(ev) == nil && flush.Flush() == nil
	}
	_ = flush.Flush() // the headers; a client that has gone shows below
	for _, ev := range past {
		send(ev)
	}
	for {
		select {
		case ev, open := <-s:
			if !open || !send(ev) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (e *Engine) subscribe(from time.Time) (s chan event, past []event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s = make(chan event, 1024)
	e.streams[s] = struct{}{}
	for _, ev := range e.history {
		if !from.IsZero() && ev.TimeNano >= from.UnixNano() {
			past = append(past, ev)
		}
	}
	return s, past
}

func (e *Engine) unsubscribe(s chan event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s)
}

// since reads "1136073600.000000001"; zero is none.
func since(r *http.Request) time.Time {
	seconds, nanos, _ := strings.Cut(r.FormValue("since"), ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	n, _ := strconv.ParseInt(nanos, 10, 64) // no fraction is 0
	if err != nil {
		return time.Time{}
	}
	return time.Unix(s, n)
}

// filter reads the parameter of that name, in the form of API 1.22 and up. A key that is not there wants all.
func filter(r *http.Request) func(key, value string) bool {
	var keys map[string]map[string]bool
	if text := r.FormValue("filters"); text != "" {
		if err := json.Unmarshal([]byte(text), &keys); err != nil {
			return func(string, string) bool { return false }
		}
	}
	return func(key, value string) bool { return keys[key] == nil || keys[key][value] }
}
