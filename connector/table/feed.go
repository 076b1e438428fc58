// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
)

// feed is a started source.
type feed struct {
	source Source
	conn   tablet.Conn
	info   tablet.TableInfo
	layout *forebay.Layout
	key    []int        // columns of the key; none for a log table
	close  func() error // of a connection that is ours
}

// look learns what there is to read.
func (f *feed) look(ctx context.Context) (err error) {
	if f.info, err = f.conn.Describe(ctx, f.source.Name); err != nil {
		return err
	}
	f.layout = forebay.NewLayout(f.info.Schema)
	for _, name := range f.info.Key {
		f.key = append(f.key, f.info.Schema.Find(name))
	}
	return nil
}

func (f *feed) Schema() *forebay.Schema { return f.info.Schema }

func (f *feed) Memory() []byte { return nil }

func (f *feed) Close() error {
	if f.close == nil {
		return nil
	}
	return f.close()
}

// Splits are the tablets that the table has now. Those of partitions that are made later are read from the next start
// on.
func (f *feed) Splits(context.Context) ([]forebay.Split, error) {
	splits := make([]forebay.Split, len(f.info.Logs))
	for i, log := range f.info.Logs {
		splits[i] = forebay.Split{
			ID:          fmt.Sprintf("%s/%d", f.info.Name, i),
			Fingerprint: fmt.Sprintf("table %s id=%d tablet=%d", f.info.Name, f.info.ID, i),
			Unbounded:   f.source.mode() != ModeOnce,
		}
		if len(f.key) == 0 && !splits[i].Unbounded {
			splits[i].Size = log.End
		}
	}
	return splits, nil
}

// place is where a reader stands. A key table is read in two parts: its rows in the order of keys, behind key, and
// then its log from log on, which holds every change since the first piece of the rows was read. A row that changes
// while they are read may come in its new form first and then again in the log: the last record of a key is right.
type place struct {
	rows bool // the rows are not read to their end
	key  []byte
	log  int64 // -1 until the first piece of the rows says it
	// base is what to add to an offset of the log to get that of a position: the number of rows read before it.
	base int64
}

const rowsMark = "rows:"

// detail is the place as text; the zero detail is a log that was read from its beginning.
func (p place) detail() string {
	text := fmt.Sprintf("%d:%d", p.log, p.base)
	if p.rows {
		return rowsMark + text + ":" + base64.RawURLEncoding.EncodeToString(p.key)
	}
	return text
}

func parsePlace(detail string) (place, error) {
	var p place
	rest, rows := strings.CutPrefix(detail, rowsMark)
	parts := strings.Split(rest, ":")
	want := 2
	if p.rows = rows; rows {
		want = 3
	}
	if len(parts) != want {
		return p, errors.New("it has another number of parts")
	}
	var err, errBase, errKey error
	p.log, err = strconv.ParseInt(parts[0], 10, 64)
	p.base, errBase = strconv.ParseInt(parts[1], 10, 64)
	if rows {
		p.key, errKey = base64.RawURLEncoding.DecodeString(parts[2])
	}
	return p, errors.Join(err, errBase, errKey)
}

// Open continues in a tablet.
//
// Errors: lost where the position is none of the tablet's.
func (f *feed) Open(_ context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	tabletNumber, err := strconv.Atoi(strings.TrimPrefix(split.ID, f.info.Name+"/"))
	if err != nil || tabletNumber < 0 || tabletNumber >= len(f.info.Logs) {
		return nil, forebay.Errorf("open split", forebay.ClassMisconfigured,
			"there is no split %q: table %q has %d tablets", split.ID, f.info.Name, len(f.info.Logs))
	}
	r := &reader{feed: f, split: split, tablet: tabletNumber, finished: at.Finished, offset: at.Offset}
	switch {
	case at.Detail != "":
		if r.place, err = parsePlace(at.Detail); err != nil {
			return nil, forebay.Errorf("open split", forebay.ClassLost, "position %q is none of split %q: %w",
				at.Detail, split.ID, err)
		}
	case f.source.From == FromLatest:
		r.place.log = f.info.Logs[tabletNumber].End
	case len(f.key) > 0:
		r.place = place{rows: true, log: -1}
	default:
		r.place.log = f.info.Logs[tabletNumber].First
	}
	if !r.place.rows {
		r.offset = r.place.log + r.place.base
	}
	return r, nil
}

