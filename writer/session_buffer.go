// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"time"

	"github.com/forebay-io/forebay"
)

// operationOverhead is what an operation is charged beside its row and the row's copy.
const operationOverhead = 128

// operation is one operation in a buffer.
type operation struct {
	table   *SessionTable
	receipt Receipt
	row     int           // where its copy begins in the buffer's rows; it ends where the next one begins
	taken   time.Duration // since the session began
	op      forebay.Op
}

// sessionBuffer is the operations that are flushed together. While it fills, the session's mu guards it; once it is
// sealed, its operations do not change; what became of them is there when done is closed.
type sessionBuffer struct {
	first      int64 // number of the first operation
	operations []operation
	rows       []byte // copies of the rows, one behind the other
	size       forebay.Bytes
	opened     time.Time // when its first operation came
	tables     []*SessionTable
	side       int // which of the writers with OrderNone

	reported bool // MANUAL_FLUSH: it stays until a Flush has returned its responses
	wanted   bool // a Flush reads it: it is not used again
	done     chan struct{}
	failed   []failedOperation
}

// failedOperation is a failure and the operation's place in its buffer.
type failedOperation struct {
	at  int
	err *OperationError
}

// sending says whether what is sealed is sent.
type sending bool

const (
	sendNow   sending = true
	sendNever sending = false
)

// bufferLocked is the buffer that fills, a fresh one where there is none. Only then a side is free.
func (s *Session) bufferLocked() *sessionBuffer {
	if s.filling == nil {
		b := s.spare
		s.spare = nil
		if b == nil {
			b = &sessionBuffer{}
		}
		b.done, b.first, b.reported = make(chan struct{}), s.next, s.mode == ManualFlush
		b.side = 0
		if s.config.Order == OrderNone && len(s.sealed) > 0 {
			b.side = 1 - s.sealed[len(s.sealed)-1].side
		}
		s.filling = b
	}
	return s.filling
}

// sealLocked ends the filling of a buffer. It is sent and answered from here on.
func (s *Session) sealLocked(send sending) {
	b := s.filling
	if b == nil || len(b.operations) == 0 {
		return
	}
	s.filling = nil
	s.sealed = append(s.sealed, b)
	if send {
		for _, t := range b.tables {
			t.writers[b.side%len(t.writers)].sendOpen(s.timeout)
		}
	}
	s.work.Go(func() { s.runBuffer(b) })
}

// runBuffer waits for the answers of a buffer, and then frees it. Its bytes are free before anybody is told.
func (s *Session) runBuffer(b *sessionBuffer) {
	s.settle(b)
	s.memory.Release(b.size)
	s.mu.Lock()
	if !b.reported {
		for _, f := range b.failed {
			s.failures.add(f.err)
		}
		s.removeLocked(b)
	}
	close(b.done)
	s.mu.Unlock()
	signal(s.changed)
	s.reuse(b)
}

// settle waits for every operation and finds out what failed.
func (s *Session) settle(b *sessionBuffer) {
	for i := range b.operations {
		o := &b.operations[i]
		result, err := o.receipt.Wait(context.Background()) // its writer gives it up at its deadline
		if err == nil {
			continue
		}
		failure := newOperationError(b.operation(i), o.receipt, result, err)
		failure.Elapsed = s.elapsed(o)
		if !s.ignores(failure) {
			b.failed = append(b.failed, failedOperation{at: i, err: failure})
		}
	}
}

// operation is how the operation at i is shown.
func (b *sessionBuffer) operation(i int) Operation {
	o := &b.operations[i]
	out := Operation{Number: b.first + int64(i), Table: o.table.name, Op: o.op, table: o.table}
	if end := b.rowEnd(i); end > o.row {
		out.row = b.rows[o.row:end:end]
	}
	return out
}

func (b *sessionBuffer) rowEnd(i int) int {
	if i+1 < len(b.operations) {
		return b.operations[i+1].row
	}
	return len(b.rows)
}

// responses are the outcomes of a buffer that is done, in the order of its operations.
func (s *Session) responses(b *sessionBuffer) []Response {
	out := make([]Response, len(b.operations))
	failed := b.failed
	for i := range b.operations {
		o, r := &b.operations[i], &out[i]
		r.Operation = b.operation(i)
		if len(failed) > 0 && failed[0].at == i {
			e := failed[0].err
			failed = failed[1:]
			r.Applied, r.Tablet, r.Elapsed, r.Err = e.Applied, e.Tablet, e.Elapsed, e
			continue
		}
		result, _ := o.receipt.Wait(context.Background()) // an error that is not among the failures is ignored
		r.Applied, r.Tablet, r.Offset, r.Elapsed = result.Applied, result.Tablet, result.Offset, s.elapsed(o)
	}
	return out
}

// removeLocked takes a buffer that is done out of the session.
func (s *Session) removeLocked(b *sessionBuffer) {
	for i, other := range s.sealed {
		if other == b {
			s.sealed = append(s.sealed[:i:i], s.sealed[i+1:]...)
			return
		}
	}
}

// reuse keeps the memory of a buffer that nobody reads.
func (s *Session) reuse(b *sessionBuffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.wanted || b.reported || s.spare != nil || s.closed {
		return
	}
	clear(b.operations)
	clear(b.tables)
	clear(b.failed)
	s.spare = &sessionBuffer{
		operations: b.operations[:0], rows: b.rows[:0], tables: b.tables[:0], failed: b.failed[:0],
	}
}

// ignores reports whether the session is told to ignore a failure.
func (s *Session) ignores(e *OperationError) bool {
	return e.Code == CodeAlreadyPresent && s.config.IgnoreAllDuplicateRows ||
		e.Code == CodeNotFound && s.config.IgnoreAllNotFoundRows
}

// elapsed is the time from Apply to the answer.
func (s *Session) elapsed(o *operation) time.Duration {
	return o.receipt.request.ended.Sub(s.started) - o.taken
}
