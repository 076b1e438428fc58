// SPDX-License-Identifier: Apache-2.0

package parquet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/parquet"
)

func input(name string, data []byte) codec.BlockInput {
	return codec.BlockInput{Name: name, ReaderAt: bytes.NewReader(data), Size: int64(len(data))}
}

func start(ctx context.Context, in codec.BlockInput) (*codec.Decoding, error) {
	given := false
	return parquet.Format{}.Start(ctx, codec.Env{Samples: func() (codec.Sample, error) {
		if given {
			return codec.Sample{}, io.EOF
		}
		given = true
		return codec.Sample{Name: in.Name, Input: in}, nil
	}})
}

// table is what was read of a file.
type table struct {
	schema  *forebay.Schema
	rows    []string
	offsets []int64
	rejects []string
	batches int
}

// options say how to read.
type options struct {
	maxRecord forebay.Bytes
	// batches is after how many batches the reader is closed and opened again at its position, 0 for never.
	batches int
	// most is how many rows to read at most, 0 for all.
	most int
}

func read(ctx context.Context, in codec.BlockInput, o options) (t table, err error) {
	d, err := start(ctx, in)
	if err != nil {
		return t, err
	}
	t.schema = d.Schema
	bs, err := d.OpenBlocks(ctx, in)
	if err != nil {
		return t, err
	}
	first := int64(0)
	for block := range bs.Len() {
		config := codec.BlockConfig{Split: "s", Block: block, First: first, MaxRecord: o.maxRecord}
		for !config.At.Finished && (o.most == 0 || len(t.rows) < o.most) {
			r, err := bs.Open(ctx, in, config)
			if err != nil {
				return t, err
			}
			if err := errors.Join(t.readBlock(ctx, r, o), r.Close()); err != nil {
				return t, err
			}
			config.At = r.Position()
		}
		first += bs.Rows(block)
	}
	return t, nil
}

func (t *table) readBlock(ctx context.Context, r codec.BlockReader, o options) error {
	b := forebay.NewBatch()
	for n := 0; !r.Position().Finished && (o.batches == 0 || n < o.batches); n++ {
		if o.most > 0 && len(t.rows) >= o.most {
			break
		}
		b.Reset(forebay.Split{ID: "s"}, t.schema.Len())
		if err := r.Read(ctx, b); err != nil {
			return err
		}
		t.batches++
		for i := range b.Len() {
			t.rows = append(t.rows, rowText(b, i))
			t.offsets = append(t.offsets, b.Record(i).Offset)
		}
		for _, reject := range b.Rejects() {
			t.rejects = append(t.rejects, fmt.Sprintf("%d %s %s: %s %s", reject.Offset, reject.Place, reject.Code, reject.Reason,
				reject.Value))
		}
	}
	return nil
}

func rowText(b *forebay.Batch, i int) string {
	var text []byte
	row := b.Row(i)
	for k := range row.Schema().Len() {
		text = append(text, '|')
		cell, column := row.Cell(k), row.Schema().Column(k)
		if cell.IsNull() {
			continue
		}
		if cell.Kind() != column.Type.Kind {
			panic(column.Name + " has a cell of another kind")
		}
		text = forebay.AppendCellJSON(text, column.Type, cell, b.Slab())
	}
	return string(text)
}

// everyType is a schema with all types.
func everyType() *forebay.Schema {
	return forebay.MustSchema(
		forebay.Column{Name: "z", Type: forebay.Bool}, forebay.Column{Name: "i32", Type: forebay.Int32},
		forebay.Column{Name: "i64", Type: forebay.Int64}, forebay.Column{Name: "f32", Type: forebay.Float32},
		forebay.Column{Name: "f64", Type: forebay.Float64}, forebay.Column{Name: "d9", Type: forebay.DecimalOf(9, 2)},
		forebay.Column{Name: "d18", Type: forebay.DecimalOf(18, 0)},
		forebay.Column{Name: "d19", Type: forebay.DecimalOf(19, 19)},
		forebay.Column{Name: "d38", Type: forebay.DecimalOf(38, 10)}, forebay.Column{Name: "s", Type: forebay.String},
		forebay.Column{Name: "b", Type: forebay.Binary}, forebay.Column{Name: "day", Type: forebay.Date},
		forebay.Column{Name: "at", Type: forebay.Timestamp}, forebay.Column{Name: "a json", Type: forebay.JSON},
	)
}

