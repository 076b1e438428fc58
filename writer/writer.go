// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// Writer appends rows to a table. It gathers them, sends them in requests and retries.
//
// Guarantee: rows of one tablet are applied in the order of Append, each once. A row whose outcome is unknown may be
// missing, or may still arrive, once.
// Concurrency: safe.
// Limits: Config.BufferMemory.
type Writer struct {
	backend forebay.Backend
	locator forebay.Locator // nil where tablets are always at hand
	config  Config
	memory  *Memory
	layout  *forebay.Layout
	table   string

	work          sync.WaitGroup // the timer, and who asks for a writer id or for a place
	flight        sync.WaitGroup // requests in the outbox or without their answer
	sender        sync.WaitGroup
	caller        sync.WaitGroup
	ctx           context.Context //nolint:containedctx // ends with Close: it bounds the writer's goroutines, no call
	cancel        context.CancelCauseFunc
	closing       context.Context //nolint:containedctx // ends when no row is taken any more: it bounds waits for memory
	refuse        context.CancelCauseFunc
	changed       chan struct{} // capacity 1: the timer is to look at the core again
	pressed       chan struct{} // capacity 1: somebody waits for memory
	unwatch       func()
	release       func() error  // once
	closeOutgoing func()        // once
	endCalls      func()        // once
	outgoing      chan struct{} // capacity 1: there is something in outbox; closed when nothing comes any more
	settled       chan struct{} // capacity 1: there is something in calls; closed when nothing comes any more

	mu       sync.Mutex
	outbox   []outgoing // what the sender goroutine is to send, in order
	core     *core
	rows     *accumulator
	requests map[int64]*piece
	filling  *sealed           // the request of the last row
	unended  int               // rows that are not settled
	ordered  map[int][]*sealed // by tablet, what Config.Settled will be told, in order
	calls    []*sealed         // what Config.Settled is to be told now
	notes    []func()          // hooks to call once the lock is free
	armed    time.Time         // when the timer will look at the core; zero is never
	closed   error
	ending   bool // Close has begun: only answers that are under way reach the core
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
	rows, err := newAccumulator(backend, layout, false)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		backend: backend, config: config, memory: config.Memory, layout: layout, table: backend.Tablets().Table,
		changed: make(chan struct{}, 1), pressed: make(chan struct{}, 1),
		outgoing: make(chan struct{}, 1), settled: make(chan struct{}, 1),
		rows: rows, requests: map[int64]*piece{}, ordered: map[int][]*sealed{},
	}
	w.locator, _ = backend.(forebay.Locator)
	if w.memory == nil {
		w.memory = NewMemory(config.BufferMemory)
	}
	w.core = newCore(coreConfig{
		limits: true, bytes: w.memory.limit,
		tuning: config.Tuning, idempotent: !config.WithoutIdempotence, locates: w.locator != nil,
		partial: config.Partial, unanswered: config.Acks == forebay.AcksNone, deadline: config.DeliveryTimeout,
	})
	w.release = sync.OnceValue(func() error {
		if config.Release == nil {
			return nil
		}
		return config.Release()
	})
	w.closeOutgoing = sync.OnceFunc(func() { close(w.outgoing) })
	w.endCalls = sync.OnceFunc(func() { close(w.settled) })
	w.unwatch = w.memory.watch(w.pressed)
	w.ctx, w.cancel = context.WithCancelCause(context.Background())
	w.closing, w.refuse = context.WithCancelCause(context.Background())
	w.work.Go(w.runTimer)
	w.sender.Go(w.runSender)
	if config.Settled != nil {
		w.caller.Go(w.runCaller)
	}
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
	waited := !w.memory.reserve(estimate)
	if waited {
		if err := w.wait(ctx, estimate); err != nil {
			return Receipt{}, err
		}
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
	var now time.Time
	if !w.core.quiet(tablet, size) { // a clock costs as much as encoding a small row
		now = time.Now()
	}
	id := w.core.add(tablet, size, now)
	s := w.filling
	opened := s == nil || s.id != id
	if opened {
		if p := w.requests[id]; p != nil {
			s, opened = p.whole, false
		} else {
			s = w.openLocked(id, tablet, now)
		}
		w.filling = s
	}
	s.reserved += estimate // W6: what was reserved is what is released
	receipt := Receipt{request: s, row: s.count}
	s.count++
	w.unended++
	acted := len(w.core.actions) > 0
	if acted {
		w.actLocked()
	}
	if opened || acted {
		w.hurryLocked()
	}
	notes := w.takeNotesLocked()
	w.mu.Unlock()
	call(notes)
	if waited && w.memory.waiting() {
		w.outside(w.core.relieve) // the row must not lie here while others wait for its bytes
	}
	return receipt, nil
}

// wait takes memory for a row when there is not enough. Open requests are sent before their time: the bytes that they
// hold come back only so.
func (w *Writer) wait(ctx context.Context, n forebay.Bytes) error {
	if !w.memory.fits(n) {
		return w.memory.Reserve(ctx, n, false)
	}
	w.outside(w.core.relieve)
	if w.config.FailWhenFull {
		return w.memory.Reserve(ctx, n, false)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.closing, func() { cancel(forebay.ErrClosed) })()
	if w.config.BlockTimeout > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeoutCause(ctx, w.config.BlockTimeout, forebay.ErrBufferFull)
		defer done()
	}
	started := time.Now()
	err := w.memory.Reserve(ctx, n, true)
	if hook := w.config.Hooks.Waited; hook != nil {
		_, waiters := w.memory.Used()
		hook(WaitedEvent{Bytes: n, Waiters: waiters, Took: time.Since(started), Failed: err != nil})
	}
	return err
}

