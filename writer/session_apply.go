// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
)

// applied is an operation that a caller applies.
type applied struct {
	table *SessionTable
	op    forebay.Op
	row   forebay.Row
	size  forebay.Bytes
}

// apply takes an operation. Bytes come first: nothing waits for memory under the session's lock.
func (s *Session) apply(ctx context.Context, a applied) (Response, error) {
	if s.memory.reserve(a.size) {
		return s.take(ctx, a)
	}
	if err := s.reserve(ctx, a.size); err != nil {
		return Response{}, err
	}
	response, err := s.take(ctx, a)
	if s.memory.waiting() {
		signal(s.pressed) // the operation must not lie in a buffer while others wait for its bytes
	}
	return response, err
}

// reserve waits for memory for an operation. The buffer that fills is sent before its time: the bytes that it holds
// come back only so.
func (s *Session) reserve(ctx context.Context, n forebay.Bytes) error {
	s.mu.Lock()
	mode, timeout, closed := s.mode, s.timeout, s.closed
	if !closed && mode == AutoFlushBackground {
		s.sealLocked(sendNow)
	}
	s.mu.Unlock()
	limit, cause := s.config.Writer.BlockTimeout, forebay.ErrBufferFull
	switch {
	case closed:
		return errSessionClosed("apply")
	case mode == ManualFlush || s.config.Writer.FailWhenFull:
		return s.memory.Reserve(ctx, n, false)
	case mode == AutoFlushSync && timeout != NoTimeout && (limit == 0 || timeout < limit):
		limit, cause = timeout, context.DeadlineExceeded
	}
	ctx, stop := s.untilClosed(ctx)
	defer stop()
	if limit > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, limit, cause)
		defer cancel()
		ctx = limited
	}
	return s.memory.Reserve(ctx, n, true)
}

// untilClosed is the context while the session takes operations.
func (s *Session) untilClosed(ctx context.Context) (limited context.Context, stop func()) {
	limited, cancel := context.WithCancelCause(ctx)
	unwatch := context.AfterFunc(s.closing, func() { cancel(context.Cause(s.closing)) })
	return limited, func() {
		unwatch()
		cancel(nil)
	}
}

// take puts an operation, whose bytes are reserved, where the mode wants it.
func (s *Session) take(ctx context.Context, a applied) (Response, error) {
	s.mu.Lock()
	for {
		if s.closed {
			s.mu.Unlock()
			s.memory.Release(a.size)
			return Response{}, errSessionClosed("apply")
		}
		if s.mode == AutoFlushSync {
			return s.syncLocked(ctx, a)
		}
		full, err := s.roomLocked(a)
		if err == nil && full == nil {
			break
		}
		s.mu.Unlock()
		if err == nil {
			err = s.awaitRoom(ctx, full)
		}
		if err != nil {
			s.memory.Release(a.size)
			return Response{}, err
		}
		s.mu.Lock()
	}
	response, err := s.addLocked(a)
	s.mu.Unlock()
	if err != nil {
		s.memory.Release(a.size)
	}
	return response, err
}

// awaitRoom waits until one of the two buffers is done.
func (s *Session) awaitRoom(ctx context.Context, done <-chan struct{}) error {
	ctx, stop := s.untilClosed(ctx)
	defer stop()
	return await(ctx, done)
}

// roomLocked makes room for an operation, or returns what to wait for where both buffers are full.
func (s *Session) roomLocked(a applied) (full <-chan struct{}, err error) {
	limit := s.config.BufferBytes
	if a.size > limit {
		return nil, fmt.Errorf("apply: the operation never fits the session's buffer: %w",
			&MemoryError{Asked: a.size, Limit: limit, Cause: forebay.ErrBufferFull})
	}
	b := s.filling
	if b != nil && len(b.operations) > 0 && (b.size+a.size > limit || s.fullLocked()) {
		if s.mode == ManualFlush {
			return nil, s.bufferErrorLocked(a)
		}
		s.sealLocked(sendNow)
		b = nil
	}
	if b != nil || len(s.sealed) < sessionBuffers {
		return nil, nil
	}
	if s.mode == ManualFlush {
		return nil, s.bufferErrorLocked(a)
	}
	return s.sealed[0].done, nil
}

