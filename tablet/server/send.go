// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// writerIDMax bounds a writer id.
const writerIDMax = 128

// Send applies one request of a writer that stands alone. With a writer id it applies once, however often it is
// sent; without one every time.
//
// The order among the requests of the tablet is that of the calls. done is called with AcksAll when it is durable;
// else when it is in the log, and it is synced within 100 ms.
//
// Blocking: until it is in the log.
func (s *Server) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	answer, batch, within := s.send(r)
	if batch == 0 {
		done(answer)
		return
	}
	s.work.Go(func() { done(s.settled(ctx, answer, batch, within)) })
}

// send applies the request. Where the answer has to wait until something is durable, it says for which batch.
func (s *Server) send(r *forebay.Request) (answer forebay.Answer, batch uint64, within time.Duration) {
	if len(r.WriterID) > writerIDMax {
		return *refusal400("a writer id has at most %d bytes", writerIDMax), 0, 0
	}
	d := s.spare.take(1)
	defer s.spare.give(d)
	if refusal := s.add(d, r, 0); refusal != nil {
		return *refusal, 0, 0
	}
	if refusal := d.lock(s.store); refusal != nil {
		return *refusal, 0, 0
	}
	answer, batch = s.sendLocked(d, r)
	d.unlock()
	switch {
	case answer.Code == forebay.CodeDuplicate:
		return answer, batch, store.SyncSoon
	case answer.Code != forebay.CodeOK || r.Acks != forebay.AcksAll:
		return answer, 0, 0
	}
	return answer, batch, store.SyncNow
}

// settled is the answer once the batch is durable.
func (s *Server) settled(ctx context.Context, a forebay.Answer, batch uint64, within time.Duration) forebay.Answer {
	if err := s.ledger.wait(ctx, batch, within); err != nil {
		return errorAnswer(fmt.Errorf("wait for the sync: %w", err))
	}
	return a
}

// sendLocked decides about a request and applies it. The batch is what a definite answer has to wait for.
func (s *Server) sendLocked(d *delivery, r *forebay.Request) (answer forebay.Answer, batch uint64) {
	p := d.pieces[0]
	if r.WriterID == "" {
		batch, err := s.applyLocked(d, nil)
		if err != nil {
			return errorAnswer(err), 0
		}
		return forebay.Answer{Code: forebay.CodeOK, Offset: p.base}, batch
	}
	if err := p.tablet.loadWritersLocked(s.store); err != nil {
		return errorAnswer(err), 0
	}
	id := requestID{writer: r.WriterID, sequence: r.Sequence, checksum: p.batch.Checksum()}
	state := &p.tablet.state
	v, offset := state.judge(id)
	if v != verdictApply {
		applied, _ := s.ledger.numbers()
		return refusedSequence(v, id, offset), applied
	}
	now := s.now()
	var forgotten []string
	if r.Sequence == 0 && len(state.writers) >= writersMax {
		forgotten = state.expired(now, writersMax)
	}
	next := state.following(id, offset, now)
	batch, err := s.applyLocked(d, func(b *store.Batch) error {
		if err := dropWriters(b, p.tablet.place, forgotten); err != nil {
			return err
		}
		return b.Set(appendDedupKey(nil, p.tablet.place, id.writer), encodeWriter(&next))
	})
	if err != nil {
		return errorAnswer(err), 0
	}
	state.forget(forgotten)
	state.remember(id.writer, next)
	return forebay.Answer{Code: forebay.CodeOK, Offset: p.base}, batch
}

func dropWriters(b *store.Batch, at place, forgotten []string) error {
	for _, gone := range forgotten {
		if err := b.Delete(appendDedupKey(nil, at, gone)); err != nil {
			return err
		}
	}
	return nil
}

func refusedSequence(v verdict, id requestID, offset int64) forebay.Answer {
	switch v {
	case verdictDuplicate:
		return forebay.Answer{Code: forebay.CodeDuplicate, Offset: offset}
	case verdictGap:
		return forebay.Answer{
			Code: forebay.CodeSequenceGap, Message: fmt.Sprintf("a request before sequence %d is missing", id.sequence),
		}
	case verdictUnknown:
		return forebay.Answer{
			Code: forebay.CodeUnknownWriter, Message: fmt.Sprintf("writer %q is not known here", id.writer),
		}
	default:
		return forebay.Answer{
			Code: forebay.CodeServerError, Class: forebay.ClassCorrupt,
			Message: fmt.Sprintf("sequence %d of writer %q was applied with other bytes", id.sequence, id.writer),
		}
	}
}
