// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// abort ends a run abruptly after some commits: the target stops taking anything from this process.
func abort(after int) func(int, *forebay.Commit) fate {
	return func(n int, _ *forebay.Commit) fate {
		if n >= after {
			return refuse(forebay.CodeUnauthorized)
		}
		return pass()
	}
}

// One pipeline goes from exactly-once to at-least-once and back, and is killed at any moment on the way. Nothing
// is lost, and only a run that is not exactly-once may repeat.
func TestTheGuaranteeMayChangeFromRunToRun(t *testing.T) {
	t.Parallel()
	type step struct {
		guarantee pipeline.Guarantee
		commits   int // then the run is killed; -1 lets it end
		forget    bool
	}
	exactly, atLeast, none := pipeline.GuaranteeExactlyOnce, pipeline.GuaranteeAtLeastOnce, pipeline.GuaranteeNone
	for _, c := range []struct {
		name    string
		steps   []step
		repeats bool
	}{
		{"exactly once all along", []step{{exactly, 3, false}, {exactly, 2, false}, {exactly, -1, false}}, false},
		{"there and back", []step{{exactly, 3, false}, {atLeast, 3, false}, {exactly, -1, false}}, true},
		{"the run in the middle delivers nothing", []step{{exactly, 4, false}, {atLeast, 0, false}, {
			exactly, -1,
			false,
		}}, false},
		{"the run in the middle starts and is lost at once, notes of the first were never written", []step{
			{exactly, 4, true}, {atLeast, 0, false}, {exactly, -1, false},
		}, false},
		{"at least once first", []step{{atLeast, 3, false}, {exactly, 3, false}, {exactly, -1, false}}, true},
		{"none first", []step{{none, 3, false}, {exactly, -1, false}}, true},
		{"every guarantee", []step{
			{none, 3, false},
			{atLeast, 2, false},
			{exactly, 2, false},
			{none, 1, false},
			{exactly, -1, false},
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source := newSource(100, "a", "b")
				for _, s := range c.steps {
					before, err := w.state.Checkpoints().Load("p")
					if err != nil {
						t.Fatal(err)
					}
					sink := newTable()
					if s.commits >= 0 {
						sink.script = abort(s.commits)
					}
					config := small(w.config(source, sink))
					config.Guarantee = s.guarantee
					if _, err = w.try(t.Context(), config); (err == nil) != (s.commits < 0) {
						t.Fatalf("%s: %v", s.guarantee, err)
					}
					if s.forget { // a crash loses notes that were not synced
						w.forgetNotes(before)
					}
				}
				got := rows(t, w.state.Tables(), "out")
				for split, count := range source.splits {
					seen := map[int64]int{}
					for _, n := range got[split] {
						seen[n]++
					}
					for n := range count {
						if seen[n] == 0 || seen[n] > 1 && !c.repeats {
							t.Errorf("split %s: record %d is there %d times", split, n, seen[n])
						}
					}
				}
			})
		})
	}
}

// forgetNotes puts the notes of the pipeline back to what they were.
func (w *world) forgetNotes(before map[string]checkpointEntry) {
	w.t.Helper()
	meta, known, err := w.state.Checkpoints().LoadMeta("p")
	if err != nil || !known {
		w.t.Fatal(known, err)
	}
	if err := w.state.Checkpoints().Reset("p"); err != nil {
		w.t.Fatal(err)
	}
	if err := w.state.Checkpoints().SaveMeta("p", meta); err != nil {
		w.t.Fatal(err)
	}
	var entries []checkpointEntry
	owner, err := w.state.Checkpoints().LoadOwnership("p")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range before {
		e.Epoch = owner.Epoch
		entries = append(entries, e)
	}
	if err := w.state.Checkpoints().Save("p", entries, true); err != nil {
		w.t.Fatal(err)
	}
}

// The target forgot progress that it had confirmed: a named stop, and nothing is delivered.
func TestProgressThatIsMissingInTheTargetIsANamedStop(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		sink.script = abort(5)
		if _, err := w.try(t.Context(), small(w.config(source, sink))); err == nil {
			t.Fatal("the first run did not stop")
		}
		if err := w.state.Tables().Forget(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
		had := len(rows(t, w.state.Tables(), "out")["a"])
		for range 2 { // it stays one, whatever a run leaves behind
			summary, err := w.try(t.Context(), w.config(source, newTable()))
			e, ok := errors.AsType[*forebay.Error](err)
			if !ok || e.Code != "progress-missing" || e.Class != forebay.ClassLost || e.Cure == "" {
				t.Fatalf("%+v, %v", summary, err)
			}
			if got := len(rows(t, w.state.Tables(), "out")["a"]); got != had || summary.Read != 0 {
				t.Errorf("%d rows, then %d", had, got)
			}
		}
	})
}

