// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/writer"
)

func TestWritersThatRaceForPartitionsMakeEachOnce(t *testing.T) {
	t.Parallel()
	const writers, partitions = 6, 40
	w := begin(t)
	w.table(t, forebay.TableSpec{
		Name: "clicks", Tablets: 2, PartitionBy: forebay.PartitionBy{Column: "text", Template: tablet.TemplateValue},
	})
	var writing sync.WaitGroup
	var told atomic.Int64
	hooks := tablet.ClientHooks{PartitionCreated: func(string, string) { told.Add(1) }}
	for range writers {
		conn := w.dial(t, tablet.Config{Hooks: hooks})
		target, err := conn.OpenTable(t.Context(), forebay.TableSpec{Name: "clicks"})
		if err != nil {
			t.Fatal(err)
		}
		writing.Go(func() {
			to := target.(forebay.Sequencer).Backend()
			row := forebay.NewRow(numbers())
			b, i := row.Batch()
			encoder, err := to.Encoder(b.Layout())
			if err != nil {
				t.Error(err)
				return
			}
			for n := range partitions {
				if err := row.SetText("text", fmt.Sprintf("part-%d", n)); err != nil {
					t.Error(err)
					return
				}
				at, err := encoder.Route(b, i)
				if err != nil {
					t.Error(err)
					return
				}
				data := encoder.Seal(encoder.Append(encoder.Open(nil)), 1)
				r := &forebay.Request{Table: "clicks", Tablet: at, Records: 1, Data: data}
				if a := forebay.Await(t.Context(), to, r); a.Code != forebay.CodeOK {
					t.Errorf("partition %d: answer %d (%s)", n, a.Code, a.Message)
				}
			}
			if has := to.Tablets().Tablets; has < 2*partitions {
				t.Errorf("the backend has %d tablets, want at least %d", has, 2*partitions)
			}
		})
	}
	writing.Wait()
	info, err := w.server.Describe(t.Context(), "clicks")
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Partitions) != partitions {
		t.Errorf("there are %d partitions, want %d", len(info.Partitions), partitions)
	}
	if n, err := w.server.Count(t.Context(), "clicks"); err != nil || n != writers*partitions {
		t.Errorf("there are %d rows (%v), want %d", n, err, writers*partitions)
	}
	if told.Load() < partitions {
		t.Errorf("%d partitions were told of, want %d at least", told.Load(), partitions)
	}
}

// Writers of eight connections come to the same partitions at once, each in an order of its own. Whoever is first makes
// a partition; nobody makes it again, and every row lies in its own.
func TestEightWritersRaceForFiveHundredPartitions(t *testing.T) {
	t.Parallel()
	const writers = 8
	partitions := 500
	if testing.Short() || raceEnabled {
		partitions = 100
	}
	w := begin(t)
	w.table(t, forebay.TableSpec{
		Name: "clicks", Tablets: 2, PartitionBy: forebay.PartitionBy{Column: "text", Template: tablet.TemplateValue},
	})
	var writing sync.WaitGroup
	told := make([]map[string]int, writers) // by partition, the tablet that the receipt names
	for n := range writers {
		told[n] = map[string]int{}
		out, err := w.dial(t, tablet.Config{}).Append(t.Context(), "clicks", writer.Config{Tuning: stubborn()})
		if err != nil {
			t.Fatal(err)
		}
		writing.Go(func() {
			row := forebay.NewRow(numbers())
			receipts := map[string]writer.Receipt{}
			for i := range partitions {
				part := fmt.Sprint("part-", (i+n*partitions/writers/10)%partitions) // near each other, so that they meet
				r, err := out.Append(t.Context(), fill(t, row, int64(n), part))
				if err != nil {
					t.Error(err)
					return
				}
				receipts[part] = r
			}
			if err := out.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			for part, r := range receipts {
				result, err := r.Wait(t.Context())
				if err != nil {
					t.Errorf("writer %d, partition %s: %v", n, part, err)
				}
				told[n][part] = result.Tablet
			}
		})
	}
	writing.Wait()
	if made := w.server.Stats().PartitionsCreated; made != int64(partitions) {
		t.Errorf("%d partitions were made, want %d", made, partitions)
	}
	info, err := w.server.Describe(t.Context(), "clicks")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i, p := range info.Partitions {
		names[p.Name] = true
		rows := int64(0)
		for _, l := range info.Logs[p.FirstTablet : p.FirstTablet+info.Tablets] {
			rows += l.End - l.First
		}
		for n := range told {
			if at := told[n][p.Name]; at < p.FirstTablet || at >= p.FirstTablet+info.Tablets {
				t.Errorf("writer %d was told tablet %d for partition %q, which begins at %d", n, at, p.Name, p.FirstTablet)
			}
		}
		if rows != writers || p.FirstTablet != i*info.Tablets {
			t.Errorf("partition %q, from tablet %d on, has %d rows, want %d", p.Name, p.FirstTablet, rows, writers)
		}
	}
	if len(names) != partitions || len(info.Partitions) != partitions {
		t.Errorf("%d partitions with %d names, want %d", len(info.Partitions), len(names), partitions)
	}
	seen := map[string]int{}
	scan, err := w.server.Scan(t.Context(), tablet.ScanRequest{Table: "clicks"})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	for {
		err := scan.Next(t.Context(), b)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			seen[fmt.Sprint(b.Row(i).Int("id"), b.Row(i).Text("text"))]++
		}
	}
	if err := scan.Close(); err != nil {
		t.Error(err)
	}
	if len(seen) != writers*partitions {
		t.Errorf("%d different rows, want %d", len(seen), writers*partitions)
	}
	for row, n := range seen {
		if n != 1 {
			t.Errorf("row %s is there %d times", row, n)
		}
	}
}
