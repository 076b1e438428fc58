// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// Config describes a writer. The zero value is the strongest: synced, idempotent, in order.
type Config struct {
	Tuning
	// Acks says when a row counts as applied; default when it is synced to disk.
	Acks forebay.Acks
	// WithoutIdempotence gives up sequences: a retry may apply a request twice, and may overtake another.
	WithoutIdempotence bool
	// Memory is shared with other writers; nil makes one of BufferMemory.
	Memory *Memory
	// BufferMemory bounds the rows that are not settled, in bytes; default 64 MB.
	BufferMemory forebay.Bytes
	// FailWhenFull makes Append fail instead of wait when the memory is used up.
	FailWhenFull bool
	// Release is called once when the writer is closed; it may be nil.
	Release func() error
}

// Validate reports everything that is wrong, at once.
func (c Config) Validate() error {
	var problems []error
	if c.BatchSize < 0 || c.BatchSize > forebay.GiB {
		problems = append(problems, errors.New("writer.batch.size: must be 1B to 1GiB"))
	}
	if c.BatchTimeout < 0 || c.BatchTimeout > time.Hour {
		problems = append(problems, errors.New("writer.batch.timeout: must be at most 1h"))
	}
	if c.MaxInflight < 0 || !c.WithoutIdempotence && c.MaxInflight > MaxInflightDefault {
		problems = append(problems, errors.New("writer.max.inflight: must be 1 to 5 with writer.idempotence, which "+
			"remembers the last 5 requests of a tablet"))
	}
	if !c.WithoutIdempotence && c.Acks == forebay.AcksNone {
		problems = append(problems, errors.New("writer.acks 0 awaits no answer and cannot go with writer.idempotence"))
	}
	return errors.Join(problems...)
}

// Writer appends rows to a table. It gathers them, sends them in requests and retries.
//
// Guarantee: rows of one tablet are applied in the order of Append, each once.
// Concurrency: safe.
// Limits: Config.BufferMemory.
type Writer struct {
	backend forebay.Backend
	config  Config
	memory  *Memory
	layout  *forebay.Layout
	table   string

	work          sync.WaitGroup // the timer, and who asks for a writer id
	flight        sync.WaitGroup // requests in the outbox or without their answer
	sender        sync.WaitGroup
	ctx           context.Context //nolint:containedctx // ends with Close: it bounds the writer's goroutines, no call
	cancel        context.CancelCauseFunc
	changed       chan struct{} // capacity 1: the timer is to look at the core again
	release       func() error  // once
	closeOutgoing func()        // once

	outgoing chan struct{} // capacity 1: there is something in outbox; closed when nothing comes any more

	mu       sync.Mutex
	outbox   []outgoing // what the sender goroutine is to send, in order
	core     *core
	rows     *accumulator
	requests map[int64]*sealed
	closed   error
	ending   bool // Close has begun: only answers that are under way reach the core
}

// sealed is a request in the shell: its rows, and its receipts' common end.
type sealed struct {
	rows     openRequest
	table    string
	tablet   int
	count    int
	request  forebay.Request
	reserved forebay.Bytes
	done     chan struct{} // closed when settled is set
	settled  settlement
}

// outgoing is one send of a request.
type outgoing struct {
	action  action
	request forebay.Request
}

// New makes a writer for rows of a layout.
//
// Errors: misconfigured where the configuration is wrong or the layout does not fit the table.
func New(backend forebay.Backend, layout *forebay.Layout, config Config) (*Writer, error) {
	if err := config.Validate(); err != nil {
		return nil, &forebay.Error{Op: "open writer", Class: forebay.ClassMisconfigured, Err: err}
	}
	rows, err := newAccumulator(backend, layout)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		backend: backend, config: config, memory: config.Memory, layout: layout, table: backend.Tablets().Table,
		changed: make(chan struct{}, 1), outgoing: make(chan struct{}, 1),
		core: newCore(config.Tuning, !config.WithoutIdempotence), rows: rows,
		requests: map[int64]*sealed{},
	}
	w.release = sync.OnceValue(func() error {
		if config.Release == nil {
			return nil
		}
		return config.Release()
	})
	w.closeOutgoing = sync.OnceFunc(func() { close(w.outgoing) })
	if w.memory == nil {
		w.memory = NewMemory(config.BufferMemory)
	}
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	w.work.Go(w.runTimer)
	w.sender.Go(w.runSender)
	return w, nil
}

