// SPDX-License-Identifier: Apache-2.0

// Package codectest draws random rows for the tests of codecs, and reads what was written of them.
package codectest

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// types are those that rows have, and how a schema says so.
var types = []struct {
	typ  forebay.Type
	name string
}{
	{forebay.String, "string"},
	{forebay.Int64, "int64"},
	{forebay.Float64, "float64"},
	{forebay.Bool, "bool"},
	{forebay.Timestamp, "timestamp"},
	{forebay.Date, "date"},
}

// DrawRow draws one to four columns: an empty row of them, and the schema of a format that reads it.
func DrawRow(t *rapid.T) (forebay.Row, codec.Schema) {
	var columns []forebay.Column
	var schema codec.Schema
	for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
		of := rapid.SampledFrom(types).Draw(t, "type")
		name := string(rune('a' + i))
		columns = append(columns, forebay.Column{Name: name, Type: of.typ})
		schema = append(schema, codec.ColumnSpec{Name: name, Type: of.name})
	}
	return forebay.NewRow(forebay.MustSchema(columns...)), schema
}

// Fill draws the row's values, some of them null.
func Fill(t *rapid.T, row forebay.Row) {
	row.Clear()
	for i := range row.Schema().Len() {
		column := row.Schema().Column(i)
		var value any
		switch {
		case rapid.IntRange(0, 4).Draw(t, "null") == 0:
			continue
		case column.Type == forebay.String:
			value = rapid.OneOf(rapid.StringN(0, 8, 30), rapid.SampledFrom([]string{
				"", "NA", "\"", "a,b", "a\nb", "\r\n", "a\"\"b", " x ", ",", "null", ";",
			})).Draw(t, "text")
		case column.Type == forebay.Int64:
			value = rapid.Int64().Draw(t, "int")
		case column.Type == forebay.Float64:
			value = float64(rapid.Int32().Draw(t, "float")) / 1024
		case column.Type == forebay.Bool:
			value = rapid.Bool().Draw(t, "bool")
		default:
			value = time.UnixMicro(rapid.Int64Range(-1<<50, 1<<50).Draw(t, "time")).UTC()
		}
		if err := row.Set(column.Name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// Text is a row as an array of JSON, to compare rows by.
func Text(b *forebay.Batch, schema *forebay.Schema, i int) string {
	out := []byte{'['}
	for k, c := range b.Cells(i) {
		if k > 0 {
			out = append(out, ',')
		}
		out = forebay.AppendCellJSON(out, schema.Column(k).Type, c, b.Slab())
	}
	return string(append(out, ']'))
}

// Samples are those of one input.
func Samples(text string) func() (codec.Sample, error) {
	told := false
	return func() (codec.Sample, error) {
		if told {
			return codec.Sample{}, io.EOF
		}
		told = true
		return codec.Sample{Name: "x", Reader: strings.NewReader(text)}, nil
	}
}

// ReadAll reads a text to its end: its rows by Text, and why others were refused.
func ReadAll(t *rapid.T, d *codec.Decoding, text string) (rows, rejects []string) {
	config := codec.StreamConfig{Split: "x", Name: "x", Eager: true, MaxRecord: 1 << 20}
	s := codec.NewStream(strings.NewReader(text), d.NewDecoder(), config)
	if err := s.Begin(context.Background(), forebay.Position{}); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{ID: "x"}, d.Schema.Len())
		if err := s.Read(context.Background(), b); errors.Is(err, io.EOF) {
			return rows, rejects
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			rows = append(rows, Text(b, d.Schema, i))
		}
		for _, r := range b.Rejects() {
			rejects = append(rejects, r.Reason)
		}
	}
}