// reader reads one tablet.
type reader struct {
	feed     *feed
	split    forebay.Split
	tablet   int
	place    place
	offset   int64 // of the next record's position
	finished bool

	keys *forebay.KeyEncoder
	rows tablet.Rows
	log  tablet.Log
}

// Read fills the batch.
//
// Blocking: at the end of the log, until something changes or ctx ends.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	for {
		switch {
		case r.finished:
			b.Reset(r.split, r.feed.layout.Width())
			return io.EOF
		case r.place.rows:
			err := r.readRows(ctx, b)
			if !errors.Is(err, io.EOF) {
				return r.settle(b, err)
			}
			if err := r.endRows(); err != nil {
				return err
			}
		default:
			err := r.readLog(ctx, b)
			r.finished = errors.Is(err, io.EOF)
			return r.settle(b, err)
		}
	}
}

// readRows reads a piece of what the table holds.
func (r *reader) readRows(ctx context.Context, b *forebay.Batch) error {
	if r.keys == nil {
		var err error
		if r.keys, err = forebay.NewKeyEncoder(r.feed.layout, r.feed.key); err != nil {
			return err
		}
	}
	if r.rows == nil {
		rows, err := r.feed.conn.Scan(ctx, tablet.ScanRequest{
			Table: r.feed.info.Name, Piece: &tablet.ScanPiece{Tablet: r.tablet, After: r.place.key},
		})
		if err != nil {
			return err
		}
		r.rows = rows
		if r.place.log < 0 {
			r.place.log = rows.LogEnd()
		}
	}
	if err := r.rows.Next(ctx, b); err != nil {
		return err
	}
	for i := range b.Len() {
		record := b.Record(i)
		record.Offset, record.Op = r.offset, forebay.OpUpsert
		r.offset++
	}
	var err error
	r.place.key, err = r.keys.Append(r.place.key[:0], b, b.Len()-1)
	return err
}

// endRows goes on with the log. Offsets of positions go on where the rows ended.
func (r *reader) endRows() error {
	err := r.rows.Close()
	r.rows = nil
	r.place.rows, r.place.key = false, nil
	r.place.base = r.offset - r.place.log
	r.finished = r.feed.source.mode() == ModeOnce
	return err
}

func (r *reader) readLog(ctx context.Context, b *forebay.Batch) error {
	if r.log == nil {
		log, err := r.feed.conn.OpenLog(ctx, tablet.LogRequest{
			Table: r.feed.info.Name, Tablet: r.tablet, From: r.place.log, Follow: r.feed.source.mode() != ModeOnce,
		})
		if err != nil {
			return err
		}
		r.log = log
	}
	if err := r.log.Next(ctx, b); err != nil {
		return err
	}
	for i := range b.Len() {
		b.Record(i).Offset += r.place.base
	}
	r.place.log = r.log.Offset()
	r.offset = r.place.log + r.place.base
	return nil
}

// settle completes what Next left in the batch.
func (r *reader) settle(b *forebay.Batch, err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if b.Len() > 0 && !b.Layout().Schema.Equal(r.feed.info.Schema) {
		changed := forebay.Errorf("read table", forebay.ClassMisconfigured,
			"table %q has other columns than when it was opened: %s, and now %s",
			r.feed.info.Name, r.feed.info.Schema, b.Layout().Schema)
		changed.Code, changed.Cure = "schema-changed", "run the same command: it goes on with the new columns"
		return changed
	}
	b.SetSplit(r.split)
	b.SetPosition(forebay.Position{Offset: r.offset, Detail: r.place.detail(), Finished: r.finished})
	return err
}

// Close ends reading.
func (r *reader) Close() error {
	var err error
	if r.rows != nil {
		err = r.rows.Close()
		r.rows = nil
	}
	if r.log != nil {
		err = errors.Join(err, r.log.Close())
		r.log = nil
	}
	return err
}
