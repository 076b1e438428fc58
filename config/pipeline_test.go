// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/csv"
	"github.com/forebay-io/forebay/codec/ndjson"
	"github.com/forebay-io/forebay/codec/raw"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector/all"
	"github.com/forebay-io/forebay/connector/file"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/transform"
	"github.com/forebay-io/forebay/writer"
)

func load(t *testing.T, text string, sets ...string) *config.Pipeline {
	t.Helper()
	loader := config.Loader{Registry: all.Registry(), Options: config.Options{Sets: sets}}
	p, problems := loader.Load("p.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems.Render("p.yaml"))
	}
	return p
}

// small is a file with the required keys only.
const small = "name: flights\nsource: { file: { path: f.csv, format: csv } }\nsink: { table: { name: flights } }\n"

// keys are all that a pipeline file can hold, each with a value that is not its default.
var keys = map[string]string{
	"name": "other", "source": "{ generate: { count: 3 } }", "transform": "[ { filter: a != nil } ]",
	"sink": "{ drop: {} }", "guarantee": "at-least-once", "state": "./elsewhere", "lanes": "3", "memory": "300MB",
	"writer.buffer.memory": "20MB", "checkpoint.interval": "3s", "checkpoint.bytes": "1MB", "errors.rejected": "stop",
	"writer.profile": "latency", "writer.batch.size": "1MB", "writer.batch.timeout": "3s", "writer.retries": "unlimited",
	"writer.max.inflight": "2", "writer.acks": "all", "writer.idempotence": "true", "http.listen": "127.0.0.1:7878",
	"event_time.field": "time", "event_time.format": "unix", "event_time.zone": "Europe/Berlin", "event_time.idle": "3s",
	"event_time.out_of_order": "3s", "event_time.align": "3s",
	"errors.max": "7", "shutdown.timeout": "3s", "log.level": "warn", "log.format": "json",
}

func flatten(prefix string, fields []config.Field) []string {
	var out []string
	for _, f := range fields {
		if len(f.Fields) > 0 {
			out = append(out, flatten(prefix+f.Key+".", f.Fields)...)
			continue
		}
		out = append(out, prefix+f.Key)
	}
	return out
}

func TestEveryKeyOfTheFileChangesWhatAProgramWouldWrite(t *testing.T) {
	t.Parallel()
	var want []string
	for key := range keys {
		want = append(want, key)
	}
	got := flatten("", config.PipelineFields(all.Registry()))
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("keys (-want +got)\n%s", diff)
	}
	for key, value := range keys {
		if key == "writer.acks" || key == "writer.idempotence" { // a program cannot weaken them
			continue
		}
		with := []string{}
		if strings.HasPrefix(key, "event_time.") && key != "event_time.field" {
			with = append(with, "event_time.field=n") // the others say how it is read
		}
		base, changed := load(t, small, with...), load(t, small, append(with, key+"="+value)...)
		if reflect.DeepEqual(base.Config, changed.Config) && base.Log == changed.Log && base.HTTP == changed.HTTP {
			t.Errorf("%s: %s changes nothing", key, value)
		}
	}
}

func TestEveryFieldOfAProgramsConfigCanBeWrittenInAFile(t *testing.T) {
	t.Parallel()
	text := small
	var sets []string
	for key, value := range keys {
		sets = append(sets, key+"="+value)
	}
	c := load(t, text, sets...).Config
	onlyGo := []string{"Opened", "Logger", "Hooks", "Limited", "TakeOver"} // --take-over is for one run
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if slices.Contains(onlyGo, path+f.Name) {
				continue
			}
			if v.Field(i).IsZero() {
				t.Errorf("%s%s is zero", path, f.Name)
			}
			if v.Field(i).Kind() == reflect.Struct && v.Field(i).Type().PkgPath() == v.Type().PkgPath() {
				walk(v.Field(i), path+f.Name+".")
			}
		}
	}
	walk(reflect.ValueOf(c), "")
}

