// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
)

type tuningAnswer struct {
	Parts []tuningPart `json:"parts"`
}

type tuningPart struct {
	Name  string               `json:"name"`
	Knobs map[string]knobShown `json:"knobs"`
}

type knobShown struct {
	Value   string `json:"value"`
	Allowed string `json:"allowed"`
}

type problemAnswer struct {
	Error string `json:"error"`
}

func (s *Server) tunables() []Tunable {
	if s.config.Tunables == nil {
		return nil
	}
	return s.config.Tunables()
}

// tuning shows the knobs.
func (s *Server) tuning(w http.ResponseWriter, _ *http.Request) {
	out := tuningAnswer{Parts: []tuningPart{}}
	for _, t := range s.tunables() {
		part := tuningPart{Name: t.Name(), Knobs: map[string]knobShown{}}
		for _, k := range t.Knobs() {
			part.Knobs[k.Key] = knobShown{Value: k.text(k.Value), Allowed: k.allowed()}
		}
		out.Parts = append(out.Parts, part)
	}
	s.answer(w, http.StatusOK, out)
}

// tune changes knobs: {"name": "flights", "batch.size": "5MB"}. Without a name it is for every part that has
// those knobs.
func (s *Server) tune(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		s.answer(w, http.StatusUnsupportedMediaType,
			problemAnswer{`send Content-Type: application/json and a body such as {"batch.size": "5MB"}`})
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(bodyBytesMax)))
	if err != nil {
		s.answer(w, http.StatusBadRequest, problemAnswer{fmt.Sprintf("read the request: %v", err)})
		return
	}
	if err := s.change(text); err != nil {
		s.answer(w, http.StatusBadRequest, problemAnswer{err.Error()})
		return
	}
	s.tuning(w, r)
}

// change plans and makes the changes of a request.
func (s *Server) change(text []byte) error {
	s.tuned.Lock()
	defer s.tuned.Unlock()
	changes, err := s.plan(text)
	if err != nil {
		return err
	}
	return s.apply(changes)
}

// change is what a request asks of one part, and what was before.
type change struct {
	to     Tunable
	values map[string]int64
	before map[string]int64
}

// plan reads a request and checks all of it.
func (s *Server) plan(text []byte) ([]change, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf(`the body is no JSON object: %w; write for example {"batch.size": "5MB"}`, err)
	}
	var name string
	if raw, named := given["name"]; named {
		if err := json.Unmarshal(raw, &name); err != nil || name == "" {
			return nil, errors.New("name: write the name of a part as a text, or leave it out")
		}
		delete(given, "name")
	}
	if len(given) == 0 {
		return nil, errors.New(`nothing is to be changed: write for example {"batch.size": "5MB"}`)
	}
	var names []string
	known := map[string]bool{}
	var changes []change
	for _, t := range s.tunables() {
		names = append(names, t.Name())
		if name != "" && name != t.Name() {
			continue
		}
		knobs := map[string]Knob{}
		for _, k := range t.Knobs() {
			knobs[k.Key], known[k.Key] = k, true
		}
		c, has, err := planOne(t, given, knobs)
		if err != nil {
			return nil, err
		}
		if has {
			changes = append(changes, c)
		}
	}
	if len(changes) > 0 {
		return changes, nil
	}
	if name != "" && !slices.Contains(names, name) {
		return nil, fmt.Errorf("name: nothing that runs is called %.80q; running: %s", name, list(names))
	}
	return nil, fmt.Errorf("nothing that runs has all of the knobs %s; known: %s",
		list(slices.Sorted(maps.Keys(given))), list(slices.Sorted(maps.Keys(known))))
}

// planOne is a request's change of one part; has is false where it lacks one of the knobs.
func planOne(t Tunable, given map[string]json.RawMessage, knobs map[string]Knob) (c change, has bool, err error) {
	c = change{to: t, values: map[string]int64{}, before: map[string]int64{}}
	for key := range given {
		if _, found := knobs[strings.TrimPrefix(key, "writer.")]; !found {
			return change{}, false, nil
		}
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(given)) {
		k := knobs[strings.TrimPrefix(key, "writer.")]
		value, err := k.parse(given[key])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c.values[k.Key], c.before[k.Key] = value, k.Value
	}
	return c, true, errors.Join(problems...)
}

// apply makes the changes. H1: when a part refuses, those before it get their old values back.
func (s *Server) apply(changes []change) error {
	for i, c := range changes {
		err := c.to.Tune(c.values)
		if err == nil {
			continue
		}
		for _, done := range changes[:i] {
			if back := done.to.Tune(done.before); back != nil {
				err = errors.Join(err, fmt.Errorf("%s keeps the new values: %w", done.to.Name(), back))
			}
		}
		return fmt.Errorf("%s: %w", c.to.Name(), err)
	}
	for _, c := range changes {
		s.config.Logger.Info("knobs changed", "name", c.to.Name(), "values", c.values)
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
