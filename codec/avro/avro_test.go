// SPDX-License-Identifier: Apache-2.0

package avro_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/avro"
)

func input(name string, data []byte) codec.BlockInput {
	return codec.BlockInput{Name: name, ReaderAt: bytes.NewReader(data), Size: int64(len(data))}
}

func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func start(ctx context.Context, in codec.BlockInput) (*codec.Decoding, error) {
	given := false
	return avro.Format{}.Start(ctx, codec.Env{Samples: func() (codec.Sample, error) {
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
	rows    []map[string]any
	offsets []int64
	rejects []string
}

// rowsRead bounds the rows that are read: few bytes can say that there are millions of them.
const rowsRead = 20_000

// read reads a file; where records is above 0, the reader is opened again at its position after that many.
func read(ctx context.Context, in codec.BlockInput, c codec.BlockConfig, records int) (t table, err error) {
	d, err := start(ctx, in)
	if err != nil {
		return t, err
	}
	t.schema = d.Schema
	bs, err := d.OpenBlocks(ctx, in)
	if err != nil {
		return t, err
	}
	for !c.At.Finished && len(t.rows) < rowsRead {
		r, err := bs.Open(ctx, in, c)
		if err != nil {
			return t, err
		}
		if err := errors.Join(t.readOn(ctx, r, records), r.Close()); err != nil {
			return t, err
		}
		c.At = r.Position()
	}
	return t, nil
}

func (t *table) readOn(ctx context.Context, r codec.BlockReader, records int) error {
	b := forebay.NewBatch()
	for !r.Position().Finished && len(t.rows) < rowsRead {
		b.Reset(forebay.Split{ID: "s"}, t.schema.Len())
		if records > 0 {
			// The batch has room for that many only.
			for i := range forebay.BatchRecordsMax - records {
				b.AppendSpan(int64(-1-i), 0, 0)
			}
		}
		full := b.Len()
		if err := r.Read(ctx, b); err != nil {
			return err
		}
		for i := full; i < b.Len(); i++ {
			row := map[string]any{}
			for k := range t.schema.Len() {
				if cell := b.Row(i).Cell(k); !cell.IsNull() {
					row[t.schema.Column(k).Name] = plainOf(t.schema.Column(k), cell, b.Slab())
				}
			}
			t.rows, t.offsets = append(t.rows, row), append(t.offsets, b.Record(i).Offset)
		}
		for _, reject := range b.Rejects() {
			t.rejects = append(t.rejects, fmt.Sprintf("%d %s %s: %s %s", reject.Offset, reject.Place, reject.Code, reject.Reason,
				reject.Value))
		}
		if records > 0 {
			break
		}
	}
	return nil
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

func wantRows(t *testing.T) (rows []map[string]any) {
	t.Helper()
	for line := range strings.Lines(string(golden(t, "rows.json"))) {
		row := map[string]any{}
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"float", "double"} {
			if n, is := row[name].(json.Number); is {
				f, err := n.Float64()
				if err != nil {
					t.Fatal(err)
				}
				row[name] = f
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func TestFilesOfAnotherWriterAreReadExactly(t *testing.T) {
	t.Parallel()
	for _, compression := range []string{"null", "deflate", "snappy", "zstandard", "bzip2"} {
		in := input(compression+".avro", golden(t, compression+".avro"))
		for _, records := range []int{0, 1, 7, 40} {
			got, err := read(t.Context(), in, codec.BlockConfig{}, records)
			if err != nil {
				t.Fatal(in.Name, err)
			}
			if diff := cmp.Diff(wantRows(t), got.rows); diff != "" || len(got.rejects) > 0 {
				t.Fatalf("%s, opened again after %d records (-want +got):\n%s\n%q", in.Name, records, diff, got.rejects)
			}
			for i, offset := range got.offsets {
				if offset != int64(i) {
					t.Fatalf("AV3: row %d has the offset %d", i, offset)
				}
			}
		}
	}
	d, err := start(t.Context(), input("x", golden(t, "null.avro")))
	if err != nil {
		t.Fatal(err)
	}
	want := "bool bool, int int32, long int64, float float32, double float64, bytes bytes, string string, fixed bytes, " +
		"enum string, date date, millis timestamp, micros timestamp, dec decimal(20, 4), decfixed decimal(10, 2), " +
		"uuid string, list json, map json, tree json, either json, nothing string"
	if got := d.Schema.String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestAV2NothingIsRounded(t *testing.T) {
	t.Parallel()
	got, err := read(t.Context(), input("wrong.avro", golden(t, "wrong.avro")), codec.BlockConfig{Split: "s"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	number := func(n int) json.Number { return json.Number(fmt.Sprint(n)) }
	rows := []map[string]any{{"n": number(0), "s": "a", "at": number(1)}, {"n": number(3), "s": "d", "at": number(-1)}}
	rejects := []string{
		`1 wrong.avro: row 1 invalid-utf8: field "s": it is not valid UTF-8 {"n":1,"at":"1970-01-01T00:00:00.000002Z"}`,
		`2 wrong.avro: row 2 wrong-type: field "at": it has nanoseconds, and a timestamp has microseconds {"n":2,"s":"c"}`,
	}
	if diff := cmp.Diff(rows, got.rows) + cmp.Diff(rejects, got.rejects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err = read(t.Context(), input("wrong.avro", golden(t, "null.avro")), codec.BlockConfig{MaxRecord: 140}, 0)
	if err != nil || len(got.rejects) == 0 || len(got.rows)+len(got.rejects) != 40 ||
		!strings.Contains(got.rejects[0], "record-too-long") {
		t.Errorf("%v, %d rows, %q", err, len(got.rows), got.rejects)
	}
}

// file makes a file with one uncompressed block.
func file(schema string, count int, records string) []byte {
	var out []byte
	long := func(n int) {
		u := uint64(n) << 1
		for ; u >= 0x80; u >>= 7 {
			out = append(out, byte(u)|0x80)
		}
		out = append(out, byte(u))
	}
	text := func(s string) {
		long(len(s))
		out = append(out, s...)
	}
	out = append(out, "Obj\x01"...)
	long(1)
	text("avro.schema")
	text(schema)
	long(0)
	out = append(out, "0123456789abcdef"...)
	long(count)
	text(records)
	return append(out, "0123456789abcdef"...)
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	record := func(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }
	a := `{"name":"a","type":"int"}`
	for name, test := range map[string]struct {
		data  []byte
		class forebay.Class
		want  string
	}{
		"empty":     {nil, forebay.ClassCorrupt, "does not begin as an avro file"},
		"not avro":  {[]byte("hello, this is text"), forebay.ClassCorrupt, "does not begin as an avro file"},
		"no record": {file(`"int"`, 1, "\x02"), forebay.ClassMisconfigured, "not a record"},
		"not json":  {file(`{`, 1, "\x02"), forebay.ClassMisconfigured, "not JSON"},
		"unknown":   {file(record(`{"name":"a","type":"B"}`), 1, ""), forebay.ClassMisconfigured, `"B", which it does not`},
		"time of day": {
			file(record(`{"name":"a","type":{"type":"int","logicalType":"time-millis"}}`), 1, "\x02"),
			forebay.ClassMisconfigured, `field "a" is a time of day`,
		},
		"too few":  {file(record(a), 2, "\x02"), forebay.ClassCorrupt, "block at byte"},
		"too many": {file(record(a), 1, "\x02\x02"), forebay.ClassCorrupt, "1 bytes follow its last record"},
		"counts":   {file(record(a), 1<<40, "\x02"), forebay.ClassCorrupt, "records"},
		"itself": {
			file(record(`{"name":"a","type":"R"}`), 1, "\x02"), forebay.ClassCorrupt, "its encoding is wrong",
		},
		"marker": {
			bytes.Replace(file(record(a), 1, "\x02"), []byte("\x020123456789abcdef"), []byte("\x021123456789abcdef"), 1),
			forebay.ClassCorrupt, "marker",
		},
	} {
		_, err := read(t.Context(), input("x.avro", test.data), codec.BlockConfig{}, 0)
		if forebay.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), "x.avro") {
			t.Errorf("%s: %v", name, err)
		}
	}
	zero := file(record(`{"name":"a","type":"null"}`), 3, "")
	if got, err := read(t.Context(), input("x", zero), codec.BlockConfig{}, 0); err != nil || len(got.rows) != 3 {
		t.Errorf("records without bytes: %v, %v", got.rows, err)
	}
}

func TestAFileThatChangedIsRefused(t *testing.T) {
	t.Parallel()
	in := input("x", golden(t, "null.avro"))
	for _, at := range []forebay.Position{
		{Offset: 3, Detail: "nonsense"},
		{Offset: 3, Detail: "99999999:0"},
		{Offset: 3, Detail: "1:0"},
		{Offset: 3, Detail: fmt.Sprint(in.Size, ":0")},
	} {
		_, err := read(t.Context(), in, codec.BlockConfig{At: at}, 0)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%+v: %v", at, err)
		}
	}
}

func must(t *testing.T, data []byte) {
	t.Helper()
	_, err := read(context.Background(), input("x", data), codec.BlockConfig{}, 0)
	if class := forebay.ClassOf(err); err != nil && class != forebay.ClassCorrupt && class != forebay.ClassMisconfigured {
		t.Fatalf("class %s: %v", class, err)
	}
}

// FuzzOpen is AV1: reads files that are damaged.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"null", "deflate", "snappy", "zstandard", "bzip2", "wrong"} {
		f.Add(golden(f, name+".avro"))
	}
	f.Fuzz(must)
}

func TestAV1DamagedFilesCostAnError(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"null", "deflate", "snappy", "zstandard", "bzip2", "wrong"} {
		data := golden(t, name+".avro")
		for round := range 200 {
			damaged := append([]byte(nil), data...)
			for range 1 + random.IntN(3) {
				damaged[random.IntN(len(damaged))] = byte(random.IntN(256))
			}
			if round%10 == 0 {
				damaged = damaged[:random.IntN(len(damaged))]
			}
			must(t, damaged)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	const (
		schema = `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},` +
			`{"name":"city","type":["null","string"]},{"name":"score","type":"double"}]}`
		records = 50_000
		record  = "\x80\x88\x7a\x02\x16a city name\x00\x00\x00\x00\x00\x00\xf0\x3f"
	)
	in := input("x", file(schema, records, strings.Repeat(record, records)))
	b.ReportAllocs()
	b.SetBytes(in.Size)
	d, err := start(b.Context(), in)
	if err != nil {
		b.Fatal(err)
	}
	batch := forebay.NewBatch()
	for b.Loop() {
		bs, err := d.OpenBlocks(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		r, err := bs.Open(b.Context(), in, codec.BlockConfig{})
		if err != nil {
			b.Fatal(err)
		}
		for !r.Position().Finished {
			batch.Reset(forebay.Split{}, d.Schema.Len())
			if err := r.Read(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