// hurryLocked has the timer look at the core again where it would come too late.
func (w *Writer) hurryLocked() {
	if wake := w.core.wake(); !wake.IsZero() && (w.armed.IsZero() || wake.Before(w.armed)) {
		signal(w.changed)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
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

// send sends one request and reports its answer. After Close has begun nothing leaves any more.
func (w *Writer) send(o *outgoing) {
	sent := time.Now()
	answered := func(answer forebay.Answer) {
		w.event(func(now time.Time) {
			w.core.reply(response{tablet: o.action.tablet, id: o.action.id, attempt: o.action.attempt, answer: answer}, now)
			w.noteAnswerLocked(o, &answer, now.Sub(sent))
		})
		if w.memory.waiting() {
			w.outside(w.core.relieve) // what the answer gave back was not enough
		}
		w.flight.Done()
	}
	if w.ctx.Err() != nil {
		answered(forebay.Answer{Code: forebay.CodeNotLeader, Message: "the writer was closed"})
		return
	}
	if hook := w.config.Hooks.Sent; hook != nil {
		w.mu.Lock()
		flying := w.core.flying
		w.mu.Unlock()
		hook(SentEvent{
			Table: w.table, Tablet: o.action.tablet, Rows: o.request.Records, Bytes: forebay.Bytes(len(o.request.Data)),
			Attempt: o.action.attempt, InFlight: flying,
		})
	}
	w.backend.Send(w.ctx, &o.request, answered)
}

// runInit asks for a writer id until there is one, or there can be none.
func (w *Writer) runInit() {
	for attempt := 1; ; attempt++ {
		id, err := w.backend.InitWriter(w.ctx)
		if err == nil || forebay.ClassOf(err) == forebay.ClassMisconfigured {
			w.outside(func(now time.Time) { w.core.identify(id, err, now) })
			return
		}
		if !w.pause(backoff(attempt)) {
			return
		}
	}
}

// pause waits, and reports whether the writer still lives.
func (w *Writer) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// runLocate looks one tablet up.
func (w *Writer) runLocate(tablet int, refresh bool) {
	err := w.locator.Locate(w.ctx, tablet, refresh)
	w.outside(func(now time.Time) { w.core.located(tablet, err, now) })
}

// runTimer calls the core when it wants to be called.
func (w *Writer) runTimer() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		wake := w.core.wake()
		w.armed = wake
		w.mu.Unlock()
		wait := time.Hour
		if !wake.IsZero() {
			wait = max(0, time.Until(wake))
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
			w.outside(w.core.tick)
		case <-w.pressed:
			w.outside(w.core.relieve)
		case <-w.changed:
		case <-w.ctx.Done():
			return
		}
	}
}

// event gives the core one event and does what follows from it.
func (w *Writer) event(apply func(now time.Time)) {
	w.mu.Lock()
	if w.config.Jitter {
		w.core.roll = rand.Float64()
	}
	apply(time.Now())
	w.actLocked()
	w.hurryLocked()
	notes := w.takeNotesLocked()
	w.mu.Unlock()
	call(notes)
}

// outside is an event that is no answer. Once Close has begun it must not start anything: Close counts on what is in
// flight to be all there is.
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
	var unsettled []*piece
	w.event(func(now time.Time) {
		if !w.ending {
			w.core.flush(now)
		}
		unsettled = slices.Collect(maps.Values(w.requests)) // what others append from here on is not waited for
	})
	for _, p := range unsettled {
		select {
		case <-p.whole.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Tune changes the knobs of the running writer, from the next request on. What a smaller window leaves out drains.
//
// Errors: misconfigured, and nothing is changed.
func (w *Writer) Tune(t Tuning) error {
	if problems := t.validate(!w.config.WithoutIdempotence); len(problems) > 0 {
		return &forebay.Error{Op: "tune", Class: forebay.ClassMisconfigured, Err: errors.Join(problems...)}
	}
	w.outside(func(now time.Time) { w.core.tune(t, now) })
	return nil
}

// AdjustBatchSize changes the size at which requests close, and no other knob.
//
// Errors: misconfigured, and nothing is changed.
func (w *Writer) AdjustBatchSize(size forebay.Bytes) error {
	if problems := (Tuning{BatchSize: size}).validate(false); len(problems) > 0 {
		return &forebay.Error{Op: "tune", Class: forebay.ClassMisconfigured, Err: errors.Join(problems...)}
	}
	w.outside(func(now time.Time) {
		t := w.core.tuning
		t.BatchSize = size
		w.core.tune(t, now)
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
	w.refuse(forebay.ErrClosed)
	err := w.Flush(ctx)
	return errors.Join(err, w.Close())
}

// Close frees the writer at once. What is not settled settles as unknown, or as not applied where it was never sent. It
// may be called twice, and after Shutdown.
//
// Blocking: until Config.Settled has returned for everything.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed, w.ending = forebay.ErrClosed, true
	w.core.stop()
	w.mu.Unlock()
	w.refuse(forebay.ErrClosed)
	w.unwatch()
	w.cancel(forebay.ErrClosed)
	w.work.Wait()
	w.flight.Wait() // nothing is sent from here on
	w.closeOutgoing()
	w.sender.Wait()
	w.event(func(time.Time) { w.core.abandon() })
	w.endCalls()
	w.caller.Wait()
	return w.release()
}