// The profile gives the knobs that the file does not.
func TestAKeyBesideTheProfileWins(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]writer.Tuning{
		"{ profile: throughput }": {BatchSize: 5 * forebay.MiB, BatchTimeout: time.Second},
		"{ batch.size: 1MB, profile: throughput, retries: 0 }": {
			BatchSize: forebay.MiB, BatchTimeout: time.Second, Retries: writer.NoRetries,
		},
		"{ profile: latency, batch: { timeout: 1s } }":   {BatchSize: 100 * forebay.KiB, BatchTimeout: time.Second},
		"{ profile: weak-network, max.inflight: 3 }":     {MaxInflight: 3},
		"{ profile: weak-network, retries: unlimited }":  {MaxInflight: 1, Retries: forebay.Unlimited},
		"{ retries: 7, buffer.memory: 16MB }":            {Retries: 7},
		"{ profile: weak-network, batch.timeout: 250ms}": {MaxInflight: 1, BatchTimeout: 250 * time.Millisecond},
	} {
		p := load(t, small+"writer: "+text+"\n")
		if p.Config.Writer != want {
			t.Errorf("%s: %+v, want %+v", text, p.Config.Writer, want)
		}
		if again := load(t, string(p.Print())); again.Config.Writer != want {
			t.Errorf("%s printed and read: %+v, want %+v\n%s", text, again.Config.Writer, want, p.Print())
		}
	}
}

func TestWrongKnobsAreExplained(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]string{
		"writer.profile=fast":         "throughput",
		"writer.profile=latncy":       `did you mean "latency"?`,
		"writer.batch.size=0B":        "1B",
		"writer.batch.size=2GB":       "1GB",
		"writer.batch.size=5":         "unit",
		"writer.batch.timeout=2h":     "1h",
		"writer.max.inflight=6":       "5",
		"writer.max.inflight=0":       "1",
		"writer.retries=-1":           "0",
		"http.listen=here":            "write for example 127.0.0.1:7878",
		"http.listne=\"127.0.0.1:1\"": `did you mean "listen"?`,
	} {
		loader := config.Loader{Registry: all.Registry(), Options: config.Options{Sets: []string{set}}}
		_, problems := loader.Load("p.yaml", []byte(small))
		if text := problems.Render("p.yaml"); len(problems) != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: %d problems, want one that says %q: %s", set, len(problems), want, text)
		}
	}
}

// onlyInPrograms are fields of connectors that a file cannot hold.
var onlyInPrograms = []string{
	"stdin.Source.In", "stdout.Sink.Out", "table.Sink.Conn", "table.Source.Conn", "drop.Sink.Expect", "drop.Sink.Report",
}

func TestEveryFieldOfAConnectorHasAKeyAndADoc(t *testing.T) {
	t.Parallel()
	var walk func(typ reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || !strings.HasPrefix(typ.PkgPath(), "github.com/forebay-io") {
			return
		}
		seen[typ] = true
		for f := range typ.Fields() {
			name := typ.String() + "." + f.Name
			key := f.Tag.Get("yaml")
			switch {
			case !f.IsExported() || f.Anonymous:
				continue
			case key == "-" && slices.Contains(onlyInPrograms, name):
				continue
			case key == "" || key == "-":
				t.Errorf("%s has no key", name)
			case f.Tag.Get("doc") == "":
				t.Errorf("%s has no doc", name)
			}
			walk(f.Type)
		}
	}
	for _, s := range all.Registry() {
		if s.Source != nil {
			walk(reflect.TypeOf(s.Source()))
		}
		if s.Sink != nil {
			walk(reflect.TypeOf(s.Sink()))
		}
	}
	for _, format := range []codec.Format{csv.Format{}, ndjson.Format{}, raw.Format{}} {
		walk(reflect.TypeOf(format))
	}
	if len(seen) < 10 {
		t.Errorf("only %d types", len(seen))
	}
}

