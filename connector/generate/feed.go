// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/forebay-io/forebay"
)

// feed is a started source. It is immutable, so readers share it.
type feed struct {
	source Source
	size   int
	mark   mark
	// tile is the template of a value, several times over.
	tile []byte

	// with fields only
	layout  *forebay.Layout
	columns []column
	words   []byte
	// rowBytes is what the values of a row take of the slab.
	rowBytes int
}

func (f *feed) Schema() *forebay.Schema {
	if f.layout == nil {
		return nil
	}
	return f.layout.Schema
}

func (f *feed) Memory() []byte { return nil }

func (f *feed) Close() error { return nil }

// span is the part of the index that a split holds: every stride-th from first up to end, or without end.
type span struct{ first, end, stride int64 }

func (f *feed) span(k int) span {
	n := int64(f.source.splits())
	if f.source.Count == 0 {
		return span{first: int64(k), end: forebay.Unlimited, stride: n}
	}
	// The first of the splits get what does not divide evenly.
	each, rest := f.source.Count/n, f.source.Count%n
	first := int64(k)*each + min(int64(k), rest)
	end := first + each
	if int64(k) < rest {
		end++
	}
	return span{first: first, end: end, stride: 1}
}

func (f *feed) Splits(context.Context) ([]forebay.Split, error) {
	splits := make([]forebay.Split, f.source.splits())
	for k := range splits {
		splits[k] = f.split(k)
	}
	return splits, nil
}

func (f *feed) split(k int) forebay.Split {
	s := f.source
	split := forebay.Split{
		ID: strconv.Itoa(k),
		Fingerprint: fmt.Sprintf("generate seed=%d count=%d split=%d/%d size=%d content=%s",
			s.Seed, s.Count, k, s.splits(), f.size, s.content()),
		Unbounded: s.Count == 0,
	}
	if s.Count > 0 {
		piece := f.span(k)
		split.Size = piece.end - piece.first
	}
	return split
}

func (f *feed) Open(_ context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	k, err := strconv.Atoi(split.ID)
	if err != nil || k < 0 || k >= f.source.splits() {
		return nil, forebay.Errorf("open split", forebay.ClassMisconfigured,
			"there is no split %q: there are %d, numbered from 0", split.ID, f.source.splits())
	}
	r := &reader{feed: f, span: f.span(k), rate: float64(f.source.Rate) / float64(f.source.splits())}
	switch {
	case at.Finished:
		r.next = r.span.end
	case at == forebay.Position{}:
		r.next = r.span.first
	default:
		r.next = at.Offset
	}
	if r.next < r.span.first || r.next > r.span.end || (r.next-r.span.first)%r.span.stride != 0 {
		return nil, forebay.Errorf("open split", forebay.ClassLost,
			"position %d is none of split %q, which holds %d to %d", at.Offset, split.ID, r.span.first, r.span.end)
	}
	return r, nil
}

// reader makes the records of one split.
type reader struct {
	feed *feed
	span span
	next int64

	// rate is in records per second, 0 for as fast as possible; due is when the next record is.
	rate float64
	due  time.Time
}

// Read fills the batch.
//
// Blocking: with a rate, until a record is due or ctx ends.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if r.next >= r.span.end {
		return io.EOF
	}
	if r.feed.layout != nil && b.Width() < r.feed.layout.Width() {
		return forebay.Errorf("read", forebay.ClassMisconfigured,
			"the batch has rows of %d cells and the source has %d columns", b.Width(), r.feed.layout.Width())
	}
	count := min(r.room(), (r.span.end-r.next-1)/r.span.stride+1)
	if r.rate > 0 {
		var err error
		if count, err = r.await(ctx, count); err != nil {
			return err
		}
	}
	r.fill(b, int(count))
	b.SetPosition(forebay.Position{Offset: r.next})
	return nil
}

// room is how many records a batch takes.
func (r *reader) room() int64 {
	size := int64(r.feed.size + r.feed.rowBytes)
	if size == 0 {
		return forebay.BatchRecordsMax
	}
	return min(forebay.BatchRecordsMax, (int64(forebay.BatchBytesMax)+size-1)/size)
}

// Bounds of pacing: it wakes at most every paceMin, and catches up at most paceDebtMax.
const (
	paceMin     = 2 * time.Millisecond
	paceDebtMax = time.Second
)

// await waits until a record is due and returns how many are, at most count.
func (r *reader) await(ctx context.Context, count int64) (int64, error) {
	now := time.Now()
	if r.due.IsZero() {
		r.due = now
	}
	if oldest := now.Add(-paceDebtMax); r.due.Before(oldest) {
		r.due = oldest
	}
	if wait := r.due.Sub(now); wait > 0 {
		timer := time.NewTimer(max(wait, paceMin))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-timer.C:
		}
		now = time.Now()
	}
	passed := int64(float64(now.Sub(r.due))/float64(time.Second)*r.rate) + 1
	count = min(count, passed)
	r.due = r.due.Add(time.Duration(float64(count) / r.rate * float64(time.Second)))
	return count, nil
}

// fill adds the next count records to the batch.
func (r *reader) fill(b *forebay.Batch, count int) {
	f := r.feed
	words := 0
	if len(f.words) > 0 {
		words = b.AppendBytes(f.words)
	}
	first := b.Len()
	values := b.AppendRun(forebay.Run{Offset: r.next, Stride: r.span.stride, Size: f.size, Count: count})
	if f.size > 0 {
		r.fillValues(values)
	}
	if f.layout != nil {
		r.fillRows(b, first, words)
		b.SetLayout(f.layout)
	}
	r.next += int64(count) * r.span.stride
	if r.span.end != forebay.Unlimited {
		r.next = min(r.next, r.span.end)
	}
}

func (r *reader) fillValues(values []byte) {
	size, mark := r.feed.size, r.feed.mark
	index, stride := uint64(r.next), uint64(r.span.stride)
	for len(values) > 0 {
		tile := values[:copy(values, r.feed.tile)]
		values = values[len(tile):]
		for ; len(tile) >= size; tile = tile[size:] {
			mark.put(tile, index)
			index += stride
		}
	}
}

// rowsAtOnce is how many rows are filled column by column before the next ones: their cells stay in the
// nearest cache.
const rowsAtOnce = 64

func (r *reader) fillRows(b *forebay.Batch, first, words int) {
	count, width := b.Len()-first, b.Width()
	cells := b.CellRun(first, count)
	t := task{batch: b, words: words, width: width, stride: uint64(r.span.stride)}
	for done := 0; done < count; done += rowsAtOnce {
		rows := min(rowsAtOnce, count-done)
		t.rows = rows
		t.index = uint64(r.next) + uint64(done)*t.stride
		for i := range r.feed.columns {
			c := &r.feed.columns[i]
			t.cells = cells[done*width+i : (done+rows)*width]
			c.fill(&t, c)
		}
	}
}

func (r *reader) Close() error { return nil }
