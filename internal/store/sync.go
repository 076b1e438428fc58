// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/forebay-io/forebay/internal/fault"
)

// How long a sync may wait for others to share its fsync. Any duration between is fine too.
const (
	// SyncNow starts the fsync at once, or as soon as the one that is running ends.
	SyncNow time.Duration = 0
	// SyncSoon gives callers that come within 2 ms one fsync.
	SyncSoon = 2 * time.Millisecond
)

// syncGroup is the callers that share the next fsync.
type syncGroup struct {
	done chan struct{} // closed when err is set
	err  error

	deadline time.Time // the earliest of the callers'; under syncQueue.mu
}

// syncQueue holds the group that gathers. The group whose fsync runs is out of it: who comes during an fsync waits
// for the next one, which starts after everything that he applied.
type syncQueue struct {
	wake chan struct{} // capacity 1: a token says that mu's fields changed

	mu        sync.Mutex
	gathering *syncGroup
}

func (q *syncQueue) join(within time.Duration) *syncGroup {
	deadline := time.Now().Add(within)
	q.mu.Lock()
	g := q.gathering
	changed := g == nil || deadline.Before(g.deadline)
	if g == nil {
		g = &syncGroup{done: make(chan struct{})}
		q.gathering = g
	}
	if changed {
		g.deadline = deadline
	}
	q.mu.Unlock()
	if changed {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return g
}

// due returns how long the gathering group may still wait; false if there is no group.
func (q *syncQueue) due() (time.Duration, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gathering == nil {
		return 0, false
	}
	return time.Until(q.gathering.deadline), true
}

func (q *syncQueue) take() *syncGroup {
	q.mu.Lock()
	defer q.mu.Unlock()
	g := q.gathering
	q.gathering = nil
	return g
}

// Sync waits until everything that was applied before the call is on disk, whoever applied it. The fsync starts at
// most within later; all callers until then share it.
//
// Guarantee: nil means durable. Without anything new since the last fsync the answer comes at once.
// Errors: ErrPoisoned and the ctx's error: not known to be durable. ErrClosed.
// Blocking: on the disk. Concurrency: safe.
func (s *Store) Sync(ctx context.Context, within time.Duration) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if fault.Bug(fault.BugNoSync) {
		return nil
	}
	// Applies count as started before Pebble shows them, so a caller that saw a change finds started raised.
	if s.started.Load() != s.clean.Load() {
		if err := s.await(ctx, s.syncs.join(within)); err != nil {
			return err
		}
	}
	fault.Hit(fault.CommitSynced)
	return nil
}

// SyncLater has everything that was applied before the call synced at most within later, and does not wait. Without it,
// what nobody else syncs stays in this process until the log's block of 32 KiB is full, and dies with it.
func (s *Store) SyncLater(within time.Duration) {
	if s.acquire() != nil {
		return
	}
	defer s.release()
	if s.started.Load() != s.clean.Load() && !fault.Bug(fault.BugNoSync) {
		s.syncs.join(within)
	}
}

// runSyncer writes one synced mark into the log for each group until the store closes.
func (s *Store) runSyncer() {
	defer s.recoverPebble()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, found := s.syncs.due()
		var expired <-chan time.Time
		if found {
			if wait <= 0 {
				s.syncGroup(s.syncs.take())
				continue
			}
			timer.Reset(wait)
			expired = timer.C
		}
		select {
		case <-s.syncs.wake:
		case <-expired:
		case <-s.closing:
			return
		}
	}
}

// syncGroup makes everything durable that is in the log by now. An empty record is enough: the log is synced up
// to it, and a log that was closed on the way was synced when it was closed.
func (s *Store) syncGroup(g *syncGroup) {
	// ST1: finished first: if both are equal, no apply was under way when finished was read, and none has begun since,
	// so all of them stand in the log before the mark.
	finished := s.finished.Load()
	started := s.started.Load()
	begin(&s.stall.sync)
	g.err = s.db.LogData(nil, pebble.Sync)
	end(&s.stall.sync)
	s.groups.Add(1)
	if g.err == nil && finished == started {
		s.clean.Store(started)
	}
	close(g.done)
}