func TestAFileIsWhatAProgramWouldWrite(t *testing.T) {
	t.Parallel()
	p := load(t, `name: flights
source:
  file:
    path: f.csv
    format: { csv: { delimiter: ";", "null": [], header: false, schema: { id: int64, at: timestamp } } }
    range: 4MiB
    order: none
transform:
  - filter: id != nil
  - set: { b: id + 1, a: true }
  - drop: [b]
  - keep: [at, id, a]
  - rename: { at: when, id: at }
  - cast: { when: { type: string, zone: Europe/Berlin }, at: "decimal(10, 2)" }
sink: { table: { name: flights, key: [at], tablets: 2, version: when, retention: 3d, order: none } }
guarantee: at-least-once
state: x
lanes: 2
memory: 64MB
writer: { buffer: { memory: 16MB }, profile: latency, batch.size: 1MB, retries: 9 }
checkpoint: { interval: 2s, bytes: 2MB }
errors: { rejected: drop, max: unlimited }
shutdown: { timeout: 1m }
`)
	no, yes := false, true
	want := pipeline.Config{
		Name: "flights", State: "x",
		Source: file.Source{
			Path: "f.csv", Range: 4 * forebay.MiB, Order: "none", Compression: "auto", Mode: "once", MaxRecord: 16 * forebay.MiB,
			Format: csv.Format{
				Delimiter: ";", Header: &no, Null: []string{}, Multiline: &yes, Zone: "UTC",
				Schema: codec.Schema{{Name: "id", Type: "int64"}, {Name: "at", Type: "timestamp"}},
			},
		},
		Transform: []forebay.Transform{
			transform.Filter("id != nil"),
			transform.Set(transform.Assignment{Name: "b", Expr: "id + 1"}, transform.Assignment{Name: "a", Expr: "true"}),
			transform.Drop("b"),
			transform.Keep("at", "id", "a"),
			transform.Rename(transform.Renaming{From: "at", To: "when"}, transform.Renaming{From: "id", To: "at"}),
			transform.Cast(transform.CastColumn{Column: "when", Type: "string", Zone: "Europe/Berlin"},
				transform.CastColumn{Column: "at", Type: "decimal(10, 2)"}),
		},
		Sink: table.Sink{
			Name: "flights", Key: []string{"at"}, Tablets: 2, Version: "when", Retention: 72 * time.Hour, Order: "none",
		},
		Guarantee: pipeline.GuaranteeAtLeastOnce, Lanes: 2, Memory: 64 * forebay.MiB, WriterMemory: 16 * forebay.MiB,
		Writer:     writer.Tuning{BatchSize: forebay.MiB, BatchTimeout: 50 * time.Millisecond, Retries: 9},
		Checkpoint: pipeline.CheckpointConfig{Interval: 2 * time.Second, Bytes: 2 * forebay.MiB},
		Errors:     pipeline.ErrorsConfig{Rejected: pipeline.RejectedDrop},
		Shutdown:   pipeline.ShutdownConfig{Timeout: time.Minute},
	}
	if diff := cmp.Diff(want, p.Config, cmpopts.IgnoreTypes(forebay.Hooks{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What a file leaves out has the same identity as what a program leaves out: positions outlive the change.
func TestDefaultsOfFileAndProgramHaveOneIdentity(t *testing.T) {
	t.Parallel()
	p := load(t, small)
	fromFile, err := p.Config.Source.Info()
	if err != nil {
		t.Fatal(err)
	}
	fromGo, err := file.Source{Path: "f.csv", Format: csv.Format{}}.Info()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromGo, fromFile); diff != "" {
		t.Errorf("source (-go +file)\n%s", diff)
	}
	sinkFile, errFile := p.Config.Sink.Info()
	sinkGo, errGo := table.Sink{Name: "flights"}.Info()
	diff := cmp.Diff(sinkGo, sinkFile, cmpopts.IgnoreFields(forebay.SinkInfo{}, "Schema"))
	if diff != "" || errFile != nil || errGo != nil {
		t.Errorf("sink (-go +file)\n%s", diff)
	}
}

func TestAPrintedPipelineIsThePipeline(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "examples", "quickstart", "pipeline.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first := load(t, string(text))
	again := load(t, string(first.Print()))
	if diff := cmp.Diff(first.Config, again.Config, cmpopts.IgnoreTypes(forebay.Hooks{}),
		cmpopts.IgnoreFields(pipeline.Config{}, "Checkpoint", "WriterMemory")); diff != "" {
		t.Errorf("(-file +printed)\n%s\n%s", diff, first.Print())
	}
	if printed := string(again.Print()); printed != string(first.Print()) {
		t.Errorf("printed again:\n%s", cmp.Diff(string(first.Print()), printed))
	}
}

func TestASetReachesIntoConnectors(t *testing.T) {
	t.Parallel()
	p := load(t, small, "sink.table.key=[a]", "source.file.path=g.csv", "errors.max=unlimited")
	if got := p.Config.Sink.(table.Sink).Key; len(got) != 1 || p.Config.Source.(file.Source).Path != "g.csv" {
		t.Errorf("%+v", p.Config)
	}
}
