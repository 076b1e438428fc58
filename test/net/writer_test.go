// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

// conns are the two ways to a server: in this process, and through the network.
func (w *world) conns(t *testing.T) map[string]tablet.Opener {
	t.Helper()
	return map[string]tablet.Opener{"embedded": w.server, "network": w.dial(t, tablet.Config{})}
}

// On a server with nothing else to do a writer comes to use everything that its window allows within its first
// requests: about one more for each answer.
func TestTheLimiterOfAWriterReachesItsMaximumOnAnIdleServer(t *testing.T) {
	t.Parallel()
	w := begin(t)
	w.table(t, forebay.TableSpec{Name: "users", Key: []string{"id"}, Tablets: 4})
	var answers, reached atomic.Int64
	var out *writer.Writer
	ready := make(chan struct{})
	hooks := writer.Hooks{Answered: func(writer.AnsweredEvent) {
		<-ready
		n := answers.Add(1)
		if l := out.Stats().Limiter; l.Limit == l.Max && l.Max > 1 {
			reached.CompareAndSwap(0, n)
		}
	}}
	out, err := w.dial(t, tablet.Config{}).Upsert(t.Context(), "users", writer.Config{
		Tuning: writer.Tuning{Retries: 1 << 30, BatchSize: 4 * forebay.KiB, BatchTimeout: time.Millisecond}, Hooks: hooks,
	})
	if err != nil {
		t.Fatal(err)
	}
	close(ready)
	receipts := appendRows(t, out, 0, 100_000)
	if err := out.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
	l := out.Stats().Limiter
	t.Logf("%d answers, the maximum after %d; at the end %d of %d, changes %v", answers.Load(), reached.Load(), l.Limit,
		l.Max, l.Changes)
	if l.Max != 4*writer.MaxInflightDefault {
		t.Errorf("the maximum is %d, want the windows of 4 tablets", l.Max)
	}
	if n := reached.Load(); n == 0 || n > 200 {
		t.Errorf("the maximum was reached after %d answers of %d", n, answers.Load())
	}
}

func TestRowsWithoutAcksArriveAndLeaveTheLimiterOpen(t *testing.T) {
	t.Parallel()
	w := begin(t)
	for name, conn := range w.conns(t) {
		t.Run(name, func(t *testing.T) {
			w.table(t, forebay.TableSpec{Name: name})
			out, err := conn.Append(t.Context(), name, writer.Config{
				Acks: forebay.AcksNone, WithoutIdempotence: true, Tuning: stubborn(),
			})
			if err != nil {
				t.Fatal(err)
			}
			const count = 20_000
			for i, r := range appendRows(t, out, 0, count) {
				if i%100 > 0 {
					continue
				}
				if err := out.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if result, err := r.Wait(t.Context()); err != nil || result.Applied != writer.Unknown {
					t.Fatalf("row %d: %s, %v", i, result.Applied, err)
				}
			}
			if l := out.Stats().Limiter; l.InFlight != 0 || l.Limit == 0 {
				t.Errorf("the limiter counts %d in flight and allows %d", l.InFlight, l.Limit)
			}
			// Rows that are handed over are not waited for by the writer: the server has them a moment later.
			if n := eventually(t, count, func() int64 { return w.count(t, name) }); n != count {
				t.Errorf("%d rows arrived, want %d", n, count)
			}
			if err := out.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (w *world) count(t *testing.T, table string) int64 {
	t.Helper()
	n, err := w.server.Count(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// eventually asks until the answer is as wanted, or for ten seconds.
func eventually(t *testing.T, want int64, ask func() int64) (last int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if last = ask(); last == want {
			return last
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return last
		}
	}
}

// A writer that was opened while there was no partition, or one, takes rows for partitions that come while it runs:
// those that it makes itself, and those that another one makes before it.
func TestAWriterGrowsWithThePartitionsOfItsTable(t *testing.T) {
	t.Parallel()
	w := begin(t)
	for name, conn := range w.conns(t) {
		for _, keyed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " keyed ", keyed), func(t *testing.T) {
				spec := forebay.TableSpec{
					Name: fmt.Sprint(name, keyed), Tablets: 3,
					PartitionBy: forebay.PartitionBy{Column: "text", Template: tablet.TemplateValue},
				}
				open := conn.Append
				if keyed {
					spec.Key, open = []string{"text", "id"}, conn.Upsert
				}
				w.table(t, spec)
				first, err := open(t.Context(), spec.Name, writer.Config{Tuning: stubborn()})
				if err != nil {
					t.Fatal(err)
				}
				second, err := open(t.Context(), spec.Name, writer.Config{Tuning: stubborn()})
				if err != nil {
					t.Fatal(err)
				}
				const partitions, each = 20, 30
				for part := range partitions {
					for n, out := range []*writer.Writer{first, second} {
						appendPart(t, out, fmt.Sprint("part-", part), int64(n*each), each)
					}
				}
				for _, out := range []*writer.Writer{first, second} {
					if err := out.Shutdown(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				info, err := w.server.Describe(t.Context(), spec.Name)
				if err != nil {
					t.Fatal(err)
				}
				if len(info.Partitions) != partitions || len(info.Logs) != 3*partitions {
					t.Errorf("%d partitions and %d tablets, want %d and %d", len(info.Partitions), len(info.Logs), partitions,
						3*partitions)
				}
				if n := w.count(t, spec.Name); n != 2*partitions*each {
					t.Errorf("%d rows, want %d", n, 2*partitions*each)
				}
			})
		}
	}
}

// appendPart appends rows of one partition and waits for them.
func appendPart(t *testing.T, out *writer.Writer, part string, from, count int64) {
	t.Helper()
	row := forebay.NewRow(numbers())
	var receipts []writer.Receipt
	for id := from; id < from+count; id++ {
		r, err := out.Append(t.Context(), fill(t, row, id, part))
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	if err := out.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, receipts)
}
