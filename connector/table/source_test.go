// SPDX-License-Identifier: Apache-2.0

package table_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/writer"
)

const sourceRows = 5000

// filled is a server with a table of numbered rows.
func filled(t *testing.T, spec forebay.TableSpec) *server.Server {
	t.Helper()
	s, err := server.Open(t.Context(), t.TempDir(), server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	spec.Schema, err = forebay.NewSchema(
		forebay.Column{Name: "id", Type: forebay.Int64}, forebay.Column{Name: "text", Type: forebay.String},
	)
	if err == nil {
		err = s.Create(t.Context(), spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, spec, 0, sourceRows)
	return s
}

// put writes the rows from up to, and without, to.
func put(t *testing.T, s *server.Server, spec forebay.TableSpec, from, to int64) {
	t.Helper()
	open := s.Append
	if len(spec.Key) > 0 {
		open = s.Upsert
	}
	w, err := open(t.Context(), spec.Name, writer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	row := forebay.NewRow(w.Layout().Schema)
	for id := from; id < to; id++ {
		row.Clear()
		if err := errors.Join(row.SetInt("id", id), row.SetText("text", "row")); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSourceConformance(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]forebay.TableSpec{
		"log table": {Name: "events", DistributeBy: []string{"id"}},
		"key table": {Name: "events", Key: []string{"id"}},
		"partitions": {
			Name: "events", Key: []string{"id", "text"}, PartitionBy: forebay.PartitionBy{Column: "text", Template: "value"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := filled(t, spec)
			connectortest.RunSource(t, connectortest.SourceHarness{
				Source: func(connectortest.T) forebay.Source {
					return table.Source{Name: "events", Mode: table.ModeOnce, Conn: s}
				},
				Context: forebay.SourceContext{NeedsRows: true, Lanes: 2},
				Claims:  connectortest.SourceClaims{Bounded: true, Replayable: true, Blocks: true, Typed: true},
				Records: sourceRows,
			})
		})
	}
}

// readAll reads a split until want records came, and returns their ids and the position behind them.
func readAll(t *testing.T, r forebay.Reader, split forebay.Split, want int) (ids []int64, at forebay.Position) {
	t.Helper()
	b := forebay.NewBatch()
	for len(ids) < want {
		b.Reset(split, 2)
		if err := r.Read(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			ids = append(ids, b.Row(i).Int("id"))
		}
		at = b.Position()
	}
	return ids, at
}

// A key table is read by its rows and then by its log: what changes after the rows were begun comes again, and nothing
// that changed is missing, also where the reading was interrupted among the rows.
func TestSourceGoesOnWithChangesWhereTheRowsEnd(t *testing.T) {
	t.Parallel()
	spec := forebay.TableSpec{Name: "events", Key: []string{"id"}, Tablets: 1}
	s := filled(t, spec)
	source := table.Source{Name: "events", Conn: s}
	feed, err := source.Start(t.Context(), forebay.SourceContext{NeedsRows: true, Lanes: 1})
	if err != nil {
		t.Fatal(err)
	}
	splits, err := feed.Splits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := feed.Open(t.Context(), splits[0], forebay.Position{})
	if err != nil {
		t.Fatal(err)
	}
	begun, at := readAll(t, first, splits[0], 1000)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, s, spec, 0, 10)                    // rows that were read already
	put(t, s, spec, sourceRows, sourceRows+5) // rows that are new
	second, err := feed.Open(t.Context(), splits[0], at)
	if err != nil {
		t.Fatal(err)
	}
	// The new rows come with the rest of the rows and again with the log; those read already with the log alone.
	rest, end := readAll(t, second, splits[0], sourceRows-len(begun)+5+15)
	seen := map[int64]int{}
	for _, id := range append(begun, rest...) {
		seen[id]++
	}
	for id := range int64(sourceRows + 5) {
		want := 1
		if id < 10 || id >= sourceRows {
			want = 2
		}
		if seen[id] != want {
			t.Errorf("row %d came %d times, want %d", id, seen[id], want)
		}
	}
	if want := int64(sourceRows + 5 + 15); end.Offset != want {
		t.Errorf("the position is %d, want %d: it counts every record once", end.Offset, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.Read(ctx, forebay.NewBatch()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a continuous read at the end, cancelled: %v, want the context's end", err)
	}
	if err := errors.Join(second.Close(), feed.Close()); err != nil {
		t.Error(err)
	}
}
