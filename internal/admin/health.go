// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"time"
)

// Health is how one part of the process is doing.
type Health struct {
	Name string `json:"name"`
	// State is a word such as running, failing, stopped.
	State string `json:"state"`
	// Ready says that writes succeed; Healthy that nothing has stopped for good.
	Ready   bool   `json:"ready"`
	Healthy bool   `json:"healthy"`
	Cause   string `json:"cause,omitempty"`
	// Since is when the state began, where that is known.
	Since *time.Time `json:"since,omitempty"`
}

type healthAnswer struct {
	Status string   `json:"status"`
	Parts  []Health `json:"parts"`
}

// healthz lists every part with its cause: 200 if all are healthy, else 503.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	s.health(w, "healthy", func(h Health) bool { return h.Healthy })
}

// readyz says whether writes succeed: 200, or 503 with the parts that keep it from that.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	s.health(w, "ready", func(h Health) bool { return h.Ready })
}

func (s *Server) health(w http.ResponseWriter, word string, good func(Health) bool) {
	out := healthAnswer{Status: word, Parts: []Health{}}
	if s.config.Health != nil {
		out.Parts = append(out.Parts, s.config.Health(time.Now())...)
	}
	code := http.StatusOK
	for _, part := range out.Parts {
		if !good(part) {
			out.Status, code = "not "+word, http.StatusServiceUnavailable
		}
	}
	s.answer(w, code, out)
}
