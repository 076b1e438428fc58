// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet/server"
)

type checkpointEntry = checkpoint.Entry

// failer is a test, or a rapid one.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// world is a state directory in memory inside a bubble of fake time.
type world struct {
	t     failer
	fs    vfs.FS
	state *pipeline.State
}

// bubble runs a test in fake time with a state directory in memory. It fails when a goroutine is left.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		test(t, w)
	})
}

func newWorld(t failer) *world {
	w := &world{t: t, fs: vfs.NewMem()}
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.state, err = pipeline.OpenStateOn(context.Background(), pipeline.StateConfig{
		Dir:    "/state",
		Memory: pipeline.MemoryMin,
	},
		pipeline.Disk{FS: w.fs})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.t.Helper()
	if err := w.state.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// config is a pipeline in this world.
func (w *world) config(source forebay.Source, sink forebay.Sink) pipeline.Config {
	return pipeline.Config{Name: "p", Opened: w.state, Source: source, Sink: sink, Lanes: 1, Memory: pipeline.MemoryMin}
}

// try runs a pipeline.
func (w *world) try(ctx context.Context, config pipeline.Config) (pipeline.Summary, error) {
	w.t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Run(ctx)
}

// run runs a pipeline that must succeed.
func (w *world) run(config pipeline.Config) pipeline.Summary {
	w.t.Helper()
	s, err := w.try(context.Background(), config)
	if err != nil {
		w.t.Fatalf("the run failed: %v", err)
	}
	return s
}

// rows are the records in a table of the server, by split in the order of the tablets' logs.
func rows(t failer, s *server.Server, table string) map[string][]int64 {
	t.Helper()
	out := map[string][]int64{}
	scan(t, s, table, func(b *forebay.Batch, i int) {
		split := b.Row(i).Text("split")
		out[split] = append(out[split], b.Row(i).Int("n"))
	})
	return out
}

// letters are the dead letters of the pipeline p: stage and code of each record.
func letters(t failer, s *server.Server) map[origin]string {
	t.Helper()
	out := map[origin]string{}
	scan(t, s, server.DeadLetterTable("p"), func(b *forebay.Batch, i int) {
		r := b.Row(i)
		out[origin{r.Text("split"), r.Int("offset")}] = r.Text("stage") + " " + r.Text("code")
	})
	return out
}

func scan(t failer, s *server.Server, table string, see func(b *forebay.Batch, i int)) {
	t.Helper()
	rows, err := s.Scan(context.Background(), server.ScanRequest{Table: table})
	if err != nil {
		if strings.Contains(err.Error(), "no table") || strings.Contains(err.Error(), "no-such-table") {
			return
		}
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		err := rows.Next(context.Background(), b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			see(b, i)
		}
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
}

// each fails unless the table holds the records 0 to count-1 of each split once and in order, without those
// that are left out.
func (w *world) each(source *fakeSource, without func(origin) bool) {
	w.t.Helper()
	got := rows(w.t, w.state.Tables(), "out")
	for split, count := range source.splits {
		var want []int64
		for n := range count {
			if without == nil || !without(origin{split, n}) {
				want = append(want, n)
			}
		}
		if !slices.Equal(got[split], want) {
			w.t.Errorf("split %s: %s", split, difference(got[split], want))
		}
	}
}

// difference says in short what is missing, repeated or out of order.
func difference(got, want []int64) string {
	seen := map[int64]int{}
	for _, n := range got {
		seen[n]++
	}
	var out []string
	for _, n := range want {
		if seen[n] == 0 {
			out = append(out, fmt.Sprintf("%d is missing", n))
		}
	}
	for _, n := range got {
		if seen[n] > 1 {
			out = append(out, fmt.Sprintf("%d is there %d times", n, seen[n]))
			seen[n] = 1
		}
		if !slices.Contains(want, n) {
			out = append(out, fmt.Sprintf("%d should not be there", n))
		}
	}
	if !slices.IsSorted(got) {
		out = append(out, "out of order")
	}
	if len(out) > 10 {
		out = append(out[:10], fmt.Sprintf("and %d more", len(out)-10))
	}
	return strings.Join(out, ", ")
}

// covered fails unless every record is among those that a plain sink got.
func covered(t failer, source *fakeSource, got []origin) (repeats int) {
	t.Helper()
	seen := map[origin]int{}
	for _, o := range got {
		seen[o]++
	}
	missing := 0
	for split, count := range source.splits {
		for n := range count {
			switch c := seen[origin{split, n}]; c {
			case 0:
				missing++
			default:
				repeats += c - 1
			}
		}
	}
	if missing > 0 {
		t.Errorf("%d records are lost", missing)
	}
	return repeats
}
