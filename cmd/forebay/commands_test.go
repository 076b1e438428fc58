// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWrongCommandLinesAreExplained(t *testing.T) {
	state := t.TempDir()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pipeline.yaml", []byte(generator), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"rnu pipeline.yaml", `did you mean "run"?`},
		{"tables ls", `did you mean "table"?`},
		{"table scna x", `did you mean "scan"?`},
		{"run --summry json pipeline.yaml", `did you mean "--summary"?`},
		{"run --summary xml pipeline.yaml", `must be one of "text","json"`},
		{"table scan x --format xml", `must be one of "csv","ndjson","table"`},
		{"run", "<file> ..."},
		{"run pipelin.yaml", `did you mean "pipeline.yaml"?`},
		{"run nowhere/pipeline.yaml", "the folder does not exist"},
		{"check", "<file>"},
		{"table", "expected one of"},
		{"table scan x --limit many", "limit"},
		{"table scan x --limit=-1 --state " + state, "negative"},
		{"table scan x --state " + state, "no state directory"},
		{"table ls --state " + state, "no state directory"},
		{"checkpoint ls --state " + state, "no state directory"},
		{"checkpoint reset x --yes --state " + state, "no state directory"},
		{"dlq ls --state " + state, "no state directory"},
		{"table drop x --yes --state " + state, "no state directory"},
		{"table create x --state " + state, "--column"},
		{"table create x --column id --state " + state, "has no type"},
		{"table create x --column id:it64 --state " + state, "it64"},
		{"table create x --column id:int64 --key di --state " + state, `did you mean "id"?`},
		{"bench audit", "--input"},
		{"bench audit --input a.txt --table x --state " + state, "the ending says no format"},
		{"bench audit --input a.csv --state " + state, "--table"},
		{"bench audit --input a.csv --pipeline pipeline.yaml", "can't be used together"},
	} {
		var c console
		got := c.run(t, strings.Fields(test.line)...)
		if got.code != exitWrong || got.out != "" || !strings.Contains(got.err, test.want) ||
			!strings.HasPrefix(got.err, "error: ") || strings.Count(got.err, "error: ") != 1 {
			t.Errorf("%s: exit %d, %q, %q", test.line, got.code, got.out, got.err)
		}
	}
	if made := append(tree(t, "."), tree(t, state)...); len(made) != 3 {
		t.Errorf("something was made: %v", made)
	}
}

func TestHelpIsAResult(t *testing.T) {
	var c console
	for _, line := range []string{"", "--help", "run --help", "table scan --help", "bench audit --help"} {
		got := c.run(t, strings.Fields(line)...)
		if got.code != exitDone || got.err != "" || !strings.HasPrefix(got.out, "Usage: forebay") {
			t.Errorf("%q: %+v", line, got)
		}
	}
	if got := c.run(t); !strings.Contains(got.out, "forebay run examples/quickstart/pipeline.yaml") {
		t.Errorf("no hint how to begin: %s", got.out)
	}
	if got := c.run(t, "version"); !strings.HasPrefix(got.out, "forebay ") || !strings.Contains(got.out, "go1.") {
		t.Errorf("version: %s", got.out)
	}
}

// rowsOf is a csv file and a pipeline that reads it into the table ids.
func rowsOf(t *testing.T, csv, sink string) (input, pipeline string) {
	t.Helper()
	input = writeFile(t, "rows.csv", csv)
	return input, writeFile(t, "rows.yaml", fmt.Sprintf("name: rows\nsource: { file: { path: %s, "+
		"format: { csv: { schema: { id: int64, text: string } } } } }\nsink: { table: { %s } }\n", input, sink))
}