// Layout is that of the rows that the writer takes.
func (w *Writer) Layout() *forebay.Layout { return w.layout }

// Append takes one row; Delete takes the key of one that is to go.
//
// Errors: rejected where the row cannot be one of the table's; MemoryError; ErrClosed.
// Blocking: on memory only, unless Config.FailWhenFull.
// Ownership: the row is the caller's again on return.
func (w *Writer) Append(ctx context.Context, row forebay.Row) (Receipt, error) {
	return w.append(ctx, row, forebay.OpInsert)
}

// Delete removes the row with the key of this one from a table with a key.
func (w *Writer) Delete(ctx context.Context, row forebay.Row) (Receipt, error) {
	return w.append(ctx, row, forebay.OpDelete)
}

// rowOverhead is what a row is charged on top of its bytes before its encoded size is known.
const rowOverhead = 32

func (w *Writer) append(ctx context.Context, row forebay.Row, op forebay.Op) (Receipt, error) {
	b, i := row.Batch()
	row.SetOp(op)
	// An upper bound: a number is at most 10 bytes as a varint, a decimal 16 and already in the slab.
	estimate := b.Size() + forebay.Bytes(10*b.Width()) + rowOverhead
	if err := w.reserve(ctx, estimate); err != nil {
		return Receipt{}, err
	}
	w.mu.Lock()
	if w.closed != nil {
		err := w.closed
		w.mu.Unlock()
		w.memory.Release(estimate)
		return Receipt{}, err
	}
	tablet, size, err := w.rows.addOne(b, i)
	if err != nil {
		w.mu.Unlock()
		w.memory.Release(estimate)
		return Receipt{}, err
	}
	id := w.core.add(tablet, size, time.Now())
	s := w.requests[id]
	if s == nil {
		s = &sealed{table: w.table, tablet: tablet, done: make(chan struct{})}
		w.requests[id] = s
	}
	s.reserved += estimate // W6: what was reserved is what is released
	receipt := Receipt{request: s, row: s.count}
	s.count++
	w.actLocked()
	w.mu.Unlock()
	w.wake()
	return receipt, nil
}

// reserve takes memory for a row. When there is not enough, open requests are sent before their time: the
// bytes that they hold come back only so.
func (w *Writer) reserve(ctx context.Context, n forebay.Bytes) error {
	err := w.memory.Reserve(ctx, n, false)
	if err == nil {
		return nil
	}
	w.outside(w.core.flush)
	if w.config.FailWhenFull {
		return err
	}
	return w.memory.Reserve(ctx, n, true)
}

// actLocked does what the core wants: seals closed requests, starts sends, and ends settled requests, whose bytes
// are free before their receipts say so. Goroutines start under the lock, so that none starts once Close has
// taken it; Memory's lock is taken below this one, and nothing else.
func (w *Writer) actLocked() {
	for _, a := range w.core.take() {
		s := w.requests[a.id]
		switch a.kind {
		case actClose:
			s.rows = w.rows.takeOne(a.tablet)
			s.request = w.rows.request(&s.rows)
			s.request.Acks = w.config.Acks
		case actSend:
			s.request.WriterID, s.request.Sequence = w.core.writerID, a.sequence
			w.flight.Add(1) // until it is answered
			w.outbox = append(w.outbox, outgoing{action: a, request: s.request})
			select {
			case w.outgoing <- struct{}{}:
			default:
			}
		case actSettle:
			delete(w.requests, a.id)
			s.settled = a.settled
			w.rows.recycle(s.rows)
			s.rows.data, s.rows.rows, s.rows.runs, s.request.Data = nil, nil, nil, nil
			w.memory.Release(s.reserved)
			close(s.done)
		case actInit:
			w.work.Go(w.runInit)
		}
	}
}

