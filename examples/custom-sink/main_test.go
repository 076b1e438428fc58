// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/connectortest"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/pipeline"
)

// childMark makes this test binary behave as the program.
const childMark = "FOREBAY_EXAMPLE_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// run starts the program, kills it once that has been called for, and says whether it came to its end.
func run(t *testing.T, kill func() bool, args ...string) (ended bool) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	child.Env = append(os.Environ(), childMark+"=1")
	var output bytes.Buffer
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	var waiting sync.WaitGroup
	waiting.Go(func() { over <- child.Wait() })
	defer waiting.Wait()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-over:
			if err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatalf("%v:\n%s", err, &output)
			}
			return err == nil
		case <-look.C:
			if kill() {
				_ = child.Process.Kill() // it may have ended by itself just now
				kill = func() bool { return false }
			}
		}
	}
}

// TestEachRecordIsThereOnceThroughKills runs the program, with a SIGKILL some time after each has published something,
// until it has come to its end.
func TestEachRecordIsThereOnceThroughKills(t *testing.T) {
	t.Parallel()
	const records, kills, killsMin = 30_000, 5, 3
	dir, state := filepath.Join(t.TempDir(), "out"), t.TempDir()
	published := func() int {
		names, _ := filepath.Glob(filepath.Join(dir, "*.txt"))
		return len(names)
	}
	random := rand.New(rand.NewPCG(1, 2))
	killed := 0
	for try := 0; ; try++ {
		before, after := published(), time.Duration(random.IntN(100))*time.Millisecond
		var due time.Time
		kill := func() bool {
			if due.IsZero() && published() > before {
				due = time.Now().Add(after)
			}
			return killed < kills && !due.IsZero() && time.Now().After(due)
		}
		if run(t, kill, "-dir", dir, "-state", state, "-count", strconv.Itoa(records), "-rate", "15000") {
			break
		}
		if killed++; try > 2*kills {
			t.Fatal("it does not come to its end")
		}
	}
	if killed < killsMin {
		t.Errorf("%d kills came in time, want %d or more", killed, killsMin)
	}
	expectOnce(t, dir, records)
}

// expectOnce compares the published values with what the source makes.
func expectOnce(t *testing.T, dir string, records int) {
	t.Helper()
	files, err := lines(dir)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, file := range files {
		for _, line := range file {
			count[line[strings.LastIndexByte(line, '\t')+1:]]++
		}
	}
	for value, n := range count {
		if n != 1 {
			t.Fatalf("%q is there %d times", value, n)
		}
	}
	if len(count) != records {
		t.Errorf("%d records are there, want %d", len(count), records)
	}
	if left, err := unpublished(dir); err != nil || len(left) > 0 {
		t.Errorf("%q are left, unpublished (%v)", left, err)
	}
}

// TestAnotherStateDirectoryIsRefusedUntilItTakesOver runs two pipelines of one name on one directory.
func TestAnotherStateDirectoryIsRefusedUntilItTakesOver(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	config := pipeline.Config{
		Name: "lines", State: t.TempDir(), Source: generate.Source{Count: 100}, Sink: Sink{Dir: dir},
		Memory: pipeline.MemoryMin,
	}
	first, err := runPipeline(t, config)
	if err != nil || first.Guarantee != pipeline.GuaranteeExactlyOnce {
		t.Fatalf("%+v, %v", first, err)
	}
	config.State = t.TempDir()
	if _, err := runPipeline(t, config); err == nil || !strings.Contains(err.Error(), "target-owned") {
		t.Errorf("another state directory: %v", err)
	}
	config.TakeOver = true
	if _, err := runPipeline(t, config); err != nil {
		t.Errorf("another state directory, which takes over: %v", err)
	}
}

func runPipeline(t *testing.T, config pipeline.Config) (pipeline.Summary, error) {
	t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(t.Context())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	connectortest.RunSink(t, connectortest.SinkHarness{
		Claims: connectortest.SinkClaims{Streams: true, TwoPhase: true, Fences: true},
		New: func(t connectortest.T) connectortest.System {
			dir := t.TempDir()
			return connectortest.System{
				Sink:        Sink{Dir: dir},
				Read:        func(context.Context) ([][]connectortest.Stored, error) { return readRecords(dir) },
				Unpublished: func(context.Context) ([]string, error) { return unpublished(dir) },
			}
		},
	})
}

// lines are the lines of each published file.
func lines(dir string) ([][]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	}
	return out, nil
}

func readRecords(dir string) ([][]connectortest.Stored, error) {
	files, err := lines(dir)
	out := make([][]connectortest.Stored, len(files))
	for i, file := range files {
		for _, line := range file {
			value, err := strconv.Unquote(line[strings.LastIndexByte(line, '\t')+1:])
			if err != nil {
				return nil, err
			}
			stored, err := connectortest.ParseLine(value)
			if err != nil {
				return nil, err
			}
			out[i] = append(out[i], stored)
		}
	}
	return out, err
}

// unpublished lists every file below .forebay that is no fence.
func unpublished(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(filepath.Join(dir, ".forebay"), func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), "owner-") {
			out = append(out, name)
		}
		return err
	})
	return out, err
}

// A sink sees the processing time of its lane, the watermark, and the event time of each record.
func TestLinesHoldTheContextOfTheirRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, err := Sink{Dir: dir}.Start(t.Context(), forebay.SinkContext{Pipeline: "p"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	w, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{
		Owner: forebay.Owner{Pipeline: "p", Epoch: 1}, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	b := forebay.NewBatch()
	b.Append(0, []byte("with"))
	b.Append(1, []byte("without"))
	b.Record(0).Time = now.Add(-time.Hour).UnixMicro()
	b.SetWatermark(now.Add(-2 * time.Hour).UnixMicro())
	if err := w.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := lines(dir)
	if err != nil {
		t.Fatal(err)
	}
	behind := "\t2026-11-21T10:00:00Z\t2026-11-21T12:00:00Z\t"
	want := [][]string{{"2026-11-21T11:00:00Z" + behind + `"with"`, "-" + behind + `"without"`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
