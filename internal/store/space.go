// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrNoSpace means that free space is below the reserve: nothing was written, and the same call succeeds once
// there is space again.
var ErrNoSpace = errors.New("no space left for writes")

// How often free space is measured while something is written.
const (
	spaceAge   = 100 * time.Millisecond
	spaceBytes = 16 << 20
)

// space refuses writes while less than the reserve is free. It is measured by the writers themselves: a store
// that nobody writes to asks nothing, and the first write after space came back goes through.
type space struct {
	dir     string
	reserve int64
	measure func(dir string) (int64, error)

	free    atomic.Int64
	next    atomic.Int64 // when to measure again, Unix nanoseconds
	pending atomic.Int64 // bytes applied since the last measurement
}

func newSpace(dir string, config Config, fs vfs.FS) *space {
	s := &space{dir: dir, reserve: config.DiskReserve, measure: config.FreeSpace}
	if s.measure == nil {
		s.measure = func(dir string) (int64, error) {
			usage, err := fs.GetDiskUsage(dir)
			if errors.Is(err, vfs.ErrUnsupported) {
				return math.MaxInt64, nil
			}
			return int64(min(usage.AvailBytes, math.MaxInt64)), err
		}
	}
	s.free.Store(math.MaxInt64)
	return s
}

// check answers ErrNoSpace if n more bytes would not leave the reserve.
func (s *space) check(n int) error {
	if err := s.refresh(n); err != nil {
		return err
	}
	if free := s.free.Load(); free < s.reserve {
		return fmt.Errorf("%w: %d bytes are free in %s, and disk.reserve keeps %d; free some space, writes then resume",
			ErrNoSpace, free, s.dir, s.reserve)
	}
	return nil
}

func (s *space) refresh(n int) error {
	now := time.Now().UnixNano()
	next := s.next.Load()
	if s.pending.Add(int64(n)) < spaceBytes && now < next {
		return nil
	}
	// One writer measures, the others go by the last answer.
	if !s.next.CompareAndSwap(next, now+int64(spaceAge)) {
		return nil
	}
	s.pending.Store(0)
	free, err := s.measure(s.dir)
	if err != nil {
		return fmt.Errorf("measure free space in %s: %w", s.dir, err)
	}
	s.free.Store(free)
	return nil
}
