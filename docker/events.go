package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
)

// event is the part of the Engine's event that every API version has.
type event struct {
	Type   string
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string // of networks only: a container's labels overwrite its attributes
	}
	TimeNano int64 `json:"timeNano"`
}

// at is the zero time when the event does not say.
func (e event) at() time.Time {
	if e.TimeNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, e.TimeNano)
}

// subscription is what the Engine is asked to send. Without the names the exec events of health checks
// would flood it; labels cannot be asked for, network events carry none.
func subscription() filters.Args {
	f := filters.NewArgs()
	for _, kind := range []string{"container", "network", "image"} {
		f.Add("type", kind)
	}
	for _, action := range []string{
		"create", "start", "die", "destroy", "rename", // containers; create and destroy also networks
		"connect", "disconnect", "remove", // networks
		"pull", "tag", "untag", "delete", "import", "load", // images
	} {
		f.Add("event", action)
	}
	return f
}

// stream is an open event stream.
type stream struct {
	body    *bounded // is given room for each event
	decoder *json.Decoder
	cancel  context.CancelFunc // ends the request
}

func (s *stream) close() {
	s.cancel()
	_ = s.body.Close() // it was only read
}

func (s *stream) next() (event, error) {
	var e event
	s.body.left = maxEvent
	err := s.decoder.Decode(&e)
	return e, err
}

// refusal is an answer that is no event stream.
func refusal(r *http.Response, said string) error {
	err := fmt.Errorf("%s %s", r.Status, said)
	if r.StatusCode == http.StatusForbidden {
		return fmt.Errorf("%w (%w)", err, errdefs.ErrPermissionDenied)
	}
	return err
}

// events is not the client's own, which does not tell an accepted request from one still under way.
func (s *sdk) events(ctx context.Context, since time.Time) (io.ReadCloser, error) {
	wanted, err := filters.ToJSON(subscription())
	if err != nil {
		return nil, err
	}
	at := s.base.JoinPath("v"+s.ClientVersion(), "events")
	at.RawQuery = url.Values{
		"filters": {wanted},
		"since":   {fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())},
	}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := s.HTTPClient().Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer func() { _ = response.Body.Close() }()
		said, _ := io.ReadAll(io.LimitReader(response.Body, 512)) // the status is the error; this only adds to it
		return nil, refusal(response, strings.TrimSpace(string(said)))
	}
	return response.Body, nil
}
