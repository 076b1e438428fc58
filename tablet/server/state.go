// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"slices"
)

// What a tablet decides by: the requests of writers, their sequences and the end of its log. Nothing here
// waits, locks or looks at a clock: requests and now go in, verdicts come out.

const (
	// rememberedMax is how many of a writer's last requests a tablet can recognise; a writer has no more in flight.
	rememberedMax = 5
	// writersMax bounds the writers that a tablet remembers; the one that was idle longest goes first.
	writersMax = 10_000
	// writerIdleMax is how long an idle writer is remembered, in microseconds: 7 days.
	writerIdleMax = 7 * 24 * 60 * 60 * 1_000_000
)

// verdict is what a tablet says to a request.
type verdict uint8

const (
	verdictApply     verdict = iota // it is the writer's next request
	verdictDuplicate                // it was applied before
	verdictGap                      // an earlier request is missing
	verdictUnknown                  // the writer was forgotten, or never was
	verdictCorrupt                  // its sequence was applied with other bytes
)

func (v verdict) String() string {
	return [...]string{"apply", "duplicate", "gap", "unknown-writer", "corrupt"}[v]
}

// offsetUnknown is the offset of a duplicate that is too old to be remembered.
const offsetUnknown = -1

// tabletState is the part of a tablet that decides.
type tabletState struct {
	// end is the offset of the next row.
	end     int64
	writers map[string]*writerState
}

// writerState is what a tablet remembers of one writer.
type writerState struct {
	// next is the sequence that applies next.
	next int64
	// last holds the requests with the sequences next-1, next-2 and so on, each at its sequence modulo the size.
	last [rememberedMax]remembered
	// used is when the last request came, in microseconds.
	used int64
}

// remembered is one applied request.
type remembered struct {
	checksum uint32
	offset   int64
	// refused is the number of rows that were refused; which ones stands in the store.
	refused uint32
}

// requestID is what a request is recognised by.
type requestID struct {
	writer   string
	sequence int64
	checksum uint32
}

// judge says what is to happen with a request, and how a duplicate was answered. TS4: only the next sequence applies.
func (t *tabletState) judge(id requestID) (v verdict, was remembered) {
	w := t.writers[id.writer]
	was = remembered{checksum: id.checksum, offset: offsetUnknown}
	switch {
	case id.sequence < 0:
		return verdictCorrupt, was
	case w == nil && id.sequence == 0:
		return verdictApply, was
	case w == nil:
		return verdictUnknown, was
	case id.sequence > w.next:
		return verdictGap, was
	case id.sequence == w.next:
		return verdictApply, was
	case id.sequence < w.next-rememberedMax:
		return verdictDuplicate, was
	}
	was = w.last[id.sequence%rememberedMax]
	if was.checksum != id.checksum {
		return verdictCorrupt, was
	}
	return verdictDuplicate, was
}

// following is what the tablet remembers of the writer once the request, which applies, is answered.
func (t *tabletState) following(id requestID, answered remembered, now int64) writerState {
	var w writerState
	if known := t.writers[id.writer]; known != nil {
		w = *known
	}
	w.next = id.sequence + 1
	w.last[id.sequence%rememberedMax] = answered
	w.used = max(w.used, now)
	return w
}

// remember notes what following returned.
func (t *tabletState) remember(id string, w writerState) {
	if t.writers == nil {
		t.writers = make(map[string]*writerState)
	}
	t.writers[id] = &w
}

// expired lists the writers to forget before one more is remembered: those that were idle too long, or, where
// there are too many, the half that was idle longest, so that the next ones come in without a search.
func (t *tabletState) expired(now int64, limit int) []string {
	var out []string
	for id, w := range t.writers {
		if now-w.used > writerIdleMax {
			out = append(out, id)
		}
	}
	if len(t.writers)-len(out) < limit {
		slices.Sort(out)
		return out
	}
	all := make([]string, 0, len(t.writers))
	for id := range t.writers {
		all = append(all, id)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(cmp.Compare(t.writers[a].used, t.writers[b].used), cmp.Compare(a, b))
	})
	return all[:len(all)-limit/2]
}

// goneWriter is a writer that was forgotten.
type goneWriter struct {
	id string
	// refused says that the store holds refused rows of its requests.
	refused bool
}

// forget drops writers.
func (t *tabletState) forget(ids []string) []goneWriter {
	gone := make([]goneWriter, 0, len(ids))
	for _, id := range ids {
		w := t.writers[id]
		gone = append(gone, goneWriter{id: id, refused: w != nil && w.hasRefused()})
		delete(t.writers, id)
	}
	return gone
}

// writerUndo takes back what was noted of one writer for a request that was not applied after all.
type writerUndo struct {
	state *tabletState
	id    string
	was   *writerState // nil: it was not known
}

func (u writerUndo) undo() {
	if u.was == nil {
		delete(u.state.writers, u.id)
		return
	}
	u.state.writers[u.id] = u.was
}

// hasRefused says whether rows of a remembered request were refused.
func (w *writerState) hasRefused() bool {
	for _, r := range w.last {
		if r.refused > 0 {
			return true
		}
	}
	return false
}
