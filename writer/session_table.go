// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// SessionTable is a table of a session: it makes rows and takes operations on them.
//
// Concurrency: safe; a row is one goroutine's.
type SessionTable struct {
	session *Session
	name    string
	layout  *forebay.Layout
	rows    *forebay.RowEncoder
	decoder *forebay.RowDecoder
	// writers are one, or with OrderNone one for each buffer.
	writers []*Writer

	buffer *sessionBuffer // the last one that got an operation; the session's mu guards it
}

// heldBack is the age at which a request of a session would leave by itself, and its deadline while it has none.
// Requests leave when the session says so, and their deadline counts from then.
const heldBack = 100 * 365 * 24 * time.Hour

// Table opens a table of the session; opening it again gives the same one. It lives until the session ends.
//
// Errors: those of the session's OpenWriter, and ErrClosed.
// Blocking: while the table is looked up.
func (s *Session) Table(ctx context.Context, name string) (*SessionTable, error) {
	if t, err := s.table(name); t != nil || err != nil {
		return t, err
	}
	opened := &SessionTable{session: s, name: name}
	count := 1
	if s.config.Order == OrderNone {
		count = sessionBuffers
	}
	for range count {
		w, err := s.open(ctx, name, s.writerConfig())
		if err != nil {
			return nil, errors.Join(err, opened.close())
		}
		w.hold()
		opened.writers = append(opened.writers, w)
		if !w.Layout().Schema.Equal(opened.writers[0].Layout().Schema) {
			err := forebay.Errorf("open table "+name, forebay.ClassTransient, "its schema changed; open it again")
			return nil, errors.Join(err, opened.close())
		}
	}
	opened.layout = opened.writers[0].Layout()
	opened.rows = forebay.NewRowEncoder(opened.layout, nil)
	opened.decoder = forebay.NewRowDecoder(opened.layout.Schema, nil)
	s.mu.Lock()
	t := s.tables[name]
	var err error
	switch {
	case s.closed:
		err = errSessionClosed("open table " + name)
	case t == nil:
		s.tables[name] = opened
		s.mu.Unlock()
		return opened, nil
	}
	s.mu.Unlock()
	if err = errors.Join(err, opened.close()); err != nil {
		return nil, err
	}
	return t, nil // another caller was faster
}

func (s *Session) table(name string) (*SessionTable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errSessionClosed("open table " + name)
	}
	return s.tables[name], nil
}

// writerConfig is that of the writers of tables. Memory is without limit there: the session reserves before it appends,
// so that a writer never sends early to get bytes back.
func (s *Session) writerConfig() Config {
	c := s.config.Writer
	c.Memory = NewMemory(math.MaxInt64)
	c.BatchSize, c.BatchTimeout = forebay.GiB, time.Hour
	c.DeliveryTimeout, c.Partial = heldBack, true
	if c.Retries == 0 {
		c.Retries = forebay.Unlimited
	}
	return c
}

// hold makes open requests wait until they are sent, however old they are.
func (w *Writer) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.core.tuning.BatchTimeout = heldBack
}

// sendOpen closes the open requests, starts to send them, and bounds the time until they are settled.
func (w *Writer) sendOpen(timeout time.Duration) {
	if timeout == NoTimeout {
		timeout = heldBack
	}
	w.outside(func(now time.Time) { w.core.flushUntil(now.Add(timeout), now) })
}

func (t *SessionTable) close() error {
	var err error
	for _, w := range t.writers {
		err = errors.Join(err, w.Close())
	}
	return err
}

// Name is the table's.
func (t *SessionTable) Name() string { return t.name }

// Layout is that of the table's rows.
func (t *SessionTable) Layout() *forebay.Layout { return t.layout }

// NewRow makes an empty row for the table. It can be used again after each operation.
func (t *SessionTable) NewRow() forebay.Row { return forebay.NewRow(t.layout.Schema) }

// Insert adds a row; see Apply.
func (t *SessionTable) Insert(ctx context.Context, row forebay.Row) (Response, error) {
	return t.Apply(ctx, forebay.OpInsert, row)
}

// Upsert adds a row, or replaces the one with its key; see Apply.
func (t *SessionTable) Upsert(ctx context.Context, row forebay.Row) (Response, error) {
	return t.Apply(ctx, forebay.OpUpsert, row)
}

// Update replaces the row with the key of this one, all columns of it; see Apply.
func (t *SessionTable) Update(ctx context.Context, row forebay.Row) (Response, error) {
	return t.Apply(ctx, forebay.OpUpdate, row)
}

// Delete removes the row with the key of this one; see Apply.
func (t *SessionTable) Delete(ctx context.Context, row forebay.Row) (Response, error) {
	return t.Apply(ctx, forebay.OpDelete, row)
}

// Apply takes one operation. In AUTO_FLUSH_SYNC the response is its outcome, and a failure is the error too, an
// *OperationError. In the other modes the response only names the operation: what becomes of it is said later.
//
// Errors: any other error means that the operation was not taken: rejected where the row cannot be one of the table's;
// *BufferError in MANUAL_FLUSH; *MemoryError; ErrClosed.
// Blocking: on memory, but in MANUAL_FLUSH; in AUTO_FLUSH_SYNC until the answer or the time-out; in
// AUTO_FLUSH_BACKGROUND while one buffer is full and the other one is being flushed; until ctx ends.
// Ownership: the row is the caller's again on return.
func (t *SessionTable) Apply(ctx context.Context, op forebay.Op, row forebay.Row) (Response, error) {
	b, i := row.Batch()
	if err := t.fits(b); err != nil {
		return Response{}, err
	}
	size := rowBytes(b, i)
	if !t.session.config.WithoutRows {
		size *= 2
	}
	return t.session.apply(ctx, applied{table: t, op: op, row: row, size: size + operationOverhead})
}

// fits checks that a row is laid out as the table's rows are: one of another table would be read wrongly.
func (t *SessionTable) fits(b *forebay.Batch) error {
	if l, own := b.Layout(), t.layout; l != nil && slices.Equal(l.Slots, own.Slots) &&
		(l.Schema == own.Schema || l.Schema.Equal(own.Schema)) {
		return nil
	}
	err := forebay.Errorf("apply", forebay.ClassMisconfigured, "the row was not made for table %q", t.name)
	err.Cure = "make it with the table's NewRow"
	return err
}

// rowBytes bounds a row's encoded size: a number is at most 10 bytes as a varint, everything else lies in the slab.
func rowBytes(b *forebay.Batch, i int) forebay.Bytes {
	size := 10*b.Width() + rowOverhead
	if b.Len() == 1 {
		return b.Size() + forebay.Bytes(size)
	}
	for _, c := range b.Cells(i) {
		if c.Kind().InSlab() {
			_, n := c.Span()
			size += n
		}
	}
	return forebay.Bytes(size)
}

// encode appends the copy of a row.
func (t *SessionTable) encode(dst []byte, row forebay.Row) []byte {
	b, i := row.Batch()
	return t.rows.Append(dst, b, i)
}

// decode reads the copy of a row.
func (t *SessionTable) decode(encoded []byte, to forebay.Row) error {
	b, _ := to.Batch()
	if err := t.fits(b); err != nil {
		return err
	}
	to.Clear()
	cells := make([]forebay.Cell, t.layout.Schema.Len())
	start := b.AppendBytes(encoded)
	if err := t.decoder.Decode(cells, b.Slab(), start, len(encoded)); err != nil {
		return err
	}
	for column, c := range cells {
		to.SetCell(column, c)
	}
	return nil
}
