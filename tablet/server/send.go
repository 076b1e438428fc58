// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// writerIDMax bounds a writer id.
const writerIDMax = 128

// Send hands one request over, which is applied with others as one batch. With a writer id it applies once, however
// often it is sent; without one every time. The tablet of the request is its number in the table; ResolveTablet finds
// it for a partition.
//
// The order among the requests of a tablet is that of the calls. done is called once: with AcksAll when it is durable,
// else when it is in the log, and it is synced within 100 ms.
//
//	200  applied; Rows are those that were left out of a request that applies in part
//	302  another server has taken over             408  it was too late, or ctx ended
//	409  applied before, Rows as they were then    410  the writer is not known
//	413  too large                                 422  rows that can never be accepted: nothing was applied
//	425  an earlier sequence is missing            429  too much is waiting: come back after RetryAfter
//	507  the disk is full
//
// Blocking: done must not wait for anything, since the answers of others stand behind it.
func (s *Server) Send(ctx context.Context, r *forebay.Request, done func(forebay.Answer)) {
	at, refusal := s.route(r)
	if refusal != nil {
		refusal.Pressure = s.executor.pressure()
		done(*refusal)
		return
	}
	s.executor.accept(ctx, &sent{request: r, done: done, tablet: at, bytes: int64(len(r.Data)) + requestOverhead})
}

// route finds the tablet of a request.
func (s *Server) route(r *forebay.Request) (at *tabletLog, refusal *forebay.Answer) {
	if answer, gone := s.away(); gone {
		return nil, &answer
	}
	if len(r.WriterID) > writerIDMax {
		return nil, refusal400("a writer id has at most %d bytes", writerIDMax)
	}
	t := s.find(r.Table)
	if t == nil {
		_, err := s.lookup(r.Table)
		return nil, &forebay.Answer{Code: forebay.CodeNotFound, Message: err.Error()}
	}
	if at = t.tablet(r.Tablet); at == nil {
		return nil, refusal400("table %q has %d tablets and the request is for tablet %d", r.Table, len(t.list()), r.Tablet)
	}
	return at, nil
}

// applyGroup decides about the requests of a group and applies those that can be as one batch.
func (s *Server) applyGroup(g []*sent) {
	d := s.spare.take(len(g))
	defer s.spare.give(d)
	now := s.now()
	for _, q := range g {
		if e := q.request.Expires; !e.IsZero() && e.UnixMicro() <= now {
			q.decide(forebay.Answer{Code: forebay.CodeTimeout, Message: "it came too late, and was not applied"})
			continue
		}
		if refusal := s.add(d, q.request, 0); refusal != nil {
			q.decide(*refusal)
			continue
		}
		d.pieces[len(d.pieces)-1].sent = q
	}
	d.lockTablets()
	defer d.unlock()
	ready := d.pieces[:0]
	for _, p := range d.pieces {
		if refusal := p.ready(s.store); refusal != nil {
			p.sent.decide(*refusal)
			continue
		}
		ready = append(ready, p)
	}
	d.pieces = ready
	batch, err := s.applyLocked(d, nil)
	if err != nil {
		s.failLocked(d, err)
	}
	for _, p := range d.pieces {
		if err == nil {
			p.sent.decide(forebay.Answer{Code: forebay.CodeOK, Offset: p.base, Rows: p.refused})
			if p.sent.request.Acks == forebay.AcksAll {
				p.sent.batch = batch
			}
		}
	}
	s.holdDuplicates(g)
}

// holdDuplicates lets the answers that say what was applied before wait until that is durable. TS2: it was applied
// under the locks that are held, so its batch is not above the newest one.
func (s *Server) holdDuplicates(g []*sent) {
	applied, _ := s.ledger.numbers()
	for _, q := range g {
		if q.answer.Code == forebay.CodeDuplicate && !fault.Bug(fault.BugDuplicateEarly) {
			q.batch = applied
		}
	}
}

