// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"time"
)

// Flush sends what is buffered, waits for the answers, and returns one response for each operation, in the order in
// which the session took them: those of the buffer that filled, and those of a buffer that was being flushed. In
// AUTO_FLUSH_SYNC there is nothing to do.
//
// Errors: *OperationsError where operations failed; the responses are complete then too. When ctx ends first, its
// cause, and no responses: in MANUAL_FLUSH the next Flush returns them. In AUTO_FLUSH_BACKGROUND failures are pending
// errors too, and Flush fails as long as older ones are unread.
// Blocking: until everything is answered or timed out, or ctx ends.
func (s *Session) Flush(ctx context.Context) ([]Response, error) {
	select {
	case s.flushing <- struct{}{}: // one at a time: each response is returned once
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-s.flushing }()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errSessionClosed("flush")
	}
	mode := s.mode
	s.sealLocked(sendNow)
	buffers := append([]*sessionBuffer(nil), s.sealed...)
	for _, b := range buffers {
		b.wanted = true
	}
	s.mu.Unlock()
	for _, b := range buffers {
		if err := await(ctx, b.done); err != nil {
			return nil, err
		}
	}
	var responses []Response
	failed := &OperationsError{Op: "flush"}
	for _, b := range buffers {
		responses = append(responses, s.responses(b)...)
		for _, f := range b.failed {
			failed.Errors = append(failed.Errors, f.err)
		}
	}
	failed.Operations = len(responses)
	s.mu.Lock()
	for _, b := range buffers {
		if b.reported {
			s.removeLocked(b)
		}
	}
	if mode == AutoFlushBackground && len(failed.Errors) == 0 {
		failed.Operations = 0
		failed.Errors = append(failed.Errors, s.failures.errors...)
		failed.Dropped = s.failures.dropped
	}
	s.mu.Unlock()
	if len(failed.Errors) == 0 {
		return responses, nil
	}
	return responses, failed
}

// timeLocked has the timer look at the buffer that begins to fill.
func (s *Session) timeLocked() {
	if !s.timed {
		s.timed = true
		s.work.Go(s.runTimer)
		return
	}
	signal(s.changed)
}

// runTimer flushes a buffer that is old enough, or whose bytes others wait for.
func (s *Session) runTimer() {
	defer s.memory.watch(s.pressed)()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.flushOld())
		select {
		case <-timer.C:
		case <-s.changed:
		case <-s.pressed:
			s.flushPressed()
		case <-s.ended:
			return
		}
	}
}

// flushOld seals the buffer that fills if it is old enough, and says when to look again. While the other buffer is
// being flushed it goes on filling: so callers wait only when both are full.
func (s *Session) flushOld() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.filling
	if s.mode != AutoFlushBackground || s.closed || b == nil || len(b.operations) == 0 || len(s.sealed) > 0 {
		return time.Hour
	}
	if wait := s.config.FlushInterval - time.Since(b.opened); wait > 0 {
		return wait
	}
	s.sealLocked(sendNow)
	return time.Hour
}

// flushPressed seals the buffer that fills: there is not enough memory, and its bytes come back only so.
func (s *Session) flushPressed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == AutoFlushBackground && !s.closed {
		s.sealLocked(sendNow)
	}
}
