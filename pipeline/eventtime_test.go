// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/pipeline"
)

// timed is what a sink sees of a record's time, in seconds.
type timed struct {
	origin
	time, watermark int64
	known           bool // whether there is a watermark
	late            bool
}

// timing is a plain sink that notes what it sees of times.
func timing() (*flushSink, func() []timed) {
	var mu sync.Mutex
	var seen []timed
	sink := &flushSink{}
	sink.writeFail = func(b *forebay.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range b.Len() {
			r := b.Record(i)
			seen = append(seen, timed{
				origin: origin{b.SplitID(), r.Offset}, time: r.Time / 1e6, watermark: b.Watermark() / 1e6,
				known: b.Watermark() != forebay.NoTime, late: r.Late,
			})
		}
		return nil
	}
	return sink, func() []timed {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// seconds says that column n is the event time.
func seconds(expr string) *pipeline.EventTime {
	return &pipeline.EventTime{Field: expr, Format: "unix", OutOfOrder: 5 * time.Second, Idle: 10 * time.Second}
}

// F11: a sink sees each record's time and the watermark; what comes behind it is late and counted.
func TestASinkSeesTimesWatermarksAndLateRecords(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		sink, seen := timing()
		config := w.config(newSource(200, "a"), sink)
		config.EventTime = seconds("n % 50 == 49 ? n - 40 : n")
		summary := w.run(config)
		if summary.Late != 4 || summary.Delivered != 200 {
			t.Errorf("%+v", summary)
		}
		for _, r := range seen() {
			want := r.n
			if r.n%50 == 49 {
				want = r.n - 40
			}
			// The last record before this batch of ten with a time of its own.
			before := r.n - r.n%10 - 1
			if before%50 == 49 {
				before--
			}
			late := r.n%50 == 49
			if r.time != want || r.known != (r.n >= 10) || r.known && r.watermark != before-5 || r.late != late {
				t.Errorf("%+v, want time %d, watermark %d, late %v", r, want, before-5, late)
			}
		}
	})
}

// E2: of several splits the slowest decides; one that is idle or finished does not.
func TestASplitWithoutRecordsDoesNotHoldTheWatermarkBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		sink, seen := timing()
		source := newSource(600, "a", "b")
		source.splits["b"] = 20
		source.unbounded, source.blocks, source.pause = true, true, 500*time.Millisecond
		config := w.config(source, sink)
		config.EventTime = seconds("n")
		ctx, stop := context.WithTimeout(t.Context(), 40*time.Second)
		defer stop()
		if _, err := w.try(ctx, config); err != nil {
			t.Fatal(err)
		}
		held, last := int64(0), timed{}
		for _, r := range seen() {
			if r.split != "a" {
				continue
			}
			if r.known && r.watermark <= 19-5 {
				held = max(held, r.n)
			}
			last = r
		}
		// b gives its 20 records in a second and is idle 10 seconds later, when a is at 220.
		if held < 200 || held > 250 || last.watermark != last.n-last.n%10-1-5 {
			t.Errorf("b held the watermark back until %d, and at the end it is %+v", held, last)
		}
	})
}

// A split that is ahead waits for the slowest.
func TestSplitsAheadOfTheSlowestWait(t *testing.T) {
	t.Parallel()
	for _, blocks := range []bool{true, false} {
		bubble(t, func(t *testing.T, w *world) {
			sink, seen := timing()
			source := newSource(300, "a", "b")
			source.blocks, source.unbounded = blocks, !blocks
			source.fail = func(split string, offset int64) error { // b is slow
				if split == "b" {
					return wait(t.Context(), 100*time.Millisecond)
				}
				return wait(t.Context(), 5*time.Millisecond)
			}
			config := w.config(source, sink)
			config.Lanes = 2
			config.EventTime = seconds("n")
			config.EventTime.Align = 30 * time.Second
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			summary, err := w.try(ctx, config)
			if err != nil || summary.Delivered != 600 {
				t.Fatalf("%+v, %v", summary, err)
			}
			var ahead, a, b int64
			for _, r := range seen() {
				if r.split == "a" {
					a = r.n
				} else {
					b = r.n
				}
				ahead = max(ahead, a-b)
			}
			if ahead > 30+3*10 { // what was read before it is paused
				t.Errorf("a was %d s ahead", ahead)
			}
		})
	}
}

// E1: the watermark goes on where it was, and an idle split stays idle.
func TestTheWatermarkSurvivesARestart(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source := newSource(600, "a", "b")
		source.splits["b"] = 20
		source.unbounded, source.blocks, source.pause = true, true, 500*time.Millisecond
		run := func(length time.Duration) []timed {
			sink, seen := timing()
			config := w.config(source, sink)
			config.EventTime = seconds("n")
			ctx, stop := context.WithTimeout(t.Context(), length)
			defer stop()
			if _, err := w.try(ctx, config); err != nil {
				t.Fatal(err)
			}
			return seen()
		}
		first := run(20 * time.Second)
		before := first[len(first)-1].watermark
		second := run(2 * time.Second)
		if len(second) == 0 || !second[0].known || second[0].watermark < before {
			t.Fatalf("%d before, then %+v", before, second)
		}
		if last := second[len(second)-1]; last.watermark <= before {
			t.Errorf("b holds the watermark back again: %d, then %d", before, last.watermark)
		}
	})
}

func TestEventTimeIsCheckedBeforeARun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		for _, wrong := range []pipeline.EventTime{
			{Format: "unix"},
			{Field: "n", Idle: -1},
			{Field: "n"},
			{Field: "nowhere"},
			{Field: "split", Format: "none"},
			{Field: "split", Zone: "Nowhere/City"},
		} {
			config := w.config(newSource(10, "a"), &flushSink{})
			config.EventTime = &wrong
			p, err := pipeline.New(config)
			if err == nil {
				_, err = p.Run(t.Context())
			}
			if err == nil {
				t.Errorf("%+v is taken", wrong)
			}
		}
	})
}

// E3: what a slower lane reads first is not late because of a faster one.
func TestNoRecordIsLateBecauseOfTheLaneThatBeganFirst(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source := newSource(100, "a", "b", "c")
		source.openFail = func(split string, _ forebay.Position) error {
			if split == "b" {
				return nil
			}
			return wait(t.Context(), time.Second)
		}
		source.fail = func(string, int64) error { return wait(t.Context(), 10*time.Millisecond) }
		sink, _ := timing()
		config := w.config(source, sink)
		config.Lanes = 2
		config.EventTime = seconds(`split == "a" ? n : split == "b" ? 1000 + n : 2000 + n`)
		if summary := w.run(config); summary.Late != 0 || summary.Delivered != 300 {
			t.Errorf("%+v", summary)
		}
	})
}

// E3: a record is not late because it is read again.
func TestNoRecordIsLateBecauseItIsReadAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		source := newSource(400, "a")
		source.fail = func(string, int64) error { return wait(t.Context(), 30*time.Millisecond) }
		sink, _ := timing()
		note, failures := sink.writeFail, 0
		sink.writeFail = func(b *forebay.Batch) error {
			if b.Record(0).Offset >= 300 && failures == 0 {
				failures++
				return forebay.Errorf("write", forebay.ClassTransient, "once")
			}
			return note(b)
		}
		config := w.config(source, sink)
		config.EventTime = seconds("n % 50 == 49 ? n - 40 : n")
		summary := w.run(config)
		if failures != 1 || summary.Retries == 0 || summary.Late != 8 || summary.Delivered != 400 {
			t.Errorf("%d failures, %+v", failures, summary)
		}
	})
}