var words = rapid.SampledFrom([]string{"", "a", "Berlin", "\u00e4\u00f6\u00fc", strings.Repeat("long ", 2000), "\x00"})

// randomCell draws a value of a type into the batch's slab.
func randomCell(t *rapid.T, b *forebay.Batch, kind forebay.Type) forebay.Cell {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return forebay.Null
	}
	span := func(p []byte) forebay.Cell { return forebay.SpanCell(kind.Kind, b.AppendBytes(p), len(p)) }
	switch kind.Kind {
	case forebay.KindBool:
		return forebay.BoolCell(rapid.Bool().Draw(t, "bool"))
	case forebay.KindInt32:
		return forebay.Int32Cell(rapid.Int32().Draw(t, "int32"))
	case forebay.KindInt64:
		return forebay.Int64Cell(rapid.Int64().Draw(t, "int64"))
	case forebay.KindFloat32:
		return forebay.Float32Cell(rapid.Float32().Draw(t, "float32"))
	case forebay.KindFloat64:
		return forebay.Float64Cell(rapid.Float64().Draw(t, "float64"))
	case forebay.KindDate:
		return forebay.DateCell(rapid.Int32().Draw(t, "date"))
	case forebay.KindTimestamp:
		return forebay.TimestampCell(rapid.Int64().Draw(t, "timestamp"))
	case forebay.KindDecimal:
		digits := rapid.StringMatching(fmt.Sprintf("-?[0-9]{1,%d}", kind.Precision)).Draw(t, "decimal")
		unscaled := forebay.DecimalOf(38, 0)
		v, err := forebay.ParseDecimal(unscaled, []byte(digits))
		if err != nil {
			t.Fatal(err)
		}
		return b.AppendDecimal(v)
	case forebay.KindString:
		return span([]byte(rapid.OneOf(words, rapid.String()).Draw(t, "string")))
	case forebay.KindJSON:
		return span([]byte(rapid.SampledFrom([]string{"null", `{"a":[1,2]}`, `"x"`, "1e3"}).Draw(t, "json")))
	default:
		return span(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	}
}

func encode(t interface{ Fatal(args ...any) }, f parquet.Format, b *forebay.Batch) []byte {
	e, err := f.Encoding(b.Layout())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := e.NewBulk(&out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		if err := w.Append(b, i); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Written() != forebay.Bytes(out.Len()) {
		t.Fatal("written ", w.Written(), " of ", out.Len())
	}
	return out.Bytes()
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	schema := everyType()
	rapid.Check(t, func(t *rapid.T) {
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, schema.Len())
		b.SetLayout(forebay.NewLayout(schema))
		n := rapid.IntRange(0, 300).Draw(t, "rows")
		repeat := rapid.IntRange(1, 20).Draw(t, "repeat")
		var want []string
		for i := range n {
			b.AppendSpan(int64(i), 0, 0)
			for k := range schema.Len() {
				b.Cells(i)[k] = forebay.Null
				if i >= repeat {
					b.Cells(i)[k] = b.Cells(i % repeat)[k]
					continue
				}
				b.Cells(i)[k] = randomCell(t, b, schema.Column(k).Type)
			}
			want = append(want, rowText(b, i))
		}
		dictionary := rapid.Bool().Draw(t, "dictionary")
		f := parquet.Format{
			Compression:  rapid.SampledFrom([]string{"", "snappy", "zstd", "gzip", "none"}).Draw(t, "compression"),
			RowGroupRows: rapid.SampledFrom([]int{0, 1, 100}).Draw(t, "group"), Dictionary: &dictionary,
		}
		data := encode(t, f, b)
		again := options{batches: rapid.IntRange(0, 2).Draw(t, "again")}
		got, err := read(context.Background(), input("x.parquet", data), again)
		if err != nil {
			t.Fatal(err)
		}
		if !got.schema.Equal(schema) {
			t.Fatalf("schema %s, want %s", got.schema, schema)
		}
		if diff := cmp.Diff(want, got.rows); diff != "" || len(got.rejects) > 0 {
			t.Fatalf("(-want +got):\n%s\n%q", diff, got.rejects)
		}
		for i, offset := range got.offsets {
			if offset != int64(i) {
				t.Fatalf("row %d has the offset %d", i, offset)
			}
		}
	})
}

