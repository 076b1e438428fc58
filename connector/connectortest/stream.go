// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

func (h SinkHarness) streamChecks() []Check {
	return []Check{
		{"writes in order", h.checkStreamOrder},
		{"keeps nothing of a written batch", h.checkStreamOwnership},
		{"writes lanes at the same time", h.checkStreamLanes},
		{"calls a lost answer ambiguous", h.checkStreamLostAnswer},
		{"names the records it refuses", h.checkStreamRefusal},
		{"gives up a write when the context ends", h.checkStreamCancel},
		{"closes a lane twice", h.checkStreamClose},
	}
}

func (h SinkHarness) openLane(t T, target forebay.Target, lane int) forebay.LaneWriter {
	t.Helper()
	w, err := target.(forebay.Streamer).OpenLane(t.Context(), forebay.LaneContext{
		Lane: lane, Layout: h.layout(), Owner: forebay.Owner{Pipeline: pipelineName, Epoch: 1, Holder: "a"},
		Now: time.Now, Opened: func(context.Context, forebay.Committable) error { return nil },
	})
	if err != nil {
		t.Fatalf("open lane %d: %v", lane, err)
	}
	return w
}

func (h SinkHarness) checkStreamOrder(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	for from := int64(0); from < 3000; from += 500 {
		if err := w.Write(t.Context(), h.batch(idRange(from, from+500)...)); err != nil {
			t.Fatalf("write: %v", err)
		}
		if from%1000 == 0 {
			continue
		}
		if err := w.Flush(t.Context()); err != nil {
			t.Fatalf("flush: %v", err)
		}
		h.expect(t, s, "after a flush", expectation{ids: idRange(0, from+500)})
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Errorf("flush with nothing to flush: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("close the lane: %v", err)
	}
}

func (h SinkHarness) checkStreamOwnership(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	for id := range int64(20) {
		b := h.batch(id)
		if err := w.Write(t.Context(), b); err != nil {
			t.Fatalf("write: %v", err)
		}
		spoil(b)
	}
	if err := w.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	h.expect(t, s, "after the batches were overwritten", expectation{ids: idRange(0, 20)})
	_ = w.Close()
}

// checkStreamLanes writes from several lanes; the records of one lane stay in order, none is torn.
func (h SinkHarness) checkStreamLanes(t T) {
	const lanes, each = 4, 2000
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	problems := make([]error, lanes)
	var group sync.WaitGroup
	for lane := range lanes {
		w := h.openLane(t, target, lane)
		group.Go(func() {
			from := int64(lane * each)
			for _, ids := range [][]int64{idRange(from, from+each/2), idRange(from+each/2, from+each)} {
				problems[lane] = errors.Join(problems[lane],
					w.Write(t.Context(), h.batch(ids...)), w.Flush(t.Context()))
			}
			problems[lane] = errors.Join(problems[lane], w.Close())
		})
	}
	group.Wait()
	if err := errors.Join(problems...); err != nil {
		t.Fatalf("write: %v", err)
	}
	h.expect(t, s, "after four lanes wrote", expectation{ids: idRange(0, lanes*each), unordered: true})
}

func (h SinkHarness) checkStreamLostAnswer(t T) {
	s := h.New(t)
	if s.LoseAnswer == nil {
		return
	}
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	if err := errors.Join(w.Write(t.Context(), h.batch(0, 1)), w.Flush(t.Context())); err != nil {
		t.Fatalf("write: %v", err)
	}
	s.LoseAnswer()
	err := w.Write(t.Context(), h.batch(2, 3))
	if err == nil {
		err = w.Flush(t.Context())
	}
	if err == nil {
		t.Fatalf("the answer was lost, and write and flush say that all is well")
	}
	if class := forebay.ClassOf(err); class != forebay.ClassAmbiguous {
		t.Errorf("a lost answer is %s (%v), want ambiguous: the records may have been applied", class, err)
	}
	_ = w.Close()
	// What a pipeline does: it opens the lane again and repeats what was not acknowledged.
	w = h.openLane(t, target, 0)
	if err := errors.Join(w.Write(t.Context(), h.batch(2, 3, 4)), w.Flush(t.Context())); err != nil {
		t.Fatalf("write again: %v", err)
	}
	_ = w.Close()
	h.expect(t, s, "after the repeat", expectation{ids: idRange(0, 5), repeats: true})
}

func (h SinkHarness) checkStreamRefusal(t T) {
	s := h.New(t)
	if s.Spoil == nil {
		return
	}
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	b := h.batch(idRange(0, 10)...)
	s.Spoil(b, 3)
	s.Spoil(b, 7)
	err := w.Write(t.Context(), b)
	if forebay.ClassOf(err) != forebay.ClassRejected {
		t.Fatalf("write with two records that are refused: %v, want an error of class rejected", err)
	}
	expectRefused(t, err, 3, 7)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	h.expect(t, s, "after a write with two refused records", expectation{ids: []int64{0, 1, 2, 4, 5, 6, 8, 9}})
	_ = w.Close()
}

// expectRefused compares the records that an error lists.
func expectRefused(t T, err error, want ...int) {
	t.Helper()
	refused, _ := errors.AsType[*forebay.Error](err)
	var got []int
	for _, r := range refused.Records {
		got = append(got, r.Index)
		if r.Err == nil {
			t.Errorf("refused record %d has no reason", r.Index)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the records %v were refused, and the error names %v", want, got)
	}
}

func (h SinkHarness) checkStreamCancel(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	defer func() { _ = w.Close() }()
	write := func(ctx context.Context) {
		if err := w.Write(ctx, h.batch(0, 1)); err == nil {
			_ = w.Flush(ctx)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, h.Patience, "a write whose context has ended", func() { write(ended) })
	if s.Stall == nil {
		return
	}
	release := s.Stall()
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), cancelAfter)
	defer cancel()
	within(t, h.Patience, "a write whose context ended while it waited", func() { write(ctx) })
}

func (h SinkHarness) checkStreamClose(t T) {
	target := h.start(t, h.New(t))
	defer h.close(t, target)
	w := h.openLane(t, target, 0)
	if err := w.Write(t.Context(), h.batch(0)); err != nil {
		t.Fatalf("write: %v", err)
	}
	for again := range 2 {
		within(t, h.Patience, "close a lane", func() {
			if err := w.Close(); err != nil {
				t.Errorf("close %d of a lane: %v", again+1, err)
			}
		})
	}
}
