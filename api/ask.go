package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Status asks for the state of the fence and of all containers.
func (c *Client) Status(ctx context.Context) (Status, error) {
	out, err := get[Status](ctx, c, "/v1/status", nil)
	if err != nil {
		return Status{}, fmt.Errorf("ask for the status: %w", err)
	}
	return out, nil
}

// Explain asks what becomes of what a container, by name or by the beginning of its ID, sends to a destination:
// a name or an address, with the clause of the label's grammar. errors.Is(err, ErrNoContainer) when there is none.
func (c *Client) Explain(ctx context.Context, container, destination string) (Explanation, error) {
	out, err := get[Explanation](ctx, c, "/v1/explain", url.Values{"container": {container}, "destination": {destination}})
	if err != nil {
		return Explanation{}, fmt.Errorf("explain %s: %w", destination, err)
	}
	return out, nil
}

// Suggest asks what would have to be allowed for what was observed, of one container or of all with "".
func (c *Client) Suggest(ctx context.Context, container string) ([]Suggestion, error) {
	out, err := get[[]Suggestion](ctx, c, "/v1/suggestions", url.Values{"container": {container}})
	if err != nil {
		return nil, fmt.Errorf("ask for suggestions: %w", err)
	}
	return out, nil
}

// Observations asks for what was observed, of one container or of all with "".
func (c *Client) Observations(ctx context.Context, container string) (Observations, error) {
	out, err := get[Observations](ctx, c, "/v1/observations", url.Values{"container": {container}})
	if err != nil {
		return Observations{}, fmt.Errorf("ask for observations: %w", err)
	}
	return out, nil
}

// Denials gives each of the last n denials to handle, oldest first, and with follow each further one, until ctx is done
// (which is no error), the daemon ends, or handle returns an error, which is returned.
func (c *Client) Denials(ctx context.Context, n int, follow bool, handle func(Denial) error) error {
	query := url.Values{"last": {strconv.Itoa(n)}, "follow": {strconv.FormatBool(follow)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://dockerwall/v1/denials?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := c.send(request)
	if err == nil {
		defer func() { _ = response.Body.Close() }()
		err = readDenials(response, handle)
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("follow denials: %w", err)
	}
	return nil
}

// readDenials reads a line for each.
func readDenials(response *http.Response, handle func(Denial) error) error {
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return err
		}
		var nothing Object[Denial]
		return decode(response.StatusCode, body, &nothing)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var object Object[Denial]
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			return fmt.Errorf("the daemon's answer is not understood: %w", err)
		}
		if object.Kind != KindDenial {
			return errors.New("the daemon's answer is of kind " + strconv.Quote(object.Kind))
		}
		if err := handle(object.Spec); err != nil {
			return err
		}
	}
	return lines.Err()
}