// failLocked answers the requests of a group whose batch was not applied. What was noted of their writers is taken
// back, and what is a repeat of an earlier group stays one.
func (s *Server) failLocked(d *delivery, err error) {
	for _, u := range slices.Backward(d.undo) {
		u.undo()
	}
	failed := errorAnswer(err)
	for i := range d.memory {
		p := &d.memory[i]
		q := p.sent
		if q == nil || q.decided && q.answer.Code != forebay.CodeDuplicate && q.answer.Code != forebay.CodeServerError {
			continue
		}
		q.decide(failed)
		if q.request.WriterID == "" || !p.tablet.writersLoaded {
			continue
		}
		if v, was := p.tablet.state.judge(p.id()); v == verdictDuplicate || v == verdictCorrupt {
			q.decide(s.repeated(nil, p, v, was))
		}
	}
	d.pieces = d.pieces[:0]
}

// id is what the request is recognised by.
func (p *piece) id() requestID {
	return requestID{writer: p.sent.request.WriterID, sequence: p.sent.request.Sequence, checksum: p.batch.Checksum()}
}

// admitLocked says whether the request is the writer's next one; else it is answered. The pieces before it, whose
// sequences are noted already, are those that were kept.
func (s *Server) admitLocked(kept []*piece, p *piece) bool {
	if p.sent.request.WriterID == "" {
		return true
	}
	if err := p.tablet.loadWritersLocked(s.store); err != nil {
		p.sent.decide(errorAnswer(err))
		return false
	}
	v, was := p.tablet.state.judge(p.id())
	if v == verdictApply {
		return true
	}
	p.sent.decide(s.repeated(kept, p, v, was))
	return false
}

// repeated is the answer to a request that does not apply.
func (s *Server) repeated(kept []*piece, p *piece, v verdict, was remembered) forebay.Answer {
	answer := refusedSequence(v, p.id(), was.offset)
	if v != verdictDuplicate || was.refused == 0 {
		return answer
	}
	rows, err := refusedBefore(s.store, kept, p)
	if err != nil {
		return errorAnswer(err)
	}
	answer.Rows = rows
	return answer
}

// noteLocked notes the sequence of a request that applies; it is taken back where its batch is not applied.
func (d *delivery) noteLocked(p *piece, now int64) {
	if p.sent.request.WriterID == "" {
		return
	}
	id, state := p.id(), &p.tablet.state
	if id.sequence == 0 && len(state.writers) >= writersMax {
		expired := state.expired(now, writersMax)
		for _, gone := range expired {
			d.undo = append(d.undo, writerUndo{state: state, id: gone, was: state.writers[gone]})
		}
		p.forgotten = state.forget(expired)
	}
	was := state.writers[id.writer]
	d.undo = append(d.undo, writerUndo{state: state, id: id.writer, was: was})
	p.wasRefused = was != nil && was.last[id.sequence%rememberedMax].refused > 0
	answered := remembered{checksum: id.checksum, offset: p.base, refused: uint32(len(p.refused))}
	p.record = state.following(id, answered, now)
	state.remember(id.writer, p.record)
}

// putWriter adds what is remembered of the request's writer.
func (p *piece) putWriter(b *store.Batch, key []byte) ([]byte, error) {
	at, id := p.tablet.place, p.id()
	if err := dropWriters(b, at, p.forgotten); err != nil {
		return key, err
	}
	key = appendDedupKey(key[:0], at, id.writer)
	if err := b.Set(key, encodeWriter(&p.record)); err != nil {
		return key, err
	}
	key = appendRefusedKey(key[:0], at, id)
	switch {
	case len(p.refused) > 0:
		return key, b.Set(key, encodeRefused(id.sequence, p.refused))
	case p.wasRefused:
		return key, b.Delete(key)
	default:
		return key, nil
	}
}

// dropWriters removes what is remembered of writers.
func dropWriters(b *store.Batch, at place, forgotten []goneWriter) error {
	for _, gone := range forgotten {
		if err := b.Delete(appendDedupKey(nil, at, gone.id)); err != nil {
			return err
		}
		if !gone.refused {
			continue
		}
		prefix := appendWriterPrefix(nil, at, gone.id)
		if err := b.DeleteRange(prefix, store.PrefixEnd(prefix)); err != nil {
			return err
		}
	}
	return nil
}

// settled is the answer once the batch is durable.
func (s *Server) settled(ctx context.Context, a forebay.Answer, batch uint64, within time.Duration) forebay.Answer {
	if err := s.ledger.wait(ctx, batch, within); err != nil {
		return errorAnswer(fmt.Errorf("wait for the sync: %w", err))
	}
	return a
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
