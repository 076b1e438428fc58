// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// logCursor walks the rows of a tablet's log.
//
// Concurrency: one goroutine.
type logCursor struct {
	it    *store.Iter
	from  int64 // rows below it are skipped
	rows  forebay.RowIterator
	batch forebay.RowBatch
	base  int64
	inRow bool
	fresh bool // the iterator stands at an entry whose rows were not begun
	fault error
}

// openLog stands before the row at offset from, or the first one after it.
func openLog(r store.Reader, at place, from int64) (*logCursor, error) {
	lower, upper := tabletRange(store.SpaceLog, at)
	it, err := r.NewIter(lower, upper)
	if err != nil {
		return nil, classified("read log", err)
	}
	c := &logCursor{it: it, from: from}
	// The entry that holds the row is the last one that begins at or before it.
	c.fresh = from > 0 && it.SeekLT(appendLogKey(nil, at, from+1)) || it.First()
	return c, nil
}

// next moves to the next row; false at the end and on an error.
func (c *logCursor) next() bool {
	for c.fault == nil {
		if c.inRow {
			for c.rows.Next() {
				if c.offset() >= c.from {
					return true
				}
			}
			if c.fault = c.rows.Err(); c.fault != nil {
				return false
			}
			c.inRow = false
			c.fresh = c.it.Next()
		}
		if !c.fresh {
			return false
		}
		c.fresh = false
		value, err := c.it.ValueAndErr()
		if err != nil {
			c.fault = classified("read log", err)
			return false
		}
		if c.batch, err = forebay.OpenRowBatch(value); err != nil {
			c.fault = fmt.Errorf("read log at offset %d: %w", logOffset(c.it.Key()), err)
			return false
		}
		c.base, c.rows, c.inRow = logOffset(c.it.Key()), c.batch.Rows(), true
	}
	return false
}

// offset is that of the row at which the cursor stands.
func (c *logCursor) offset() int64 { return c.base + int64(c.rows.Index()) }

// appendRow adds the row at which the cursor stands to a batch.
func (c *logCursor) appendRow(b *forebay.Batch, reader *rowReader) error {
	r := stored{schemaID: c.batch.SchemaID(), offset: c.offset(), op: c.rows.Op(), row: c.rows.Row()}
	if c.batch.Keyed() {
		r.key = c.rows.Key()
	}
	return appendStored(b, reader, r)
}

func (c *logCursor) err() error {
	if c.fault == nil {
		if err := c.it.Error(); err != nil {
			return classified("read log", err)
		}
	}
	return c.fault
}

func (c *logCursor) close() error { return c.it.Close() }

// LogReader follows the log of a tablet: the rows of a log table, or the changes of a key table, in order and
// without a gap. It ends at what is durable.
//
// Concurrency: one goroutine.
type LogReader struct {
	server *Server
	table  *table
	tablet *tabletLog
	reader *rowReader
	layout *forebay.Layout
	offset int64
	cursor *logCursor
	held   bool // the cursor stands at a row that did not fit in the last batch
	follow bool // wait at the end
}

// ReadLog begins to follow the log of a tablet at an offset. The caller closes the reader.
//
// Errors: misconfigured with the code no-such-table, no-such-tablet; lost with the code offset-trimmed where
// rows from there on are no longer kept.
func (s *Server) ReadLog(name string, number int, from int64) (*LogReader, error) {
	t, err := s.lookup(name)
	if err != nil {
		return nil, err
	}
	tb := t.tablet(number)
	if tb == nil {
		return nil, noSuchTablet(t, number)
	}
	if err := tb.load(s.store); err != nil {
		return nil, classified("read log", err)
	}
	if first := tb.first.Load(); from < first {
		lost := forebay.Errorf("read log", forebay.ClassLost, "table %q, tablet %d keeps its log from offset %d on, and %d "+
			"is asked for", name, number, first, from)
		lost.Code = "offset-trimmed"
		return nil, lost
	}
	r := &LogReader{server: s, table: t, tablet: tb, offset: from, follow: true}
	r.useSchema(t.descriptor.Load())
	return r, nil
}

func noSuchTablet(t *table, number int) error {
	refusal := refuse(t.name, "it has %d tablets and none with the number %d", len(t.list()), number)
	refusal.Code = "no-such-tablet"
	return refusal
}

