// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// at gives the n-th commit a fate of its own.
func at(fates map[int]fate) func(int, *forebay.Commit) fate {
	return func(n int, _ *forebay.Commit) fate {
		if f, found := fates[n]; found {
			return f
		}
		return pass()
	}
}

// small makes transactions of one batch, so that several wait for their answer.
func small(config pipeline.Config) pipeline.Config {
	config.Checkpoint.Bytes = 1
	return config
}

func fault(class forebay.Class, text string) error {
	return forebay.Errorf("scripted", class, "%s", text)
}

// P2, P3, P5: whatever a single answer is, each record is in the table once and the counters say so.
func TestEachRecordIsThereOnceWhateverTheAnswer(t *testing.T) {
	t.Parallel()
	diskFull := fate{answer: &forebay.Answer{Code: forebay.CodeDiskFull, RetryAfter: time.Second}}
	overload := fate{answer: &forebay.Answer{Code: forebay.CodeOverload, RetryAfter: 3 * time.Second}}
	for _, c := range []struct {
		name    string
		script  map[int]fate
		retries int64
	}{
		{"no fault", nil, 0},
		{"first answer lost, applied", map[int]fate{0: lostAfter()}, 1},
		{"first answer lost, not applied", map[int]fate{0: lostBefore()}, 1},
		{"answer in the middle lost, applied, and the later ones confirmed", map[int]fate{5: lostAfter()}, 1},
		{"answer in the middle lost, not applied", map[int]fate{5: lostBefore()}, 1},
		{"two lost in a row, applied", map[int]fate{5: slow(lostAfter(), time.Second), 6: lostAfter()}, 1},
		{"lost and slow", map[int]fate{5: slow(lostAfter(), time.Second), 6: slow(pass(), time.Minute)}, 1},
		{"last answer lost, applied", map[int]fate{19: lostAfter()}, 1},
		{"last answer lost, not applied", map[int]fate{19: lostBefore(), 20: slow(lostAfter(), time.Second)}, 1},
		{"sequence gap out of the blue", map[int]fate{4: refuse(forebay.CodeSequenceGap)}, 1},
		{"full disk", map[int]fate{3: slow(diskFull, time.Second), 4: diskFull, 5: diskFull, 6: diskFull}, 2},
		{"overload", map[int]fate{3: overload}, 1},
		{"not the leader", map[int]fate{3: refuse(forebay.CodeNotLeader)}, 1},
		{"moved after an attempt that was applied", map[int]fate{3: lostAfter(), 7: lostAfter(), 11: lostBefore()}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a", "b"), newTable()
				sink.script = at(c.script)
				summary := w.run(small(w.config(source, sink)))
				w.each(source, nil)
				if summary.Read != 200 || summary.Delivered != 200 || summary.Status != pipeline.StatusDone {
					t.Errorf("%+v", summary)
				}
				if summary.Retries != c.retries {
					t.Errorf("%d retries, want %d", summary.Retries, c.retries)
				}
				if readers, feeds := source.leaks(); readers != 0 || feeds != 0 {
					t.Errorf("%d readers and %d feeds are open", readers, feeds)
				}
				if sink.widest > 3 {
					t.Errorf("%d commits waited for their answer", sink.widest)
				}
				again := w.run(small(w.config(source, newTable())))
				if again.Read != 0 || again.Status != pipeline.StatusDone {
					t.Errorf("the next run: %+v", again)
				}
			})
		})
	}
}

// At-least-once into the same target: a commit behind a failed one must not carry the positions over it.
func TestAtLeastOnceLosesNothingBehindAFailedCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		fate fate
	}{
		{"lost, not applied", lostBefore()},
		{"lost, applied", lostAfter()},
		{"full disk", refuse(forebay.CodeDiskFull)},
		{"rows refused", pass()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a"), newTable()
				sink.script = at(map[int]fate{2: slow(c.fate, time.Second)})
				refuses := c.name == "rows refused"
				if refuses {
					sink.bad = func(o origin) bool { return o.n == 25 }
				}
				config := small(w.config(source, sink))
				config.Guarantee = pipeline.GuaranteeAtLeastOnce
				summary := w.run(config)
				got := rows(t, w.state.Tables(), "out")["a"]
				seen := map[int64]bool{}
				for _, n := range got {
					seen[n] = true
				}
				for n := range int64(100) {
					if !seen[n] && !(refuses && n == 25) {
						t.Errorf("record %d is lost", n)
					}
				}
				if want := int64(len(seen)); summary.Delivered != want || summary.Read != 100 {
					t.Errorf("%d records are in the table; %+v", want, summary)
				}
			})
		})
	}
}

