// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/forebay-io/forebay"
)

// Schema lists columns in order, as a configuration gives them.
type Schema []ColumnSpec

// ColumnSpec is the name of a column and its type as text, such as int64 or decimal(10, 2).
type ColumnSpec struct {
	Name string `yaml:",key" json:"name" doc:"name of the column"`
	Type string `yaml:",value" json:"type" doc:"type of the column, such as int64, string or decimal(10, 2)"`
}

// Columns reads the types. The error names every column that is wrong.
func (s Schema) Columns() ([]forebay.Column, error) {
	columns := make([]forebay.Column, len(s))
	var problems []error
	for i, spec := range s {
		t, err := forebay.ParseType(spec.Type)
		if err != nil {
			problems = append(problems, fmt.Errorf("schema: column %q: %w", spec.Name, err))
			continue
		}
		columns[i] = forebay.Column{Name: spec.Name, Type: t}
	}
	if len(problems) == 0 {
		if _, err := forebay.NewSchema(columns...); err != nil {
			problems = append(problems, fmt.Errorf("schema: %w", err))
		}
	}
	return columns, errors.Join(problems...)
}

// Find is the index of the named column, or -1.
func (s Schema) Find(name string) int {
	for i := range s {
		if s[i].Name == name {
			return i
		}
	}
	return -1
}

// String prints the columns as a forebay.Schema does.
func (s Schema) String() string {
	out := make([]string, len(s))
	for i, c := range s {
		out[i] = c.Name + " " + c.Type
	}
	return strings.Join(out, ", ")
}

// SchemaOf is the configuration that gives the schema.
func SchemaOf(s *forebay.Schema) Schema {
	out := make(Schema, s.Len())
	for i := range out {
		c := s.Column(i)
		out[i] = ColumnSpec{Name: c.Name, Type: c.Type.String()}
	}
	return out
}

// memoryVersion is raised when what Remember writes changes its meaning.
const memoryVersion = 1

type memory struct {
	Version int    `json:"version"`
	Schema  Schema `json:"schema"`
}

// Remember writes a learned schema as a Decoding's Memory.
func Remember(s *forebay.Schema) []byte {
	out, err := json.Marshal(memory{Version: memoryVersion, Schema: SchemaOf(s)})
	if err != nil {
		panic("codec: a list of names and types cannot fail to be JSON: " + err.Error())
	}
	return out
}

// Recall reads what Remember wrote.
//
// Errors: corrupt, or misconfigured where a newer version wrote it.
func Recall(data []byte) (*forebay.Schema, error) {
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, forebay.Errorf("read the stored schema", forebay.ClassCorrupt, "%w", err)
	}
	if m.Version != memoryVersion {
		return nil, forebay.Errorf("read the stored schema", forebay.ClassMisconfigured,
			"it has version %d, and this program knows version %d", m.Version, memoryVersion)
	}
	columns, err := m.Schema.Columns()
	if err != nil {
		return nil, forebay.Errorf("read the stored schema", forebay.ClassCorrupt, "%w", err)
	}
	return forebay.NewSchema(columns...)
}
