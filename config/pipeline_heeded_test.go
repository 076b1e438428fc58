// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"strings"
	"testing"

	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/connector/all"
	"github.com/forebay-io/forebay/pipeline"
)

const smallOut = "name: flights\nsource: { file: { path: f.csv, format: csv } }\nsink: { stdout: { format: ndjson } }\n"

// planned reads a file and plans it, without its input.
func planned(t *testing.T, text string) (*config.Pipeline, pipeline.Plan, config.Problems) {
	t.Helper()
	loader := config.Loader{Registry: all.Registry()}
	p, problems := loader.Load("p.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems.Render("p.yaml"))
	}
	plan, problems := p.Plan(t.Context(), config.PlanOptions{})
	return p, plan, problems
}

// A key of the writer that the sink does not heed is named with the sink and with what to use instead; the others
// are not.
func TestKeysThatTheSinkDoesNotHeedAreWarnedOf(t *testing.T) {
	t.Parallel()
	const lanes = `lanes send transactions to table "flights"`
	for _, c := range []struct {
		base, writer string
		want         [][]string // of each warning: its path, what it says, and its cure
	}{
		{small, "{}", nil},
		{small, "{ buffer.memory: 16MB, max.inflight: 3, acks: all, idempotence: true }", nil},
		{small, "{ profile: weak-network }", nil},
		{small, "{ profile: latency }", [][]string{{"writer.profile", lanes, "checkpoint.interval"}}},
		{small, "{ profile: throughput }", [][]string{{"writer.profile", lanes, "checkpoint.bytes"}}},
		{small, "{ batch.size: 1MB }", [][]string{{"writer.batch.size", lanes, "use checkpoint.bytes"}}},
		{small, "{ batch: { timeout: 1s } }", [][]string{{"writer.batch.timeout", lanes, "use checkpoint.interval"}}},
		{small, "{ retries: 0 }", [][]string{{"writer.retries", "until it succeeds", "leave it out"}}},
		{small, "{ max.inflight: 5 }", [][]string{{"writer.max.inflight", "at most 3", "write 1 to 3"}}},
		{
			small, "{ profile: latency, batch.size: 1MB }",
			[][]string{{"writer.profile", lanes, ""}, {"writer.batch.size", lanes, ""}},
		},
		{small + "guarantee: none\n", "{ acks: 0 }", [][]string{{"writer.acks", "not awaited", "leave it out"}}},
		{
			small + "guarantee: at-least-once\n", "{ idempotence: false }",
			[][]string{{"writer.idempotence", "repeats are not looked for", "leave it out"}},
		},
		{smallOut, "{ buffer.memory: 16MB, acks: all, idempotence: true }", nil},
		{
			smallOut, "{ profile: weak-network, max.inflight: 2 }",
			[][]string{{"writer.profile", "stdout takes batches", ""}, {"writer.max.inflight", "sent no requests", ""}},
		},
		{
			smallOut, "{ batch.size: 1MB, batch.timeout: 2s, retries: 3 }",
			[][]string{
				{"writer.batch.size", "stdout", "leave it out"},
				{"writer.batch.timeout", "stdout", "use checkpoint.interval"},
				{"writer.retries", "stdout", "leave it out"},
			},
		},
	} {
		p, plan, problems := planned(t, c.base+"writer: "+c.writer+"\n")
		if len(problems) > 0 {
			t.Errorf("%s: %s", c.writer, problems.Render("p.yaml"))
			continue
		}
		got := p.Warnings(plan)
		if len(got) != len(c.want) {
			t.Errorf("%s: %d warnings, want %d: %v", c.writer, len(got), len(c.want), got)
			continue
		}
		for i, w := range got {
			says := c.want[i]
			if w.Path != says[0] || w.Position.Line == 0 || !strings.Contains(w.Message, says[1]) ||
				!strings.Contains(w.Cure, says[2]) || w.Cure == "" {
				t.Errorf("%s: %s, want %q", c.writer, w.Error(), says)
			}
		}
	}
}

// What a guarantee promises is not given up in passing by a key of the writer, whether the guarantee was asked for or
// not.
func TestKeysThatWouldBreakTheGuaranteeAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ guarantee, writer, path, says string }{
		{"", "{ acks: 0 }", "writer.acks", "exactly-once confirms what is on disk"},
		{"", "{ acks: 1 }", "writer.acks", "write guarantee: none"},
		{"guarantee: exactly-once\n", "{ idempotence: false }", "writer.idempotence", "write guarantee: at-least-once"},
		{"guarantee: at-least-once\n", "{ acks: '0' }", "writer.acks", "at-least-once confirms"},
		{"guarantee: at-least-once\n", "{ idempotence: false }", "", ""},
		{"guarantee: none\n", "{ acks: 1, idempotence: false }", "", ""},
	} {
		_, _, problems := planned(t, small+c.guarantee+"writer: "+c.writer+"\n")
		if c.path == "" {
			if len(problems) > 0 {
				t.Errorf("%s%s: %v", c.guarantee, c.writer, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Path != c.path || problems[0].Position.Line == 0 ||
			!strings.Contains(problems[0].Error(), c.says) {
			t.Errorf("%s%s: %v, want one of %s that says %q", c.guarantee, c.writer, problems, c.path, c.says)
		}
	}
}

// A sink that divides by an event time which no record has is named with what to write.
func TestASinkThatDividesByAnEventTimeThatNobodyGivesIsWarnedOf(t *testing.T) {
	t.Parallel()
	const source = "name: p\nsource: { file: { path: f.csv, format: csv } }\n"
	for text, want := range map[string]int{
		`sink: { file: { path: out, format: csv, bucket: "{@event:%Y}" } }`:                                1,
		`sink: { file: { path: out, format: csv, late: "{@event:%Y}" } }`:                                  1,
		`sink: { file: { path: out, format: csv, bucket: "{@processing:%Y}" } }`:                           0,
		"event_time: { field: t }\n" + `sink: { file: { path: out, format: csv, bucket: "{@event:%Y}" } }`: 0,
	} {
		p, plan, problems := planned(t, source+text+"\n")
		if len(problems) > 0 {
			t.Fatal(problems.Render("p.yaml"))
		}
		warnings := p.Warnings(plan)
		if len(warnings) != want || want > 0 && !strings.Contains(warnings[0].Cure, "event_time") {
			t.Errorf("%s: %v", text, warnings)
		}
	}
}
