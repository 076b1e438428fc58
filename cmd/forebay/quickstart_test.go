// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

const quickstart = "examples/quickstart/pipeline.yaml"

// atRoot works in the folder of the repository, where the paths of the examples begin.
func atRoot(t *testing.T) {
	t.Helper()
	t.Chdir("../..")
}

func summaryOf(t *testing.T, text string) map[string]any {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	summary := map[string]any{}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &summary); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return summary
}

func mustRun(t *testing.T, c console, args ...string) string {
	t.Helper()
	got := c.run(t, args...)
	if got.code != exitDone {
		t.Fatalf("%v: exit %d\n%s", args, got.code, got.err)
	}
	return got.out
}

func TestQuickstartDeliversEachRowOnce(t *testing.T) {
	atRoot(t)
	var c console
	state := filepath.Join(t.TempDir(), "state")
	out := mustRun(t, c, "run", quickstart, "--state", state, "--summary", "json")
	if strings.Count(out, "\n") != 1 {
		t.Errorf("stdout is not one line: %q", out)
	}
	summary := summaryOf(t, out)
	var keys []string
	decoder := json.NewDecoder(strings.NewReader(out))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	for decoder.More() {
		key, _ := decoder.Token()
		keys = append(keys, key.(string))
		if _, err := decoder.Token(); err != nil {
			t.Fatal(err)
		}
	}
	want := "pipeline status read delivered filtered rejected duplicates_dropped retries checkpoints bytes_in bytes_out " +
		"lanes seconds guarantee resumed error"
	if diff := cmp.Diff(want, strings.Join(keys, " ")); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	for key, value := range map[string]any{
		"pipeline": "flights", "status": "done", "read": 27004.0, "filtered": 521.0, "delivered": 26483.0, "rejected": 0.0,
		"guarantee": "exactly-once", "resumed": false, "error": "",
	} {
		if summary[key] != value {
			t.Errorf("%s is %v, want %v", key, summary[key], value)
		}
	}
	again := summaryOf(t, mustRun(t, c, "run", quickstart, "--state", state, "--summary", "json"))
	if again["read"] != 0.0 || again["delivered"] != 0.0 || again["status"] != "done" || again["resumed"] != true {
		t.Errorf("the second run: %v", again)
	}
	if out := mustRun(t, c, "table", "scan", "flights", "--count", "--state", state); out != "26483\n" {
		t.Errorf("count %q", out)
	}
	if out := mustRun(t, c, "bench", "audit", "--pipeline", quickstart, "--state", state); !strings.HasSuffix(out,
		"\nlost 0  repeated 0  reordered 0  unexpected 0\n") {
		t.Errorf("audit: %s", out)
	}
	for _, left := range []string{"LOCK", "forebay.sock"} {
		if _, err := os.Stat(filepath.Join(state, left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

func TestSummaryAsTextIsTheLastLine(t *testing.T) {
	atRoot(t)
	var c console
	out := mustRun(t, c, "run", quickstart, "--state", t.TempDir())
	head, _, _ := strings.Cut(out, "  0.")
	if head != "flights  done  read 27004  filtered 521  rejected 0  delivered 26483" ||
		!strings.HasSuffix(out, " s  exactly-once\n") {
		t.Errorf("%q", out)
	}
}

func TestRecordsOnStandardOutputAreAlone(t *testing.T) {
	atRoot(t)
	var c console
	got := c.run(t, "run", quickstart, "--state", t.TempDir(), "--set", "sink=null", "--set", "sink.stdout.format=csv",
		"--log-level", "error")
	if got.code != exitDone || strings.Count(got.out, "\n") != 26484 || !strings.HasPrefix(got.out, "year,month") ||
		strings.Contains(got.out, "flights  done") {
		t.Errorf("exit %d, %d lines", got.code, strings.Count(got.out, "\n"))
	}
	if !strings.HasPrefix(got.err, "flights  done  read 27004") || !strings.HasSuffix(got.err, "at-least-once\n") {
		t.Errorf("stderr %q", got.err)
	}
}

// generator is a pipeline that does not end by itself.
const generator = `name: endless
source: { generate: { rate: 20000, fields: [ { name: id, sequence: {} }, { name: word, words: [a, b] } ] } }
sink: { table: { name: numbers } }
`

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// begin runs a pipeline beside the test until stop is called, which returns what it printed.
func begin(t *testing.T, state string, args ...string) (stop func() printed) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	var ended printed
	var running sync.WaitGroup
	running.Go(func() {
		c := console{life: func() context.Context { return ctx }}
		ended = c.run(t, append([]string{"run", "--state", state, "--summary", "json"}, args...)...)
	})
	return func() printed {
		cancel(forebay.ErrStopped)
		running.Wait()
		return ended
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		select {
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatalf("never: %s", what)
}

func TestASignalDrainsAndOtherCommandsLookInMeanwhile(t *testing.T) {
	file := writeFile(t, "endless.yaml", generator)
	state := filepath.Join(t.TempDir(), "state")
	stop := begin(t, state, file)
	var c console
	eventually(t, "rows in the table", func() bool {
		got := c.run(t, "table", "scan", "numbers", "--count", "--state", state)
		return got.code == exitDone && got.out != "0\n"
	})
	// The run owns the directory, so all of these go through its socket.
	if out := mustRun(t, c, "table", "scan", "numbers", "--where", "id < 2", "--state", state, "--format", "ndjson",
		"--select", "id"); out != "{\"id\":0}\n{\"id\":1}\n" {
		t.Errorf("scan: %q", out)
	}
	out := mustRun(t, c, "checkpoint", "ls", "--state", state)
	if !strings.Contains(out, "endless   1      exactly-once") {
		t.Errorf("checkpoint ls: %q", out)
	}
	if out := mustRun(t, c, "checkpoint", "show", "endless", "--state", state); !strings.Contains(out, "target") {
		t.Errorf("checkpoint show: %q", out)
	}
	if got := c.run(t, "checkpoint", "reset", "endless", "--yes", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, "is running") {
		t.Errorf("reset of a running pipeline: %+v", got)
	}
	if got := c.run(t, "run", file, "--state", state); got.code != exitWrong || got.out != "" ||
		!strings.Contains(got.err, "is in use by process") || !strings.Contains(got.err, "forebay run "+file) {
		t.Errorf("a second run: %+v", got)
	}
	got := stop()
	summary := summaryOf(t, got.out)
	if got.code != exitDone || summary["status"] != "stopped" || summary["read"] != summary["delivered"] {
		t.Errorf("exit %d: %v", got.code, summary)
	}
	if !strings.Contains(got.err, "run the same command to go on") {
		t.Errorf("stderr %q", got.err)
	}
	entries, err := os.ReadDir(state)
	if err != nil || len(entries) != 2 {
		t.Errorf("left: %v, %v", entries, err)
	}
	out = mustRun(t, c, "table", "scan", "numbers", "--count", "--state", state)
	if want, _ := json.Marshal(summary["delivered"]); out != string(want)+"\n" {
		t.Errorf("count %q, delivered %s", out, want)
	}
}

func TestSeveralFilesRunInOneProcess(t *testing.T) {
	atRoot(t)
	other := writeFile(t, "numbers.yaml",
		"name: numbers\nsource: { generate: { count: 1000, fields: [ { name: id, sequence: {} } ] } }\n"+
			"sink: { table: { name: numbers } }\n")
	state := t.TempDir()
	var c console
	out := mustRun(t, c, "run", quickstart, other, "--state", state)
	lines := strings.Split(out, "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "flights  done  read 27004") ||
		!strings.HasPrefix(lines[1], "numbers  done  read 1000") {
		t.Errorf("%q", out)
	}
	if got := c.run(t, "run", other, other, "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, "are both called \"numbers\"") {
		t.Errorf("one name twice: %+v", got)
	}
	if got := c.run(t, "run", quickstart, other, "--state", state, "--set", "memory=40MB"); got.code != exitWrong ||
		!strings.Contains(got.err, "less than") {
		t.Errorf("too little memory for two: %+v", got)
	}
}

func TestAWrongExpressionIsShownAtItsPlaceAlsoWhenTheStateExists(t *testing.T) {
	atRoot(t)
	state := t.TempDir()
	var c console
	mustRun(t, c, "run", quickstart, "--state", state)
	got := c.run(t, "run", quickstart, "--state", state, "--set", "transform.0.filter=dep_tme != nil")
	if got.code != exitWrong || !strings.Contains(got.err, "did you mean \"dep_time\"?") ||
		!strings.Contains(got.err, "--set #1") || strings.Count(got.err, "error:") != 1 {
		t.Errorf("%+v", got)
	}
	got = c.run(t, "run", quickstart, "--state", state, "--set", "sink.table.name=others")
	if got.code != exitWrong || !strings.Contains(got.err, `sink.name was "flights" and is now "others"`) ||
		!strings.Contains(got.err, "checkpoint reset flights") {
		t.Errorf("another table: %+v", got)
	}
}

func TestAFailedRunSaysWhyOnceAndExitsWith1(t *testing.T) {
	file := writeFile(t, "bad.csv", "id\n1\nx\n")
	text := "name: strict\nsource: { file: { path: " + file + ", format: { csv: { schema: { id: int64 } } } } }\n" +
		"sink: { table: { name: ids } }\nerrors: { rejected: stop }\n"
	var c console
	got := c.run(t, "run", writeFile(t, "strict.yaml", text), "--state", t.TempDir())
	if got.code != exitFailed || strings.Count(got.err, "error:") != 1 ||
		!strings.HasPrefix(got.out, "strict  failed  read ") {
		t.Errorf("%+v", got)
	}
}

func TestProgressLineCountsRatesAndTheRest(t *testing.T) {
	t.Parallel()
	before := pipeline.Progress{Read: 1000, BytesIn: 1 << 20, Done: 100, Elapsed: time.Second}
	now := pipeline.Progress{
		Read: 1501000, BytesIn: 151 << 20, Done: 400, Total: 1000, Elapsed: 2 * time.Second, Rejected: 1234,
	}
	want := "p  read 1,501,000  1.5 M/s  150.0 MB/s  40 %  ETA 3 s  rejected 1,234"
	if got := progressLine("p", before, now); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
