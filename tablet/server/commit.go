// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/internal/store"
)

// castagnoli is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Commit applies everything that a lane wrote since its last commit, with the progress that covers it and the dead
// letters. TS1: in one batch of the store, all of it or nothing. On return its order is decided; wait returns the
// answer once it is durable.
//
//	200  applied                         409  this very commit was applied before
//	412  another owner fenced the target 425  the progress does not follow the stored one, which is in the answer
//	422  rows that can never be accepted 507  the disk is full
func (s *Server) Commit(_ context.Context, c *forebay.Commit) (wait func(context.Context) forebay.Answer) {
	if answer, gone := s.away(); gone {
		return func(context.Context) forebay.Answer { return answer }
	}
	answer, batch := s.commit(c)
	answer.Pressure = s.executor.pressure()
	switch answer.Code {
	case forebay.CodeOK, forebay.CodeDuplicate, forebay.CodeSequenceGap:
		// TS2: an answer that says what is stored waits until that is durable.
		return func(ctx context.Context) forebay.Answer { return s.settled(ctx, answer, batch, store.SyncSoon) }
	default:
		return func(context.Context) forebay.Answer { return answer }
	}
}

func (s *Server) commit(c *forebay.Commit) (answer forebay.Answer, batch uint64) {
	d := s.spare.take(len(c.Requests) + 1)
	defer s.spare.give(d)
	for i := range c.Requests {
		if c.Requests[i].Records == 0 {
			continue
		}
		if refusal := s.add(d, &c.Requests[i], i); refusal != nil {
			return *refusal, 0
		}
	}
	sum := commitChecksum(d.pieces, c.DeadLetters)
	if len(c.DeadLetters) > 0 && !fault.Bug(fault.BugLettersLate) {
		letters, err := s.letterRequest(c.Owner.Pipeline, c.DeadLetters)
		if err != nil {
			return errorAnswer(err), 0
		}
		if refusal := s.add(d, letters, len(c.Requests)); refusal != nil {
			return *refusal, 0
		}
	}
	if c.Owner.Epoch == 0 && len(c.Progress) == 0 {
		return s.commitPieces(d, nil)
	}
	p, err := s.lockPipeline(c.Owner.Pipeline)
	if err != nil {
		return errorAnswer(err), 0
	}
	defer p.mu.Unlock()
	// TS5: the owner and the versions are compared under the pipeline's lock, which is held until it is applied.
	verdict, reason := p.state.judgeCommit(c.Owner, c.Progress, sum)
	if fault.Bug(fault.BugEpochIgnored) && verdict == commitFenced {
		verdict = commitApply
	}
	if verdict != commitApply {
		applied, _ := s.ledger.numbers()
		return refusedCommit(verdict, reason, p.state.stored(c.Progress)), applied
	}
	if fault.Bug(fault.BugProgressApart) {
		s.commitPieces(d, nil)
		_ = s.store.Sync(context.Background(), store.SyncNow)
		d = &delivery{}
	}
	answer, batch = s.commitPieces(d, func(b *store.Batch) error {
		if len(c.DeadLetters) > 0 {
			fault.Hit(fault.DLQWritten)
		}
		return putProgress(b, c.Owner.Pipeline, c.Progress, sum)
	})
	if answer.Code == forebay.CodeOK {
		p.state.acceptCommit(c.Progress, sum)
	}
	if fault.Bug(fault.BugLettersLate) {
		_ = s.store.Sync(context.Background(), store.SyncNow)
		_ = s.AppendDeadLetters(context.Background(), c.Owner.Pipeline, c.DeadLetters)
	}
	return answer, batch
}

// commitPieces locks the tablets and applies the pieces. A pipeline's lock is taken before those of tablets.
func (s *Server) commitPieces(d *delivery, extra func(b *store.Batch) error) (answer forebay.Answer, batch uint64) {
	if refusal := d.lock(s.store); refusal != nil {
		return *refusal, 0
	}
	defer d.unlock()
	batch, err := s.applyLocked(d, extra)
	if err != nil {
		return errorAnswer(err), 0
	}
	answer = forebay.Answer{Code: forebay.CodeOK}
	for _, p := range d.pieces {
		if p.request == 0 {
			answer.Offset = p.base
		}
	}
	return answer, batch
}

// commitChecksum tells a repeated commit from another one that names the same versions. It reads no row: each
// request brings the checksum of its own.
func commitChecksum(pieces []*piece, letters []forebay.DeadLetter) uint32 {
	var buf [8]byte
	sum := uint32(0)
	for _, p := range pieces {
		binary.LittleEndian.PutUint32(buf[:], p.batch.Checksum())
		binary.LittleEndian.PutUint32(buf[4:], uint32(p.tablet.place.tablet))
		sum = crc32.Update(sum, castagnoli, buf[:])
	}
	for i := range letters {
		l := &letters[i]
		binary.LittleEndian.PutUint64(buf[:], uint64(l.Offset))
		sum = crc32.Update(sum, castagnoli, buf[:])
		sum = crc32.Update(sum, castagnoli, []byte(l.Split))
		sum = crc32.Update(sum, castagnoli, l.Value)
	}
	return sum
}

func refusedCommit(v commitVerdict, reason string, stored []forebay.SplitProgress) forebay.Answer {
	switch v {
	case commitDuplicate:
		return forebay.Answer{Code: forebay.CodeDuplicate}
	case commitBehind:
		return forebay.Answer{Code: forebay.CodeSequenceGap, Message: reason, Progress: stored}
	case commitFenced:
		return forebay.Answer{Code: forebay.CodeFenced, Message: reason}
	case commitMalformed:
		return forebay.Answer{Code: forebay.CodeMalformed, Message: reason}
	default:
		panic(fmt.Sprintf("a commit is refused with the verdict %s", v))
	}
}