// The target loses the progress while the run goes on.
func TestProgressThatDisappearsDuringTheRunIsANamedStop(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		sink.script = func(n int, c *forebay.Commit) fate {
			if n == 5 {
				if err := w.state.Tables().Forget(t.Context(), "p"); err != nil {
					t.Error(err)
				}
				if err := w.state.Tables().Fence(t.Context(), forebay.Fence{Owner: c.Owner, Progress: true}); err != nil {
					t.Error(err)
				}
			}
			return pass()
		}
		_, err := w.try(t.Context(), small(w.config(source, sink)))
		if e, ok := errors.AsType[*forebay.Error](err); !ok || e.Code != "progress-missing" {
			t.Fatal(err)
		}
		if got := rows(t, w.state.Tables(), "out")["a"]; len(got) != 50 {
			t.Errorf("%d rows", len(got))
		}
	})
}

// Another source under the same name is refused before anything is touched, with both.
func TestAnotherSourceUnderTheSameNameIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		plant func(*fakeSource)
		code  string
		names []string
	}{
		{"another path", func(s *fakeSource) { s.path = "other.csv" }, "state-differs", []string{`"p"`, `"other.csv"`}},
		{"another fingerprint", func(s *fakeSource) { s.fingerprint = "2" }, "source-differs", []string{
			`"fake "`,
			`"fake 2"`,
		}},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(c.name+map[bool]string{true: ", plain sink"}[plain], func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, w *world) {
					source := newSource(100, "a")
					var sink forebay.Sink = newTable()
					if plain {
						sink = &flushSink{}
					}
					w.run(w.config(source, sink))
					other := newSource(200, "a")
					c.plant(other)
					summary, err := w.try(t.Context(), w.config(other, sink))
					e, ok := errors.AsType[*forebay.Error](err)
					if !ok || e.Code != c.code || e.Class != forebay.ClassMisconfigured || summary.Read != 0 {
						t.Fatalf("%+v, %v", summary, err)
					}
					for _, name := range c.names {
						if !strings.Contains(err.Error(), name) {
							t.Errorf("%q does not name %s", err, name)
						}
					}
				})
			})
		}
	}
}

// Dead letters above the recovered positions go before the first record is read: the record may be accepted now.
func TestDeadLettersAboveTheRecoveredPositionsAreRemoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		first  pipeline.Guarantee
		second pipeline.Guarantee
	}{
		{"at least once", pipeline.GuaranteeAtLeastOnce, pipeline.GuaranteeAtLeastOnce},
		{"coming to exactly once", pipeline.GuaranteeAtLeastOnce, pipeline.GuaranteeExactlyOnce},
		{"leaving exactly once", pipeline.GuaranteeExactlyOnce, pipeline.GuaranteeAtLeastOnce},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a"), newTable()
				source.broken = func(o origin) bool { return o.n == 5 || o.n == 75 }
				config := small(w.config(source, sink))
				config.Guarantee = c.first
				w.run(config)
				// As after a crash: the positions are those of a moment in the middle.
				state := w.state.Checkpoints()
				entries, err := state.Load("p")
				if err != nil {
					t.Fatal(err)
				}
				e := entries["a"]
				e.Position, e.Number = forebay.Position{Offset: 50}, e.Number-1
				if c.first == pipeline.GuaranteeAtLeastOnce {
					if err := state.Save("p", []checkpointEntry{e}, true); err != nil {
						t.Fatal(err)
					}
				}
				source.broken = nil
				config.Sink, config.Guarantee = newTable(), c.second
				w.run(config)
				got := letters(t, w.state.Tables())
				want := 1
				if c.first == pipeline.GuaranteeExactlyOnce {
					want = 2 // nothing was read again
				}
				if len(got) != want || got[origin{"a", 5}] == "" {
					t.Errorf("dead letters: %v", got)
				}
			})
		})
	}
}

