// SPDX-License-Identifier: Apache-2.0

package connectortest

import (
	"context"

	"github.com/forebay-io/forebay"
)

func (h SinkHarness) requestChecks() []Check {
	return []Check{
		{"drops a repeated request", h.checkRequestRepeat},
		{"refuses a gap in the sequence", h.checkRequestGap},
		{"refuses other bytes under a used sequence", h.checkRequestChanged},
		{"gives every writer an id of its own", h.checkWriterIDs},
		{"remembers sequences over a restart", h.checkRequestReopen},
		{"settles a lost answer by a repeat", h.checkRequestLostAnswer},
		{"gives up a request when the context ends", h.checkRequestCancel},
	}
}

// sequenceWriter sends batches to a backend with sequences, as the writer does.
type sequenceWriter struct {
	backend forebay.Backend
	id      string
	next    map[int]int64
}

func (h SinkHarness) openWriter(t T, target forebay.Target) *sequenceWriter {
	t.Helper()
	backend := target.(forebay.Sequencer).Backend()
	id, err := backend.InitWriter(t.Context())
	if err != nil || id == "" {
		t.Fatalf("init writer: id %q, %v", id, err)
	}
	return &sequenceWriter{backend: backend, id: id, next: map[int]int64{}}
}

// prepare encodes a batch and gives each request its sequence.
func (w *sequenceWriter) prepare(t T, b *forebay.Batch) []forebay.Request {
	t.Helper()
	out, err := requests(w.backend, b)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	for i := range out {
		out[i].WriterID, out[i].Sequence = w.id, w.next[out[i].Tablet]
		w.next[out[i].Tablet]++
	}
	return out
}

// send sends requests and expects the same code for each.
func (w *sequenceWriter) send(t T, what string, rs []forebay.Request, want forebay.Code) {
	t.Helper()
	for _, r := range cloneRequests(rs) {
		if a := forebay.Await(t.Context(), w.backend, &r); a.Code != want {
			t.Errorf("%s: tablet %d, sequence %d: answer %d (%s), want %d", what, r.Tablet, r.Sequence, a.Code, a.Message, want)
		}
	}
}

func (h SinkHarness) checkRequestRepeat(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openWriter(t, target)
	first := w.prepare(t, h.batch(idRange(0, 20)...))
	second := w.prepare(t, h.batch(idRange(20, 40)...))
	w.send(t, "a first request", first, forebay.CodeOK)
	w.send(t, "a second request", second, forebay.CodeOK)
	w.send(t, "the second request again", second, forebay.CodeDuplicate)
	w.send(t, "the first request again", first, forebay.CodeDuplicate)
	h.expect(t, s, "after repeats", expectation{ids: idRange(0, 40)})
}

func (h SinkHarness) checkRequestGap(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openWriter(t, target)
	var rs [3][]forebay.Request
	for k := range rs {
		// The same records, so that all go to the same tablets.
		rs[k] = w.prepare(t, h.batch(idRange(0, 20)...))
	}
	// A writer that the tablet never saw may as well be called unknown: nothing is applied either way.
	for _, r := range cloneRequests(rs[1]) {
		a := forebay.Await(t.Context(), w.backend, &r)
		if a.Code != forebay.CodeSequenceGap && a.Code != forebay.CodeUnknownWriter {
			t.Errorf("sequence 1 before 0: answer %d (%s), want 425 or 410", a.Code, a.Message)
		}
	}
	h.expect(t, s, "after sequence 1", expectation{})
	w.send(t, "sequence 0", rs[0], forebay.CodeOK)
	w.send(t, "sequence 2 behind 0", rs[2], forebay.CodeSequenceGap)
	h.expect(t, s, "after a gap", expectation{ids: idRange(0, 20)})
}

func (h SinkHarness) checkRequestChanged(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openWriter(t, target)
	first := w.prepare(t, h.batch(0))
	w.send(t, "a request", first, forebay.CodeOK)
	tablet := first[0].Tablet
	for id := int64(1); id < 1000; id++ {
		other, err := requests(w.backend, h.batch(id))
		if err != nil {
			t.Fatalf("encode: %v", err)
		}
		if other[0].Tablet != tablet {
			continue
		}
		other[0].WriterID, other[0].Sequence = w.id, 0
		a := forebay.Await(t.Context(), w.backend, &other[0])
		if err := a.Err("send"); err == nil || forebay.ClassOf(err) != forebay.ClassCorrupt {
			t.Errorf("other bytes under a used sequence: answer %d (%s), want class corrupt", a.Code, a.Message)
		}
		h.expect(t, s, "after other bytes under a used sequence", expectation{ids: []int64{0}})
		return
	}
	t.Fatalf("no other record goes to tablet %d", tablet)
}

