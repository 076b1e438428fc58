// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet"
	"github.com/forebay-io/forebay/tablet/server"
	"github.com/forebay-io/forebay/tablet/wire"
)

// pulse says since when an answer waits for its client.
type pulse struct{ since atomic.Int64 }

// send runs a send that may wait for the client.
func (p *pulse) send(send func() error) error {
	p.since.Store(time.Now().UnixNano())
	defer p.since.Store(0)
	return send()
}

func (p *pulse) stalled(limit time.Duration) bool {
	since := p.since.Load()
	return since != 0 && time.Since(time.Unix(0, since)) > limit
}

// rowsWork reads rows and sends them.
type rowsWork func(ctx context.Context, s *server.Server, p *pulse) error

// serveRows runs what sends rows until it is done, the client has gone or takes nothing, or the front leaves.
func (f *Front) serveRows(ctx context.Context, c call, work rowsWork) error {
	if err := f.caller(ctx).allow(c.op, c.right, c.table); err != nil {
		return wire.StatusError(err)
	}
	s, refused := f.gate.read()
	if refused != nil {
		return wire.StatusError(refused.err(c.op))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1) // capacity 1: the work may end after the call
	p := &pulse{}
	f.readers.Go(func() {
		defer f.gate.readEnd()
		done <- work(ctx, s, p)
	})
	look := time.NewTicker(max(f.limits.Stalled/4, time.Millisecond))
	defer look.Stop()
	for {
		select {
		case err := <-done:
			if errors.Is(err, forebay.ErrClosed) {
				err = errEnding
			}
			return wire.StatusError(err)
		case <-f.leaving:
			return wire.StatusError(errEnding)
		case <-look.C:
			if p.stalled(f.limits.Stalled) {
				e := forebay.Errorf(c.op, forebay.ClassThrottled, "the client has taken no rows for %s", f.limits.Stalled)
				e.Code = "stalled"
				return wire.StatusError(e)
			}
		}
	}
}

// rowsMaker turns batches into row batches for the network.
type rowsMaker struct {
	layout *forebay.Layout
	rows   *forebay.RowEncoder
	size   int // of the last row batch
}

// use makes the rows of a layout; true where it is another one than before.
func (r *rowsMaker) use(layout *forebay.Layout) bool {
	if r.layout == layout {
		return false
	}
	r.layout, r.rows = layout, forebay.NewRowEncoder(layout, nil)
	return true
}

// make encodes the rows of a batch. The bytes are new ones: gRPC keeps them.
func (r *rowsMaker) make(b *forebay.Batch) []byte {
	data := forebay.AppendRowBatchHeader(make([]byte, 0, r.size+r.size/8), false)
	for i := range b.Len() {
		data = r.rows.AppendSized(data, b, i)
	}
	r.size = len(data)
	return forebay.SealRowBatch(data, 0, b.Len(), 0)
}

// Scan implements wire.TabletsServer.
func (f *Front) Scan(m *wire.ScanRequest, stream grpc.ServerStreamingServer[wire.RowsAnswer]) error {
	c := call{op: "scan", right: RightRead, table: m.GetTable()}
	return f.serveRows(stream.Context(), c, func(ctx context.Context, s *server.Server, p *pulse) error {
		request, err := scanRequest(ctx, s, m)
		if err != nil {
			return err
		}
		rows, err := s.Scan(ctx, request)
		if err != nil {
			return err
		}
		return errors.Join(sendRows(ctx, rows, func(a *wire.RowsAnswer) error {
			return p.send(func() error { return stream.Send(a) })
		}), rows.Close())
	})
}

