// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
)

// Memory is a number of bytes that writers share. Who asks first gets first: a small row does not overtake a
// large one that waits.
//
// Concurrency: safe.
type Memory struct {
	limit forebay.Bytes

	mu       sync.Mutex
	used     forebay.Bytes
	waiters  []*memoryWaiter
	watchers []chan struct{} // of writers that hold bytes in open requests
}

type memoryWaiter struct {
	want    forebay.Bytes
	granted chan struct{}
}

// MemoryDefault is the memory of writers that were given none.
const MemoryDefault = 64 * forebay.MiB

// NewMemory makes a budget; 0 means MemoryDefault.
func NewMemory(limit forebay.Bytes) *Memory {
	if limit == 0 {
		limit = MemoryDefault
	}
	return &Memory{limit: limit}
}

// MemoryError says why bytes could not be reserved.
type MemoryError struct {
	Asked, Used, Limit forebay.Bytes
	Waiters            int
	Waited             time.Duration
	// Cause is ErrBufferFull, or the end of the caller's context.
	Cause error
}

// Error prints the figures.
func (e *MemoryError) Error() string {
	return fmt.Sprintf("%d bytes asked, %d of %d used, %d waiting, waited %s: %v",
		e.Asked, e.Used, e.Limit, e.Waiters, e.Waited.Round(time.Millisecond), e.Cause)
}

// Unwrap is the cause.
func (e *MemoryError) Unwrap() error { return e.Cause }

// Reserve takes n bytes.
//
// Errors: MemoryError; at once where n is more than the whole, or where wait is false and there is not enough.
// Blocking: with wait, until the bytes are free and everyone who asked before has got theirs, or ctx ends.
func (m *Memory) Reserve(ctx context.Context, n forebay.Bytes, wait bool) error {
	m.mu.Lock()
	if m.takeLocked(n) {
		m.mu.Unlock()
		return nil
	}
	if n > m.limit {
		defer m.mu.Unlock()
		return m.errorLocked(n, 0, forebay.ErrBufferFull)
	}
	for _, w := range m.watchers {
		signal(w)
	}
	if !wait {
		defer m.mu.Unlock()
		return m.errorLocked(n, 0, forebay.ErrBufferFull)
	}
	w := &memoryWaiter{want: n, granted: make(chan struct{})}
	m.waiters = append(m.waiters, w)
	m.mu.Unlock()
	started := time.Now()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		return m.leave(w, time.Since(started), context.Cause(ctx))
	}
}

// reserve takes n bytes if they are there.
func (m *Memory) reserve(n forebay.Bytes) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.takeLocked(n)
}

func (m *Memory) takeLocked(n forebay.Bytes) bool {
	if n > m.limit-m.used || len(m.waiters) > 0 {
		return false
	}
	m.used += n
	return true
}

// fits reports whether n bytes can ever be there.
func (m *Memory) fits(n forebay.Bytes) bool { return n <= m.limit }

// waiting reports whether somebody waits.
func (m *Memory) waiting() bool {
	_, waiters := m.Used()
	return waiters > 0
}

// watch has a channel with the capacity 1 told whenever there is not enough, until the returned function is called.
// Who holds bytes that he can give back soon does so then.
func (m *Memory) watch(told chan struct{}) (unwatch func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, told)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if i := slices.Index(m.watchers, told); i >= 0 {
			m.watchers = slices.Delete(m.watchers, i, i+1)
		}
	}
}

// leave takes a waiter out. It may have been granted at the same moment: then the bytes go back.
func (m *Memory) leave(w *memoryWaiter, waited time.Duration, cause error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.errorLocked(w.want, waited, cause)
	select {
	case <-w.granted:
		m.used -= w.want
	default:
		for i, other := range m.waiters {
			if other == w {
				m.waiters = append(m.waiters[:i], m.waiters[i+1:]...)
				break
			}
		}
	}
	m.grantLocked()
	return err
}

func (m *Memory) errorLocked(asked forebay.Bytes, waited time.Duration, cause error) error {
	return &MemoryError{
		Asked: asked, Used: m.used, Limit: m.limit, Waiters: len(m.waiters), Waited: waited, Cause: cause,
	}
}

// Release gives n bytes back.
func (m *Memory) Release(n forebay.Bytes) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
	m.grantLocked()
}

func (m *Memory) grantLocked() {
	for len(m.waiters) > 0 && m.waiters[0].want <= m.limit-m.used {
		m.used += m.waiters[0].want
		close(m.waiters[0].granted)
		m.waiters = m.waiters[1:]
	}
}

// Used is the number of bytes that are reserved, and the number of callers that wait.
func (m *Memory) Used() (used forebay.Bytes, waiters int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used, len(m.waiters)
}