// many makes a file with n rows: numbers, texts that repeat or not, and nulls.
func many(t interface{ Fatal(args ...any) }, f parquet.Format, n int) []byte {
	schema := forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "city", Type: forebay.String}, forebay.Column{Name: "text", Type: forebay.String},
		forebay.Column{Name: "score", Type: forebay.Float64})
	e, err := f.Encoding(forebay.NewLayout(schema))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := e.NewBulk(&out)
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(schema)
	b, at := row.Batch()
	for i := range n {
		row.Clear()
		city, text := fmt.Sprint("city ", i%37), fmt.Sprint("row ", i, strings.Repeat(" x", i%97))
		if err := errors.Join(row.SetInt("id", int64(i)), row.SetText("city", city), row.SetText("text", text),
			row.SetFloat("score", float64(i)/4)); err != nil {
			t.Fatal(err)
		}
		if i%11 == 7 {
			row.SetCell(1, forebay.Null)
			row.SetCell(3, forebay.Null)
		}
		if err := w.Append(b, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestManyRowsAreReadInFullBatchesAndFromAnyPosition(t *testing.T) {
	t.Parallel()
	data := many(t, parquet.Format{RowGroupRows: 7000}, 20_000)
	all, err := read(t.Context(), input("x", data), options{})
	if err != nil || len(all.rows) != 20_000 {
		t.Fatal(len(all.rows), err)
	}
	if all.batches > 40 {
		t.Errorf("%d batches for 20,000 rows", all.batches)
	}
	for _, batches := range []int{1, 2, 3} {
		again, err := read(t.Context(), input("x", data), options{batches: batches})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all.rows, again.rows); diff != "" {
			t.Errorf("opened again after %d batches:\n%s", batches, diff)
		}
	}
}

func TestRowsThatAreTooLongAreRejected(t *testing.T) {
	t.Parallel()
	got, err := read(t.Context(), input("x", many(t, parquet.Format{}, 1000)), options{maxRecord: 180})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.rows)+len(got.rejects) != 1000 || len(got.rejects) < 100 {
		t.Fatal(len(got.rows), len(got.rejects))
	}
	want := `85 x: row 85 record-too-long: the row is longer than 180B (max_record); its long values are not kept ` +
		`{"id":85,"score":21.25}`
	if got.rejects[0] != want {
		t.Errorf("got %s\nwant %s", got.rejects[0], want)
	}
}

func TestFloatsKeepEveryBit(t *testing.T) {
	t.Parallel()
	schema := forebay.MustSchema(forebay.Column{Name: "f", Type: forebay.Float64})
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 1)
	b.SetLayout(forebay.NewLayout(schema))
	for i, f := range []float64{math.NaN(), math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64} {
		b.AppendSpan(int64(i), 0, 0)
		b.Cells(i)[0] = forebay.Float64Cell(f)
	}
	got, err := read(t.Context(), input("x", encode(t, parquet.Format{}, b)), options{})
	if diff := cmp.Diff([]string{`|"NaN"`, `|"-Infinity"`, `|-0`, `|5e-324`}, got.rows); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}