// fullLocked reports whether the buffer that fills has its number of operations.
func (s *Session) fullLocked() bool {
	return len(s.filling.operations) >= s.config.BufferOperations
}

func (s *Session) bufferErrorLocked(a applied) error {
	e := &BufferError{OperationsMax: s.config.BufferOperations, BytesMax: s.config.BufferBytes, Asked: a.size}
	if s.filling != nil {
		e.Operations, e.Bytes = len(s.filling.operations), s.filling.size
	}
	return e
}

// addLocked puts an operation into the buffer that fills.
func (s *Session) addLocked(a applied) (Response, error) {
	b := s.bufferLocked()
	now := time.Now()
	receipt, err := a.table.writers[b.side%len(a.table.writers)].append(context.Background(), a.row, a.op)
	if err != nil {
		return Response{}, err
	}
	b.operations = append(b.operations, operation{
		table: a.table, receipt: receipt, row: len(b.rows), taken: now.Sub(s.started), op: a.op,
	})
	if !s.config.WithoutRows {
		b.rows = a.table.encode(b.rows, a.row)
	}
	b.size += a.size
	if a.table.buffer != b || len(b.tables) == 0 {
		a.table.buffer = b
		b.tables = append(b.tables, a.table)
	}
	number := s.next
	s.next++
	if s.mode == AutoFlushBackground {
		if len(b.operations) == 1 {
			b.opened = now
			s.timeLocked()
		}
		if s.fullLocked() {
			s.sealLocked(sendNow)
		}
	}
	return Response{Operation: Operation{Number: number, Table: a.table.name, Op: a.op}}, nil
}

// syncLocked sends an operation at once and waits for its answer. It unlocks.
func (s *Session) syncLocked(ctx context.Context, a applied) (Response, error) {
	number, timeout := s.next, s.timeout
	s.next++
	s.waiting++
	s.work.Add(1) // the session ends after this
	s.mu.Unlock()
	defer s.work.Done()
	defer s.answered()
	o := operation{table: a.table, op: a.op, taken: time.Since(s.started)}
	shown := Operation{Number: number, Table: a.table.name, Op: a.op, table: a.table}
	w := a.table.writers[int(number)%len(a.table.writers)]
	var err error
	if o.receipt, err = w.append(context.Background(), a.row, a.op); err != nil {
		s.memory.Release(a.size)
		return Response{}, err
	}
	w.sendOpen(timeout) // which bounds the wait
	select {
	case <-o.receipt.Done():
		s.memory.Release(a.size)
		return s.outcome(shown, &o)
	case <-ctx.Done():
	}
	s.work.Go(func() { // its bytes are in use until its writer gives it up
		<-o.receipt.Done()
		s.memory.Release(a.size)
	})
	failure := newOperationError(shown, o.receipt, Result{Tablet: o.receipt.request.tablet}, context.Cause(ctx))
	failure.Elapsed = time.Since(s.started) - o.taken
	return Response{Operation: shown, Tablet: failure.Tablet, Elapsed: failure.Elapsed, Err: failure}, failure
}

// outcome is the response to an operation that is settled, and its failure as an error.
func (s *Session) outcome(shown Operation, o *operation) (Response, error) {
	result, err := o.receipt.Wait(context.Background())
	response := Response{
		Operation: shown, Applied: result.Applied, Tablet: result.Tablet, Offset: result.Offset, Elapsed: s.elapsed(o),
	}
	if err == nil {
		return response, nil
	}
	failure := newOperationError(shown, o.receipt, result, err)
	failure.Elapsed = response.Elapsed
	if s.ignores(failure) {
		return response, nil
	}
	response.Err = failure
	return response, failure
}

// answered ends an operation of AUTO_FLUSH_SYNC.
func (s *Session) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
	if s.waiting == 0 && s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
}
