// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// stopAfter is a context that ends after a time, as a signal does.
func stopAfter(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(d, func() { stop(forebay.ErrStopped) })
	t.Cleanup(func() { timer.Stop(); stop(nil) })
	return ctx
}

// A drain delivers what was read, of a source that waits for data too; the next run goes on there.
func TestADrainLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		unbounded bool
		forgetful bool
		splits    []string
		lanes     int
	}{
		{"bounded", false, false, []string{"a"}, 1},
		{"unbounded, several splits for each lane", true, false, []string{"a", "b", "c", "d", "e"}, 2},
		{"a source that cannot go back", false, true, []string{"a"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []int{0, 10, 105, 111, 250, 999, 1005} {
				bubble(t, func(t *testing.T, w *world) {
					source, sink := newSource(1_000, c.splits...), newTable()
					source.blocks, source.pause = true, 10*time.Millisecond
					source.unbounded, source.forgetful = c.unbounded, c.forgetful
					handed := map[string]int64{}
					config := w.config(source, sink)
					config.Lanes = c.lanes
					config.Hooks.Read = func(e forebay.ReadEvent) {
						source.mu.Lock()
						defer source.mu.Unlock()
						handed[e.Split] += int64(e.Records)
					}
					summary, err := w.try(stopAfter(t, time.Duration(after)*time.Millisecond), config)
					if err != nil {
						t.Fatal(err)
					}
					got := rows(t, w.state.Tables(), "out")
					total := int64(0)
					for _, split := range c.splits {
						total += int64(len(got[split]))
						if int64(len(got[split])) != handed[split] {
							t.Errorf("after %d ms: split %s: %d rows of %d read", after, split, len(got[split]), handed[split])
						}
					}
					if summary.Read != total || summary.Delivered != total {
						t.Errorf("after %d ms: %d rows, %+v", after, total, summary)
					}
					if done := summary.Status == pipeline.StatusDone; done && total < 1000 || summary.Status == pipeline.StatusFailed {
						t.Errorf("after %d ms: %+v", after, summary)
					}
					if readers, feeds := source.leaks(); readers != 0 || feeds != 0 {
						t.Errorf("%d readers and %d feeds are open", readers, feeds)
					}
					if c.forgetful {
						return
					}
					source.unbounded = false
					w.run(config)
					w.each(source, nil)
				})
			}
		})
	}
}

// A source that holds records when it is told to stop gives them before it ends.
func TestADrainTakesWhatAFetcherHolds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := &holdingSource{fakeSource: newSource(100, "a")}, newTable()
		source.blocks = true
		summary, err := w.try(stopAfter(t, time.Second), w.config(source, sink))
		if err != nil {
			t.Fatal(err)
		}
		if got := rows(t, w.state.Tables(), "out")["a"]; len(got) != 70 || summary.Delivered != 70 {
			t.Errorf("%d rows, %+v", len(got), summary)
		}
	})
}

// holdingSource has the records up to 30 at once, and those up to 70 when it is told to stop.
type holdingSource struct{ *fakeSource }

func (s *holdingSource) Start(ctx context.Context, env forebay.SourceContext) (forebay.Feed, error) {
	f, err := s.fakeSource.Start(ctx, env)
	return &holdingFeed{Feed: f}, err
}

type holdingFeed struct{ forebay.Feed }

func (f *holdingFeed) Open(ctx context.Context, s forebay.Split, p forebay.Position) (forebay.Reader, error) {
	r, err := f.Feed.Open(ctx, s, p)
	return &holdingReader{Reader: r}, err
}

type holdingReader struct {
	forebay.Reader
	given int
}

func (r *holdingReader) Read(ctx context.Context, b *forebay.Batch) error {
	if r.given >= 30 {
		<-ctx.Done()
		if r.given >= 70 {
			return context.Cause(ctx)
		}
	}
	if err := r.Reader.Read(context.WithoutCancel(ctx), b); err != nil {
		return err
	}
	r.given += b.Len()
	return nil
}

// A drain that is not done in time fails with its name, what is left, and what to do.
func TestADrainThatTakesTooLongFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(int, *forebay.Commit) fate
		left   int64
	}{
		{"the target never answers", at(map[int]fate{2: {apply: true, never: true}}), 30},
		{"the target fails again and again", func(n int, _ *forebay.Commit) fate {
			if n >= 2 {
				return refuse(forebay.CodeDiskFull)
			}
			return pass()
		}, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(200, "a"), newTable()
				sink.script = c.script
				retried := 0
				config := small(w.config(source, sink))
				config.Shutdown.Timeout = 3 * time.Second
				config.Hooks.Retried = func(e forebay.RetryEvent) {
					if e, ok := errors.AsType[*forebay.Error](e.Err); ok && e.Code == "drain-timeout" {
						retried++
					}
				}
				started := time.Now()
				summary, err := w.try(stopAfter(t, time.Minute), config)
				e, ok := errors.AsType[*forebay.Error](err)
				if !ok || e.Code != "drain-timeout" || e.Cure == "" || summary.Status != pipeline.StatusFailed {
					t.Fatalf("%+v, %v", summary, err)
				}
				if took := time.Since(started); took != 63*time.Second {
					t.Errorf("the run took %s", took)
				}
				if retried > 0 {
					t.Error("a lane began again because its time was over")
				}
				if c.left >= 0 && (summary.Left < c.left || summary.Left > c.left+20) {
					t.Errorf("%d left, %+v", summary.Left, summary)
				}
				if readers, feeds := source.leaks(); readers != 0 || feeds != 0 {
					t.Errorf("%d readers and %d feeds are open", readers, feeds)
				}
				w.run(small(w.config(source, newTable())))
				w.each(source, nil)
			})
		})
	}
}

