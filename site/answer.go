package site

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/dockerwall/dockerwall/api"
)

const (
	defaultLast = 100
	maxLast     = 1000 // denials
)

// answer is one that is made but not sent. The zero values of status, policy and refresh are 200, the bare policy and none.
type answer struct {
	status                int
	kind, policy, refresh string
	body                  []byte
}

func (a answer) write(w http.ResponseWriter) {
	head := w.Header()
	head.Set("Content-Type", a.kind)
	head.Set("Content-Length", strconv.Itoa(len(a.body)))
	if a.policy != "" {
		head.Set("Content-Security-Policy", a.policy)
	}
	if a.refresh != "" {
		head.Set("Refresh", a.refresh)
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(a.body) // to a client that may be gone
}

// object is an answer in JSON.
func object(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		return answer{status: http.StatusInternalServerError, kind: "application/json", body: []byte("{}\n")}
	}
	return answer{status: status, kind: "application/json", body: append(body, '\n')}
}

func failed(err error) answer {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, errAbsent):
		status = http.StatusNotImplemented
	case errors.Is(err, api.ErrNoContainer):
		status = http.StatusNotFound
	}
	return object(status, map[string]string{"error": err.Error()})
}

func (h *Handler) status(r *http.Request) answer {
	status, err := ask(r, h.opt.Status)
	if err != nil {
		return failed(err)
	}
	return object(http.StatusOK, api.Wrap(api.KindStatus, status))
}

func (h *Handler) suggestions(r *http.Request) answer {
	list, err := h.suggested(r, r.URL.Query().Get("container"))
	if err != nil {
		return failed(err)
	}
	return object(http.StatusOK, api.Wrap(api.KindSuggestions, list))
}

func (h *Handler) denials(r *http.Request) answer {
	n := defaultLast
	if text := r.URL.Query().Get("last"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 0 || n > maxLast {
			return object(http.StatusBadRequest, map[string]string{"error": fmt.Sprintf("last: want a number from 0 to %d", maxLast)})
		}
	}
	list, err := h.last(r, n)
	if err != nil {
		return failed(err)
	}
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for _, d := range list {
		if err := lines.Encode(api.Wrap(api.KindDenial, d)); err != nil {
			return failed(err)
		}
	}
	return answer{kind: "application/jsonl", body: out.Bytes()}
}