func TestScanPrintsEveryFormat(t *testing.T) {
	_, file := rowsOf(t, "id,text\n3,\"a,\"\"b\"\"\"\n1,plain\n2,\n4,\"\"\n", "name: ids, key: [id]")
	state := t.TempDir()
	var c console
	mustRun(t, c, "run", file, "--state", state)
	for _, test := range []struct{ flags, want string }{
		{"", "id,text\n1,plain\n2,\n3,\"a,\"\"b\"\"\"\n4,\"\"\n"},
		{"--format ndjson", `{"id":1,"text":"plain"}` + "\n" + `{"id":2,"text":null}` + "\n" +
			`{"id":3,"text":"a,\"b\""}` + "\n" + `{"id":4,"text":""}` + "\n"},
		{"--format table --limit 2", "id  text\n1   plain\n2   null\n"},
		{"--count", "4\n"},
		{"--count --where id>1", "3\n"},
		{"--select text,id --where id==3", "text,id\n\"a,\"\"b\"\"\",3\n"},
		{"--where id>9", "id,text\n"},
		{"--limit 1 --select id", "id\n1\n"},
	} {
		if out := mustRun(t, c, append([]string{"table", "scan", "ids", "--state", state},
			strings.Fields(test.flags)...)...); out != test.want {
			t.Errorf("%s: %q, want %q", test.flags, out, test.want)
		}
	}
	terminal := console{terminal: true}
	out := mustRun(t, terminal, "table", "scan", "ids", "--limit", "1", "--state", state)
	if out != "id  text\n1   plain\n" {
		t.Errorf("on a terminal: %q", out)
	}
	for _, test := range []struct{ flags, want string }{
		{"--where ide>1", "error: no column is called \"ide\"\n --> --where\n  |\n  | ide>1\n" +
			"  | ^^^ did you mean \"id\"?"},
		{"--where id+1", "a filter needs a bool"},
		{"--select id,txet", `did you mean "text"?`},
	} {
		got := c.run(t, append([]string{"table", "scan", "ids", "--state", state}, strings.Fields(test.flags)...)...)
		if got.code != exitWrong || got.out != "" || !strings.Contains(got.err, test.want) {
			t.Errorf("%s: %+v", test.flags, got)
		}
	}
	if got := c.run(t, "table", "scan", "idz", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, `did you mean "ids"?`) {
		t.Errorf("a table that is not there: %+v", got)
	}
	if got := mustRun(t, c, "table", "get", "ids", "3", "--state", state); got != "id,text\n3,\"a,\"\"b\"\"\"\n" {
		t.Errorf("get: %q", got)
	}
	if got := c.run(t, "table", "get", "ids", "9", "--state", state); got.code != exitFailed || got.out != "" {
		t.Errorf("get of a missing row: %+v", got)
	}
	for _, line := range []string{"ids", "ids 1 2", "ids x"} {
		got := c.run(t, append([]string{"table", "get", "--state", state}, strings.Fields(line)...)...)
		if got.code != exitWrong {
			t.Errorf("get %s: %+v", line, got)
		}
	}
}

func TestTablesAreMadeDescribedAndDropped(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	var c console
	if out := mustRun(t, c, "table", "create", "clicks", "--column", "id:int64", "--column", "at:timestamp", "--key", "id",
		"--version", "at", "--tablets", "2", "--state", state); out != "table clicks created\n" {
		t.Errorf("create: %q", out)
	}
	if got := c.run(t, "table", "create", "clicks", "--column", "id:int64", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, "exists") {
		t.Errorf("create again: %+v", got)
	}
	want := "TABLE   KIND  KEY  TABLETS  COLUMNS\nclicks  key   id   2        2\n"
	if out := mustRun(t, c, "table", "ls", "--state", state); out != want {
		t.Errorf("ls: %q", out)
	}
	want = "table    clicks\nkey      id\nversion  at\nrows     0\n\nCOLUMN  TYPE\nid      int64\nat      timestamp\n\n" +
		"TABLET  LOG FROM  LOG END\n0       0         0\n1       0         0\n"
	if out := mustRun(t, c, "table", "describe", "clicks", "--state", state); out != want {
		t.Errorf("describe: %q, want %q", out, want)
	}
	if got := c.run(t, "table", "drop", "clicks", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, "removes table \"clicks\" with its 0 rows") {
		t.Errorf("drop without --yes: %+v", got)
	}
	if out := mustRun(t, c, "table", "drop", "clicks", "--yes", "--state", state); out != "table clicks dropped\n" {
		t.Errorf("drop: %q", out)
	}
	if got := c.run(t, "table", "describe", "clicks", "--state", state); got.code != exitWrong {
		t.Errorf("describe of a dropped table: %+v", got)
	}
}

