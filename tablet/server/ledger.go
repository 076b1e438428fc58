// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-io/forebay/internal/store"
)

// unsyncedMax is how long something applied may wait for its sync where nobody asks for it.
const unsyncedMax = 100 * time.Millisecond

// ledger knows what was applied and what of it is durable, and moves the synced marks of tablets.
//
// Concurrency: safe.
type ledger struct {
	store *store.Store
	wake  chan struct{} // capacity 1: something waits for the flusher, which is idle
	idle  atomic.Bool   // the flusher has nothing to watch
	syncs timing        // of those who waited for the disk

	mu      sync.Mutex
	applied uint64 // number of the last batch applied
	synced  uint64 // number of the last batch known to be durable
	marks   []mark // of batches above synced, in order
	// moved is closed when synced rises; nil while nobody watches.
	moved chan struct{}
}

// mark is what a tablet's synced mark becomes once a batch is durable.
type mark struct {
	batch  uint64
	tablet *tabletLog
	end    int64
}

func newLedger(s *store.Store) *ledger {
	l := &ledger{store: s, wake: make(chan struct{}, 1)}
	l.idle.Store(true)
	return l
}

// note numbers a batch that was just applied. The locks of its tablets are held, so that the marks of a tablet
// stand in order.
func (l *ledger) note(pieces []*piece) uint64 {
	l.mu.Lock()
	l.applied++
	batch := l.applied
	for _, p := range pieces {
		l.marks = append(l.marks, mark{batch: batch, tablet: p.tablet, end: p.tablet.state.end})
	}
	l.mu.Unlock()
	if l.idle.CompareAndSwap(true, false) {
		l.wake <- struct{}{}
	}
	return batch
}

// wait returns once the batch is durable.
//
// Blocking: on the disk, at most within longer than it takes.
func (l *ledger) wait(ctx context.Context, batch uint64, within time.Duration) error {
	l.mu.Lock()
	applied, synced := l.applied, l.synced
	l.mu.Unlock()
	if synced >= batch {
		return nil
	}
	began := time.Now()
	if err := l.store.Sync(ctx, within); err != nil {
		return err
	}
	l.syncs.add(time.Since(began))
	l.settle(applied)
	return nil
}

// settle notes that every batch up to this one is durable.
func (l *ledger) settle(batch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if batch <= l.synced {
		return
	}
	l.synced = batch
	done := 0
	for _, m := range l.marks {
		if m.batch > batch {
			break
		}
		m.tablet.synced.Store(m.end)
		done++
	}
	l.marks = append(l.marks[:0], l.marks[done:]...)
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
}

// watch returns a channel that is closed when something more is durable.
func (l *ledger) watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.moved == nil {
		l.moved = make(chan struct{})
	}
	return l.moved
}

func (l *ledger) numbers() (applied, synced uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.applied, l.synced
}

// runFlusher syncs what nobody waited for: requests with acks one, and commits whose caller has left.
func (l *ledger) runFlusher(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		for {
			target, _ := l.numbers()
			timer.Reset(every)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			if l.wait(ctx, target, store.SyncNow) != nil {
				return // poisoned or closed: nothing becomes durable any more
			}
			// note raises applied before it looks at idle: either it sees idle and wakes us, or we see its batch.
			l.idle.Store(true)
			if applied, synced := l.numbers(); applied == synced || !l.idle.CompareAndSwap(true, false) {
				break
			}
		}
	}
}