// A target that refuses single rows applies nothing; they become dead letters and the rest is delivered.
func TestRefusedRowsBecomeDeadLettersAndTheRestIsDelivered(t *testing.T) {
	t.Parallel()
	for _, policy := range []pipeline.RejectedPolicy{pipeline.RejectedDeadLetter, pipeline.RejectedDrop} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(200, "a", "b"), newTable()
				sink.bad = func(o origin) bool { return o.n%37 == 5 }
				sink.unroutable = func(o origin) bool { return o.n%41 == 7 }
				source.broken = func(o origin) bool { return o.n%43 == 9 }
				rejected := func(o origin) bool { return sink.bad(o) || sink.unroutable(o) || source.broken(o) }
				want := map[origin]string{}
				for split, count := range source.splits {
					for n := range count {
						switch o := (origin{split, n}); {
						case source.broken(o):
							want[o] = "source broken"
						case sink.unroutable(o):
							want[o] = "sink row-refused"
						case sink.bad(o):
							want[o] = "sink bad"
						}
					}
				}
				config := small(w.config(source, sink))
				config.Errors.Rejected = policy
				summary := w.run(config)
				w.each(source, rejected)
				if n := int64(len(want)); summary.Rejected != n || summary.Delivered != 400-n || summary.Read != 400 {
					t.Errorf("%d should be rejected: %+v", n, summary)
				}
				if policy == pipeline.RejectedDrop {
					want = map[origin]string{}
				}
				got := letters(t, w.state.Tables())
				for o, say := range want {
					if got[o] != say {
						t.Errorf("%v: %q, want %q", o, got[o], say)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d dead letters, want %d", len(got), len(want))
				}
			})
		})
	}
}

// P4: a fenced run stops all its lanes at once and writes nothing any more.
func TestAFencedRunStopsAtOnceAndWritesNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(10_000, "a", "b", "c"), newTable()
		owner := forebay.Owner{Pipeline: "p", Epoch: 1_000, Holder: "other"}
		var before map[string][]int64
		var entries map[string]checkpointEntry
		sink.script = func(n int, _ *forebay.Commit) fate {
			if n == 20 {
				if err := w.state.Tables().Fence(t.Context(), forebay.Fence{Owner: owner, Progress: true}); err != nil {
					t.Error(err)
				}
				_ = wait(t.Context(), time.Second) // what came before the fence is durable
				before = rows(t, w.state.Tables(), "out")
				entries, _ = w.state.Checkpoints().Load("p")
			}
			return pass()
		}
		config := small(w.config(source, sink))
		config.Lanes = 3
		summary, err := w.try(t.Context(), config)
		if !errors.Is(err, forebay.ErrFenced) || summary.Status != pipeline.StatusFailed {
			t.Errorf("%v: %v", summary.Status, err)
		}
		for split, had := range before {
			if got := rows(t, w.state.Tables(), "out")[split]; len(got) != len(had) {
				t.Errorf("split %s had %d rows when the run was fenced and has %d", split, len(had), len(got))
			}
		}
		if sink.commits > 20+3*4 {
			t.Errorf("%d commits came after the fence", sink.commits-20)
		}
		after, _ := w.state.Checkpoints().Load("p")
		if len(before) != 3 || !maps.Equal(after, entries) {
			t.Errorf("the notes changed from %v to %v", entries, after)
		}
		if readers, _ := source.leaks(); readers != 0 {
			t.Errorf("%d readers are open", readers)
		}
	})
}