func TestRejectedRecordsAreShownWithReasonPlaceAndBytes(t *testing.T) {
	t.Parallel()
	input, file := rowsOf(t, "id,text\n1,a\nx,b\n2,c\n", "name: ids")
	state := t.TempDir()
	var c console
	if out := mustRun(t, c, "run", file, "--state", state); !strings.Contains(out, "rejected 1  delivered 2") {
		t.Errorf("run: %q", out)
	}
	if out := mustRun(t, c, "dlq", "ls", "--state", state); out != "PIPELINE  REJECTED\nrows      1\n" {
		t.Errorf("ls: %q", out)
	}
	out := mustRun(t, c, "dlq", "show", "rows", "--state", state)
	for _, part := range []string{"int64", "at " + input, "wrong-type", "\n  | x,b\n"} {
		if !strings.Contains(out, part) {
			t.Errorf("show lacks %q: %q", part, out)
		}
	}
	out = mustRun(t, c, "dlq", "show", "rows", "--format", "ndjson", "--state", state)
	if strings.Count(out, "\n") != 1 || !strings.Contains(out, `"code":"wrong-type"`) {
		t.Errorf("show as ndjson: %q", out)
	}
	if got := c.run(t, "dlq", "show", "rwos", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, `did you mean "rows"?`) {
		t.Errorf("show of an unknown pipeline: %+v", got)
	}
}

func TestAResetStartsOverAndKeepsTheRows(t *testing.T) {
	t.Parallel()
	_, file := rowsOf(t, "id,text\n1,a\n2,b\n", "name: ids")
	state := t.TempDir()
	var c console
	mustRun(t, c, "run", file, "--state", state)
	got := c.run(t, "checkpoint", "reset", "rows", "--state", state)
	if got.code != exitWrong || !strings.Contains(got.err, "--yes") ||
		!strings.Contains(got.err, "rows in the target stay") {
		t.Errorf("without --yes: %+v", got)
	}
	if out := mustRun(t, c, "run", file, "--state", state); !strings.Contains(out, "read 0 ") {
		t.Errorf("a refused reset started over: %q", out)
	}
	mustRun(t, c, "checkpoint", "reset", "rows", "--yes", "--state", state)
	if out := mustRun(t, c, "checkpoint", "ls", "--state", state); strings.Contains(out, "rows") {
		t.Errorf("still listed: %q", out)
	}
	if got := c.run(t, "checkpoint", "show", "rows", "--state", state); got.code != exitWrong {
		t.Errorf("show after reset: %+v", got)
	}
	if out := mustRun(t, c, "run", file, "--state", state); !strings.Contains(out, "read 2 ") {
		t.Errorf("the next run: %q", out)
	}
	if out := mustRun(t, c, "table", "scan", "ids", "--count", "--state", state); out != "4\n" {
		t.Errorf("rows %q", out)
	}
	if got := c.run(t, "checkpoint", "show", "rosw", "--state", state); got.code != exitWrong ||
		!strings.Contains(got.err, `did you mean "rows"?`) {
		t.Errorf("unknown name: %+v", got)
	}
}

