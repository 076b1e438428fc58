// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/wire"
)

// clientLog is a tablet's log over the network. Where the connection breaks it goes on at the offset where it was.
type clientLog struct {
	client  *Client
	request LogRequest
	split   string
	offset  int64
	answers *answers[wire.LogAnswer] // nil while it has to be opened
	feed    rowFeed
	ops     []byte // of the rows of the message that were not given yet
	ended   error
}

// OpenLog implements Opener.
func (c *Client) OpenLog(ctx context.Context, r LogRequest) (Log, error) {
	info, err := c.Describe(ctx, r.Table)
	if err != nil {
		return nil, err
	}
	if r.Tablet < 0 || r.Tablet >= len(info.Logs) {
		e := forebay.Errorf(fmt.Sprintf("table %q", r.Table), forebay.ClassMisconfigured,
			"it has no tablet %d; it has %d", r.Tablet, len(info.Logs))
		e.Code = "no-such-tablet"
		return nil, e
	}
	if first := info.Logs[r.Tablet].First; r.From < first {
		e := forebay.Errorf("read log", forebay.ClassLost,
			"table %q: tablet %d: offset %d is no longer kept; the first is %d", r.Table, r.Tablet, r.From, first)
		e.Code = "offset-trimmed"
		return nil, e
	}
	return &clientLog{
		client: c, request: r, split: strconv.Itoa(r.Tablet), offset: r.From, feed: rowFeed{schema: info.Schema},
	}, nil
}

// Offset implements Log.
func (l *clientLog) Offset() int64 { return l.offset }

// Next implements Log.
//
// Blocking: with Follow at the end of the log until there is more, and while no server leads for up to
// Config.CallTimeout.
func (l *clientLog) Next(ctx context.Context, b *forebay.Batch) error {
	for {
		l.reset(b)
		some, err := l.feed.fill(b, func(i int) {
			record := b.Record(i)
			record.Offset = l.offset
			l.offset++
			if len(l.ops) > 0 {
				record.Op, l.ops = forebay.Op(l.ops[0]), l.ops[1:]
			}
		})
		if some || err != nil {
			return err
		}
		if l.ended == nil {
			err = l.receive(ctx)
		} else {
			err = l.ended
		}
		if err != nil {
			l.reset(b)
			return err
		}
	}
}

// reset empties a batch for the rows, whose split names the tablet.
func (l *clientLog) reset(b *forebay.Batch) {
	if l.feed.layout == nil {
		b.Reset(forebay.Split{}, 0)
		return
	}
	b.Reset(forebay.Split{ID: l.split}, l.feed.layout.Width())
	b.SetLayout(l.feed.layout)
}

// receive gets the next message, opening the log again where the stream broke.
func (l *clientLog) receive(ctx context.Context) error {
	var over <-chan time.Time // set by the first failure
	for wait := searchWaitMin; ; wait = min(2*wait, searchWaitMax) {
		m, problem := l.message(ctx)
		if problem == nil {
			return l.take(m)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(problem, errBroken) {
			l.ended = problem
			return l.ended
		}
		if over == nil {
			limit := time.NewTimer(l.client.config.CallTimeout)
			defer limit.Stop()
			over = limit.C
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-over:
			timer.Stop()
			return problem
		}
	}
}

// errBroken marks the end of a stream after which the log can be read on over another one.
var errBroken = errors.New("the stream broke")

// message receives one message, from a stream that it opens where there is none.
func (l *clientLog) message(ctx context.Context) (*wire.LogAnswer, error) {
	n, err := l.client.leader(ctx)
	if err != nil {
		if forebay.ClassOf(err) == forebay.ClassTransient {
			err = fmt.Errorf("%w: %w", errBroken, err)
		}
		return nil, err
	}
	if l.answers == nil {
		m := &wire.ReadLogRequest{
			Table: l.request.Table, Tablet: uint32(l.request.Tablet), From: l.offset, Follow: l.request.Follow,
		}
		l.answers, err = openAnswers(ctx, func(ctx context.Context) (grpc.ServerStreamingClient[wire.LogAnswer], error) {
			return n.calls.ReadLog(ctx, m)
		})
	}
	var m *wire.LogAnswer
	if err == nil {
		m, err = l.answers.next(ctx)
	}
	if err == nil || errors.Is(err, io.EOF) {
		return m, err
	}
	l.drop()
	problem := callError("read log", err)
	if again(problem, err, false) {
		l.client.cluster.suspect(n, "")
		return nil, fmt.Errorf("%w: %w", errBroken, problem)
	}
	return nil, problem
}

// take begins with the rows of a message.
func (l *clientLog) take(m *wire.LogAnswer) error {
	if len(m.GetRows()) > 0 && m.GetOffset() != l.offset {
		l.ended = forebay.Errorf("read log", forebay.ClassCorrupt, "rows came from offset %d, and %d is next",
			m.GetOffset(), l.offset)
		return l.ended
	}
	l.ops = m.GetOps()
	l.ended = l.feed.open(m.GetColumns(), m.GetRows())
	return l.ended
}

// drop ends the stream.
func (l *clientLog) drop() {
	if l.answers != nil {
		l.answers.cancel(forebay.ErrClosed)
		l.answers = nil
	}
}

// Close implements Log.
func (l *clientLog) Close() error {
	l.drop()
	l.ended, l.feed.more = forebay.ErrClosed, false
	return nil
}