func (h SinkHarness) checkWriterIDs(t T) {
	s := h.New(t)
	target := h.start(t, s)
	seen := map[string]bool{}
	for i := range 20 {
		w := h.openWriter(t, target)
		if seen[w.id] {
			t.Fatalf("writer id %q was given twice", w.id)
		}
		seen[w.id] = true
		if i == 10 && s.Reopen != nil {
			s.Reopen(t)
			target = h.start(t, s)
		}
	}
	h.close(t, target)
}

func (h SinkHarness) checkRequestReopen(t T) {
	s := h.New(t)
	if s.Reopen == nil {
		return
	}
	target := h.start(t, s)
	w := h.openWriter(t, target)
	first := w.prepare(t, h.batch(idRange(0, 20)...))
	w.send(t, "a request", first, forebay.CodeOK)
	s.Reopen(t)
	target = h.start(t, s)
	defer h.close(t, target)
	w.backend = target.(forebay.Sequencer).Backend()
	h.expect(t, s, "after a restart", expectation{ids: idRange(0, 20)})
	w.send(t, "the request again after a restart", first, forebay.CodeDuplicate)
	w.send(t, "the next request after a restart", w.prepare(t, h.batch(idRange(20, 40)...)), forebay.CodeOK)
	h.expect(t, s, "after the next request", expectation{ids: idRange(0, 40)})
}

func (h SinkHarness) checkRequestLostAnswer(t T) {
	s := h.New(t)
	if s.LoseAnswer == nil {
		return
	}
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openWriter(t, target)
	first := w.prepare(t, h.batch(0))
	s.LoseAnswer()
	again := cloneRequests(first)
	a := forebay.Await(t.Context(), w.backend, &again[0])
	if a.Code == forebay.CodeOK || forebay.ClassOf(a.Err("send")) != forebay.ClassAmbiguous {
		t.Errorf("a lost answer came back as %d (%s), want class ambiguous", a.Code, a.Message)
	}
	w.send(t, "the repeat of a lost answer", first, forebay.CodeDuplicate)
	h.expect(t, s, "after the repeat", expectation{ids: []int64{0}})
}

func (h SinkHarness) checkRequestCancel(t T) {
	s := h.New(t)
	target := h.start(t, s)
	defer h.close(t, target)
	w := h.openWriter(t, target)
	first := w.prepare(t, h.batch(0))
	release := func() {}
	if s.Stall != nil {
		release = s.Stall()
	}
	ctx, cancel := context.WithTimeout(t.Context(), cancelAfter)
	if s.Stall == nil {
		cancel()
	}
	defer cancel()
	var a forebay.Answer
	within(t, h.Patience, "a request whose context ended", func() {
		r := cloneRequests(first)
		a = forebay.Await(ctx, w.backend, &r[0])
	})
	release()
	expectGivenUp(t, "a request", a)
	// However it ended, the repeat makes it once.
	for _, r := range cloneRequests(first) {
		if a := forebay.Await(t.Context(), w.backend, &r); a.Code != forebay.CodeOK && a.Code != forebay.CodeDuplicate {
			t.Errorf("the repeat of a request that was given up: answer %d (%s)", a.Code, a.Message)
		}
	}
	h.expect(t, s, "after the repeat", expectation{ids: []int64{0}})
}

// expectGivenUp checks the answer to something whose context ended: it was in time, may have been applied, or
// was not.
func expectGivenUp(t T, what string, a forebay.Answer) {
	t.Helper()
	err := a.Err("send")
	if class := forebay.ClassOf(err); err != nil && class != forebay.ClassAmbiguous && class != forebay.ClassTransient {
		t.Errorf("%s that was given up was answered %d (%s), want class ambiguous or transient", what, a.Code, a.Message)
	}
}