// A look-up or a source that fails for a while keeps a lane waiting, and does not end it.
func TestALaneOutlivesErrorsThatPass(t *testing.T) {
	t.Parallel()
	passing := func(n int) error {
		if n > 2 && n < 8 { // 0 and 1 are those of the start
			return fault(forebay.ClassTransient, "unreachable")
		}
		return nil
	}
	for _, c := range []struct {
		name  string
		plant func(source *fakeSource, sink *tableSink)
	}{
		{"look-up of the progress", func(_ *fakeSource, sink *tableSink) {
			sink.script, sink.stateFail = at(map[int]fate{2: lostAfter(), 4: lostBefore()}), passing
		}},
		{"read", func(source *fakeSource, _ *tableSink) {
			calls := 0
			source.fail = func(string, int64) error { calls++; return passing(calls) }
		}},
		{"open again", func(source *fakeSource, sink *tableSink) {
			sink.script = at(map[int]fate{2: lostAfter()})
			calls := 0
			source.openFail = func(string, forebay.Position) error { calls++; return passing(calls + 1) }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a", "b"), newTable()
				c.plant(source, sink)
				started := time.Now()
				summary := w.run(small(w.config(source, sink)))
				w.each(source, nil)
				if summary.Delivered != 200 || summary.Retries < 3 {
					t.Errorf("%+v", summary)
				}
				if took := time.Since(started); took > 10*time.Minute {
					t.Errorf("the run took %s", took)
				}
			})
		})
	}
}

// A lane that fails lets the others of a bounded run finish; the run fails, and the next one does the rest.
func TestALaneThatFailsLetsTheOthersFinish(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(200, "a", "b", "c", "d"), newTable()
		source.fail = func(split string, n int64) error {
			if split == "b" && n >= 100 {
				return fault(forebay.ClassMisconfigured, "the file is no file any more")
			}
			return nil
		}
		config := w.config(source, sink)
		config.Lanes = 2
		summary, err := w.try(t.Context(), config)
		if forebay.ClassOf(err) != forebay.ClassMisconfigured || summary.Status != pipeline.StatusFailed {
			t.Errorf("%v: %v", summary.Status, err)
		}
		got := rows(t, w.state.Tables(), "out")
		if len(got["c"]) != 200 || len(got["d"]) != 200 {
			t.Errorf("a %d, c %d, d %d", len(got["a"]), len(got["c"]), len(got["d"]))
		}
		inTable := int64(len(got["a"]) + len(got["b"]) + len(got["c"]) + len(got["d"]))
		if summary.Delivered != inTable || summary.Read != inTable || summary.Left > 300 {
			t.Errorf("%d rows are in the table: %+v", inTable, summary)
		}
		source.fail = nil
		second := w.run(config)
		w.each(source, nil)
		if second.Delivered != 800-inTable {
			t.Errorf("the second run: %+v", second)
		}
	})
}

// A panic in a step stops its lane with the record's name, not the process.
func TestAPanicInAStepStopsItsLaneOnly(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a", "b", "c"), newTable()
		config := w.config(source, sink)
		config.Lanes = 2
		config.Transform = []forebay.Transform{panicStep{}}
		summary, err := w.try(t.Context(), config)
		if err == nil || summary.Status != pipeline.StatusFailed {
			t.Fatalf("%+v, %v", summary, err)
		}
		e, ok := errors.AsType[*forebay.Error](err)
		if !ok || e.Class != forebay.ClassMisconfigured || e.Code != "transform-panic" || e.Cure == "" {
			t.Errorf("%v", err)
		}
		got := rows(t, w.state.Tables(), "out")
		if len(got["c"]) != 100 || summary.Left == 0 {
			t.Errorf("a %d, c %d, %+v", len(got["a"]), len(got["c"]), summary)
		}
	})
}

// panicStep is a step of a program that panics at one record.
type panicStep struct{}

func (panicStep) Name() string { return "mine" }

func (panicStep) Compile(in forebay.Shape) (forebay.Step, error) {
	return forebay.Step{Out: in, Deterministic: true, Apply: func(b *forebay.Batch) (int, error) {
		for i := range b.Len() {
			if b.SplitID() == "b" && b.Record(i).Offset == 55 {
				panic("a bug in the step")
			}
		}
		return 0, nil
	}}, nil
}

func TestRejectedPoliciesThatStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		errors pipeline.ErrorsConfig
		fates  map[int]fate
		code   string
	}{
		{"stop", pipeline.ErrorsConfig{Rejected: pipeline.RejectedStop}, nil, "record-rejected"},
		{"max is exceeded", pipeline.ErrorsConfig{Max: 9}, nil, "too-many-rejected"},
		{"max is reached", pipeline.ErrorsConfig{Max: 10}, nil, ""},
		{"records that come again after a restart count once", pipeline.ErrorsConfig{Max: 10}, map[int]fate{
			1: lostBefore(), 5: lostAfter(), 9: lostBefore(), 12: lostBefore(),
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a"), newTable()
				source.broken = func(o origin) bool { return o.n%10 == 9 }
				sink.script = at(c.fates)
				config := small(w.config(source, sink))
				config.Errors = c.errors
				summary, err := w.try(t.Context(), config)
				if c.code == "" {
					if err != nil || summary.Rejected != 10 || summary.Delivered != 90 {
						t.Errorf("%+v, %v", summary, err)
					}
					return
				}
				e, ok := errors.AsType[*forebay.Error](err)
				if !ok || e.Code != c.code || e.Class != forebay.ClassRejected {
					t.Fatalf("%v", err)
				}
				// P5: what the table took before the stop counts, though nobody asked any more.
				inTable := int64(len(rows(t, w.state.Tables(), "out")["a"]))
				if summary.Delivered != inTable {
					t.Errorf("%d rows are in the table: %+v", inTable, summary)
				}
			})
		})
	}
}

// While everything is filtered, positions are written alone, at most once a second.
func TestPositionsAreWrittenAloneAtMostOnceASecond(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(1_000, "a"), newTable()
		source.blocks, source.pause = true, 100*time.Millisecond // 10 s for all
		config := w.config(source, sink)
		config.Transform = []forebay.Transform{dropAll{}}
		summary := w.run(config)
		if summary.Filtered != 1_000 || summary.Read != 1_000 || summary.Delivered != 0 {
			t.Errorf("%+v", summary)
		}
		if sink.commits < 9 || sink.commits > 12 {
			t.Errorf("%d commits in 10 s", sink.commits)
		}
		if again := w.run(config); again.Read != 0 {
			t.Errorf("the next run read %d", again.Read)
		}
	})
}

type dropAll struct{}

func (dropAll) Name() string { return "drop all" }

func (dropAll) Compile(in forebay.Shape) (forebay.Step, error) {
	return forebay.Step{Out: in, Deterministic: true, Apply: func(b *forebay.Batch) (int, error) {
		return b.Filter(func(int) bool { return false }), nil
	}}, nil
}

func TestAReaderWithNothingAtHandMovesNothing(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"table", "plain"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source := newSource(300, "a", "b")
				source.gap = 2
				if class == "plain" {
					sink := &flushSink{}
					w.run(w.config(source, sink))
					if repeats := covered(t, source, sink.got); repeats != 0 {
						t.Errorf("%d repeats", repeats)
					}
					return
				}
				sink := newTable()
				backwards := map[string]int64{}
				sink.script = func(_ int, c *forebay.Commit) fate {
					for _, p := range c.Progress {
						if p.Position.Offset < backwards[p.Split] {
							t.Errorf("split %s goes back from %d to %d", p.Split, backwards[p.Split], p.Position.Offset)
						}
						backwards[p.Split] = p.Position.Offset
					}
					return pass()
				}
				w.run(small(w.config(source, sink)))
				w.each(source, nil)
			})
		})
	}
}

// A sink that fails in the middle of a flush: the lane's writer is opened again, as its contract says.
func TestAPlainSinkIsOpenedAgainAfterAFailure(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a", "b"), &flushSink{}
		sink.flushFail = func(n int) error {
			if n == 1 || n == 2 {
				return fault(forebay.ClassAmbiguous, "half of it went out")
			}
			return nil
		}
		source.blocks, source.pause = true, 250*time.Millisecond
		summary := w.run(w.config(source, sink))
		if repeats := covered(t, source, sink.got); repeats > 0 {
			t.Errorf("%d records came twice, although every failed flush gave up what it held", repeats)
		}
		if sink.opened != 3 || sink.closed != 3 {
			t.Errorf("the lane's writer was opened %d times and closed %d times", sink.opened, sink.closed)
		}
		if summary.Retries != 2 || summary.Delivered != 200 || summary.Read != 200 {
			t.Errorf("%+v", summary)
		}
	})
}

