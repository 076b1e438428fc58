// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
	"github.com/forebay-io/forebay/tablet"
)

// ScanRequest says what to read of a table.
type ScanRequest = tablet.ScanRequest

// scanner implements tablet.Rows: it reads a table as it was, durably, when the scan began.
//
// Concurrency: one goroutine.
type scanner struct {
	snapshot *store.Snapshot
	reader   *rowReader
	all      *forebay.Layout
	shown    *forebay.Layout
	where    func(b *forebay.Batch, i int) bool
	left     int64
	limited  bool

	keyed   bool
	tablets []place
	// prefix and after bound the keys of a key table.
	prefix, after []byte
	piece         bool // of one tablet
	logEnd        int64
	// cursors are the tablets of a key table that have rows left, as a heap with the smallest key first.
	cursors []*store.Iter
	started bool
	// log is the cursor in a log table, in the first of tablets.
	log *logCursor
}

// Scan begins to read a table. The caller closes the rows.
//
// Errors: misconfigured with the code no-such-table, no-such-tablet or no-such-column, and for a prefix or a key that
// the table's key does not begin with.
// Blocking: until what it is going to show is durable.
func (s *Server) Scan(ctx context.Context, r ScanRequest) (tablet.Rows, error) {
	t, err := s.lookup(r.Table)
	if err != nil {
		return nil, err
	}
	sc := &scanner{where: r.Where, left: r.Limit, limited: r.Limit > 0, keyed: t.keyed, logEnd: -1}
	if err := sc.bound(t, r); err != nil {
		return nil, err
	}
	snapshot, err := s.scanSnapshot(t, r.Piece, &sc.logEnd)
	if err != nil {
		return nil, classified("scan", err)
	}
	// TS2: a batch is visible before it is durable, so what the snapshot holds is synced first.
	if err := s.store.Sync(ctx, store.SyncNow); err != nil {
		return nil, errors.Join(classified("scan", err), snapshot.Close())
	}
	// The descriptor is read after the snapshot was taken, so it knows every shape of row in it.
	d := t.descriptor.Load()
	all := forebay.NewLayout(d.current)
	shown, err := tablet.SelectColumns(all, r.Table, r.Select)
	if err != nil {
		return nil, errors.Join(err, snapshot.Close())
	}
	sc.snapshot, sc.reader, sc.all, sc.shown = snapshot, newRowReader(d), all, shown
	if r.Piece == nil {
		// They are listed after the snapshot too: what is newer has no rows in it.
		for _, tb := range t.list() {
			sc.tablets = append(sc.tablets, tb.place)
		}
	}
	return sc, nil
}

// bound takes what limits the scan to some rows of a table.
func (sc *scanner) bound(t *table, r ScanRequest) error {
	if b, _ := r.Prefix.Batch(); b != nil {
		if !t.keyed {
			return refuse(t.name, "it has no key, and rows whose key begins with a prefix are asked for")
		}
		var err error
		if sc.prefix, err = encodePrefix(t, r.Prefix); err != nil {
			return err
		}
	}
	if r.Piece == nil {
		return nil
	}
	tb := t.tablet(r.Piece.Tablet)
	if tb == nil {
		return noSuchTablet(t, r.Piece.Tablet)
	}
	if len(r.Piece.After) > 0 && !t.keyed {
		return refuse(t.name, "it has no key, and rows after a key are asked for")
	}
	sc.piece, sc.tablets, sc.after = true, []place{tb.place}, slices.Clone(r.Piece.After)
	return nil
}

// scanSnapshot is the store as a scan sees it. For a piece the end of the tablet's log is taken with it: nothing is
// applied to the tablet in between.
func (s *Server) scanSnapshot(t *table, piece *tablet.ScanPiece, logEnd *int64) (*store.Snapshot, error) {
	if piece == nil {
		return s.store.NewSnapshot()
	}
	tb := t.tablet(piece.Tablet)
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if err := tb.loadLocked(s.store); err != nil {
		return nil, err
	}
	*logEnd = tb.state.end
	return s.store.NewSnapshot()
}

