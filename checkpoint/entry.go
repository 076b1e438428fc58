// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
)

// Meta is what a pipeline's positions depend on. A run whose settings differ is refused.
type Meta struct {
	Version int               `json:"version"`
	Source  []forebay.Setting `json:"source"`
	Sink    []forebay.Setting `json:"sink"`
	// Memory is what the source asked to be given back in every run.
	Memory []byte `json:"memory,omitempty"`
	// Schema is the schema that reaches the sink, for people.
	Schema string `json:"schema,omitempty"`
	// Created is when the state was made, in microseconds since 1970-01-01T00:00:00Z.
	Created int64 `json:"created"`
}

// metaVersion is the version of Meta's stored form.
const metaVersion = 1

// Ownership is the newest run of a pipeline in this state directory.
type Ownership struct {
	Epoch  uint64 `json:"epoch"`
	Holder string `json:"holder"`
	// Guarantee is what that run gave.
	Guarantee string `json:"guarantee"`
	// Started is when it took the epoch, in microseconds since 1970-01-01T00:00:00Z.
	Started int64 `json:"started"`
	// Known are the holders of the last runs here, the newest last: a target that belongs to one of them is ours.
	Known []string `json:"known,omitempty"`
}

// holdersKept bounds Ownership.Known: so many runs in a row may die before they fence their target.
const holdersKept = 64

// Entry is what the state knows of one split.
type Entry struct {
	Split string `json:"split"`
	// Epoch and Number order the entries of a split; for a target that holds progress, Number is the
	// progress version.
	Epoch  uint64 `json:"epoch"`
	Number uint64 `json:"number"`
	// Position is where reading continues.
	Position forebay.Position `json:"position"`
	// Fingerprint is the split's when the entry was written.
	Fingerprint string `json:"fingerprint"`
	// Noted says that the target confirmed progress for this split, so that progress missing there is a loss.
	Noted bool `json:"noted,omitempty"`
	// Updated is when the entry was written, in microseconds since 1970-01-01T00:00:00Z.
	Updated int64 `json:"updated"`
	// Times is set where the pipeline has event time.
	Times *EventTime `json:"event_time,omitempty"`
}

// EventTime is what is known of a split's event time, in microseconds since 1970-01-01T00:00:00Z or forebay.NoTime.
type EventTime struct {
	// High is the latest time among its records, Watermark that of the whole pipeline, and Floor what the split's records
	// at this position were late by: less than Watermark while they are read again.
	High      int64 `json:"high"`
	Watermark int64 `json:"watermark"`
	Floor     int64 `json:"floor"`
	// Idle says that the split did not hold the watermark back.
	Idle bool `json:"idle,omitempty"`
}

// Same reports whether both say the same about the pipeline.
func (m Meta) Same(other Meta) bool {
	return slices.Equal(m.Source, other.Source) && slices.Equal(m.Sink, other.Sink) &&
		bytes.Equal(m.Memory, other.Memory) && m.Schema == other.Schema
}

// Difference is one setting that a run and the stored state do not agree on.
type Difference struct {
	Name   string
	Stored string
	Now    string
}

// Compare lists the settings in which a run differs from the stored ones.
func (m Meta) Compare(source, sink []forebay.Setting) []Difference {
	return append(compare("source", m.Source, source), compare("sink", m.Sink, sink)...)
}

func compare(end string, stored, now []forebay.Setting) []Difference {
	var differences []Difference
	values := make(map[string]string, len(now))
	for _, s := range now {
		values[s.Name] = s.Value
	}
	for _, s := range stored {
		if values[s.Name] != s.Value {
			differences = append(differences, Difference{Name: end + "." + s.Name, Stored: s.Value, Now: values[s.Name]})
		}
		delete(values, s.Name)
	}
	for _, s := range now {
		if v, added := values[s.Name]; added && v != "" {
			differences = append(differences, Difference{Name: end + "." + s.Name, Now: v})
		}
	}
	return differences
}

// Refuse is the error for a run whose settings differ, nil where none does.
func Refuse(pipeline string, differences []Difference) error {
	if len(differences) == 0 {
		return nil
	}
	lines := make([]string, 0, len(differences))
	for _, d := range differences {
		lines = append(lines, fmt.Sprintf("%s was %q and is now %q", d.Name, d.Stored, d.Now))
	}
	return &forebay.Error{
		Op: "resume " + pipeline, Class: forebay.ClassMisconfigured, Code: "state-differs",
		Err:  fmt.Errorf("the stored positions belong to other settings: %s", strings.Join(lines, "; ")),
		Cure: "give this pipeline another name, or start it over with: forebay checkpoint reset " + pipeline,
	}
}
