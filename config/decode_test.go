// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
)

const valid = `name: flights
source:
  file: { path: flights.csv.gz, format: csv }
transform:
  - filter: dep_time != nil
  - set: { route: 'origin + "-" + dest', z.y: 1, a: true }
sink:
  table: { name: flights, key: [time_hour, carrier] }
lanes: 0x10
writer: { batch.size: 4MiB, batch: { timeout: 1d12h } }
writer.buffer.memory: 1GB
errors: { max: unlimited }
labels: { b.c: 1, a: -2 }
columns: { z: int64, a.b: string, m: int64 }
zone: UTC
tls:
  ca: /etc/ca.pem
  key: abc
any: { a: [1, 2.5, x, true, null] }
`

func texts(o config.Ordered[config.Text]) []string {
	var out []string
	for _, pair := range o {
		out = append(out, pair.Key.Value+"="+pair.Value.Value)
	}
	return out
}

func TestEveryTypeDecodesAndOrderIsKept(t *testing.T) {
	s, _, problems := check("f.yaml", valid, options())
	if len(problems) > 0 {
		t.Fatal(problems.Render("f.yaml"))
	}
	want := shape{
		Name: "flights",
		Source: sourceUnion{Name: "file", Held: fileShape{Path: "flights.csv.gz", Format: csvFormat{
			Header: true,
			Comma:  ",",
		}}},
		State:     "./forebay-data",
		Lanes:     16,
		Memory:    256 * forebay.MiB,
		Writer:    writerShape{BatchSize: 4 * forebay.MiB, BatchTimeout: 36 * time.Hour, Memory: forebay.GiB},
		Errors:    errorsShape{Rejected: "dead-letter", Max: forebay.Unlimited},
		Timeout:   25 * time.Second,
		TLS:       &tlsShape{CA: "/etc/ca.pem", Key: "abc"},
		Labels:    map[string]int{"b.c": 1, "a": -2},
		Columns:   []column{{"z", "int64"}, {"a.b", "string"}, {"m", "int64"}},
		Zone:      zone{"UTC"},
		Any:       map[string]any{"a": []any{int64(1), 2.5, "x", true, nil}},
		Transform: s.Transform, Sink: s.Sink,
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(zone{}), cmpopts.IgnoreUnexported(config.Text{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := s.Transform[0].Filter.Value; got != "dep_time != nil" {
		t.Errorf("filter %q", got)
	}
	if diff := cmp.Diff([]string{`route=origin + "-" + dest`, "z.y=1", "a=true"}, texts(s.Transform[1].Set)); diff != "" {
		t.Error(diff)
	}
	if at := s.Transform[1].Set[1].Key.At(0); at.Line != 6 || at.Column != 42 {
		t.Errorf("the key z.y is at %v", at)
	}
	if diff := cmp.Diff([]string{"time_hour", "carrier"}, s.Sink.Table.Key); diff != "" ||
		s.Sink.Table.Name.Value != "flights" {
		t.Error(diff)
	}
}

func TestDefaultsAreLeftOutOnRequest(t *testing.T) {
	opts := options()
	opts.LeaveDefaults = true
	s, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\n", opts)
	if len(problems) > 0 || s.Memory != 0 || s.Writer.BatchSize != 0 || s.State != "" {
		t.Errorf("%v %+v", problems, s)
	}
}

func TestAValueThatTheTargetHoldsBeatsTheDefault(t *testing.T) {
	tree, _ := config.Parse("f.yaml", []byte("name: a\nsource: { generate: {} }\n"), options())
	s := shape{Lanes: 5, State: "elsewhere"}
	if problems := tree.Decode("", &s); len(problems) > 0 || s.Lanes != 5 || s.State != "elsewhere" {
		t.Errorf("%v lanes %d state %q", problems, s.Lanes, s.State)
	}
}

func TestSpellingsOfAKeyAreTheSame(t *testing.T) {
	for _, text := range []string{
		"writer.batch.size: 8MB", "writer: { batch.size: 8MB }", "writer: { batch: { size: 8MB } }",
		"writer.batch: { size: 8MB }", "writer: { profile: latency }\nwriter.batch.size: 8MB",
		"'writer.batch'.size: 8MB", "writer:\nwriter.batch.size: 8MB",
	} {
		text = strings.ReplaceAll(text, "'writer.batch'.size", `"writer.batch.size"`)
		s, _, problems := check("f.yaml", "name: a\nsource.generate.count: 3\n"+text+"\n", options())
		if len(problems) > 0 || s.Writer.BatchSize != 8*forebay.MiB {
			t.Errorf("%s: %v %v", text, s.Writer.BatchSize, problems)
		}
		if s.Source.Name != "generate" || s.Source.Held != (generateShape{Count: 3}) {
			t.Errorf("dotted connector: %+v", s.Source)
		}
	}
}

func TestGivenTwiceInAnySpellingIsFoundOnce(t *testing.T) {
	spellings := []string{
		"writer.batch.size: 8MB", "writer: { batch.size: 8MB }", "writer: { batch: { size: 8MB } }",
		"writer.batch: { size: 8MB }",
	}
	for i, a := range spellings {
		for j, b := range spellings {
			_, _, problems := check("f.yaml", "name: a\nsource: { generate: {} }\n"+a+"\n"+b+"\n", options())
			if len(problems) != 1 || !strings.Contains(problems[0].Message, "given twice") || len(problems[0].Related) != 1 {
				t.Errorf("%d %d: %v", i, j, problems)
				continue
			}
			lines := []int{problems[0].Position.Line, problems[0].Related[0].Position.Line}
			if lines[0]+lines[1] != 7 {
				t.Errorf("%s and %s: shown at lines %v", a, b, lines)
			}
		}
	}
}

func TestNullIsAsIfLeftOut(t *testing.T) {
	s, _, problems := check("f.yaml", "name: a\nsource: { generate: }\nlanes:\nwriter: ~\ntls: null\nmemory: null\n",
		options())
	if len(problems) != 0 || s.Memory != 256*forebay.MiB || s.TLS != nil || s.Writer.BatchSize != 2*forebay.MiB {
		t.Errorf("%v %+v", problems, s)
	}
	_, _, problems = check("f.yaml", "name:\nsource:\n", options())
	if len(problems) != 2 {
		t.Errorf("required without a value: %v", problems)
	}
}

func TestNumbersSizesAndDurations(t *testing.T) {
	type holder struct {
		I int64         `yaml:"i"`
		F float64       `yaml:"f"`
		B forebay.Bytes `yaml:"b"`
		D time.Duration `yaml:"d"`
		S int8          `yaml:"s"`
		U uint64        `yaml:"u"`
	}
	for text, want := range map[string]holder{
		"i: 1_000": {I: 1000}, "i: -0x1F": {I: -31}, "i: 0o17": {I: 15}, "i: +5": {I: 5}, "i: 007": {I: 7},
		"i: 9223372036854775807": {I: math.MaxInt64},
		"f: 1e3":                 {F: 1000}, "f: .5": {F: .5}, "f: -.inf": {F: math.Inf(-1)}, "f: 3": {F: 3},
		"b: 64MB": {B: 64 << 20}, "b: 64MiB": {B: 64 << 20}, "b: 3KB": {B: 3 << 10}, "b: 2GiB": {B: 2 << 30}, "b: 7B": {B: 7},
		"d: 7d": {D: 168 * time.Hour}, "d: 1.5d": {D: 36 * time.Hour}, "d: 1d1h1m": {D: 25*time.Hour + time.Minute},
		"d: 1m30s": {D: 90 * time.Second}, "d: 0s": {}, "s: -128": {S: -128}, "u: 5": {U: 5},
	} {
		tree, problems := config.Parse("f", []byte(text), config.Options{})
		var got holder
		problems = append(problems, tree.Decode("", &got)...)
		if len(problems) > 0 || got != want {
			t.Errorf("%s: %+v %v", text, got, problems)
		}
	}
	for _, text := range []string{
		"i: 1.0", "i: '1'", "i: 9223372036854775808", "i: 1e3", "i: yes", "i: [1]", "f: x", "f: '1'", "f: {}",
		"b: 64", "b: 1.5GB", "b: 64mb", "b: -1MB", "b: 9999999999GB", "b: x", "b: [1]",
		"d: 10", "d: 0", "d: 1.5", "d: -1s", "d: 1x", "d: d", "d: 1d-1h", "d: 1dd", "d: 200000d", "d: {}",
		"s: 128", "s: -129", "u: -1",
	} {
		tree, _ := config.Parse("f", []byte(text), config.Options{})
		var got holder
		if problems := tree.Decode("", &got); len(problems) != 1 || problems[0].Cure == "" ||
			problems[0].Position.Column != 4 {
			t.Errorf("%s: decoded to %+v, %v", text, got, problems)
		}
	}
}

func TestDecodeOfAPartAndOfAMissingPart(t *testing.T) {
	tree, _ := config.Parse("f.yaml", []byte("a.b: { path: x }\nc: [ { path: y } ]\n"), options())
	for path, want := range map[string]string{"a.b": "x", "c.0": "y"} {
		var f fileShape
		if problems := tree.Decode(path, &f); len(problems) > 0 || f.Path != want {
			t.Errorf("%s: %q %v", path, f.Path, problems)
		}
	}
	var f fileShape
	if problems := tree.Decode("nowhere", &f); len(problems) != 1 || problems[0].Path != "nowhere.path" {
		t.Errorf("missing part: %v", problems)
	}
}

func TestProblemByPathPointsAtTheValueOrAround(t *testing.T) {
	_, tree, _ := check("f.yaml", valid, options())
	for path, want := range map[string]string{
		"sink.table.name": "f.yaml:8:18", "writer.batch.timeout": "f.yaml:10:47", "transform.1.set.route": "f.yaml:6:19",
		"sink.table.absent": "f.yaml:8:3", "absent": "f.yaml", "sink.table.key.1": "f.yaml:8:44",
	} {
		if got := tree.Problem(path, "m", "").Position.String(); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}
