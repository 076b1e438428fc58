// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector"
)

// BenchmarkIntoSum is the generator with the sink that adds up, without a pipeline between them.
func BenchmarkIntoSum(b *testing.B) {
	b.Run("records=bytes", func(b *testing.B) { benchmarkIntoSum(b, Source{}) })
	b.Run("records=fields", func(b *testing.B) { benchmarkIntoSum(b, Source{Fields: eightFields()}) })
}

func eightFields() []Field {
	return []Field{
		{Name: "id", Sequence: &Sequence{}},
		{Name: "time", Timestamp: &Timestamp{}},
		{Name: "user", Int: &Int{Max: 100_000}},
		{Name: "amount", Float: &Float{Max: 1000}},
		{Name: "ok", Bool: &Bool{}},
		{Name: "country", Words: []string{"de", "fr", "it", "es", "pl"}},
		{Name: "name", Text: &Text{Length: 10}},
		{Name: "score", Int: &Int{Max: 100}, Null: 0.1},
	}
}

func benchmarkIntoSum(b *testing.B, s Source) {
	b.Helper()
	feed, err := s.Start(b.Context(), forebay.SourceContext{})
	if err != nil {
		b.Fatal(err)
	}
	splits, _ := feed.Splits(b.Context())
	reader, err := feed.Open(b.Context(), splits[0], forebay.Position{})
	if err != nil {
		b.Fatal(err)
	}
	batch, width := forebay.NewBatch(), 0
	if schema := feed.Schema(); schema != nil {
		width = schema.Len()
	}
	var sum connector.Sum
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset(splits[0], width)
		if err := reader.Read(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		sum.AddBatch(batch)
	}
	b.ReportMetric(float64(sum.Records)/b.Elapsed().Seconds(), "records/s")
}
