// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/forebay-io/forebay"
)

// A log as it travels over the control socket: frames as those of rows. The columns stand before the first rows and
// wherever they change; each frame of rows begins with the offset of its first one, and its row batch is one with keys,
// which are empty, for the ops.

// frameColumns stands in place of a frame's size before a frame of columns.
const frameColumns = 1<<32 - 2

// logOffsetSize is the offset before the rows of a frame.
const logOffsetSize = 8

// LogCall asks for the log of a tablet.
type LogCall struct {
	Tablet int   `json:"tablet"`
	From   int64 `json:"from"`
	Follow bool  `json:"follow,omitempty"`
}

// LogSender writes the batches of a log as frames.
//
// Concurrency: one goroutine.
type LogSender struct {
	frames RowSender
}

// NewLogSender begins a stream.
func NewLogSender(out io.Writer) *LogSender { return &LogSender{frames: RowSender{out: out}} }

// Send sends a batch of consecutive rows.
func (s *LogSender) Send(b *forebay.Batch) error {
	f := &s.frames
	if layout := b.Layout(); layout != f.layout {
		header, err := json.Marshal(wireColumns(layout.Schema))
		if err != nil {
			return err
		}
		if err := errors.Join(f.mark(frameColumns), f.frame(header)); err != nil {
			return err
		}
		f.layout, f.rows = layout, forebay.NewRowEncoder(layout, nil)
	}
	f.data = binary.LittleEndian.AppendUint64(f.data[:0], uint64(b.Record(0).Offset))
	f.data = forebay.AppendRowBatchHeader(f.data, true)
	for i := range b.Len() {
		f.data = f.rows.AppendSized(forebay.AppendRowKey(f.data, b.Record(i).Op, nil), b, i)
	}
	forebay.SealRowBatch(f.data[logOffsetSize:], 0, b.Len(), 0)
	return f.frame(f.data)
}

// End ends the stream; with an error the receiver gets it after the rows.
func (s *LogSender) End(cause error) error { return s.frames.End(cause) }

// LogReceiver reads what a LogSender sends.
//
// Concurrency: one goroutine.
type LogReceiver struct {
	frames RowReceiver
	split  forebay.Split
}

// NewLogReceiver reads the stream of a tablet's log.
func NewLogReceiver(in io.Reader, tablet int) *LogReceiver {
	return &LogReceiver{
		frames: RowReceiver{in: bufio.NewReader(in), layout: forebay.NewLayout(forebay.MustSchema())},
		split:  forebay.Split{ID: strconv.Itoa(tablet)},
	}
}

// Next fills the batch with the next frame of rows; io.EOF, with an empty batch, is the end.
func (r *LogReceiver) Next(b *forebay.Batch) error {
	f := &r.frames
	for {
		size, err := f.size()
		if err == nil && size == frameColumns {
			err = r.columns()
			size = 0
			if err == nil {
				continue
			}
		}
		b.Reset(r.split, f.layout.Width())
		b.SetLayout(f.layout)
		switch {
		case err != nil:
			return err
		case size == frameEnd:
			return io.EOF
		case size == frameError:
			return f.fault()
		}
		if err := f.read(size); err != nil {
			return err
		}
		return r.rows(b)
	}
}

func (r *LogReceiver) columns() error {
	f := &r.frames
	if err := f.frame(); err != nil {
		return err
	}
	if f.ended {
		return errTorn(io.ErrUnexpectedEOF)
	}
	var columns []wireColumn
	if err := json.Unmarshal(f.data, &columns); err != nil {
		return errTorn(err)
	}
	schema, err := schemaOf(columns)
	if err != nil {
		return errTorn(err)
	}
	f.layout, f.rows = forebay.NewLayout(schema), forebay.NewRowDecoder(schema, nil)
	return nil
}

// rows fills the batch from the frame.
func (r *LogReceiver) rows(b *forebay.Batch) error {
	f := &r.frames
	if len(f.data) < logOffsetSize || f.rows == nil {
		return errTorn(fmt.Errorf("a frame of %d bytes", len(f.data)))
	}
	offset := int64(binary.LittleEndian.Uint64(f.data))
	batch, err := forebay.OpenRowBatch(f.data[logOffsetSize:])
	if err != nil {
		return err
	}
	rows := batch.Rows()
	for rows.Next() {
		row := rows.Row()
		start := b.AppendBytes(row)
		i := b.AppendSpan(offset, start, 0)
		b.Record(i).Op = rows.Op()
		offset++
		if err := f.rows.Decode(b.Cells(i), b.Slab(), start, len(row)); err != nil {
			return err
		}
	}
	return rows.Err()
}

// OpenLog begins to read the log of a tablet. A stream that breaks off, also because the context of a Next ended, is
// opened again where it was by the next Next.
//
// Errors: as those of Opener.
func (c *Control) OpenLog(ctx context.Context, r LogRequest) (Log, error) {
	l := &controlLog{control: c, request: r}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// controlLog is a log read through the socket.
type controlLog struct {
	control  *Control
	request  LogRequest // From is where it stands
	body     io.ReadCloser
	cancel   context.CancelFunc
	receiver *LogReceiver
}

func (l *controlLog) open(ctx context.Context) error {
	body, err := json.Marshal(LogCall{Tablet: l.request.Tablet, From: l.request.From, Follow: l.request.Follow})
	if err != nil {
		return err
	}
	stream, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	call := Call{http.MethodPost, tablePath(l.request.Table, "/log")}
	answer, err := l.control.send(stream, call, bytes.NewReader(body))
	if !stop() && err == nil {
		err = errors.Join(context.Cause(ctx), answer.Body.Close())
	}
	if err != nil {
		cancel()
		return err
	}
	l.body, l.cancel, l.receiver = answer.Body, cancel, NewLogReceiver(answer.Body, l.request.Tablet)
	return nil
}

// Offset implements Log.
func (l *controlLog) Offset() int64 { return l.request.From }

// Next implements Log.
func (l *controlLog) Next(ctx context.Context, b *forebay.Batch) error {
	if l.control == nil {
		return forebay.ErrClosed
	}
	if l.body == nil {
		if err := l.open(ctx); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, l.cancel)
	err := l.receiver.Next(b)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		l.drop()
		b.Reset(forebay.Split{}, 0)
		return err
	}
	l.request.From += int64(b.Len())
	return nil
}

// drop ends the stream. What its end says does not matter any more.
func (l *controlLog) drop() {
	if l.body != nil {
		l.cancel()
		_ = l.body.Close()
		l.body = nil
	}
}

// Close implements Log.
func (l *controlLog) Close() error {
	l.drop()
	l.control = nil
	return nil
}
