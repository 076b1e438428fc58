// SPDX-License-Identifier: Apache-2.0

package net_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/tablet"
)

// numbersFile writes a CSV file with the rows 0 up to n-1.
func numbersFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "numbers.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(f)
	fmt.Fprintln(out, "id,text")
	for id := range n {
		fmt.Fprintf(out, "%d,row %d\n", id, id)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPipelineDeliversOnceThroughCutConnections(t *testing.T) {
	t.Parallel()
	const rows = 150_000
	w := begin(t)
	var broken atomic.Int64
	conn := w.dial(t, tablet.Config{Hooks: tablet.ClientHooks{Broken: func(string, error) { broken.Add(1) }}})
	config := pipeline.Config{
		Name: "numbers", State: t.TempDir(),
		Source:     file.Source{Path: numbersFile(t, rows), Format: csv.Format{}},
		Sink:       table.Sink{Name: "numbers", Conn: conn},
		Checkpoint: pipeline.CheckpointConfig{Bytes: 32 * forebay.KiB, Interval: 5 * time.Millisecond},
	}
	// The connections are cut each time that another part is delivered, so that there is always more to come.
	var delivered atomic.Int64
	config.Hooks.Committed = func(e forebay.CommitEvent) {
		const part = rows / 10
		now := delivered.Add(int64(e.Records))
		if now/part != (now-int64(e.Records))/part {
			w.proxy.Cut()
		}
	}
	runs := 0
	for status := pipeline.Status(""); status != pipeline.StatusDone; runs++ {
		p, err := pipeline.New(config)
		if err != nil {
			t.Fatal(err)
		}
		summary, err := p.Run(t.Context())
		switch class := forebay.ClassOf(err); {
		case err == nil, class == forebay.ClassAmbiguous, class == forebay.ClassMoved, class == forebay.ClassTransient:
		default:
			t.Fatalf("the run: %v", err)
		}
		if status = summary.Status; runs > 50 {
			t.Fatalf("still %s: %v", status, err)
		}
	}
	t.Logf("%d runs, %d broken streams", runs, broken.Load())
	if broken.Load() == 0 {
		t.Error("no stream broke, so nothing was tested")
	}
	seen := make([]int, rows)
	for _, id := range w.stored(t, "numbers") {
		seen[id]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Fatalf("row %d is there %d times", id, n)
		}
	}
}
