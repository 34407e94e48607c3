package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	answerTimeout = 30 * time.Second
	maxLast       = 10000            // denials
	writeTimeout  = 10 * time.Second // of one line of a stream
)

// codes are the sentinels that cross the socket.
func codes() map[string]error {
	return map[string]error{"no-container": ErrNoContainer, "usage": ErrUsage}
}

func failureOf(err error) failure {
	for code, sentinel := range codes() {
		if errors.Is(err, sentinel) {
			return failure{err.Error(), code}
		}
	}
	return failure{Error: err.Error()}
}

// err is the error that failureOf was given.
func (f failure) err() error {
	if sentinel := codes()[f.Code]; sentinel != nil {
		return fmt.Errorf("%w%s", sentinel, strings.TrimPrefix(f.Error, sentinel.Error()))
	}
	return fmt.Errorf("the daemon says: %s", f.Error)
}

// answer replies with what a function returns.
func answer[T any](w http.ResponseWriter, r *http.Request, kind string, ask func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
	defer cancel()
	spec, err := ask(ctx)
	switch {
	case errors.Is(err, ErrNoContainer):
		reply(w, http.StatusNotFound, failureOf(err))
	case errors.Is(err, ErrUsage):
		reply(w, http.StatusBadRequest, failureOf(err))
	case err != nil:
		reply(w, http.StatusInternalServerError, failureOf(err))
	default:
		reply(w, http.StatusOK, Wrap(kind, spec))
	}
}

func absent(w http.ResponseWriter) {
	reply(w, http.StatusNotImplemented, failure{Error: "this daemon does not tell that"})
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if s.opt.Status == nil {
		absent(w)
		return
	}
	answer(w, r, KindStatus, s.opt.Status)
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	if s.opt.Explain == nil {
		absent(w)
		return
	}
	answer(w, r, KindExplanation, func(ctx context.Context) (Explanation, error) {
		return s.opt.Explain(ctx, r.URL.Query().Get("container"), r.URL.Query().Get("destination"))
	})
}

func (s *Server) suggest(w http.ResponseWriter, r *http.Request) {
	if s.opt.Suggest == nil {
		absent(w)
		return
	}
	answer(w, r, KindSuggestions, func(ctx context.Context) ([]Suggestion, error) {
		return s.opt.Suggest(ctx, r.URL.Query().Get("container"))
	})
}

func (s *Server) observations(w http.ResponseWriter, r *http.Request) {
	if s.opt.Observations == nil {
		absent(w)
		return
	}
	answer(w, r, KindObservations, func(ctx context.Context) (Observations, error) {
		return s.opt.Observations(ctx, r.URL.Query().Get("container"))
	})
}

// denials streams a line for each. Its reader may take its time between lines, but not within one.
func (s *Server) denials(w http.ResponseWriter, r *http.Request) {
	if s.opt.Denials == nil {
		absent(w)
		return
	}
	last, err := strconv.Atoi(r.URL.Query().Get("last"))
	if err != nil || last < 0 || last > maxLast {
		reply(w, http.StatusBadRequest, failure{Error: fmt.Sprintf("last: want a number from 0 to %d", maxLast)})
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // a read that times out would end the request
	_ = out.Flush()                      // so that the client knows it is connected
	lines := json.NewEncoder(w)
	_ = s.opt.Denials(r.Context(), last, r.URL.Query().Get("follow") == "true", func(d Denial) error {
		if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		if err := lines.Encode(Wrap(KindDenial, d)); err != nil {
			return err
		}
		return out.Flush()
	})
}