// Layout is that of the rows that Next gives.
func (sc *scanner) Layout() *forebay.Layout { return sc.shown }

// LogEnd implements tablet.Rows.
func (sc *scanner) LogEnd() int64 { return sc.logEnd }

// Next fills the batch with the next rows; io.EOF, with an empty batch, is the end. The split of the batch names
// the tablet where all its rows come from one; the offset of a record is that in the log of a log table.
//
// Errors: corrupt, and those of the store.
func (sc *scanner) Next(ctx context.Context, b *forebay.Batch) error {
	for {
		b.Reset(sc.split(), sc.all.Width())
		b.SetLayout(sc.all)
		if sc.limited && sc.left <= 0 {
			return io.EOF
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := sc.fill(b)
		if err != nil {
			b.Reset(forebay.Split{}, sc.all.Width())
			return err
		}
		if b.Len() == 0 {
			return io.EOF
		}
		if sc.where != nil {
			b.Filter(func(i int) bool { return sc.where(b, i) })
		}
		if sc.limited {
			b.Filter(func(int) bool { sc.left--; return sc.left >= 0 })
		}
		if b.Len() > 0 {
			b.SetLayout(sc.shown)
			return nil
		}
	}
}

func (sc *scanner) split() forebay.Split {
	if sc.keyed && !sc.piece || len(sc.tablets) == 0 {
		return forebay.Split{}
	}
	return forebay.Split{ID: strconv.Itoa(int(sc.tablets[0].tablet))}
}

// fill adds rows until the batch is full or the table, or the tablet of a log table, ends.
func (sc *scanner) fill(b *forebay.Batch) error {
	if sc.keyed {
		return sc.fillKeyed(b)
	}
	for len(sc.tablets) > 0 {
		if sc.log == nil {
			b.Reset(sc.split(), sc.all.Width())
			b.SetLayout(sc.all)
			var err error
			if sc.log, err = openLog(sc.snapshot, sc.tablets[0], 0); err != nil {
				return err
			}
		}
		for !b.Full() && sc.log.next() {
			if err := sc.log.appendRow(b, sc.reader); err != nil {
				return err
			}
		}
		if err := sc.log.err(); err != nil {
			return err
		}
		if b.Full() {
			return nil
		}
		err := sc.log.close()
		sc.log, sc.tablets = nil, sc.tablets[1:]
		if err != nil || b.Len() > 0 {
			return err
		}
	}
	return nil
}

func (sc *scanner) fillKeyed(b *forebay.Batch) error {
	if !sc.started {
		sc.started = true
		if err := sc.openCursors(); err != nil {
			return err
		}
	}
	for len(sc.cursors) > 0 && !b.Full() {
		top := sc.cursors[0]
		value, err := top.ValueAndErr()
		if err != nil {
			return classified("scan", err)
		}
		tombstone, schemaID, row, err := cutRowValue(value)
		if err != nil {
			return err
		}
		if !tombstone {
			r := stored{schemaID: schemaID, key: top.Key()[tabletPrefixSize:], row: row}
			if err := appendStored(b, sc.reader, r); err != nil {
				return err
			}
		}
		if err := sc.advance(); err != nil {
			return err
		}
	}
	return nil
}

// openCursors stands at the first row of every tablet.
func (sc *scanner) openCursors() error {
	for _, at := range sc.tablets {
		lower, upper := tabletRange(store.SpaceRows, at)
		if len(sc.prefix) > 0 {
			lower = append(lower, sc.prefix...)
			upper = store.PrefixEnd(lower)
		}
		if len(sc.after) > 0 {
			// The first key behind it is the same with a zero byte more.
			behind := append(append(appendTabletPrefix(nil, store.SpaceRows, at), sc.after...), 0)
			if bytes.Compare(behind, lower) > 0 {
				lower = behind
			}
			if bytes.Compare(lower, upper) >= 0 {
				continue
			}
		}
		it, err := sc.snapshot.NewIter(lower, upper)
		if err != nil {
			return classified("scan", err)
		}
		if !it.First() {
			if err := errors.Join(it.Error(), it.Close()); err != nil {
				return classified("scan", err)
			}
			continue
		}
		sc.cursors = append(sc.cursors, it)
	}
	slices.SortFunc(sc.cursors, compareCursors) // a sorted list is a heap
	return nil
}

// compareCursors orders by key, without the tablet before it.
func compareCursors(a, b *store.Iter) int {
	return bytes.Compare(a.Key()[tabletPrefixSize:], b.Key()[tabletPrefixSize:])
}

// advance moves the first cursor on and puts it where it belongs.
func (sc *scanner) advance() error {
	top := sc.cursors[0]
	if !top.Next() {
		if err := errors.Join(top.Error(), top.Close()); err != nil {
			return classified("scan", err)
		}
		last := len(sc.cursors) - 1
		sc.cursors[0] = sc.cursors[last]
		sc.cursors = sc.cursors[:last]
	}
	for at := 0; ; {
		child := 2*at + 1
		if child >= len(sc.cursors) {
			return nil
		}
		if child+1 < len(sc.cursors) && compareCursors(sc.cursors[child+1], sc.cursors[child]) < 0 {
			child++
		}
		if compareCursors(sc.cursors[at], sc.cursors[child]) <= 0 {
			return nil
		}
		sc.cursors[at], sc.cursors[child] = sc.cursors[child], sc.cursors[at]
		at = child
	}
}

// Close ends the scan. Closing twice is fine.
func (sc *scanner) Close() error {
	var errs []error
	for _, it := range sc.cursors {
		errs = append(errs, it.Close())
	}
	sc.cursors, sc.tablets = nil, nil
	if sc.log != nil {
		errs = append(errs, sc.log.close())
		sc.log = nil
	}
	if err := errors.Join(append(errs, sc.snapshot.Close())...); err != nil {
		return classified("scan", err)
	}
	return nil
}

// stored is one row as the store holds it.
type stored struct {
	schemaID uint32
	offset   int64
	op       forebay.Op
	key      []byte // of a key table
	row      []byte
}

// widenRoom is what the widening of one cell can add to the slab.
const widenRoom = 16

// appendStored adds a stored row to a batch as cells of the reader's schema.
func appendStored(b *forebay.Batch, reader *rowReader, r stored) error {
	start := len(b.Slab())
	// All that is appended below fits in what is reserved here, so it is written in place.
	b.Extend(len(r.row) + len(r.key) + widenRoom*reader.descriptor.current.Len())
	slab := append(b.Slab()[:start], r.row...)
	i := b.AppendSpan(r.offset, start, 0)
	b.Record(i).Op = r.op
	cells := b.Cells(i)
	var err error
	if len(r.row) > 0 || r.op != forebay.OpDelete {
		if slab, err = reader.decode(r.schemaID, cells, slab, span{start, len(r.row)}); err != nil {
			return err
		}
	}
	if r.key != nil {
		if slab, err = reader.keys.Decode(cells, slab, r.key); err != nil {
			return err
		}
	}
	b.TruncateSlab(len(slab))
	return nil
}

// Count is the number of rows that the table holds, durably.
func (s *Server) Count(ctx context.Context, name string) (int64, error) {
	t, err := s.lookup(name)
	if err != nil {
		return 0, err
	}
	snapshot, err := s.store.NewSnapshot()
	if err != nil {
		return 0, classified("count", err)
	}
	total := int64(0)
	err = s.store.Sync(ctx, store.SyncNow)
	versions := t.descriptor.Load().version != ""
	for _, tb := range t.list() {
		if err != nil {
			break
		}
		var n int64
		if t.keyed {
			n, err = countRows(ctx, snapshot, tb.place, versions)
		} else {
			var first, end int64
			first, end, err = logBounds(snapshot, tb.place)
			n = end - first
		}
		total += n
	}
	if err = errors.Join(err, snapshot.Close()); err != nil {
		return 0, classified("count", err)
	}
	return total, nil
}

// countRows counts the keys of a tablet; only tables with versions have tombstones to leave out.
func countRows(ctx context.Context, from store.Reader, at place, versions bool) (n int64, err error) {
	lower, upper := tabletRange(store.SpaceRows, at)
	it, err := from.NewIter(lower, upper)
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if n&0xffff == 0 && ctx.Err() != nil {
			return 0, errors.Join(context.Cause(ctx), it.Close())
		}
		if versions {
			value, err := it.ValueAndErr()
			if err != nil {
				return 0, errors.Join(err, it.Close())
			}
			if len(value) > 0 && value[0] == tombstoneMark {
				continue
			}
		}
		n++
	}
	return n, errors.Join(it.Error(), it.Close())
}

