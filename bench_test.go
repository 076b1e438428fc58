// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math/rand/v2"
	"testing"
)

// flightSchema is a row like those of the examples: 19 columns, mostly small integers and short strings.
func flightSchema() *Schema {
	columns := []Column{{Name: "time_hour", Type: Timestamp}}
	for _, name := range []string{
		"year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay",
		"flight", "air_time", "distance", "hour", "minute",
	} {
		columns = append(columns, Column{Name: name, Type: Int64})
	}
	for _, name := range []string{"carrier", "tailnum", "origin", "dest"} {
		columns = append(columns, Column{Name: name, Type: String})
	}
	return MustSchema(columns...)
}

// flightTexts are the values of one row of flightSchema.
var flightTexts = []string{
	"2013-01-01T10:00:00Z", "2013", "1", "1", "517", "515", "2", "830", "819", "-11", "1545", "227", "1400", "5", "15",
	"UA", "N14228", "EWR", "IAH",
}

// flightBatch holds n such rows.
func flightBatch(tb testing.TB, n int) *Batch {
	tb.Helper()
	schema := flightSchema()
	b := NewBatch()
	b.Reset(Split{ID: "flights"}, schema.Len())
	b.SetLayout(NewLayout(schema))
	for i := range n {
		b.AppendSpan(int64(i), 0, 0)
		for k, text := range flightTexts {
			c, slab, err := ParseCell(b.slab, schema.Column(k).Type, []byte(text))
			if err != nil {
				tb.Fatal(err)
			}
			b.slab = slab
			b.Cells(i)[k] = c
		}
	}
	return b
}

func BenchmarkRowEncode(b *testing.B) {
	batch := flightBatch(b, 256)
	encoder := NewRowEncoder(batch.Layout(), nil)
	var out []byte
	for i := range batch.Len() {
		out = encoder.AppendSized(out, batch, i)
	}
	b.SetBytes(int64(len(out)))
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for i := range batch.Len() {
			out = encoder.AppendSized(out, batch, i)
		}
	}
	reportPerCell(b, batch.Len()*batch.Width())
}

// BenchmarkRowEncodeMixed has values of different sizes and nulls where a guess cannot know them.
func BenchmarkRowEncodeMixed(b *testing.B) {
	batch := flightBatch(b, BatchRecordsMax)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range batch.Len() {
		cells := batch.Cells(i)
		for k := range cells {
			if cells[k].kind == KindInt64 {
				cells[k] = Int64Cell(r.Int64N(3000) >> r.IntN(10))
			}
			if r.IntN(50) == 0 {
				cells[k] = Null
			}
		}
	}
	encoder := NewRowEncoder(batch.Layout(), nil)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for i := range batch.Len() {
			out = encoder.AppendSized(out, batch, i)
		}
	}
	reportPerCell(b, batch.Len()*batch.Width())
}

func BenchmarkRowDecode(b *testing.B) {
	batch := flightBatch(b, 256)
	encoder, decoder := NewRowEncoder(batch.Layout(), nil), NewRowDecoder(batch.Layout().Schema, nil)
	data := AppendRowBatchHeader(nil, false)
	for i := range batch.Len() {
		data = encoder.AppendSized(data, batch, i)
	}
	opened, err := OpenRowBatch(SealRowBatch(data, 1, batch.Len(), 0))
	if err != nil {
		b.Fatal(err)
	}
	cells := make([]Cell, batch.Width())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		rows := opened.Rows()
		for rows.Next() {
			start, size := rows.Span()
			if err := decoder.Decode(cells, opened.Data(), start, size); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportPerCell(b, batch.Len()*batch.Width())
}

func reportPerCell(b *testing.B, cells int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(cells), "ns/cell")
}

func BenchmarkParseCell(b *testing.B) {
	for _, bc := range []struct {
		name, text string
		t          Type
	}{
		{"int64", "1545", Int64},
		{"float64", "-73.9857", Float64},
		{"longFloat64", "0.1234567890123456789", Float64},
		{"bool", "true", Bool},
		{"decimal", "12345.67", DecimalOf(18, 2)},
		{"string", "N14228", String},
		{"date", "2013-01-01", Date},
		{"timestamp", "2013-01-01T10:00:00Z", Timestamp},
		{"json", `{"a":[1,2,3],"b":"text"}`, JSON},
	} {
		b.Run(bc.name, func(b *testing.B) {
			batch := NewBatch()
			batch.AppendText(bc.text)
			b.SetBytes(int64(len(bc.text)))
			b.ReportAllocs()
			for b.Loop() {
				batch.TruncateSlab(len(bc.text))
				if _, err := batch.ParseCell(bc.t, 0, len(bc.text), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendCell(b *testing.B) {
	batch := flightBatch(b, 1)
	schema := batch.Layout().Schema
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = out[:0]
		for k, c := range batch.Cells(0) {
			out = AppendCell(out, schema.Column(k).Type, c, batch.slab)
		}
	}
	b.SetBytes(int64(len(out)))
	reportPerCell(b, batch.Width())
}

func BenchmarkKeyEncode(b *testing.B) {
	batch := flightBatch(b, 256)
	schema := batch.Layout().Schema
	encoder, err := NewKeyEncoder(batch.Layout(), []int{
		schema.Find("time_hour"), schema.Find("carrier"), schema.Find("flight"), schema.Find("origin"),
	})
	if err != nil {
		b.Fatal(err)
	}
	var key []byte
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch.Len() {
			if key, err = encoder.Append(key[:0], batch, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	reportPerCell(b, batch.Len()*4)
}

func BenchmarkBatchAppend(b *testing.B) {
	value := make([]byte, 200)
	for _, bc := range []struct {
		name  string
		width int
	}{{"bytes", 0}, {"rows", 19}} {
		b.Run(bc.name, func(b *testing.B) {
			batch := NewBatch()
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			batch.Reset(Split{}, bc.width)
			for b.Loop() {
				if batch.Full() {
					batch.Reset(Split{}, bc.width)
				}
				batch.Append(1, value)
			}
		})
	}
}
