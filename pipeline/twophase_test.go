// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// once fails unless each record of the source is visible once, but for those left out, and nothing is hidden.
func (s *shelf) once(source *fakeSource, without func(origin) bool) error {
	visible, hidden := s.visible()
	if hidden > 0 {
		return fmt.Errorf("%d boxes are neither visible nor removed", hidden)
	}
	bySplit := map[string][]int64{}
	for _, o := range visible {
		bySplit[o.split] = append(bySplit[o.split], o.n)
	}
	for split, count := range source.splits {
		var want []int64
		for n := range count {
			if without == nil || !without(origin{split, n}) {
				want = append(want, n)
			}
		}
		slices.Sort(bySplit[split])
		if !slices.Equal(bySplit[split], want) {
			return fmt.Errorf("split %s: %s", split, difference(bySplit[split], want))
		}
	}
	return nil
}

func paced(count int64, splits ...string) *fakeSource {
	source := newSource(count, splits...)
	source.blocks, source.pause = true, 300*time.Millisecond
	return source
}

func TestATwoPhaseSinkShowsEachRecordOnce(t *testing.T) {
	t.Parallel()
	for _, rolls := range []int{1, 3} {
		bubble(t, func(t *testing.T, w *world) {
			source, sink := paced(400, "a", "b"), &boxSink{shelf: newShelf(), rolls: rolls}
			config := w.config(source, sink)
			config.Lanes, config.Checkpoint.Interval = 2, time.Second
			summary := w.run(config)
			if err := sink.shelf.once(source, nil); err != nil {
				t.Error(err)
			}
			if summary.Delivered != 800 || summary.Checkpoints < 10 || summary.Guarantee != pipeline.GuaranteeExactlyOnce {
				t.Errorf("%+v", summary)
			}
			if again := w.run(config); again.Read != 0 || !again.Resumed {
				t.Errorf("the second run: %+v", again)
			}
		})
	}
}

// P6, P7: the process dies at any operation of the sink, with everything lost that was not durable, and the next run
// goes on with another number of lanes.
func TestATwoPhaseSinkShowsEachRecordOnceThroughDeaths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		p := deaths{
			seed: rapid.Uint64().Draw(rt, "seed"), rolls: rapid.IntRange(1, 4).Draw(rt, "rolls"),
			dieAt:   rapid.SliceOfN(rapid.IntRange(1, 120), 1, 5).Draw(rt, "die at"),
			unkind:  rapid.Bool().Draw(rt, "unkind"),
			noFence: rapid.Bool().Draw(rt, "no fence"),
			broken:  rapid.Int64Range(0, 9).Draw(rt, "broken"),
		}
		var err error
		synctest.Test(t, func(t *testing.T) { err = p.play(t) })
		if err != nil {
			rt.Fatalf("%+v: %v", p, err)
		}
	})
}

// deaths is a pipeline into boxes whose process dies again and again.
type deaths struct {
	seed    uint64
	rolls   int
	dieAt   []int
	unkind  bool // commits fail, are asked to be tried again, and are lost as a whole
	noFence bool
	broken  int64
}

func (p deaths) play(t *testing.T) error {
	rng := rand.New(&locked{source: rand.NewPCG(p.seed, 7)}) // lanes draw at the same time
	source := paced(150, "a", "b", "c")
	source.pause = 50 * time.Millisecond
	out := func(o origin) bool { return p.broken > 0 && o.n%10 == p.broken }
	source.broken = out
	disk, kept := vfs.NewCrashableMem(), newShelf()
	for i := range len(p.dieAt) + 1 {
		w := &world{t: t, fs: disk}
		w.open()
		sink := &boxSink{shelf: kept, rolls: p.rolls, noFence: p.noFence, answer: p.answers(rng, kept)}
		if p.unkind {
			sink.slow, sink.fail = time.Duration(rng.IntN(700))*time.Millisecond, p.failures(rng)
		}
		var left *vfs.MemFS
		if i < len(p.dieAt) {
			sink.dieAt = p.dieAt[i]
			sink.die = func() {
				left = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
			}
		}
		config := w.config(source, sink)
		config.Lanes, config.Checkpoint.Interval = 1+rng.IntN(3), time.Duration(100+rng.IntN(400))*time.Millisecond
		_, err := w.try(context.Background(), config)
		w.close()
		if left != nil {
			disk, kept = left, sink.left
			continue
		}
		if err != nil {
			return fmt.Errorf("run %d: %w", i, err)
		}
	}
	return kept.once(source, out)
}

// locked is a source of numbers for several goroutines.
type locked struct {
	mu     sync.Mutex
	source rand.Source
}