// OpenLog implements tablet.Opener.
func (s *Server) OpenLog(_ context.Context, r tablet.LogRequest) (tablet.Log, error) {
	reader, err := s.ReadLog(r.Table, r.Tablet, r.From)
	if err != nil {
		return nil, err
	}
	reader.follow = r.Follow
	return reader, nil
}

func (r *LogReader) useSchema(d *descriptor) {
	r.reader, r.layout = newRowReader(d), forebay.NewLayout(d.current)
}

// Offset is that of the row that Next gives next.
func (r *LogReader) Offset() int64 { return r.offset }

// Next fills the batch with the next rows, whose offsets are those of the log and whose ops say what they did. The
// layout of a batch is that of the table when its rows were read.
//
// Errors: lost where rows were trimmed before they were read; closed when the server is; io.EOF, with an empty batch,
// at the end of a log that is not followed.
// Blocking: until there is a row, ctx ends or the server closes.
func (r *LogReader) Next(ctx context.Context, b *forebay.Batch) error {
	for {
		end, err := r.waitFor(ctx)
		if err != nil {
			b.Reset(forebay.Split{}, r.layout.Width())
			return err
		}
		b.Reset(forebay.Split{ID: strconv.Itoa(int(r.tablet.place.tablet))}, r.layout.Width())
		b.SetLayout(r.layout)
		if err := r.fill(b, end); err != nil || b.Len() > 0 {
			return err
		}
	}
}

