// SPDX-License-Identifier: Apache-2.0

package parquet_test

import (
	"fmt"
	"io"
	"syscall"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/parquet"
)

// reading is a row of the benchmarks.
type reading struct {
	ID    *int64   `parquet:"id,optional"`
	At    *int64   `parquet:"at,optional,timestamp(microsecond)"`
	City  *string  `parquet:"city,optional,dict"`
	Text  *string  `parquet:"text,optional"`
	Score *float64 `parquet:"score,optional"`
}

// plainReading is one without nulls.
type plainReading struct {
	ID    int64   `parquet:"id"`
	At    int64   `parquet:"at,timestamp(microsecond)"`
	City  string  `parquet:"city,dict"`
	Text  string  `parquet:"text"`
	Score float64 `parquet:"score"`
}

const benchRows = 100_000

func benchData(b *testing.B) (rows []reading, plain []plainReading, batches []*forebay.Batch) {
	b.Helper()
	schema := forebay.MustSchema(forebay.Column{Name: "id", Type: forebay.Int64},
		forebay.Column{Name: "at", Type: forebay.Timestamp}, forebay.Column{Name: "city", Type: forebay.String},
		forebay.Column{Name: "text", Type: forebay.String}, forebay.Column{Name: "score", Type: forebay.Float64})
	layout := forebay.NewLayout(schema)
	var batch *forebay.Batch
	text := func(s string) forebay.Cell { return forebay.SpanCell(forebay.KindString, batch.AppendText(s), len(s)) }
	for i := range benchRows {
		if i%1000 == 0 {
			batch = forebay.NewBatch()
			batch.Reset(forebay.Split{}, schema.Len())
			batch.SetLayout(layout)
			batches = append(batches, batch)
		}
		p := plainReading{
			ID: int64(i), At: 1_700_000_000_000_000 + int64(i)*1_000_003, City: fmt.Sprint("city ", i%1000),
			Text: fmt.Sprintf("a reading of sensor %08d", i*7919%benchRows), Score: float64(i%9973) / 7,
		}
		plain = append(plain, p)
		rows = append(rows, reading{ID: &p.ID, At: &p.At, City: &p.City, Text: &p.Text, Score: &p.Score})
		k := batch.AppendSpan(int64(i), 0, 0)
		copy(batch.Cells(k), []forebay.Cell{
			forebay.Int64Cell(p.ID), forebay.TimestampCell(p.At), text(p.City), text(p.Text), forebay.Float64Cell(p.Score),
		})
	}
	return rows, plain, batches
}

func writeOurs(b *testing.B, e *codec.Encoding, batches []*forebay.Batch) {
	b.Helper()
	w, err := e.NewBulk(io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	for _, batch := range batches {
		for i := range batch.Len() {
			if err := w.Append(batch, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

func writeTheirs[T any](b *testing.B, rows []T) {
	b.Helper()
	w := pq.NewGenericWriter[T](io.Discard, pq.Compression(&pq.Snappy), pq.DictionaryMaxBytes(1<<20))
	for from := 0; from < len(rows); from += 1000 {
		if _, err := w.Write(rows[from : from+1000]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// cpu is the processor time of this process, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkWrite(b *testing.B) {
	rows, plain, batches := benchData(b)
	e, err := parquet.Format{}.Encoding(batches[0].Layout())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		write func()
	}{
		{"writer=forebay", func() { writeOurs(b, e, batches) }},
		{"writer=parquet-go/rows=nullable", func() { writeTheirs(b, rows) }},
		{"writer=parquet-go/rows=plain", func() { writeTheirs(b, plain) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			from := cpu(b)
			for b.Loop() {
				c.write()
			}
			b.ReportMetric(float64(cpu(b)-from)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	_, _, batches := benchData(b)
	e, err := parquet.Format{}.Encoding(batches[0].Layout())
	if err != nil {
		b.Fatal(err)
	}
	var out sink
	w, err := e.NewBulk(&out)
	if err != nil {
		b.Fatal(err)
	}
	for _, batch := range batches {
		for i := range batch.Len() {
			if err := w.Append(batch, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	in := input("x", out)
	b.Run("reader=forebay", func(b *testing.B) {
		b.ReportAllocs()
		d, err := start(b.Context(), in)
		if err != nil {
			b.Fatal(err)
		}
		batch := forebay.NewBatch()
		from := cpu(b)
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
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu(b)-from)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("reader=parquet-go", func(b *testing.B) {
		b.ReportAllocs()
		rows, from := make([]reading, 1000), cpu(b)
		for b.Loop() {
			r := pq.NewGenericReader[reading](in.ReaderAt)
			n := 0
			for n < benchRows {
				k, err := r.Read(rows)
				if n += k; err != nil && n < benchRows {
					b.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu(b)-from)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(benchRows*float64(b.N)/b.Elapsed().Seconds(), "records/s")
	})
}

type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}
