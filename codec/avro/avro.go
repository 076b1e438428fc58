// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Format reads Avro object container files, which say themselves what they hold. Nested values become json.
type Format struct{}

// Info describes the format.
func (Format) Info() (codec.Info, error) {
	return codec.Info{
		Name: "avro", Typed: true, Blocks: true,
		Note: "an avro file is one split because its blocks are found only one behind the other",
	}, nil
}

// Start settles the schema: the stored one, or that of the first file.
func (Format) Start(ctx context.Context, env codec.Env) (*codec.Decoding, error) {
	d, err := codec.StartBlocks(env, func(first codec.Sample) (*forebay.Schema, error) { return learn(ctx, first) })
	if err != nil {
		return nil, err
	}
	layout := forebay.NewLayout(d.Schema)
	d.OpenBlocks = func(ctx context.Context, in codec.BlockInput) (codec.Blocks, error) { return open(ctx, in, layout) }
	return d, nil
}

func learn(ctx context.Context, sample codec.Sample) (*forebay.Schema, error) {
	h, err := readHeader(ctx, sample.Input)
	if err != nil {
		return nil, err
	}
	columns := make([]forebay.Column, len(h.fields))
	for i, f := range h.fields {
		columns[i] = forebay.Column{Name: f.name, Type: f.column()}
	}
	s, err := forebay.NewSchema(columns...)
	if err != nil {
		return nil, unreadable(sample.Name, err)
	}
	return s, nil
}

func unreadable(name string, err error) error {
	e := forebay.Errorf("read "+name, forebay.ClassMisconfigured, "%w", err)
	e.Code, e.Cure = "columns-not-supported", "write the file without these fields, or as ones of a plain type"
	return e
}

// open reads the header of a file and finds the columns of the schema in it.
func open(ctx context.Context, in codec.BlockInput, layout *forebay.Layout) (*file, error) {
	h, err := readHeader(ctx, in)
	if err != nil {
		return nil, err
	}
	f := &file{header: h, name: in.Name, layout: layout}
	return f, f.match(layout.Schema)
}

// match finds the place of each field in a row. All files must have the same fields, in any order, of types whose
// values the schema's can hold as they are.
func (f *file) match(s *forebay.Schema) error {
	var problems []string
	found := make([]bool, s.Len())
	for i := range f.fields {
		field := &f.fields[i]
		k := s.Find(field.name)
		if k < 0 || found[k] {
			problems = append(problems, fmt.Sprintf("it has %q, which the schema does not have, or twice", field.name))
			continue
		}
		found[k], field.cell = true, k
		have, want := field.column(), s.Column(k).Type
		if field.to = want; have != want && (!have.WidensTo(want) || have.Scale != want.Scale) {
			problems = append(problems, fmt.Sprintf("its field %q is a %s and the schema's a %s", field.name, have, want))
		}
	}
	for k, is := range found {
		if !is {
			problems = append(problems, "it lacks "+strconv.Quote(s.Column(k).Name)+", which the schema has")
		}
	}
	if len(problems) == 0 {
		return nil
	}
	e := forebay.Errorf("read "+f.name, forebay.ClassMisconfigured, "%s", strings.Join(problems, "; "))
	e.Code, e.Cure = "schema-mismatch", "give files with other columns a pipeline of their own"
	return e
}