// What a source that cannot go back rejected stays: it is never read again.
func TestDeadLettersOfASourceThatCannotGoBackStay(t *testing.T) {
	t.Parallel()
	for _, table := range []bool{true, false} {
		bubble(t, func(t *testing.T, w *world) {
			source := newSource(100, "a")
			source.forgetful = true
			source.broken = func(o origin) bool { return o.n == 5 }
			var sink forebay.Sink = newTable()
			if !table {
				sink = &flushSink{}
			}
			summary := w.run(w.config(source, sink))
			if summary.Guarantee != pipeline.GuaranteeNone || summary.Delivered != 99 {
				t.Errorf("%+v", summary)
			}
			source.broken = nil
			w.run(w.config(source, sink))
			if got := letters(t, w.state.Tables()); len(got) != 1 {
				t.Errorf("dead letters: %v", got)
			}
		})
	}
}

// Two runs of one name: the newer one takes over, and the older one stops without harm.
func TestTheNewerOfTwoRunsTakesOver(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		t.Run(map[bool]string{false: "table", true: "plain"}[plain], func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source := newSource(1_000, "a", "b")
				source.blocks, source.pause = true, 100*time.Millisecond
				table, flush := newTable(), &flushSink{}
				var sink forebay.Sink = table
				if plain {
					sink = flush
				}
				config := w.config(source, sink)
				var older sync.WaitGroup
				var summary pipeline.Summary
				older.Go(func() {
					var err error
					if summary, err = w.try(t.Context(), config); !errors.Is(err, forebay.ErrFenced) {
						t.Errorf("the older run: %+v, %v", summary, err)
					}
				})
				_ = wait(t.Context(), 3*time.Second)
				newer := w.run(config)
				older.Wait()
				if newer.Status != pipeline.StatusDone || !newer.Resumed {
					t.Errorf("the newer run: %+v", newer)
				}
				if plain {
					covered(t, source, flush.got)
					return
				}
				w.each(source, nil)
				if summary.Delivered+newer.Delivered != 2_000 {
					t.Errorf("%d and %d were delivered", summary.Delivered, newer.Delivered)
				}
			})
		})
	}
}

// Two state directories on one tablet server: the older run is fenced and the table holds each record once.
func TestTwoStateDirectoriesOnOneServer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		other := newWorld(t)
		defer other.close()
		source, sink := newSource(1_000, "a", "b", "c"), newTable()
		source.blocks, source.pause = true, 100*time.Millisecond
		sink.conn = w.state.Tables()
		first := w.config(source, sink)
		first.Lanes = 3
		var older sync.WaitGroup
		older.Go(func() {
			if _, err := w.try(t.Context(), first); !errors.Is(err, forebay.ErrFenced) {
				t.Errorf("the older run: %v", err)
			}
		})
		_ = wait(t.Context(), 3*time.Second)
		second := first
		second.Opened = other.state
		w.run(second)
		older.Wait()
		w.each(source, nil)
	})
}

// The dead letters of a split that the source no longer has stay: its position has passed them.
func TestDeadLettersOfASplitThatIsGoneStay(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source := newSource(100, "gone", "a")
		source.broken = func(o origin) bool { return o.n == 5 }
		sink := &flushSink{}
		w.run(w.config(source, sink))
		source.order = []string{"a"}
		w.run(w.config(source, sink))
		if got := letters(t, w.state.Tables()); len(got) != 2 {
			t.Errorf("dead letters: %v", got)
		}
	})
}

// A sink that promises more than its target can do is refused before anything is read.
func TestATargetThatCannotKeepItsSinksPromiseIsRefused(t *testing.T) {
	t.Parallel()
	for _, way := range []forebay.Way{forebay.WayProgress, forebay.WayTwoPhase} {
		bubble(t, func(t *testing.T, w *world) {
			source := newSource(100, "a")
			config := w.config(source, &boastingSink{way: way})
			summary, err := w.try(t.Context(), config)
			e, ok := errors.AsType[*forebay.Error](err)
			if !ok || e.Code != "guarantee-impossible" || e.Cure == "" || summary.Read != 0 {
				t.Errorf("%+v, %v", summary, err)
			}
			config.Guarantee = pipeline.GuaranteeAtLeastOnce
			w.run(config)
		})
	}
}

// boastingSink is a plain sink that says that it is more.
type boastingSink struct {
	flushSink
	way forebay.Way
}

func (s *boastingSink) Info() (forebay.SinkInfo, error) {
	info, err := s.flushSink.Info()
	info.Way = s.way
	return info, err
}