// Get reads the row with a key into the batch, which then has one record or none. The row gives the key columns by
// name, with the types of the table.
//
// Errors: misconfigured for a table without a key, and where a key column is missing or null.
// Blocking: until what it answers is durable.
func (s *Server) Get(ctx context.Context, name string, key forebay.Row, b *forebay.Batch) (found bool, err error) {
	t, err := s.lookup(name)
	if err != nil {
		return false, err
	}
	encoded, err := encodeLookup(t, key)
	if err != nil {
		return false, err
	}
	at, found, err := t.placeOf(key, encoded)
	if err != nil {
		return false, err
	}
	var value []byte
	missing := !found
	if found {
		value, err = s.store.Get(nil, append(appendTabletPrefix(nil, store.SpaceRows, at), encoded...))
		missing = errors.Is(err, store.ErrNotFound)
	}
	if err != nil && !missing {
		return false, classified("get", err)
	}
	if !fault.Bug(fault.BugReadAhead) {
		if err := s.store.Sync(ctx, store.SyncSoon); err != nil {
			return false, classified("get", err)
		}
	}
	d := t.descriptor.Load()
	layout := forebay.NewLayout(d.current)
	b.Reset(forebay.Split{}, layout.Width())
	b.SetLayout(layout)
	if missing {
		return false, nil
	}
	tombstone, schemaID, row, err := cutRowValue(value)
	if err != nil || tombstone {
		return false, err
	}
	if err := appendStored(b, newRowReader(d), stored{schemaID: schemaID, key: encoded, row: row}); err != nil {
		return false, err
	}
	return true, nil
}

