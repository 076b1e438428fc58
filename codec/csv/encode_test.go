// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// writtenColumns are the types that rows of the tests have, and how a schema says so.
var writtenColumns = []struct {
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

// drawRow fills a row.
func drawRow(t *rapid.T, row forebay.Row) {
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

func TestWrittenRowsAreReadAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		format := drawFormat(t)
		var columns []forebay.Column
		format.Schema = codec.Schema{}
		for i := range rapid.IntRange(1, 4).Draw(t, "columns") {
			of := rapid.SampledFrom(writtenColumns).Draw(t, "type")
			name := string(rune('a' + i))
			columns = append(columns, forebay.Column{Name: name, Type: of.typ})
			format.Schema = append(format.Schema, codec.ColumnSpec{Name: name, Type: of.name})
		}
		row := forebay.NewRow(forebay.MustSchema(columns...))
		b, _ := row.Batch()
		encoding, err := format.Encoding(b.Layout())
		if err != nil {
			t.Fatal(err)
		}
		text := encoding.Header
		var want []string
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			drawRow(t, row)
			size := len(text)
			text, err = encoding.Append(text, b, 0)
			if err != nil && (forebay.ClassOf(err) != forebay.ClassRejected || len(text) != size) {
				t.Fatal(err)
			}
			if err == nil {
				want = append(want, rowText(b, row.Schema(), 0))
			}
		}
		if len(want) == 0 {
			return
		}
		got, rejects := readBack(t, format, string(text))
		if diff := cmp.Diff(want, got); diff != "" || len(rejects) > 0 {
			t.Fatalf("written\n%s\nand read again (-want +got):\n%s\nrejects: %s", text, diff, strings.Join(rejects, "\n"))
		}
	})
}

func drawFormat(t *rapid.T) Format {
	header := rapid.Bool().Draw(t, "header")
	return Format{
		Header: &header, Delimiter: rapid.SampledFrom([]string{"", ";", `\t`}).Draw(t, "delimiter"),
		Null: rapid.SampledFrom([][]string{nil, {}, {""}, {"NULL"}, {"-", "a"}}).Draw(t, "null"),
	}
}

func readBack(t *rapid.T, format Format, text string) (rows, rejects []string) {
	samples := 0
	dec, err := format.Start(context.Background(), codec.Env{MaxRecord: 1 << 20, Samples: func() (codec.Sample, error) {
		if samples++; samples > 1 {
			return codec.Sample{}, io.EOF
		}
		return codec.Sample{Name: "x", Reader: strings.NewReader(text)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := codec.StreamConfig{Split: "x", Name: "x", Eager: true, MaxRecord: 1 << 20}
	s := codec.NewStream(strings.NewReader(text), dec.NewDecoder(), config)
	if err := s.Begin(context.Background(), forebay.Position{}); err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{ID: "x"}, dec.Schema.Len())
		if err := s.Read(context.Background(), b); errors.Is(err, io.EOF) {
			return rows, rejects
		} else if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			rows = append(rows, rowText(b, dec.Schema, i))
		}
		for _, r := range b.Rejects() {
			rejects = append(rejects, r.Reason)
		}
	}
}
