// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// runWatched runs a pipeline, looks at its health each 500 ms until it ends, and returns what it saw.
func runWatched(t *testing.T, config pipeline.Config) (seen []pipeline.Health, err error) {
	t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if h := p.Health(time.Now()); h.Ready || h.State != pipeline.HealthStarting || h.Cause == nil {
		t.Errorf("before it began: %+v", h)
	}
	if err := p.Tune(pipeline.Tuning{Interval: time.Second, Bytes: forebay.MiB}); err == nil {
		t.Error("a pipeline that has not begun was tuned")
	}
	ended := make(chan error, 1)
	go func() { _, err := p.Run(context.Background()); ended <- err }()
	for {
		select {
		case err := <-ended:
			return append(seen, p.Health(time.Now())), err
		case <-time.After(500 * time.Millisecond):
			seen = append(seen, p.Health(time.Now()))
		}
	}
}

// A target that does not answer: not ready within five seconds, with the cause; ready again when it answers.
func TestAPipelineWhoseCommitsAreNotAnsweredIsNotReadyWithinFiveSeconds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		sink.script = at(map[int]fate{3: slow(pass(), 20*time.Second), 6: slow(pass(), 2*time.Second)})
		seen, err := runWatched(t, small(w.config(source, sink)))
		if err != nil {
			t.Fatal(err)
		}
		failing, first := 0, -1
		for i, h := range seen {
			if h.State == pipeline.HealthFailing {
				if first < 0 {
					first = i
				}
				failing++
				if h.Ready || h.Cause == nil || !strings.Contains(h.Cause.Error(), "no answer") {
					t.Errorf("%+v", h)
				}
			}
		}
		if first < 0 || first > 10 || failing < 28 || failing > 40 {
			t.Errorf("not ready from look %d on, %d times at two a second; the silence was 20 s", first, failing)
		}
		if last := seen[len(seen)-1]; last.State != pipeline.HealthDelivered || !last.Ready {
			t.Errorf("at the end: %+v", last)
		}
	})
}

func TestAPipelineWhoseLaneIsTriedAgainIsNotReadyUntilSomethingIsDelivered(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		away := fate{answer: &forebay.Answer{Code: forebay.CodeDiskFull, RetryAfter: 3 * time.Second, Message: "disk full"}}
		fates := map[int]fate{12: slow(pass(), 3*time.Second)}
		for i := 3; i < 7; i++ {
			fates[i] = away
		}
		sink.script = at(fates)
		seen, err := runWatched(t, small(w.config(source, sink)))
		if err != nil {
			t.Fatal(err)
		}
		states := ""
		for _, h := range seen {
			if !strings.HasSuffix(states, string(h.State)+" ") {
				states += string(h.State) + " "
			}
			if h.State != pipeline.HealthFailing {
				continue
			}
			if h.Ready || !strings.Contains(h.Cause.Error(), "disk full") || h.Since.IsZero() {
				t.Errorf("%+v", h)
			}
		}
		if states != "failing running delivered " {
			t.Errorf("seen: %s", states)
		}
	})
}

func TestAPipelineThatStoppedSaysWhy(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		sink.script = at(map[int]fate{3: refuse(forebay.CodeForbidden)})
		seen, err := runWatched(t, small(w.config(source, sink)))
		last := seen[len(seen)-1]
		if err == nil || last.State != pipeline.HealthStopped || last.Ready || last.Cause == nil {
			t.Errorf("%v: %+v", err, last)
		}
	})
}