// wake has the timer look at the core again.
func (w *Writer) wake() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// runSender hands requests over, in the order in which the core wants them sent.
func (w *Writer) runSender() {
	for range w.outgoing {
		w.mu.Lock()
		outbox := w.outbox
		w.outbox = nil
		w.mu.Unlock()
		for i := range outbox {
			w.send(&outbox[i])
		}
	}
}

// send sends one request and reports its answer.
func (w *Writer) send(o *outgoing) {
	w.backend.Send(w.ctx, &o.request, func(answer forebay.Answer) {
		w.event(func(now time.Time) { w.core.reply(o.action.tablet, o.action.id, answer, now) })
		w.flight.Done()
	})
}

// runInit asks for a writer id until there is one.
func (w *Writer) runInit() {
	for attempt := 1; ; attempt++ {
		id, err := w.backend.InitWriter(w.ctx)
		if err == nil {
			w.event(func(now time.Time) { w.core.identify(id, now) })
			return
		}
		timer := time.NewTimer(backoff(attempt))
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// runTimer calls the core when it wants to be called.
func (w *Writer) runTimer() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		wake := w.core.wake()
		w.mu.Unlock()
		wait := time.Hour
		if !wake.IsZero() {
			wait = max(0, time.Until(wake))
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
			w.event(w.core.tick)
		case <-w.changed:
		case <-w.ctx.Done():
			return
		}
	}
}

// event gives the core one event and does what follows from it.
func (w *Writer) event(apply func(now time.Time)) {
	w.mu.Lock()
	apply(time.Now())
	w.actLocked()
	w.mu.Unlock()
	w.wake()
}

// outside is an event that comes from a caller. Once Close has begun it must not start anything: Close counts on
// what is in flight to be all there is.
func (w *Writer) outside(apply func(now time.Time)) {
	w.event(func(now time.Time) {
		if !w.ending {
			apply(now)
		}
	})
}

// Flush sends everything appended so far and waits until it is settled. Receipts say what became of it.
//
// Blocking: until everything is settled, or ctx ends.
func (w *Writer) Flush(ctx context.Context) error {
	var unsettled []*sealed
	w.event(func(now time.Time) {
		if !w.ending {
			w.core.flush(now)
		}
		unsettled = slices.Collect(maps.Values(w.requests)) // what others append from here on is not waited for
	})
	for _, s := range unsettled {
		select {
		case <-s.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Tune changes the knobs of the running writer, from the next request on.
//
// Errors: misconfigured, and nothing is changed.
func (w *Writer) Tune(t Tuning) error {
	config := w.config
	config.Tuning = t
	if err := config.Validate(); err != nil {
		return &forebay.Error{Op: "tune", Class: forebay.ClassMisconfigured, Err: err}
	}
	w.outside(func(now time.Time) {
		w.core.tuning = t.withDefaults()
		w.core.tick(now)
	})
	return nil
}

// Shutdown takes no more rows, sends what was appended and waits until it is settled, then frees the writer.
// When ctx ends first, the rest settles as unknown.
//
// Blocking: until everything is settled, or ctx ends.
func (w *Writer) Shutdown(ctx context.Context) error {
	w.mu.Lock()
	if w.closed == nil {
		w.closed = forebay.ErrClosed
	}
	w.mu.Unlock()
	err := w.Flush(ctx)
	return errors.Join(err, w.Close())
}

// Close frees the writer at once. What is not settled settles as unknown. It may be called twice, and after
// Shutdown.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed, w.ending = forebay.ErrClosed, true
	w.mu.Unlock()
	w.cancel(forebay.ErrClosed)
	w.work.Wait()
	w.flight.Wait() // only an answer can send something from here on, and it counts until then
	w.closeOutgoing()
	w.sender.Wait()
	w.event(func(time.Time) { w.core.abandon() })
	return w.release()
}