func encodeLookup(t *table, key forebay.Row) ([]byte, error) {
	d := t.descriptor.Load()
	if !t.keyed {
		return nil, refuse(t.name, "it has no key: scan it instead")
	}
	return encodeKey(t, key, d.key)
}

// encodePrefix encodes the first columns of a key.
func encodePrefix(t *table, prefix forebay.Row) ([]byte, error) {
	key, n := t.descriptor.Load().key, prefix.Schema().Len()
	if n == 0 || n > len(key) {
		return nil, refuse(t.name, "the key is %s, and a prefix of %d columns is given", list(key), n)
	}
	return encodeKey(t, prefix, key[:n])
}

// encodeKey encodes the columns with these names, which are the first ones of the table's key.
func encodeKey(t *table, key forebay.Row, names []string) ([]byte, error) {
	d := t.descriptor.Load()
	columns, err := indexes(key.Schema(), names)
	if err != nil {
		return nil, refuse(t.name, "the key is %s: %w", list(d.key), err)
	}
	for k, i := range columns {
		if want, have := d.current.Column(d.current.Find(names[k])).Type, key.Schema().Column(i).Type; want != have {
			return nil, refuse(t.name, "key column %q is a %s there and a %s here", names[k], want, have)
		}
	}
	b, i := key.Batch()
	e, err := forebay.NewKeyEncoder(b.Layout(), columns)
	if err != nil {
		return nil, err
	}
	encoded, err := e.Append(nil, b, i)
	if err != nil {
		return nil, refuse(t.name, "%w", err)
	}
	return encoded, nil
}