func TestAuditFindsWhatIsMissingRepeatedAndUnexpected(t *testing.T) {
	t.Parallel()
	input, file := rowsOf(t, "id,text\n1,a\n2,b\n3,c\n3,c\n", "name: ids, tablets: 1")
	state := t.TempDir()
	var c console
	mustRun(t, c, "run", file, "--state", state)
	audit := func(csv string) printed {
		t.Helper()
		if err := os.WriteFile(input, []byte(csv), 0o644); err != nil {
			t.Fatal(err)
		}
		return c.run(t, "bench", "audit", "--input", input, "--table", "ids", "--state", state)
	}
	for _, test := range []struct {
		csv, want string
		code      int
	}{
		{"id,text\n1,a\n2,b\n3,c\n3,c\n", "lost 0  repeated 0  reordered 0  unexpected 0\n", exitDone},
		{"id,text\n1,a\n2,b\n3,c\n", "lost 0  repeated 1  reordered 0  unexpected 0\n", exitFailed},
		{"id,text\n1,a\n2,b\n3,c\n3,c\n9,z\n", "lost 1  repeated 0  reordered 0  unexpected 0\n", exitFailed},
		{"id,text\n1,a\n2,x\n3,c\n3,c\n", "lost 1  repeated 0  reordered 0  unexpected 1\n", exitFailed},
		{"id,text\n2,b\n1,a\n3,c\n3,c\n", "lost 0  repeated 0  reordered 1  unexpected 0\n", exitFailed},
		{"id\n1\n2\n3\n3\n", "lost 0  repeated 0  reordered 0  unexpected 0\n", exitDone},
	} {
		if got := audit(test.csv); got.code != test.code || !strings.HasSuffix(got.out, test.want) {
			t.Errorf("%q: %+v", test.csv, got)
		}
	}
}

func TestAuditOfAKeyTableExpectsTheLastRowOfEachKey(t *testing.T) {
	t.Parallel()
	_, file := rowsOf(t, "id,text\n1,a\n2,b\n1,c\n", "name: ids, key: [id]")
	state := t.TempDir()
	var c console
	mustRun(t, c, "run", file, "--state", state)
	want := "read 3  filtered 0  rejected 0  replaced 1  expected 2  in table 2\n" +
		"lost 0  repeated 0  reordered 0  unexpected 0\n"
	if out := mustRun(t, c, "bench", "audit", "--pipeline", file, "--state", state); out != want {
		t.Errorf("%q", out)
	}
}

func TestAuditReadsParquetAndAvro(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var c console
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	state := filepath.Join(dir, "state")
	mustRun(t, c, "run", write("out.yaml", "name: out\n"+
		"source: { generate: { count: 100, fields: [{ name: id, sequence: {} }] } }\n"+
		"sink: { file: { path: "+dir+"/out, format: parquet } }\n"), "--state", state)
	parts, err := filepath.Glob(dir + "/out/*.parquet")
	if err != nil || len(parts) == 0 {
		t.Fatalf("%v, %v", parts, err)
	}
	for i, input := range []string{parts[0], "../../codec/avro/testdata/null.avro"} {
		format := strings.TrimPrefix(filepath.Ext(input), ".")
		mustRun(t, c, "run", write("in.yaml", fmt.Sprintf("name: in%d\nsource: { file: { path: %s, format: %s } }\n"+
			"sink: { table: { name: t%d } }\n", i, input, format, i)), "--state", state)
		out := mustRun(t, c, "bench", "audit", "--input", input, "--table", fmt.Sprintf("t%d", i), "--state", state)
		if !strings.HasSuffix(out, "lost 0  repeated 0  reordered 0  unexpected 0\n") {
			t.Errorf("%s: %q", input, out)
		}
	}
}

func TestTheSameWarningIsShownOnceThenCounted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(0, 0)
	r := newRepeats(func() time.Time { return now })
	logger := newLogger(&out, "info", "text", r)
	a, b := logger.With("pipeline", "a"), logger.With("pipeline", "b")
	refused := errors.New("refused")
	for range 5 {
		a.Warn("lane restarts", "error", refused)
	}
	a.Warn("lane restarts", "error", errors.New("another cause"))
	b.Warn("lane restarts", "error", refused)
	a.Info("split finished", "split", "x")
	a.Info("split finished", "split", "y")
	if lines := strings.Count(out.String(), "\n"); lines != 5 {
		t.Errorf("%d lines:\n%s", lines, out.String())
	}
	r.flush(t.Context(), false)
	now = now.Add(repeatEvery)
	r.flush(t.Context(), false)
	r.flush(t.Context(), true)
	if !strings.HasSuffix(out.String(), "pipeline=a error=refused repeated=4\n") ||
		strings.Count(out.String(), "\n") != 6 {
		t.Errorf("after ten seconds:\n%s", out.String())
	}
	if logger.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug is shown")
	}
}