func (l *locked) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.source.Uint64()
}

// answers make an unkind target: it never loses a part of a checkpoint alone, nor what was held before it.
func (p deaths) answers(rng *rand.Rand, kept *shelf) func(int, *forebay.CommitRequest, func()) error {
	if !p.unkind {
		return nil
	}
	left := 8
	return func(_ int, q *forebay.CommitRequest, commit func()) error {
		if left == 0 || rng.IntN(3) > 0 {
			commit()
			return nil
		}
		left--
		switch rng.IntN(4) {
		case 0:
			commit()
			return errors.New("the answer is lost")
		case 1:
			return forebay.Errorf("commit", forebay.ClassTransient, "scripted")
		case 2:
			q.Outcome, q.Err = forebay.OutcomeRetry, errors.New("scripted")
			if rng.IntN(2) == 0 {
				changed := q.Committable
				q.Changed = &changed
			}
		default:
			if p.rolls > 1 || kept.boxes[q.Committable.ID] == nil || kept.boxes[q.Committable.ID].visible {
				commit()
				return nil
			}
			delete(kept.boxes, q.Committable.ID)
			q.Outcome, q.Err = forebay.OutcomeLost, errors.New("scripted")
		}
		return nil
	}
}

// failures pass by themselves.
func (p deaths) failures(rng *rand.Rand) func(string) error {
	var mu sync.Mutex
	left := 6
	return func(doing string) error {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 || rng.IntN(10) > 0 {
			return nil
		}
		left--
		return forebay.Errorf(doing, forebay.ClassTransient, "scripted")
	}
}

// P7: what a target asks to try again is tried again, and what follows waits; the interval grows meanwhile.
func TestACommitThatIsAskedToWaitHoldsBackThoseBehindIt(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(400, "a"), &boxSink{shelf: newShelf()}
		var order []string
		sink.answer = func(n int, q *forebay.CommitRequest, commit func()) error {
			if n < 6 {
				q.Outcome, q.Err = forebay.OutcomeRetry, errors.New("not yet")
				if n == 2 {
					q.Changed = &forebay.Committable{ID: q.Committable.ID, Data: q.Committable.Data}
				}
				return nil
			}
			commit()
			order = append(order, q.Committable.ID)
			return nil
		}
		config := w.config(source, sink)
		config.Checkpoint.Interval = 100 * time.Millisecond
		summary := w.run(config)
		if err := sink.shelf.once(source, nil); err != nil {
			t.Error(err)
		}
		if summary.Retries != 6 || len(order) < 5 {
			t.Errorf("%d retries, %d commits", summary.Retries, len(order))
		}
	})
}

// Rule by rule: what a sink must not answer ends the run by name, and nothing is skipped.
func TestAnswersThatCannotBeGoneOnWithStopTheRunByName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(n int, q *forebay.CommitRequest, commit func(), s *boxSink)
		code   string
	}{
		"no answer": {func(_ int, q *forebay.CommitRequest, _ func(), _ *boxSink) {
			q.Outcome = forebay.OutcomeMissing
		}, "commit-unanswered"},
		"never": {func(_ int, q *forebay.CommitRequest, _ func(), _ *boxSink) {
			q.Outcome, q.Err = forebay.OutcomeFatal, errors.New("scripted")
		}, "commit-impossible"},
		"always lost": {func(_ int, q *forebay.CommitRequest, _ func(), s *boxSink) { s.lose(q) }, "commit-lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := paced(100, "a"), &boxSink{shelf: newShelf()}
				sink.answer = func(n int, q *forebay.CommitRequest, commit func()) error {
					test.answer(n, q, commit, sink)
					return nil
				}
				config := w.config(source, sink)
				config.Checkpoint.Interval = time.Second
				_, err := w.try(t.Context(), config)
				e, ok := errors.AsType[*forebay.Error](err)
				if !ok || e.Code != test.code || e.Cure == "" {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A checkpoint of which the target definitely has nothing is read again, under a new epoch.
func TestALostCheckpointIsReadAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(300, "a", "b"), &boxSink{shelf: newShelf()}
		sink.answer = func(n int, q *forebay.CommitRequest, commit func()) error {
			if n == 5 {
				sink.lose(q)
			} else {
				commit()
			}
			return nil
		}
		config := w.config(source, sink)
		config.Lanes, config.Checkpoint.Interval = 2, time.Second
		summary := w.run(config)
		if err := sink.shelf.once(source, nil); err != nil {
			t.Error(err)
		}
		if summary.Retries == 0 || len(sink.fences) != 2 || summary.Delivered != 600 {
			t.Errorf("%+v, fences %v", summary, sink.fences)
		}
	})
}

