// SPDX-License-Identifier: Apache-2.0

package generate_test

import (
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/generate"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	fields := []generate.Field{
		{Name: "id", Sequence: &generate.Sequence{}},
		{Name: "city", Words: []string{"Rome", "Oslo"}},
		{Name: "name", Text: &generate.Text{}, Null: 0.2},
		{Name: "uuid", UUID: &generate.UUID{}},
	}
	for name, c := range map[string]struct {
		source  generate.Source
		records int
	}{
		"one split":          {source: generate.Source{Count: 5000}, records: 5000},
		"several splits":     {source: generate.Source{Count: 5003, Splits: 4, Seed: 1}, records: 5003},
		"more splits than":   {source: generate.Source{Count: 3, Splits: 5, Seed: 1}, records: 3},
		"large values":       {source: generate.Source{Count: 50, Size: 100 * forebay.KiB}, records: 50},
		"larger than batch":  {source: generate.Source{Count: 5, Size: forebay.MiB}, records: 5},
		"fields":             {source: generate.Source{Count: 5000, Splits: 2, Fields: fields}, records: 5000},
		"fields and values":  {source: generate.Source{Count: 5000, Size: 64, Fields: fields}, records: 5000},
		"without end":        {source: generate.Source{Splits: 3}},
		"fields without end": {source: generate.Source{Fields: fields}},
		"paced":              {source: generate.Source{Count: 300, Rate: 20_000, Splits: 2}, records: 300},
		"paced without end":  {source: generate.Source{Rate: 200_000}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source: func(connectortest.T) forebay.Source { return c.source },
				Claims: connectortest.SourceClaims{
					Bounded: c.records > 0, Replayable: true, Blocks: c.source.Rate > 0, Typed: c.source.Fields != nil,
				},
				Records: c.records, RecordsMax: 1000,
			})
		})
	}
}