// waitFor returns the end of what is durable once it is behind the reader's offset.
func (r *LogReader) waitFor(ctx context.Context) (end int64, err error) {
	for {
		moved := r.server.ledger.watch()
		if end := r.tablet.readable(); end > r.offset {
			return end, nil
		}
		if !r.follow {
			if err := r.release(); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		// An idle reader must not keep files of the store alive.
		if err := r.release(); err != nil {
			return 0, err
		}
		select {
		case <-moved:
		case <-r.server.closed.Done():
			return 0, forebay.ErrClosed
		case <-r.server.store.Poisoned():
			return 0, classified("read log", store.ErrPoisoned)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// readable is where readers of the log stop. TS2: what is behind it is not durable.
func (t *tabletLog) readable() int64 {
	if fault.Bug(fault.BugReadAhead) {
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.state.end
	}
	return t.synced.Load()
}

func (r *LogReader) fill(b *forebay.Batch, end int64) error {
	opened := r.cursor == nil
	if opened {
		var err error
		if r.cursor, err = openLog(r.server.store, r.tablet.place, r.offset); err != nil {
			return err
		}
		r.held = false
	}
	for r.offset < end && !b.Full() {
		if !r.held && !r.cursor.next() {
			break
		}
		r.held = true
		if at := r.cursor.offset(); at != r.offset {
			return r.gap(at)
		}
		if !r.reader.knows(r.cursor.batch.SchemaID()) {
			// The table has changed since: what comes from here on has another layout.
			r.useSchema(r.table.descriptor.Load())
			return nil
		}
		if err := r.cursor.appendRow(b, r.reader); err != nil {
			return err
		}
		r.held = false
		r.offset++
	}
	if err := r.cursor.err(); err != nil {
		return err
	}
	if r.offset == end || b.Full() {
		return nil
	}
	if opened && b.Len() == 0 {
		return r.gap(end) // a new cursor sees everything up to end
	}
	return r.release() // the cursor is older than the rows up to end
}

// gap is the error where a row is due and another one, or none, is there.
func (r *LogReader) gap(at int64) error {
	r.tablet.mu.Lock()
	dropped := r.tablet.dropped
	r.tablet.mu.Unlock()
	if dropped {
		lost := forebay.Errorf("read log", forebay.ClassLost, "table %q was dropped", r.table.name)
		lost.Code = "no-such-table"
		return lost
	}
	if at > r.offset && r.offset < r.tablet.first.Load() {
		lost := forebay.Errorf("read log", forebay.ClassLost, "table %q, tablet %d: offset %d was trimmed before it was "+
			"read", r.table.name, r.tablet.place.tablet, r.offset)
		lost.Code = "offset-trimmed"
		return lost
	}
	return forebay.Errorf("read log", forebay.ClassCorrupt, "table %q, tablet %d: offset %d follows where %d is due",
		r.table.name, r.tablet.place.tablet, at, r.offset)
}

func (r *LogReader) release() error {
	if r.cursor == nil {
		return nil
	}
	err := r.cursor.close()
	r.cursor, r.held = nil, false
	return err
}

// Close ends the reader. Closing twice is fine.
func (r *LogReader) Close() error { return r.release() }

// When logs are trimmed: not while a process starts, and then now and then.
const (
	trimFirst = time.Minute
	trimEvery = 10 * time.Minute
)

// runTrimmer removes what is older than the retention of its table until the server closes.
func (s *Server) runTrimmer() {
	timer := time.NewTimer(trimFirst)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.closed.Done():
			return
		}
		if err := s.Trim(s.closed); err != nil && s.closed.Err() == nil {
			s.logger.Warn("logs were not trimmed", "cause", err.Error())
		}
		timer.Reset(trimEvery)
	}
}

// Trim removes from all logs what is older than the retention of its table, and forgets writers that were idle too
// long. The last entry of a log always stays, since it says where the log ends.
func (s *Server) Trim(ctx context.Context) error {
	s.mu.RLock()
	tables := make([]*table, 0, len(s.tables))
	for _, t := range s.tables {
		tables = append(tables, t)
	}
	s.mu.RUnlock()
	var errs []error
	for _, t := range tables {
		kept := t.descriptor.Load().kept()
		for _, tb := range t.list() {
			if ctx.Err() != nil {
				return errors.Join(append(errs, context.Cause(ctx))...)
			}
			if kept > 0 {
				errs = append(errs, s.trimTablet(tb, s.now()-kept.Microseconds()))
			}
			errs = append(errs, s.forgetIdle(tb))
		}
	}
	return errors.Join(errs...)
}

// forgetIdle forgets the writers of a tablet that were idle too long.
func (s *Server) forgetIdle(t *tabletLog) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped {
		return nil
	}
	if err := t.loadWritersLocked(s.store); err != nil {
		return err
	}
	ids := t.state.expired(s.now(), math.MaxInt)
	if len(ids) == 0 {
		return nil
	}
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	b.UseReserve()
	gone := make([]goneWriter, len(ids))
	for i, id := range ids {
		gone[i] = goneWriter{id: id, refused: t.state.writers[id].hasRefused()}
	}
	if err := dropWriters(b, t.place, gone); err != nil {
		return err
	}
	if err := s.store.Apply(b); err != nil {
		return err
	}
	t.state.forget(ids)
	s.ledger.note(nil)
	return nil
}

// trimTablet removes the entries before the first one that is not older than the limit.
func (s *Server) trimTablet(t *tabletLog, limit int64) error {
	t.mu.Lock()
	err := t.loadLocked(s.store)
	dropped := t.dropped
	t.mu.Unlock()
	if err != nil || dropped {
		return err
	}
	lower, upper := tabletRange(store.SpaceLog, t.place)
	it, err := s.store.NewIter(lower, upper)
	if err != nil {
		return err
	}
	first, err := firstKept(it, t.place, logWindow{from: t.first.Load(), end: t.synced.Load(), limit: limit})
	if err = errors.Join(err, it.Close()); err != nil || first <= t.first.Load() {
		return err
	}
	b := s.store.NewBatch(0)
	defer closeQuietly(b)
	b.UseReserve()
	if err := b.DeleteRange(lower, appendLogKey(nil, t.place, first)); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped {
		return nil
	}
	// Readers see first before the rows are gone, so that a gap is known for what it is.
	t.first.Store(first)
	if err := s.store.Apply(b); err != nil {
		return err
	}
	s.ledger.note(nil)
	return nil
}

// logWindow is the stretch of a log in which the first row to keep is looked for.
type logWindow struct{ from, end, limit int64 }

// firstKept finds where the first entry begins that is not older than the limit, or the last one, by halving.
func firstKept(it *store.Iter, at place, w logWindow) (int64, error) {
	kept := w.from
	low, high := w.from, w.end
	var key []byte
	for low < high {
		middle := low + (high-low)/2
		key = appendLogKey(key[:0], at, middle+1)
		if !it.SeekLT(key) {
			return kept, it.Error()
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return 0, err
		}
		batch, err := forebay.OpenRowBatch(value)
		if err != nil {
			return 0, err
		}
		base := logOffset(it.Key())
		after := base + int64(batch.Records())
		if batch.Time() >= w.limit || after >= w.end {
			high = min(base, middle)
			kept = base
			continue
		}
		low = after
	}
	return kept, nil
}
