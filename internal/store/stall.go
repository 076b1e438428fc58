// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrStalled means that a write or a sync has not come back for StalledAfter: the disk hangs, or does not keep up.
// Nothing is lost, and it may go on by itself.
var ErrStalled = errors.New("the disk does not answer")

// StalledAfter is how long a write or a sync may take until Err says so.
const StalledAfter = 3 * time.Second

// stall knows since when each goroutine that hands work to Pebble has been waiting for it.
//
// Concurrency: safe.
type stall struct {
	sync    atomic.Int64 // Unix nanoseconds; 0 while it does not wait
	applies [appliers]atomic.Int64
}

func begin(mark *atomic.Int64) { mark.Store(time.Now().UnixNano()) }

func end(mark *atomic.Int64) { mark.Store(0) }

// check answers ErrStalled if anything takes too long.
func (s *stall) check(now time.Time) error {
	if took := waited(&s.sync, now); took >= StalledAfter {
		return fmt.Errorf("%w: a sync has not returned for %s", ErrStalled, took.Round(time.Second))
	}
	for i := range s.applies {
		if took := waited(&s.applies[i], now); took >= StalledAfter {
			return fmt.Errorf("%w: a write has not returned for %s", ErrStalled, took.Round(time.Second))
		}
	}
	return nil
}

func waited(mark *atomic.Int64, now time.Time) time.Duration {
	began := mark.Load()
	if began == 0 {
		return 0
	}
	return now.Sub(time.Unix(0, began))
}

// Probe syncs the disk also where nothing is to be synced, which adds some 30 bytes to the log. While it hangs there,
// Err says so after StalledAfter.
//
// Errors: those of Sync.
// Blocking: on the disk, until ctx ends.
func (s *Store) Probe(ctx context.Context) error {
	if err := s.acquire(); err != nil {
		return err
	}
	defer s.release()
	return s.await(ctx, s.syncs.join(SyncNow))
}

// await waits for a group of callers that share a sync.
func (s *Store) await(ctx context.Context, g *syncGroup) error {
	select {
	case <-g.done:
		return g.err
	case <-s.poison.done:
		return s.poison.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
