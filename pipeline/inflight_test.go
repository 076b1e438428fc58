// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
	"github.com/forebay-io/forebay/writer"
)

// slowly has every commit answered after a second.
func slowly(int, *forebay.Commit) fate { return slow(pass(), time.Second) }

func TestMaxInflightBoundsTheCommitsOfALane(t *testing.T) {
	t.Parallel()
	for given, want := range map[int]int{0: 3, 1: 1, 2: 2, 3: 3, 5: 3} {
		bubble(t, func(t *testing.T, w *world) {
			source, sink := newSource(200, "a"), newTable()
			sink.script = slowly
			config := small(w.config(source, sink))
			config.Writer.MaxInflight = given
			w.run(config)
			w.each(source, nil)
			if got := sink.widestOf(); got != want {
				t.Errorf("max.inflight %d: %d commits waited for their answer, want %d", given, got, want)
			}
		})
	}
}

// begun runs a pipeline beside the test and waits until it delivers. end waits for its end.
func begun(t *testing.T, config pipeline.Config) (p *pipeline.Pipeline, end func()) {
	t.Helper()
	p, err := pipeline.New(config)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if _, err := p.Run(context.Background()); err != nil {
			t.Error(err)
		}
	})
	<-time.After(10 * time.Second)
	return p, running.Wait
}

func TestMaxInflightChangesWhileThePipelineRuns(t *testing.T) {
	t.Parallel()
	for _, far := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			source, sink := newSource(2000, "a"), newTable()
			source.blocks, source.pause = true, 100*time.Millisecond
			sink.script, sink.far = slowly, far
			p, end := begun(t, w.config(source, sink))
			state, ok := p.Tuning()
			if !ok || state.MaxInflight != 3 || state.MaxInflightMax != 3 || sink.widestOf() != 3 {
				t.Errorf("%+v", state)
			}
			tuning := state.Tuning
			for _, wrong := range []int{-1, 0, 4} {
				tuning.MaxInflight = wrong
				if err := p.Tune(tuning); err == nil {
					t.Errorf("%d is taken", wrong)
				}
			}
			tuning.MaxInflight = 1
			if err := p.Tune(tuning); err != nil {
				t.Error(err)
			}
			<-time.After(5 * time.Second) // those that wait are answered
			sink.widestOf()
			<-time.After(10 * time.Second)
			if got := sink.widestOf(); got != 1 {
				t.Errorf("far %v: %d commits wait for their answer, want 1", far, got)
			}
			tuning.MaxInflight = 2
			if err := p.Tune(tuning); err != nil {
				t.Error(err)
			}
			<-time.After(10 * time.Second)
			if got := sink.widestOf(); got < 2 && !far || got > 2 { // a limiter grows with its answers
				t.Errorf("far %v: %d commits wait for their answer, want 2", far, got)
			}
			end()
			w.each(source, nil)
		})
	}
}

// watched is what Config.Limited is told.
type watched struct {
	table     string
	state     func() writer.LimiterState
	forgotten int
}

func (w *watched) limited(table string, state func() writer.LimiterState) func() {
	w.table, w.state = table, state
	return func() { w.forgotten++ }
}

// All lanes that write over a network share one limiter, which begins with one commit; in the process there is none.
func TestLanesShareALimiterOverANetwork(t *testing.T) {
	t.Parallel()
	for _, far := range []bool{false, true} {
		bubble(t, func(t *testing.T, w *world) {
			source, sink := newSource(300, "a", "b", "c"), newTable()
			sink.script, sink.far = slowly, far
			var seen watched
			config := small(w.config(source, sink))
			config.Lanes, config.Limited = 3, seen.limited
			_, end := begun(t, config)
			if seen.state == nil == far {
				t.Fatalf("far %v: watched %v", far, seen.state != nil)
			}
			if far {
				s := seen.state()
				if seen.table != "out" || s.Max != 9 || s.Reason != writer.ReasonRoom || s.InFlight == 0 {
					t.Errorf("%q: %+v", seen.table, s)
				}
			}
			end()
			w.each(source, nil)
			if far && (seen.forgotten != 1 || seen.state().InFlight != 0) {
				t.Errorf("at the end: forgotten %d times, %+v", seen.forgotten, seen.state())
			}
		})
	}
}

// A target that refuses above a rate gets about that rate, from all lanes together, and every record once.
func TestLanesKeepToThePaceOfARemoteTarget(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		const perSecond = 10
		source, sink := newSource(600, "a", "b"), newTable()
		sink.far = true
		var mu sync.Mutex
		var second time.Time
		taken, refused := 0, 0
		sink.script = func(int, *forebay.Commit) fate {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(second) >= time.Second {
				second, taken = now, 0
			}
			if taken++; taken <= perSecond {
				return pass()
			}
			refused++
			return fate{answer: &forebay.Answer{
				Code: forebay.CodeOverload, RetryAfter: time.Second - time.Since(second), Message: "slow down",
			}}
		}
		var seen watched
		config := small(w.config(source, sink))
		config.Lanes, config.Limited = 2, seen.limited
		began := time.Now()
		w.run(config)
		w.each(source, nil)
		took := time.Since(began).Seconds()
		if ideal := 120.0 / perSecond; took > 2*ideal {
			t.Errorf("it took %.1f s, and the target takes it in %.0f s", took, ideal)
		}
		if s := seen.state(); s.Changes[writer.ReasonOverload] == 0 || refused > 60 {
			t.Errorf("%d commits were refused: %+v", refused, s)
		}
	})
}