// sendRows sends the columns and then all rows. The first answer is sent also where there are no rows.
func sendRows(ctx context.Context, rows tablet.Rows, send func(*wire.RowsAnswer) error) error {
	first := &wire.RowsAnswer{Columns: wire.NewColumns(rows.Layout().Schema), Offset: rows.LogEnd()}
	if err := send(first); err != nil {
		return err
	}
	var maker rowsMaker
	b := forebay.NewBatch()
	for {
		switch err := rows.Next(ctx, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		maker.use(b.Layout())
		if err := send(&wire.RowsAnswer{Rows: maker.make(b)}); err != nil {
			return err
		}
	}
}

// scanRequest is a scan in the words of the server.
func scanRequest(ctx context.Context, s *server.Server, m *wire.ScanRequest) (tablet.ScanRequest, error) {
	r := tablet.ScanRequest{Table: m.GetTable(), Select: m.GetSelect(), Limit: m.GetLimit()}
	if r.Limit < 0 {
		return r, forebay.Errorf("scan", forebay.ClassMisconfigured, "the limit is %d", r.Limit)
	}
	if m.GetTablet() >= 0 {
		r.Piece = &tablet.ScanPiece{Tablet: int(m.GetTablet()), After: m.GetAfter()}
	} else if len(m.GetAfter()) > 0 || m.GetWithOffset() {
		return r, forebay.Errorf("scan", forebay.ClassMisconfigured, "a scan of all tablets begins at the first row and "+
			"stands at no offset")
	}
	if len(m.GetPrefix()) == 0 {
		return r, nil
	}
	info, err := s.Describe(ctx, r.Table)
	if err != nil {
		return r, err
	}
	r.Prefix, err = keyRow(&info, m.GetPrefix(), true)
	return r, err
}

// keyRow is the row of an encoded key, or of the encoded first columns of one.
//
// Errors: misconfigured where the bytes are none.
func keyRow(info *tablet.TableInfo, encoded []byte, prefix bool) (forebay.Row, error) {
	columns := make([]forebay.Column, len(info.Key))
	numbers := make([]int, len(info.Key))
	for i, name := range info.Key {
		columns[i], numbers[i] = info.Schema.Column(info.Schema.Find(name)), i
	}
	first := len(columns)
	if prefix {
		first = min(1, len(columns))
	}
	for n := first; n <= len(columns) && n > 0; n++ {
		schema, err := forebay.NewSchema(columns[:n]...)
		if err != nil {
			return forebay.Row{}, err
		}
		row := forebay.NewRow(schema)
		b, i := row.Batch()
		b.Extend(len(encoded)) // what is decoded is never longer
		slab, err := forebay.NewKeyDecoder(schema, numbers[:n]).Decode(b.Cells(i), b.Slab()[:0], encoded)
		if err == nil {
			b.TruncateSlab(len(slab))
			return row, nil
		}
	}
	e := forebay.Errorf("read key", forebay.ClassMisconfigured, "table %q: %d bytes are no key of it", info.Name,
		len(encoded))
	e.Code = "no-key"
	return forebay.Row{}, e
}

// Lookup implements wire.TabletsServer.
func (f *Front) Lookup(ctx context.Context, m *wire.LookupRequest) (*wire.RowsAnswer, error) {
	s, end, err := f.begin(ctx, call{op: "look up", right: RightRead, table: named(m.GetTable())})
	if err != nil {
		return nil, err
	}
	defer end()
	if len(m.GetKeys()) > f.limits.LookupKeys {
		return nil, wire.StatusError(forebay.Errorf("look up", forebay.ClassTooLarge, "%d keys are more than %d",
			len(m.GetKeys()), f.limits.LookupKeys))
	}
	info, err := s.Describe(ctx, m.GetTable())
	if err != nil {
		return nil, wire.StatusError(err)
	}
	out, err := f.lookup(ctx, s, &info, m.GetKeys())
	return out, wire.StatusError(err)
}

// lookupBytes bounds the rows that one look-up answers with.
const lookupBytes = 32 * forebay.MiB

func (f *Front) lookup(ctx context.Context, s *server.Server, info *tablet.TableInfo, keys [][]byte) (
	*wire.RowsAnswer, error,
) {
	out := &wire.RowsAnswer{}
	var layout *forebay.Layout
	var rows *forebay.RowEncoder
	data := forebay.AppendRowBatchHeader(nil, false)
	b := forebay.NewBatch()
	for i, encoded := range keys {
		key, err := keyRow(info, encoded, false)
		if err != nil {
			return nil, err
		}
		found, err := s.Get(ctx, info.Name, key, b)
		switch {
		case err != nil:
			return nil, err
		case !found:
			continue
		case layout == nil:
			layout = b.Layout()
			rows = forebay.NewRowEncoder(layout, nil)
		case !b.Layout().Schema.Equal(layout.Schema):
			return nil, forebay.Errorf("look up", forebay.ClassTransient, "table %q has changed meanwhile", info.Name)
		}
		data = rows.AppendSized(data, b, 0)
		out.Found = append(out.Found, uint32(i))
		if len(data) > int(lookupBytes) && i < len(keys)-1 {
			return nil, forebay.Errorf("look up", forebay.ClassTooLarge, "the rows have more than %s: ask for fewer",
				lookupBytes)
		}
	}
	out.Columns = wire.NewColumns(info.Schema)
	if layout != nil {
		out.Columns = wire.NewColumns(layout.Schema)
	}
	out.Rows = forebay.SealRowBatch(data, 0, len(out.GetFound()), 0)
	return out, nil
}

// ReadLog implements wire.TabletsServer.
func (f *Front) ReadLog(m *wire.ReadLogRequest, stream grpc.ServerStreamingServer[wire.LogAnswer]) error {
	c := call{op: "read log", right: RightRead, table: m.GetTable()}
	return f.serveRows(stream.Context(), c, func(ctx context.Context, s *server.Server, p *pulse) error {
		info, err := s.Describe(ctx, m.GetTable())
		if err != nil {
			return err
		}
		log, err := s.OpenLog(ctx, tablet.LogRequest{
			Table: m.GetTable(), Tablet: int(m.GetTablet()), From: m.GetFrom(), Follow: m.GetFollow(),
		})
		if err != nil {
			return err
		}
		return errors.Join(sendLog(ctx, log, len(info.Key) > 0, func(a *wire.LogAnswer) error {
			return p.send(func() error { return stream.Send(a) })
		}), log.Close())
	})
}

// sendLog sends the rows of a log until its end.
func sendLog(ctx context.Context, log tablet.Log, keyed bool, send func(*wire.LogAnswer) error) error {
	var maker rowsMaker
	b := forebay.NewBatch()
	for {
		switch err := log.Next(ctx, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		a := &wire.LogAnswer{Offset: b.Record(0).Offset}
		if maker.use(b.Layout()) {
			a.Columns = wire.NewColumns(b.Layout().Schema)
		}
		a.Rows = maker.make(b)
		if keyed {
			a.Ops = make([]byte, b.Len())
			for i := range a.GetOps() {
				a.Ops[i] = byte(b.Record(i).Op)
			}
		}
		if err := send(a); err != nil {
			return err
		}
	}
}