// twin is a sink whose lanes prepare two boxes of each checkpoint.
type twin struct{ *boxSink }

func (s twin) Start(ctx context.Context, env forebay.SinkContext) (forebay.Target, error) {
	target, err := s.boxSink.Start(ctx, env)
	if err != nil {
		return nil, err
	}
	return twinTarget{target.(*boxTarget)}, nil
}

type twinTarget struct{ *boxTarget }

func (t twinTarget) OpenLane(ctx context.Context, lane forebay.LaneContext) (forebay.LaneWriter, error) {
	a, errA := t.boxTarget.OpenLane(ctx, lane)
	b, errB := t.boxTarget.OpenLane(ctx, lane)
	return twinLane{a.(*boxLane), b.(*boxLane)}, errors.Join(errA, errB)
}

type twinLane struct {
	*boxLane
	other *boxLane
}

func (l twinLane) Write(ctx context.Context, b *forebay.Batch) error {
	return errors.Join(l.boxLane.Write(ctx, b), l.other.Write(ctx, b))
}

func (l twinLane) Prepare(ctx context.Context, n uint64, last bool) (
	func(context.Context) (forebay.Prepared, error), error,
) {
	a, errA := l.boxLane.Prepare(ctx, n, last)
	b, errB := l.other.Prepare(ctx, n, last)
	return func(ctx context.Context) (forebay.Prepared, error) {
		first, errFirst := a(ctx)
		second, errSecond := b(ctx)
		first.Commit = append(first.Commit, second.Commit...)
		return first, errors.Join(errFirst, errSecond)
	}, errors.Join(errA, errB)
}

// A part of a checkpoint that is committed while another is lost is nothing that can be gone on from.
func TestAPartlyLostCheckpointStopsTheRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(100, "a"), &boxSink{shelf: newShelf()}
		config := w.config(source, twin{sink})
		config.Checkpoint.Interval = time.Second
		sink.answer = func(n int, q *forebay.CommitRequest, commit func()) error {
			if n == 1 {
				sink.lose(q)
			} else {
				commit()
			}
			return nil
		}
		_, err := w.try(t.Context(), config)
		e, ok := errors.AsType[*forebay.Error](err)
		if !ok || e.Code != "commit-lost" {
			t.Errorf("%v", err)
		}
	})
}

// A target that belongs to another state directory is refused by name, until it is taken over for good.
func TestATargetOfAnotherStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(50, "a"), &boxSink{shelf: newShelf()}
		w.run(w.config(source, sink))
		other := newWorld(t)
		defer other.close()
		config := other.config(source, sink)
		_, err := other.try(t.Context(), config)
		e, ok := errors.AsType[*forebay.Error](err)
		if !ok || e.Code != "target-owned" || e.Class != forebay.ClassMisconfigured {
			t.Fatalf("%v", err)
		}
		config.TakeOver = true
		other.run(config)
		if _, err := w.try(t.Context(), w.config(source, sink)); err == nil {
			t.Error("the first one runs on after it was taken over")
		}
	})
}

// What exactly-once holds is published by a run that gives less.
func TestARunThatGivesLessPublishesWhatWasHeld(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(200, "a", "b"), &boxSink{shelf: newShelf(), rolls: 100, dieAt: 60}
		config := w.config(source, sink)
		config.Lanes, config.Checkpoint.Interval = 2, 500*time.Millisecond
		if _, err := w.try(t.Context(), config); err == nil {
			t.Fatal("it did not die")
		}
		next := &boxSink{shelf: sink.left}
		config.Sink, config.Guarantee = next, pipeline.GuaranteeAtLeastOnce
		w.run(config)
		if err := next.shelf.once(source, nil); err != nil {
			t.Error(err)
		}
	})
}

// A drain finishes what is held.
func TestADrainLeavesNothingHidden(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := paced(1000, "a"), &boxSink{shelf: newShelf(), rolls: 100}
		ctx, stop := context.WithTimeout(t.Context(), 7*time.Second)
		defer stop()
		config := w.config(source, sink)
		config.Checkpoint.Interval = time.Second
		summary, err := w.try(ctx, config)
		if err != nil || summary.Status != pipeline.StatusStopped {
			t.Fatalf("%+v, %v", summary, err)
		}
		if _, hidden := sink.shelf.visible(); hidden > 0 {
			t.Errorf("%d boxes are hidden", hidden)
		}
		w.run(config)
		if err := sink.shelf.once(source, nil); err != nil {
			t.Error(err)
		}
	})
}
