// SPDX-License-Identifier: Apache-2.0

//go:build fault

package outage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/test/kill"
)

// numberLines writes files of numbered lines, which a pipeline reads as splits, and returns their pattern.
func numberLines(t *testing.T, files, each int) string {
	t.Helper()
	dir := t.TempDir()
	n := 0
	for f := range files {
		var text strings.Builder
		for range each {
			fmt.Fprintf(&text, "{\"n\":%d,\"text\":\"%s\"}\n", n, strings.Repeat("x", 60))
			n++
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.ndjson", f)), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "*.ndjson")
}

// pipelineFile writes a pipeline that reads the files into a table of the cluster.
func pipelineFile(t *testing.T, c *Cluster, pattern string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"name":   "numbers",
		"source": map[string]any{"file": map[string]any{"path": pattern, "format": "ndjson"}},
		"sink": map[string]any{"table": map[string]any{
			"name": "numbers", "tablets": tabletCount, "distribute_by": []string{"n"}, "address": c.Addresses(),
		}},
		"lanes":     3,
		"guarantee": "exactly-once",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pipeline.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runPipeline starts a run of the pipeline, whose batches take so long each.
func runPipeline(t *testing.T, file, state string, pace time.Duration) *kill.Process {
	t.Helper()
	p, err := kill.Start(t.Context(), binary(), []string{"run", file, "--state", state, "--summary", "json"},
		[]string{"FOREBAY_FAULT_PACE=" + pace.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill(syscall.SIGKILL) })
	return p
}

// inOrderOfFiles checks that each number below count is there once, and that the lines of a file lie in each tablet in
// their order.
func inOrderOfFiles(tablets [][]int64, count, each int64) error {
	seen := make([]bool, count)
	rows := int64(0)
	for i, numbers := range tablets {
		last := make([]int64, count/each)
		for _, n := range numbers {
			switch {
			case n < 0 || n >= count:
				return wrongf("tablet %d holds %d, which nobody wrote", i, n)
			case seen[n]:
				return wrongf("tablet %d holds %d, which is there already", i, n)
			case n+1 <= last[n/each]:
				return wrongf("tablet %d holds %d behind %d", i, n, last[n/each]-1)
			}
			seen[n], last[n/each] = true, n+1
			rows++
		}
	}
	if rows != count {
		return wrongf("%d of %d rows are there", rows, count)
	}
	return nil
}

// Three lanes write into eight tablets through kills of the servers, take-overs, a bad network, and kills of the
// pipeline itself.
func TestPipelineWritesOnceThroughKillsOfItsTarget(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	const files = 6
	steps := chaos{kills: share(t, 50), takeOvers: share(t, 20), handOvers: share(t, 5)}.steps(c)
	each := 2000 * len(steps)
	file, state := pipelineFile(t, c, numberLines(t, files, each)), filepath.Join(t.TempDir(), "state")
	// A batch has 128 records here; the run without faults takes longer than the steps do.
	batches := files * each / 128
	pace := 3 * 150 * time.Millisecond * time.Duration(len(steps)) / time.Duration(batches)
	run := runPipeline(t, file, state, pace)
	restarts, early := 0, 0
	for i, step := range steps {
		pause(100 * time.Millisecond)
		step()
		if !run.Lives(0) {
			early++
			break
		}
		if i%5 == 4 {
			if err := run.Kill(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			restarts++
			run = runPipeline(t, file, state, pace)
		}
	}
	c.Calm()
	summary, err := run.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if summary.Status != "done" {
		t.Fatalf("%+v: %s", summary, run.Last())
	}
	c.Report()
	t.Logf("%d restarts of the pipeline, ended before the faults: %d", restarts, early)
	stored, err := numbers(t.Context(), dial(t, c.Addresses(), tablet.Config{}), "numbers")
	if err == nil {
		err = inOrderOfFiles(stored, int64(files*each), int64(each))
	}
	if err != nil {
		t.Error(err)
	}
}

// A commit that the network keeps until its replay was applied comes too late: its progress does not follow.
func TestCommitThatComesAfterItsReplayIsRefused(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	const files, each = 3, 20_000
	file, state := pipelineFile(t, c, numberLines(t, files, each)), filepath.Join(t.TempDir(), "state")
	run := runPipeline(t, file, state, 10*time.Millisecond)
	conn := dial(t, c.Addresses(), tablet.Config{})
	awaitRows(t, conn, 1)
	leader, _ := c.Leader()
	release := leader.proxy.HoldRequests()
	pause(300 * time.Millisecond) // commits are sent and held
	if err := run.Kill(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	before := awaitRows(t, dial(t, c.Addresses(), tablet.Config{}), 1)
	again := runPipeline(t, file, state, 10*time.Millisecond)
	awaitRows(t, dial(t, c.Addresses(), tablet.Config{}), before+3000)
	release()
	summary, err := again.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if summary.Status != "done" {
		t.Fatalf("%+v: %s", summary, again.Last())
	}
	stored, err := numbers(t.Context(), dial(t, c.Addresses(), tablet.Config{}), "numbers")
	if err == nil {
		err = inOrderOfFiles(stored, files*each, each)
	}
	if err != nil {
		t.Error(err)
	}
}

// awaitRows waits until the table holds so many rows.
func awaitRows(t *testing.T, conn tablet.Conn, want int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		n, err := conn.Count(ctx, "numbers")
		if err == nil && n >= want {
			return n
		}
		if ctx.Err() != nil {
			t.Fatalf("the table has %d rows after a minute, and %d are due: %v", n, want, err)
		}
		pause(20 * time.Millisecond)
	}
}

// Two processes with state directories of their own run the same pipeline into one server: the older is fenced.
func TestOlderOfTwoProcessesIsFenced(t *testing.T) {
	c := NewCluster(t, binary(), "FOREBAY_FAULT_FS=lossy")
	const files, each = 3, 30_000
	file := pipelineFile(t, c, numberLines(t, files, each))
	older := runPipeline(t, file, filepath.Join(t.TempDir(), "state"), 20*time.Millisecond)
	awaitRows(t, dial(t, c.Addresses(), tablet.Config{}), 1)
	newer := runPipeline(t, file, filepath.Join(t.TempDir(), "state"), 5*time.Millisecond)
	fenced, err := older.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if fenced.Status != "failed" || !strings.Contains(fenced.Error, "belongs to epoch") {
		t.Errorf("the older ended as %+v: %s", fenced, older.Last())
	}
	summary, err := newer.Summary()
	if err != nil {
		t.Fatal(err)
	}
	if summary.Status != "done" {
		t.Fatalf("the newer ended as %+v: %s", summary, newer.Last())
	}
	stored, err := numbers(t.Context(), dial(t, c.Addresses(), tablet.Config{}), "numbers")
	if err == nil {
		err = inOrderOfFiles(stored, files*each, each)
	}
	if err != nil {
		t.Error(err)
	}
}
