// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/forebay-io/forebay/internal/fault"
)

// appliers is how many batches can be on their way into Pebble at once. Pebble writes the log one by one and
// fills the memtable side by side, so a few are enough.
const appliers = 4

// Batch is a set of changes that are applied all or none.
//
// Concurrency: one goroutine. Ownership: keys and values are copied by every method.
type Batch struct {
	store    *Store
	pebble   *pebble.Batch
	done     chan error // capacity 1: the applier never waits for a caller that has left
	applied  bool
	lost     bool // still in the hands of a parked applier
	overdraw bool
}

// retainedMax is the size up to which a batch's memory is used again: a lane's commits are of this order, and
// a new buffer for each would be most of a run's garbage.
const retainedMax = 16 << 20

// NewBatch returns an empty batch with room for sizeHint bytes.
func (s *Store) NewBatch(sizeHint int) *Batch {
	b := s.db.NewBatchWithSize(sizeHint, pebble.WithMaxRetainedSizeBytes(retainedMax))
	return &Batch{store: s, pebble: b, done: make(chan error, 1)}
}

// Set stores value under key.
func (b *Batch) Set(key, value []byte) error { return b.pebble.Set(key, value, nil) }

// SetDeferred makes room for a key and a value that the caller fills in place and then finishes: a large value is
// encoded straight into the batch.
func (b *Batch) SetDeferred(keyLen, valueLen int) *pebble.DeferredBatchOp {
	return b.pebble.SetDeferred(keyLen, valueLen)
}

// Delete removes key; one that is not there is fine.
func (b *Batch) Delete(key []byte) error { return b.pebble.Delete(key, nil) }

// DeleteRange removes all keys from lower up to, and without, upper.
func (b *Batch) DeleteRange(lower, upper []byte) error {
	return b.pebble.DeleteRange(lower, upper, nil)
}

// UseReserve lets the batch be written although free space is below the reserve: for changes that give space back.
func (b *Batch) UseReserve() { b.overdraw = true }

// Size returns the encoded size in bytes.
func (b *Batch) Size() int { return b.pebble.Len() }

// Count returns the number of changes.
func (b *Batch) Count() int { return int(b.pebble.Count()) }

// Empty reports whether nothing was put into the batch.
func (b *Batch) Empty() bool { return b.pebble.Empty() }

// Reset empties the batch for the next use; its memory is kept.
func (b *Batch) Reset() {
	if b.lost {
		return
	}
	b.pebble.Reset()
	b.applied, b.overdraw = false, false
}

// Close gives the memory back. Closing twice is fine.
func (b *Batch) Close() error {
	if b.lost || b.pebble == nil {
		return nil
	}
	p := b.pebble
	b.pebble = nil
	return p.Close()
}

var errAppliedTwice = errors.New("batch was applied before: reset it first")

// Apply makes the changes of b visible, all at once and in the order of the calls, without waiting for the disk.
//
// Guarantee: after a crash either all of b is there or nothing, and nothing applied after a missing batch is there.
// Errors: ErrNoSpace (nothing was written), ErrPoisoned (not known whether it was), ErrClosed.
// Blocking: while Pebble's memtables are full.
// Concurrency: safe for different batches.
// Ownership: b stays the caller's; it may be reset or closed after the call.
func (s *Store) Apply(b *Batch) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	if b.applied {
		return errAppliedTwice
	}
	if b.Empty() {
		return nil
	}
	if !b.overdraw {
		if err := s.space.check(b.Size()); err != nil {
			return err
		}
	}
	b.applied = true
	select {
	case s.applies <- b:
	case <-s.poison.done:
		return s.poison.err
	}
	// ST3: the applier may be parked inside Pebble; its caller is not.
	select {
	case err := <-b.done:
		if err == nil {
			fault.Hit(fault.CommitApplied)
		}
		return err
	case <-s.poison.done:
		b.lost = true
		return s.poison.err
	}
}

// Commit applies b and waits until it is on disk; within is that of Sync.
func (s *Store) Commit(ctx context.Context, b *Batch, within time.Duration) error {
	if err := s.Apply(b); err != nil {
		return err
	}
	return s.Sync(ctx, within)
}

// runApplier hands batches to Pebble until the store closes. mark says since when it waits for it.
func (s *Store) runApplier(mark *atomic.Int64) {
	defer s.recoverPebble()
	for {
		select {
		case b := <-s.applies:
			s.started.Add(1)
			begin(mark)
			err := s.db.Apply(b.pebble, pebble.NoSync)
			end(mark)
			s.finished.Add(1)
			b.done <- err
		case <-s.closing:
			return
		}
	}
}

// recoverPebble turns a panic of Pebble on one of the store's goroutines into poison: its locks are lost, the
// process need not be.
func (s *Store) recoverPebble() {
	if r := recover(); r != nil {
		s.poison.set(fmt.Errorf("pebble panicked: %v", r))
	}
}
