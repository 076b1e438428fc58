// SPDX-License-Identifier: Apache-2.0

package parquet_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/parquet"
)

func golden(t *testing.T, name string) codec.BlockInput {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return input(name, data)
}

// plainOf is a cell as testdata/make.py shows it.
func plainOf(column forebay.Column, cell forebay.Cell, slab []byte) any {
	switch column.Type.Kind {
	case forebay.KindBytes:
		return hex.EncodeToString(cell.Bytes(slab))
	case forebay.KindDate, forebay.KindTimestamp, forebay.KindInt32, forebay.KindInt64:
		return json.Number(fmt.Sprint(cell.Int()))
	case forebay.KindFloat32, forebay.KindFloat64:
		return cell.Float()
	case forebay.KindBool:
		return cell.Bool()
	case forebay.KindDecimal:
		return string(forebay.AppendCell(nil, column.Type, cell, slab))
	default:
		return string(cell.Bytes(slab))
	}
}

// plainRows reads all rows of a file.
func plainRows(t *testing.T, in codec.BlockInput) (rows []map[string]any) {
	t.Helper()
	d, err := start(t.Context(), in)
	if err != nil {
		t.Fatal(in.Name, err)
	}
	bs, err := d.OpenBlocks(t.Context(), in)
	if err != nil {
		t.Fatal(in.Name, err)
	}
	for block := range bs.Len() {
		r, err := bs.Open(t.Context(), in, codec.BlockConfig{Block: block})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, d.Schema.Len())
		if err := r.Read(t.Context(), b); err != nil || len(b.Rejects()) > 0 || !r.Position().Finished {
			t.Fatal(in.Name, err, b.Rejects(), r.Position())
		}
		for i := range b.Len() {
			row := map[string]any{}
			for k := range d.Schema.Len() {
				if c := b.Row(i).Cell(k); !c.IsNull() {
					row[d.Schema.Column(k).Name] = plainOf(d.Schema.Column(k), c, b.Slab())
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func wantRows(t *testing.T, columns ...string) (rows []map[string]any) {
	t.Helper()
	text, err := os.ReadFile("testdata/rows.json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		row := map[string]any{}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"half", "float", "double"} {
			if n, is := row[name].(json.Number); is {
				if row[name], err = n.Float64(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name := range row {
			if len(columns) > 0 && !strings.Contains(strings.Join(columns, " ")+" ", name+" ") {
				delete(row, name)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func TestFilesOfOtherWritersAreReadExactly(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"snappy.parquet", "plain_v1.parquet", "zstd_v2.parquet", "gzip_v2_plain.parquet", "lz4.parquet", "brotli.parquet",
	} {
		if diff := cmp.Diff(wantRows(t), plainRows(t, golden(t, name))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	want := wantRows(t, "int32", "int64", "string", "repeats", "double", "float", "fixed", "bytes")
	if diff := cmp.Diff(want, plainRows(t, golden(t, "encodings.parquet"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTypesOfOtherWriters(t *testing.T) {
	t.Parallel()
	d, err := start(t.Context(), golden(t, "snappy.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	want := "bool bool, int8 int32, int16 int32, int32 int32, int64 int64, uint8 int32, uint16 int32, uint32 int64, " +
		"uint64 decimal(20, 0), half float32, float float32, double float64, dec7 decimal(7, 2), dec38 decimal(38, 10), " +
		"string string, repeats string, bytes bytes, fixed bytes, date date, millis timestamp, micros timestamp, " +
		"local timestamp, uuid string, json json, nothing int32, required int64"
	if got := d.Schema.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestPQ2NothingIsRounded reads nanoseconds and texts of which not all can be values. PQ3: offsets are row numbers.
func TestPQ2NothingIsRounded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nanos.parquet", "int96.parquet"} {
		got, err := read(t.Context(), golden(t, name), options{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{
			`|"1970-01-01T00:00:00Z"`, `|"1970-01-01T00:00:00.000001Z"`, `|"1969-12-31T23:59:59.999999Z"`, "|",
			`|"2024-02-29T12:30:15.123456Z"`,
		}
		rejects := []string{"2 " + name + `: row 2 wrong-type: column "at": it has nanoseconds, and a timestamp has ` +
			`microseconds {}`}
		if diff := cmp.Diff(want, got.rows) + cmp.Diff(rejects, got.rejects); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	got, err := read(t.Context(), golden(t, "wrong_text.parquet"), options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`|0|"a"|"x"`, `|2|"c"|"x"`, `|3|"d"|"y"`, `|4||"y"`, `|5|"f"|"y"`}
	rejects := []string{
		`1 wrong_text.parquet: row 1 invalid-utf8: column "s": it is not valid UTF-8 {"n":1,"k":"x"}`,
	}
	if diff := cmp.Diff(want, got.rows) + cmp.Diff(rejects, got.rejects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int64{0, 2, 3, 4, 5}, got.offsets); diff != "" {
		t.Errorf("PQ3: offsets:\n%s", diff)
	}
}

func TestColumnsThatHaveNoTypeAreNamed(t *testing.T) {
	t.Parallel()
	_, err := start(t.Context(), golden(t, "nested.parquet"))
	if forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Fatal(err)
	}
	for _, want := range []string{
		"nested.parquet", `column "list" is nested`, `column "struct" is nested`, `column "time" is a time of day`,
		"as in columns: [a, behind], or",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

func TestColumnsCanBeChosen(t *testing.T) {
	t.Parallel()
	open := func(name string, columns ...string) (*codec.Decoding, codec.BlockInput, error) {
		in := golden(t, name)
		d, err := parquet.Format{Columns: columns}.Start(t.Context(), codec.Env{
			Samples: func() (codec.Sample, error) { return codec.Sample{Name: in.Name, Input: in}, nil },
		})
		return d, in, err
	}
	for name, c := range map[string]struct {
		columns []string
		schema  string
		first   string
	}{
		"nested.parquet": {[]string{"a", "behind"}, "a int64, behind string", `|1|"x"`},
		"snappy.parquet": {[]string{"required", "int8"}, "int8 int32, required int64", "|-20|0"},
	} {
		d, in, err := open(name, c.columns...)
		if err != nil {
			t.Fatal(err)
		}
		bs, err := d.OpenBlocks(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		r, err := bs.Open(t.Context(), in, codec.BlockConfig{})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, d.Schema.Len())
		if err := r.Read(t.Context(), b); err != nil || d.Schema.String() != c.schema || rowText(b, 0) != c.first {
			t.Errorf("%s: %v, %s, %s", name, err, d.Schema, rowText(b, 0))
		}
	}
	if _, _, err := open("snappy.parquet", "int8", "int9"); err == nil || !strings.Contains(err.Error(), `"int9"`) {
		t.Error(err)
	}
	if _, _, err := open("snappy.parquet", "x"); err == nil || !strings.Contains(err.Error(), "none of the columns") {
		t.Error(err)
	}
	if _, _, err := open("nested.parquet", "time"); err == nil || !strings.Contains(err.Error(), "time of day") {
		t.Error(err)
	}
}

func TestAFileWithoutRowsHasASchemaAndNoRows(t *testing.T) {
	t.Parallel()
	got, err := read(t.Context(), golden(t, "empty.parquet"), options{})
	if err != nil || got.schema.String() != "a int64" || len(got.rows) != 0 {
		t.Errorf("%v, %v, %v", got.schema, got.rows, err)
	}
}

func TestFilesMustAgree(t *testing.T) {
	t.Parallel()
	file := func(columns ...forebay.Column) codec.BlockInput {
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, len(columns))
		b.SetLayout(forebay.NewLayout(forebay.MustSchema(columns...)))
		b.AppendSpan(0, 0, 0)
		for k, c := range columns {
			switch c.Type.Kind {
			case forebay.KindInt32:
				b.Cells(0)[k] = forebay.Int32Cell(-7)
			case forebay.KindFloat32:
				b.Cells(0)[k] = forebay.Float32Cell(0.5)
			case forebay.KindDecimal:
				b.Cells(0)[k] = b.AppendDecimal(forebay.Int128Of(-1250))
			default:
			}
		}
		return input("other.parquet", encode(t, parquet.Format{}, b))
	}
	column := func(name string, kind forebay.Type) forebay.Column { return forebay.Column{Name: name, Type: kind} }
	d, err := start(t.Context(), file(column("a", forebay.Int64), column("f", forebay.Float64),
		column("d", forebay.DecimalOf(20, 2))))
	if err != nil {
		t.Fatal(err)
	}
	// Another order, and narrower types.
	in := file(column("f", forebay.Float32), column("d", forebay.DecimalOf(5, 2)), column("a", forebay.Int32))
	bs, err := d.OpenBlocks(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := bs.Open(t.Context(), in, codec.BlockConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Reset(forebay.Split{}, 3)
	if err := r.Read(t.Context(), b); err != nil || rowText(b, 0) != "|-7|0.5|-12.50" {
		t.Errorf("%v, %s", err, rowText(b, 0))
	}
	for _, test := range []struct {
		in   codec.BlockInput
		want string
	}{
		{file(column("a", forebay.Int64), column("f", forebay.Float64)), `it lacks "d"`},
		{
			file(column("a", forebay.String), column("f", forebay.Float64), column("d", forebay.DecimalOf(20, 2))),
			`its column "a" is a string and the schema's a int64`,
		},
		{
			file(column("a", forebay.Int64), column("f", forebay.Float64), column("d", forebay.DecimalOf(20, 2)),
				column("x", forebay.Bool)), `it has "x"`,
		},
		{
			file(column("a", forebay.Int64), column("f", forebay.Float64), column("d", forebay.DecimalOf(19, 1))),
			`its column "d" is a decimal(19, 1)`,
		},
	} {
		_, err := d.OpenBlocks(t.Context(), test.in)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), "other.parquet") {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// TestAFileForOtherReaders writes a file with all types, which testdata/make.py --check reads with pyarrow. It is kept
// only where -artifacts says so.
func TestAFileForOtherReaders(t *testing.T) {
	t.Parallel()
	in := golden(t, "snappy.parquet")
	rows := plainRows(t, in)
	d, err := start(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	bs, err := d.OpenBlocks(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	e, err := parquet.Format{RowGroupRows: 1}.Encoding(forebay.NewLayout(d.Schema))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := e.NewBulk(&out)
	if err != nil {
		t.Fatal(err)
	}
	for block := range bs.Len() {
		r, err := bs.Open(t.Context(), in, codec.BlockConfig{Block: block})
		if err != nil {
			t.Fatal(err)
		}
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, d.Schema.Len())
		if err := r.Read(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			if err := w.Append(b, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, plainRows(t, input("again", out.Bytes()))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var text []byte
	for _, row := range rows {
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	path := filepath.Join(t.ArtifactDir(), "ours.parquet")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".json", text, 0o600); err != nil {
		t.Fatal(err)
	}
}
