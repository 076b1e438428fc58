// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"testing"

	"github.com/forebay-io/forebay"
)

var benchColumns = []forebay.Column{
	{Name: "dep_time", Type: forebay.Int64},
	{Name: "dep_delay", Type: forebay.Int64},
	{Name: "distance", Type: forebay.Float64},
	{Name: "origin", Type: forebay.String},
	{Name: "dest", Type: forebay.String},
}

// benchBatch has 1,000 flights of which every 50th has no dep_time.
func benchBatch(tb testing.TB) (forebay.Shape, *forebay.Batch) {
	tb.Helper()
	var records [][]string
	for i := range 1000 {
		departure := fmt.Sprint(500 + i)
		if i%50 == 0 {
			departure = null
		}
		records = append(records, []string{departure, fmt.Sprint(i%7 - 2), fmt.Sprint(100 + i), "EWR", "IAH"})
	}
	return rows(tb, benchColumns, records...)
}

// lowered are expressions that must not allocate: X4.
var loweredBenchmarks = []struct{ name, expr string }{
	{"notNil", "dep_time != nil"},
	{"notNilAndGreater", "dep_time != nil && dep_delay > 0"},
	{"arithmetic", "(dep_delay + 5) * 2 - dep_time % 100"},
	{"float", "distance / 1.609 > 100"},
	{"in", `origin in ["EWR", "JFK", "LGA"]`},
	{"concat", `origin + "-" + dest`},
	{"upper", "upper(lower(origin)) + dest"},
	{"conditional", `dep_delay > 0 ? "late" : "early"`},
	{"string", `string(dep_time) + "x"`},
}

func BenchmarkExpression(b *testing.B) {
	in, batch := benchBatch(b)
	for _, bc := range loweredBenchmarks {
		for _, form := range []string{"closures", "machine"} {
			b.Run(bc.name+"/"+form, func(b *testing.B) {
				p, machine := bothForms(b, in, bc.expr)
				if form == "machine" {
					p = machine
				}
				size := len(batch.Slab())
				b.ReportAllocs()
				for b.Loop() {
					for i := range batch.Len() {
						p.frame.enter(batch, i)
						p.cell()
					}
					batch.TruncateSlab(size)
				}
				perRecord(b, batch.Len())
			})
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for _, expr := range []string{"dep_time != nil", "dep_time != nil && dep_delay > -3"} {
		b.Run(expr, func(b *testing.B) {
			in, batch := benchBatch(b)
			step, err := Filter(expr).Compile(in)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := step.Apply(batch); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if filtered, err := step.Apply(batch); err != nil || filtered != 0 {
					b.Fatal(filtered, err)
				}
			}
			perRecord(b, batch.Len())
		})
	}
}

func BenchmarkSet(b *testing.B) {
	in, batch := benchBatch(b)
	step, err := Set(Assignment{"route", `origin + "-" + dest`}).Compile(in)
	if err != nil {
		b.Fatal(err)
	}
	size := len(batch.Slab())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := step.Apply(batch); err != nil {
			b.Fatal(err)
		}
		batch.TruncateSlab(size)
	}
	perRecord(b, batch.Len())
}

func BenchmarkMap(b *testing.B) {
	in, batch := benchBatch(b)
	step, err := Map(func(forebay.Row) error { return nil }).Compile(in)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := step.Apply(batch); err != nil {
			b.Fatal(err)
		}
	}
	perRecord(b, batch.Len())
}

func perRecord(b *testing.B, records int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}

func TestClosuresDoNotAllocateX4(t *testing.T) {
	in, batch := benchBatch(t)
	size := len(batch.Slab())
	for _, bc := range loweredBenchmarks {
		p, err := Compile(in, bc.expr)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(20, func() {
			for i := range batch.Len() {
				p.frame.enter(batch, i)
				p.cell()
			}
			batch.TruncateSlab(size)
		}); n != 0 {
			t.Errorf("%s: %v allocations in %d records", bc.expr, n, batch.Len())
		}
	}
}

// BenchmarkHandWritten is what a program would write for the same filter and set, as the measure of the others.
func BenchmarkHandWritten(b *testing.B) {
	b.Run("filter", func(b *testing.B) {
		_, batch := benchBatch(b)
		for b.Loop() {
			batch.Filter(func(i int) bool {
				cells := batch.Cells(i)
				return cells[0].IsNull() || cells[1].Int() > -3
			})
		}
		perRecord(b, batch.Len())
	})
	b.Run("set", func(b *testing.B) {
		_, batch := benchBatch(b)
		size := len(batch.Slab())
		for b.Loop() {
			for i := range batch.Len() {
				cells, slab := batch.Cells(i), batch.Slab()
				origin, dest := cells[3].Bytes(slab), cells[4].Bytes(slab)
				start := batch.AppendBytes(origin)
				batch.AppendText("-")
				batch.AppendBytes(dest)
				cells[5] = forebay.SpanCell(forebay.KindString, start, len(origin)+1+len(dest))
			}
			batch.TruncateSlab(size)
		}
		perRecord(b, batch.Len())
	})
}
