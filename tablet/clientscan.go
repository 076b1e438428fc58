// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// Tables implements Catalogue.
func (c *Client) Tables(ctx context.Context) (out []TableInfo, err error) {
	err = c.call(ctx, "list tables", false, func(ctx context.Context, to caller) error {
		m, err := to.ListTables(ctx, &wire.ListTablesRequest{}, to.over)
		if err != nil {
			return err
		}
		out = make([]TableInfo, len(m.GetTables()))
		for i, t := range m.GetTables() {
			if out[i], err = TableOf(t); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Describe implements Catalogue.
func (c *Client) Describe(ctx context.Context, name string) (out TableInfo, err error) {
	err = c.call(ctx, "describe table", false, func(ctx context.Context, to caller) error {
		m, err := to.DescribeTable(ctx, &wire.DescribeTableRequest{Name: name}, to.over)
		if err == nil {
			out, err = TableOf(m)
		}
		return err
	})
	return out, err
}

// Create implements Catalogue.
func (c *Client) Create(ctx context.Context, spec forebay.TableSpec) error {
	return c.call(ctx, "create table", true, func(ctx context.Context, to caller) error {
		_, err := to.CreateTable(ctx, &wire.CreateTableRequest{Table: wire.NewTable(spec)}, to.over)
		return err
	})
}

// Drop implements Catalogue.
func (c *Client) Drop(ctx context.Context, name string) error {
	return c.call(ctx, "drop table", true, func(ctx context.Context, to caller) error {
		_, err := to.DropTable(ctx, &wire.DropTableRequest{Name: name}, to.over)
		return err
	})
}

// Count implements Reader.
func (c *Client) Count(ctx context.Context, name string) (n int64, err error) {
	err = c.call(ctx, "count", false, func(ctx context.Context, to caller) error {
		m, err := to.TabletsClient.Count(ctx, &wire.CountRequest{Table: name}, to.over)
		n = m.GetCount()
		return err
	})
	return n, err
}

// Get implements Reader.
func (c *Client) Get(ctx context.Context, name string, key forebay.Row, b *forebay.Batch) (found bool, err error) {
	info, err := c.Describe(ctx, name)
	if err != nil {
		return false, err
	}
	encoded, err := encodeKey(&info, key, len(info.Key))
	if err != nil {
		return false, err
	}
	var m *wire.RowsAnswer
	err = c.call(ctx, "get", false, func(ctx context.Context, to caller) (err error) {
		m, err = to.Lookup(ctx, &wire.LookupRequest{Table: name, Keys: [][]byte{encoded}}, to.over)
		return err
	})
	if err != nil {
		return false, err
	}
	feed := rowFeed{schema: info.Schema}
	if err := feed.open(m.GetColumns(), m.GetRows()); err != nil {
		return false, err
	}
	feed.reset(b)
	return feed.fill(b, func(int) {})
}

// encodeKey encodes a row that gives key columns of a table: all of them, or the first ones.
func encodeKey(info *TableInfo, key forebay.Row, count int) ([]byte, error) {
	refuse := func(format string, args ...any) error {
		return forebay.Errorf(fmt.Sprintf("table %q", info.Name), forebay.ClassMisconfigured, format, args...)
	}
	if len(info.Key) == 0 {
		return nil, refuse("it has no key: scan it instead")
	}
	given := key.Schema()
	columns := make([]int, count)
	for k, name := range info.Key[:count] {
		at := given.Find(name)
		if at < 0 {
			return nil, refuse("the key is %s, and column %q is missing here", strings.Join(info.Key, ", "), name)
		}
		want, have := info.Schema.Column(info.Schema.Find(name)).Type, given.Column(at).Type
		if want != have {
			return nil, refuse("key column %q is a %s there and a %s here", name, want, have)
		}
		columns[k] = at
	}
	b, i := key.Batch()
	e, err := forebay.NewKeyEncoder(b.Layout(), columns)
	if err != nil {
		return nil, err
	}
	encoded, err := e.Append(nil, b, i)
	if err != nil {
		return nil, refuse("%w", err)
	}
	return encoded, nil
}

// rowFeed puts the rows of messages into batches.
type rowFeed struct {
	schema *forebay.Schema
	layout *forebay.Layout
	rows   *forebay.RowDecoder
	batch  forebay.RowIterator
	more   bool
}

// open begins with the rows of one message; columns are those of the rows where they differ from the last ones.
func (f *rowFeed) open(columns []*wire.Column, rows []byte) error {
	schema, err := wire.Schema(columns)
	if err != nil {
		return forebay.Errorf("read rows", forebay.ClassMisconfigured, "%w", err)
	}
	if schema != nil {
		f.schema = schema
	}
	if f.schema == nil {
		return errTorn(errors.New("rows came before their columns"))
	}
	if f.layout == nil || schema != nil {
		f.layout, f.rows = forebay.NewLayout(f.schema), forebay.NewRowDecoder(f.schema, nil)
	}
	if f.more = len(rows) > 0; !f.more {
		return nil
	}
	batch, err := forebay.OpenRowBatch(rows)
	if err != nil {
		return err
	}
	f.batch = batch.Rows()
	return nil
}

// reset empties a batch for the rows.
func (f *rowFeed) reset(b *forebay.Batch) {
	b.Reset(forebay.Split{}, f.layout.Width())
	b.SetLayout(f.layout)
}

// fill adds rows to the batch until it is full or the message has no more, and says whether the batch has any. added
// is called for each.
func (f *rowFeed) fill(b *forebay.Batch, added func(i int)) (some bool, err error) {
	for f.more && !b.Full() {
		if !f.batch.Next() {
			f.more = false
			return b.Len() > 0, f.batch.Err()
		}
		row := f.batch.Row()
		start := b.AppendBytes(row)
		i := b.AppendSpan(0, start, 0)
		if err := f.rows.Decode(b.Cells(i), b.Slab(), start, len(row)); err != nil {
			return false, err
		}
		added(i)
	}
	return b.Len() > 0, nil
}

// answers is a stream of answers whose reader may be called with other contexts than the one that opened it.
type answers[T any] struct {
	stream grpc.ServerStreamingClient[T]
	cancel context.CancelCauseFunc
}

// openAnswers opens a stream of answers that outlives ctx.
func openAnswers[T any](
	ctx context.Context, open func(context.Context) (grpc.ServerStreamingClient[T], error),
) (*answers[T], error) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	stream, err := open(lasting)
	if err != nil || !stop() {
		cancel(nil)
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return &answers[T]{stream: stream, cancel: cancel}, nil
}

// next receives one answer. When ctx ends first, the stream ends too.
func (a *answers[T]) next(ctx context.Context) (*T, error) {
	stop := context.AfterFunc(ctx, func() { a.cancel(context.Cause(ctx)) })
	m, err := a.stream.Recv()
	if !stop() && err != nil {
		return nil, context.Cause(ctx)
	}
	return m, err
}

// clientScan is a scan over the network.
type clientScan struct {
	answers *answers[wire.RowsAnswer]
	feed    rowFeed
	shown   *forebay.Layout
	where   func(b *forebay.Batch, i int) bool
	left    int64
	limited bool
	logEnd  int64
	ended   error // what Next returns from now on
}

// Scan implements Reader. Where runs on this side.
func (c *Client) Scan(ctx context.Context, r ScanRequest) (Rows, error) {
	m := &wire.ScanRequest{Table: r.Table, Select: r.Select, Limit: r.Limit, Tablet: -1}
	if r.Where != nil {
		m.Select, m.Limit = nil, 0
	}
	if err := c.scanPart(ctx, r, m); err != nil {
		return nil, err
	}
	var s *clientScan
	err := c.call(ctx, "scan", false, func(ctx context.Context, to caller) (err error) {
		s, err = beginScan(ctx, to, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.shown = s.feed.layout; r.Where == nil {
		return s, nil
	}
	s.where, s.left, s.limited = r.Where, r.Limit, r.Limit > 0
	if s.shown, err = SelectColumns(s.feed.layout, r.Table, r.Select); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// scanPart says which part of the table is scanned.
func (c *Client) scanPart(ctx context.Context, r ScanRequest, m *wire.ScanRequest) error {
	if r.Piece != nil {
		m.Tablet, m.After, m.WithOffset = int32(r.Piece.Tablet), r.Piece.After, true
	}
	if r.Prefix == (forebay.Row{}) {
		return nil
	}
	info, err := c.Describe(ctx, r.Table)
	if err != nil {
		return err
	}
	given := r.Prefix.Schema().Len()
	if given > len(info.Key) {
		return forebay.Errorf(fmt.Sprintf("table %q", r.Table), forebay.ClassMisconfigured,
			"the prefix has %d columns and the key %d", given, len(info.Key))
	}
	m.Prefix, err = encodeKey(&info, r.Prefix, given)
	return err
}

// beginScan opens a scan and reads its first answer, which has the columns.
func beginScan(ctx context.Context, to caller, m *wire.ScanRequest) (*clientScan, error) {
	a, err := openAnswers(ctx, func(lasting context.Context) (grpc.ServerStreamingClient[wire.RowsAnswer], error) {
		return to.TabletsClient.Scan(lasting, m, to.over)
	})
	if err != nil {
		return nil, err
	}
	s := &clientScan{answers: a, logEnd: -1}
	first, err := a.next(ctx)
	if errors.Is(err, io.EOF) {
		err = errTorn(errors.New("it ended without columns"))
	}
	if err == nil {
		err = s.feed.open(first.GetColumns(), first.GetRows())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if m.GetWithOffset() {
		s.logEnd = first.GetOffset()
	}
	return s, nil
}

// Layout implements Rows.
func (s *clientScan) Layout() *forebay.Layout { return s.shown }

// LogEnd implements Rows.
func (s *clientScan) LogEnd() int64 { return s.logEnd }

// Next implements Rows. When ctx ends the scan does.
func (s *clientScan) Next(ctx context.Context, b *forebay.Batch) error {
	for {
		s.feed.reset(b)
		if s.limited && s.left <= 0 {
			return io.EOF
		}
		if err := s.fill(ctx, b); err != nil {
			s.feed.reset(b)
			return err
		}
		if s.where != nil {
			b.Filter(func(i int) bool { return s.where(b, i) })
		}
		if s.limited {
			b.Filter(func(int) bool { s.left--; return s.left >= 0 })
		}
		if b.Len() > 0 {
			b.SetLayout(s.shown)
			return nil
		}
	}
}

func (s *clientScan) fill(ctx context.Context, b *forebay.Batch) error {
	for {
		if some, err := s.feed.fill(b, func(int) {}); some || err != nil {
			return err
		}
		if s.ended != nil {
			return s.ended
		}
		m, err := s.answers.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			s.ended = io.EOF
		case err != nil && ctx.Err() != nil:
			s.ended = err
		case err != nil:
			s.ended = callError("scan", err)
		default:
			s.ended = s.feed.open(nil, m.GetRows())
		}
		if s.ended != nil {
			return s.ended
		}
	}
}

// Close implements Rows.
func (s *clientScan) Close() error {
	s.answers.cancel(forebay.ErrClosed)
	return nil
}