func TestScreenKeepsLogLinesAboveTheProgressLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true, width: func() int { return 12 }}
	s.show("progress that is too long")
	if _, err := s.Write([]byte("log\n")); err != nil {
		t.Fatal(err)
	}
	s.clear()
	s.clear()
	if want := "\r\x1b[Kprogress th\r\x1b[Klog\nprogress th\r\x1b[K"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestCheckExplainsTheGuaranteeLinkByLink(t *testing.T) {
	atRoot(t)
	var c console
	out := mustRun(t, c, "check", quickstart)
	for _, part := range []string{
		"flights  exactly-once\n", "\n  source ", "\n  transform ", "\n  sink ", "\n  end to end ",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("check lacks %q: %s", part, out)
		}
	}
	weaker := mustRun(t, c, "check", quickstart, "--set", "guarantee=at-least-once")
	if !strings.Contains(weaker, "exactly-once would be possible") {
		t.Errorf("%s", weaker)
	}
	result := summaryOf(t, mustRun(t, c, "check", quickstart, "--output", "json"))
	if result["guarantee"] != "exactly-once" || result["errors"] != 0.0 || len(result["links"].([]any)) != 4 {
		t.Errorf("%v", result)
	}
	got := c.run(t, "check", quickstart, "--output", "json", "--set", "lanes=x")
	if wrong := summaryOf(t, got.out); got.code != exitWrong || wrong["errors"] != 1.0 || got.err != "" {
		t.Errorf("%+v", got)
	}
	if out := mustRun(t, c, "check", quickstart, "--print"); !strings.Contains(out, "\nmemory: 256MB  # default\n") ||
		!strings.Contains(out, "interval: 100ms") {
		t.Errorf("print: %s", out)
	}
}

// Keys that change nothing for the sink are said by check, and at the start of a run.
func TestKeysWithoutAnEffectAreWarnedOf(t *testing.T) {
	input, _ := rowsOf(t, "id,text\n1,a\n", "table: { name: out }")
	file := writeFile(t, "p.yaml", "name: p\nsource: { file: { path: "+input+", format: csv } }\n"+
		"sink: { table: { name: out } }\nwriter: { batch.size: 1MB, max.inflight: 2 }\n")
	var c console
	out := mustRun(t, c, "check", file)
	for _, part := range []string{
		"warning: writer.batch.size changes nothing here", `table "out"`, "= use checkpoint.bytes", "is right",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("check lacks %q: %s", part, out)
		}
	}
	result := summaryOf(t, mustRun(t, c, "check", file, "--output", "json"))
	if warnings, _ := result["warnings"].([]any); len(warnings) != 1 || result["errors"] != 0.0 {
		t.Errorf("%v", result)
	}
	got := c.run(t, "run", file, "--state", t.TempDir())
	if got.code != exitDone || strings.Count(got.err, "level=WARN") != 1 ||
		!strings.Contains(got.err, "use checkpoint.bytes") {
		t.Errorf("%+v", got)
	}
}

func TestRefusedColumnsAndZonesAreToldWhatWorks(t *testing.T) {
	t.Parallel()
	nested, err := filepath.Abs("../../codec/parquet/testdata/nested.parquet")
	if err != nil {
		t.Fatal(err)
	}
	input, _ := rowsOf(t, "id,text\n1,a\n", "name: ids")
	csv := "{ file: { path: " + input + ", format: csv } }"
	var c console
	for _, test := range []struct{ source, more, want string }{
		{"{ file: { path: " + nested + ", format: parquet } }", "", "as in columns: [a, behind]"},
		{csv, `event_time: { field: text, zone: "+02:00" }`, "write Etc/GMT-2"},
		{csv, "event_time: { field: text, zone: utc }", "write UTC"},
		{csv, "transform: [ { cast: { text: { type: timestamp, zone: europe/berlin } } } ]", `"Europe/Berlin"?`},
	} {
		file := writeFile(t, "p.yaml", "name: p\nsource: "+test.source+"\n"+test.more+"\nsink: { stdout: {} }\n")
		if got := c.run(t, "check", file); got.code != exitWrong || !strings.Contains(got.err, test.want) {
			t.Errorf("%s: %+v", test.more, got)
		}
	}
}
