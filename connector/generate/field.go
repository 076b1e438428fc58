// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// Limits and defaults of fields.
const (
	TextLengthDefault = 16
	TextLengthMax     = 64 << 10
	WordsBytesMax     = 16 << 10
	IntMaxDefault     = 1_000_000
)

// Field is one typed column: a name, and exactly one way to make its values.
type Field struct {
	Name string  `yaml:"name" doc:"the column's name" required:"true"`
	Null float64 `yaml:"null" doc:"share of nulls, 0 to 1" default:"0" min:"0" max:"1"`

	Sequence  *Sequence  `yaml:"sequence" doc:"int64: start + index * step"`
	Int       *Int       `yaml:"int" doc:"int64 between two bounds"`
	Float     *Float     `yaml:"float" doc:"float64 between two bounds"`
	Bool      *Bool      `yaml:"bool" doc:"bool"`
	Words     []string   `yaml:"words" doc:"string: one of these"`
	Text      *Text      `yaml:"text" doc:"string of random letters, a to p"`
	UUID      *UUID      `yaml:"uuid" doc:"string that looks like a random UUID"`
	Timestamp *Timestamp `yaml:"timestamp" doc:"timestamp between two instants, or in even steps"`
}

// Sequence counts.
type Sequence struct {
	Start int64 `yaml:"start" doc:"value of the record with index 0" default:"0"`
	Step  int64 `yaml:"step" doc:"what each next record adds; 0 means 1" default:"1"`
}

// Int draws evenly from a range.
type Int struct {
	Min int64 `yaml:"min" doc:"smallest value" default:"0"`
	Max int64 `yaml:"max" doc:"largest value; 1000000 where both bounds are 0"`
}

// Float draws evenly from a range.
type Float struct {
	Min float64 `yaml:"min" doc:"smallest value" default:"0"`
	Max float64 `yaml:"max" doc:"bound that no value reaches; 1 where both bounds are 0"`
}

// Bool draws true or false.
type Bool struct {
	True float64 `yaml:"true" doc:"share of true, above 0, up to 1" default:"0.5" min:"0" max:"1"`
}

// Text draws letters.
type Text struct {
	Length int `yaml:"length" doc:"characters of each value" default:"16" min:"1" max:"65536"`
}

// UUID has no settings.
type UUID struct{}

// Timestamp draws evenly between two instants, or steps evenly from the first.
type Timestamp struct {
	From time.Time     `yaml:"from" doc:"earliest instant; 2020-01-01T00:00:00Z where it is left out"`
	To   time.Time     `yaml:"to" doc:"bound that no value reaches; a year after from where it is left out"`
	Step time.Duration `yaml:"step" doc:"record i gets from + i * step instead of a random instant"`
}

func (t Timestamp) bounds() (from, to int64) {
	start, end := t.From, t.To
	if start.IsZero() {
		start = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	if end.IsZero() {
		end = start.AddDate(1, 0, 0)
	}
	return start.UnixMicro(), end.UnixMicro()
}

// fingerprint tells fields apart that make other values.
func (f Field) fingerprint() []byte {
	data, err := json.Marshal(f)
	if err != nil { // a NaN, which validateFields refuses
		return []byte(f.Name)
	}
	return data
}

// ways counts the ways that are given.
func (f Field) ways() int {
	n := 0
	for _, given := range []bool{
		f.Sequence != nil, f.Int != nil, f.Float != nil, f.Bool != nil, len(f.Words) > 0, f.Text != nil,
		f.UUID != nil, f.Timestamp != nil,
	} {
		if given {
			n++
		}
	}
	return n
}

func (f Field) validate() error {
	if n := f.ways(); n != 1 {
		return fmt.Errorf("%d ways to make its values; "+
			"give one of sequence, int, float, bool, words, text, uuid, timestamp", n)
	}
	if !(f.Null >= 0 && f.Null <= 1) {
		return fmt.Errorf("null: %v is outside 0 to 1", f.Null)
	}
	switch {
	case f.Int != nil && f.Int.Min > f.Int.Max && !(f.Int.Max == 0 && f.Int.Min == 0):
		return fmt.Errorf("int: min %d is above max %d", f.Int.Min, f.Int.Max)
	case f.Float != nil && !(f.Float.Max-f.Float.Min >= 0 && f.Float.Max-f.Float.Min <= floatSpanMax):
		return fmt.Errorf("float: %v to %v is no range", f.Float.Min, f.Float.Max)
	case f.Bool != nil && !(f.Bool.True >= 0 && f.Bool.True <= 1):
		return fmt.Errorf("bool: share %v of true is outside 0 to 1", f.Bool.True)
	case f.Text != nil && (f.Text.Length < 0 || f.Text.Length > TextLengthMax):
		return fmt.Errorf("text: length %d is outside 1 to %d", f.Text.Length, TextLengthMax)
	case f.Timestamp != nil:
		return f.Timestamp.validate()
	}
	for _, word := range f.Words {
		if !utf8.ValidString(word) {
			return fmt.Errorf("words: %q is not valid UTF-8", word)
		}
	}
	return nil
}

// floatSpanMax keeps sums of bounds finite.
const floatSpanMax = 1e300

func (t Timestamp) validate() error {
	from, to := t.bounds()
	if t.Step == 0 && from >= to {
		return fmt.Errorf("timestamp: from %s is not before to %s",
			time.UnixMicro(from).UTC().Format(time.RFC3339), time.UnixMicro(to).UTC().Format(time.RFC3339))
	}
	if t.Step < 0 || t.Step%time.Microsecond != 0 {
		return fmt.Errorf("timestamp: step %s is not a positive number of whole microseconds", t.Step)
	}
	return nil
}

func (s Source) validateFields() []error {
	var problems []error
	bytes := 0
	for i, f := range s.Fields {
		if err := f.validate(); err != nil {
			problems = append(problems, fmt.Errorf("fields.%d (%q): %w", i, f.Name, err))
		}
		for _, word := range f.Words {
			bytes += len(word)
		}
	}
	if bytes > WordsBytesMax {
		problems = append(problems, fmt.Errorf(
			"fields: all words together have %d bytes, more than %d", bytes, WordsBytesMax))
	}
	if len(problems) == 0 && len(s.Fields) > 0 {
		if _, _, err := s.compileFields(); err != nil {
			problems = append(problems, fmt.Errorf("fields: %w", err))
		}
	}
	return problems
}

// wordTable is all words of all fields, one after the other; every batch holds it once.
func (s Source) wordTable() []byte {
	var table []byte
	for _, f := range s.Fields {
		for _, word := range f.Words {
			table = append(table, word...)
		}
	}
	return table
}

// compileFields makes the schema, and what fills each of its columns.
func (s Source) compileFields() (*forebay.Schema, []column, error) {
	columns := make([]forebay.Column, len(s.Fields))
	fillers := make([]column, len(s.Fields))
	words := 0
	var problems []error
	for i, f := range s.Fields {
		var err error
		if fillers[i], err = f.compile(s.Count, words); err != nil {
			problems = append(problems, fmt.Errorf("%q: %w", f.Name, err))
		}
		fillers[i].seed = mix(s.Seed + golden*uint64(2*i+1))
		fillers[i].nullSeed = mix(s.Seed + golden*uint64(2*i+2))
		for _, word := range f.Words {
			words += len(word)
		}
		columns[i] = forebay.Column{Name: f.Name, Type: fillers[i].typ}
	}
	schema, err := forebay.NewSchema(columns...)
	return schema, fillers, errors.Join(append(problems, err)...)
}
