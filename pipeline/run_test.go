// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/connector/drop"
	"github.com/forebay-io/forebay/connector/generate"
	"github.com/forebay-io/forebay/connector/table"
	"github.com/forebay-io/forebay/pipeline"
)

// run runs a pipeline to its end and fails the test where it fails.
func run(t *testing.T, config pipeline.Config) pipeline.Summary {
	t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	summary, err := p.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func numbers(count int64, splits int) generate.Source {
	return generate.Source{
		Count: count, Splits: splits, Fields: []generate.Field{{Name: "n", Sequence: &generate.Sequence{}}},
	}
}

func TestRunDeliversEveryRecordOnceAndASecondRunNothing(t *testing.T) {
	config := pipeline.Config{
		Name: "numbers", State: t.TempDir(), Source: numbers(100_000, 5), Lanes: 3,
		Sink: table.Sink{Name: "numbers"},
	}
	summary := run(t, config)
	want := pipeline.Summary{
		Pipeline: "numbers", Status: pipeline.StatusDone, Read: 100_000, Delivered: 100_000, Lanes: 3,
		Guarantee: pipeline.GuaranteeExactlyOnce,
	}
	ignore := cmp.FilterPath(func(p cmp.Path) bool {
		switch p.String() {
		case "Seconds", "Checkpoints", "BytesIn", "BytesOut":
			return true
		}
		return false
	}, cmp.Ignore())
	if diff := cmp.Diff(want, summary, ignore); diff != "" {
		t.Error(diff)
	}
	again := run(t, config)
	if again.Read != 0 || again.Delivered != 0 || !again.Resumed || again.Status != pipeline.StatusDone {
		t.Errorf("the second run: %+v", again)
	}
	if got := countRows(t, config.State, "numbers"); got != 100_000 {
		t.Errorf("the table holds %d rows", got)
	}
}

func countRows(t *testing.T, dir, name string) int64 {
	t.Helper()
	state, err := pipeline.OpenState(t.Context(), pipeline.StateConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	}()
	count, err := state.Tables().Count(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return count
}

func TestRunToAPlainSinkSeesEveryRecord(t *testing.T) {
	source := generate.Source{Count: 200_000, Splits: 3}
	summary := run(t, pipeline.Config{
		Name: "plain", State: t.TempDir(), Source: source, Sink: drop.Sink{}, Lanes: 2,
	})
	if summary.Delivered != 200_000 || summary.Guarantee != pipeline.GuaranteeAtLeastOnce {
		t.Errorf("%+v", summary)
	}
}

func TestDrainStopsAndTheNextRunGoesOn(t *testing.T) {
	dir := t.TempDir()
	config := pipeline.Config{
		Name: "numbers", State: dir, Source: numbers(3_000_000, 4), Lanes: 2, Sink: table.Sink{Name: "numbers"},
	}
	ctx, stop := context.WithCancel(t.Context())
	config.Hooks.Committed = func(forebay.CommitEvent) { stop() }
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	first, err := p.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if first.Status != pipeline.StatusStopped || first.Delivered == 0 || first.Delivered == 3_000_000 {
		t.Fatalf("the first run: %+v", first)
	}
	config.Hooks = forebay.Hooks{}
	second := run(t, config)
	if first.Delivered+second.Delivered != 3_000_000 || second.Status != pipeline.StatusDone {
		t.Errorf("delivered %d and then %d", first.Delivered, second.Delivered)
	}
	if got := countRows(t, dir, "numbers"); got != 3_000_000 {
		t.Errorf("the table holds %d rows", got)
	}
}
