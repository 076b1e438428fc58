// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
)

// Spec describes one connector to the parts that find it by name.
type Spec struct {
	// Name is what a pipeline file calls it.
	Name string
	// Doc is one sentence for lists and the reference.
	Doc string
	// Source returns a pointer to a new configuration of the source, whose zero value is its default; nil where
	// the connector is no source. The struct itself is a forebay.Source.
	Source func() any
	// Sink is the same for the sink.
	Sink func() any
}

// Registry lists connectors in the order in which output shows them.
type Registry []Spec

// Validate reports every spec that cannot be used: without a name or doc, with the name of another one, or
// whose configuration is no source or sink.
func (r Registry) Validate() error {
	var problems []error
	seen := map[string]bool{}
	for i, s := range r {
		switch {
		case s.Name == "" || s.Doc == "":
			problems = append(problems, fmt.Errorf("connector %d (%q) needs a name and a doc", i+1, s.Name))
		case seen[s.Name]:
			problems = append(problems, fmt.Errorf("connector %q is listed twice", s.Name))
		case s.Source == nil && s.Sink == nil:
			problems = append(problems, fmt.Errorf("connector %q is neither a source nor a sink", s.Name))
		}
		seen[s.Name] = true
		if s.Source != nil {
			if _, ok := s.Source().(forebay.Source); !ok {
				problems = append(problems, fmt.Errorf("connector %q: a %T is no source", s.Name, s.Source()))
			}
		}
		if s.Sink != nil {
			if _, ok := s.Sink().(forebay.Sink); !ok {
				problems = append(problems, fmt.Errorf("connector %q: a %T is no sink", s.Name, s.Sink()))
			}
		}
	}
	return errors.Join(problems...)
}

// Find is the named connector.
func (r Registry) Find(name string) (Spec, bool) {
	for _, s := range r {
		if s.Name == name {
			return s, true
		}
	}
	return Spec{}, false
}

// Sources are the connectors that can be read.
func (r Registry) Sources() Registry {
	return r.with(func(s Spec) bool { return s.Source != nil })
}

// Sinks are the connectors that can be written.
func (r Registry) Sinks() Registry {
	return r.with(func(s Spec) bool { return s.Sink != nil })
}

func (r Registry) with(keep func(Spec) bool) Registry {
	var kept Registry
	for _, s := range r {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// Names are the connectors' names in order.
func (r Registry) Names() []string {
	names := make([]string, len(r))
	for i, s := range r {
		names[i] = s.Name
	}
	return names
}