// A run that is told to stop before it reads anything has stopped, not failed.
func TestARunThatIsStoppedBeforeItBegins(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		source := newSource(100, "a")
		summary, err := w.try(ctx, w.config(source, newTable()))
		if err != nil || summary.Status != pipeline.StatusStopped || summary.Read != 0 {
			t.Errorf("%+v, %v", summary, err)
		}
		if readers, feeds := source.leaks(); readers != 0 || feeds != 0 {
			t.Errorf("%d readers and %d feeds are open", readers, feeds)
		}
		w.run(w.config(source, newTable()))
		w.each(source, nil)
	})
}

// The back-off follows 100 ms x 2^n up to 30 s with full jitter, and starts over once something is confirmed.
func TestBackOffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(100, "a"), newTable()
		var attempts []int
		again := true
		sink.script = func(n int, c *forebay.Commit) fate {
			if n > 2 && len(attempts) < 12 {
				return refuse(forebay.CodeSequenceGap)
			}
			if again && c.Progress[0].Position.Offset > 60 {
				again = false
				return refuse(forebay.CodeSequenceGap)
			}
			return pass()
		}
		config := small(w.config(source, sink))
		config.Hooks.Retried = func(e forebay.RetryEvent) {
			attempts = append(attempts, e.Attempt)
			limit := 30 * time.Second
			if e.Attempt < 10 {
				limit = min(limit, 100*time.Millisecond<<(e.Attempt-1))
			}
			if e.Wait <= 0 || e.Wait > limit {
				t.Errorf("attempt %d waits %s", e.Attempt, e.Wait)
			}
		}
		w.run(config)
		w.each(source, nil)
		if len(attempts) != 13 || attempts[11] != 12 || attempts[12] != 1 {
			t.Errorf("attempts %s", fmt.Sprint(attempts))
		}
	})
}

// Several splits of a source that waits: a quiet one does not hold back a busy one.
func TestAQuietSplitDoesNotHoldBackABusyOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source, sink := newSource(200, "busy", "quiet"), newTable()
		source.splits["quiet"] = 0
		source.blocks, source.unbounded, source.pause = true, true, 10*time.Millisecond
		var delivered time.Duration
		started := time.Now()
		config := w.config(source, sink)
		config.Hooks.Committed = func(forebay.CommitEvent) { delivered = time.Since(started) }
		w.runUntil(t, config, time.Minute)
		w.each(source, nil)
		if delivered > time.Second {
			t.Errorf("the last record was there after %s", delivered)
		}
	})
}

// runUntil runs a pipeline and drains it after a time.
func (w *world) runUntil(t *testing.T, config pipeline.Config, d time.Duration) pipeline.Summary {
	t.Helper()
	summary, err := w.try(stopAfter(t, d), config)
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

// What was read before a failure is delivered by the drain too, and nothing beyond it.
func TestADrainDeliversWhatWasReadBeforeAFailure(t *testing.T) {
	t.Parallel()
	for _, blocks := range []bool{false, true} {
		for _, f := range []fate{refuse(forebay.CodeDiskFull), lostAfter(), lostBefore()} {
			bubble(t, func(t *testing.T, w *world) {
				source, sink := newSource(5_000, "a", "b"), newTable()
				source.blocks, source.pause = blocks, time.Millisecond
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				sink.script = func(n int, _ *forebay.Commit) fate {
					switch {
					case n < 5:
						return pass()
					case n == 5:
						return slow(f, 3*time.Second)
					case n == 8:
						stop()
						return f
					default:
						return slow(pass(), time.Second)
					}
				}
				config := small(w.config(source, sink))
				summary, err := w.try(ctx, config)
				if err != nil || summary.Status != pipeline.StatusStopped {
					t.Fatalf("%+v, %v", summary, err)
				}
				got := rows(t, w.state.Tables(), "out")
				if total := int64(len(got["a"]) + len(got["b"])); total < 80 || total > 120 || summary.Read != total {
					t.Errorf("blocks %v: %d rows, %+v", blocks, total, summary)
				}
				w.run(w.config(source, newTable()))
				w.each(source, nil)
			})
		}
	}
}