// Verify is asked only when one run delivered everything and repeated nothing.
func TestVerifyIsAskedOnlyAfterAWholeRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		plant func(*fakeSource, *flushSink)
		asked bool
	}{
		{"whole", func(*fakeSource, *flushSink) {}, true},
		{"with a rejected record", func(s *fakeSource, _ *flushSink) {
			s.broken = func(o origin) bool { return o.n == 3 }
		}, false},
		{"with a restart", func(_ *fakeSource, s *flushSink) {
			s.flushFail = func(n int) error {
				if n == 0 {
					return fault(forebay.ClassTransient, "later")
				}
				return nil
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(100, "a"), &flushSink{}
				c.plant(source, sink)
				asked := 0
				sink.verify = func() error { asked++; return nil }
				w.run(w.config(source, sink))
				w.run(w.config(source, sink))
				if want := map[bool]int{true: 1}[c.asked]; asked != want {
					t.Errorf("asked %d times, want %d", asked, want)
				}
			})
		})
	}
}

func TestLanesAndSplitsInAnyNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		splits []string
		lanes  int
		want   int
	}{
		{"no split", nil, 3, 1},
		{"one split and many lanes", []string{"a"}, 8, 1},
		{"more splits than lanes", []string{"a", "b", "c", "d", "e"}, 2, 2},
		{"an empty split among others", []string{"a", "empty", "b"}, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(50, c.splits...), newTable()
				if _, found := source.splits["empty"]; found {
					source.splits["empty"] = 0
				}
				config := w.config(source, sink)
				config.Lanes = c.lanes
				finished := map[string]int{}
				sink.script = func(_ int, commit *forebay.Commit) fate {
					sink.mu.Lock()
					defer sink.mu.Unlock()
					for _, p := range commit.Progress {
						if p.Position.Finished {
							finished[p.Split]++
						}
					}
					return pass()
				}
				summary := w.run(config)
				w.each(source, nil)
				if summary.Status != pipeline.StatusDone || summary.Lanes != c.want {
					t.Errorf("%+v", summary)
				}
				for _, split := range c.splits {
					if finished[split] != 1 {
						t.Errorf("split %s is finished %d times", split, finished[split])
					}
				}
				again := w.run(config)
				if again.Status != pipeline.StatusDone || again.Read != 0 || again.Resumed != (len(c.splits) > 0) {
					t.Errorf("the second run: %+v", again)
				}
			})
		})
	}
}

// Also lanes into a target that has no commits to refuse stop when one of them is fenced.
func TestAFencedPlainSinkStopsAllLanes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(1<<40, "a", "b", "c"), &flushSink{}
		sink.writeFail = func(b *forebay.Batch) error {
			if b.SplitID() == "b" && b.Position().Offset > 100 {
				return fault(forebay.ClassFenced, "somebody else writes here")
			}
			return nil
		}
		config := w.config(source, sink)
		config.Lanes = 3
		summary, err := w.try(t.Context(), config)
		// The first batch of a lane is delivered at once, and nothing after it.
		if !errors.Is(err, forebay.ErrFenced) || summary.Delivered > 30 || sink.flushes > 3 {
			t.Errorf("%d flushes, %+v, %v", sink.flushes, summary, err)
		}
		if strings.Count(err.Error(), "somebody else") != 1 {
			t.Errorf("said more than once: %v", err)
		}
	})
}

// A lane that cannot be opened ends the run, also the lanes that are on their way.
func TestALaneThatCannotBeOpenedEndsTheRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(1<<40, "a", "b", "c"), &flushSink{}
		sink.openFail = func(n int) error {
			if n == 2 {
				return fault(forebay.ClassTransient, "no more connections")
			}
			return nil
		}
		config := w.config(source, sink)
		config.Lanes = 3
		summary, err := w.try(t.Context(), config)
		if err == nil || strings.Count(err.Error(), "no more connections") != 1 || summary.Status != pipeline.StatusFailed {
			t.Errorf("%+v, %v", summary, err)
		}
		if readers, feeds := source.leaks(); readers != 0 || feeds != 0 || sink.closed != 2 {
			t.Errorf("%d readers and %d feeds are open, %d lane writers were closed", readers, feeds, sink.closed)
		}
	})
}
