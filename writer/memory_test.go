// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

func TestMemoryErrorsSayWhatWasAskedAndHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100)
		if err := m.Reserve(t.Context(), 80, false); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name  string
			asked forebay.Bytes
			wait  bool
			cause error
			took  time.Duration
		}{
			{"more than the whole, never", 101, true, forebay.ErrBufferFull, 0},
			{"more than is free, without waiting", 21, false, forebay.ErrBufferFull, 0},
			{"more than is free, and the time ends", 21, true, context.DeadlineExceeded, time.Second},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := m.Reserve(ctx, c.asked, c.wait)
			cancel()
			full, ok := errors.AsType[*MemoryError](err)
			if !ok || !errors.Is(err, c.cause) || full.Asked != c.asked || full.Used != 80 ||
				full.Limit != 100 || full.Waited != c.took {
				t.Errorf("%s: %+v", c.name, err)
			}
			if want := fmt.Sprintf("%d bytes asked, 80 of 100 used", c.asked); !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
		if err := m.Reserve(t.Context(), 20, false); err != nil {
			t.Errorf("what is free after all: %v", err)
		}
		m.Release(100)
		if used, waiters := m.Used(); used != 0 || waiters != 0 {
			t.Errorf("%d used, %d wait", used, waiters)
		}
	})
}

// A small one does not overtake a large one, and one who leaves lets those behind him in.
func TestMemoryIsFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(100)
		if err := m.Reserve(t.Context(), 90, false); err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var mu sync.Mutex
		var order []forebay.Bytes
		ask := func(ctx context.Context, n forebay.Bytes) {
			all.Go(func() {
				if m.Reserve(ctx, n, true) == nil {
					mu.Lock()
					order = append(order, n)
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		ask(ctx, 95)
		ask(t.Context(), 5)
		ask(t.Context(), 6)
		if err := m.Reserve(t.Context(), 1, false); !errors.Is(err, forebay.ErrBufferFull) {
			t.Errorf("one byte is free, but others wait: %v", err)
		}
		if len(order) != 0 {
			t.Errorf("%v overtook", order)
		}
		leave()
		synctest.Wait()
		if fmt.Sprint(order) != "[5B]" {
			t.Errorf("%v came in when the first one left", order)
		}
		m.Release(90)
		all.Wait()
		if used, _ := m.Used(); fmt.Sprint(order) != "[5B 6B]" || used != 11 {
			t.Errorf("%v came in, %d used", order, used)
		}
	})
}

// W6: whatever is asked, granted, given back and given up, the sum is that of what is held, never above the
// limit, and nobody waits while there is room for the first one.
func TestMemoryAddsUp(t *testing.T) {
	t.Parallel()
	type ask struct {
		n      forebay.Bytes
		cancel bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		limit := forebay.Bytes(rapid.IntRange(1, 50).Draw(rt, "limit"))
		var asks []ask
		for range rapid.IntRange(1, 30).Draw(rt, "asks") {
			asks = append(asks, ask{
				forebay.Bytes(rapid.IntRange(0, 60).Draw(rt, "n")), rapid.IntRange(0, 3).Draw(rt, "cancel") == 0,
			})
		}
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			m := NewMemory(limit)
			var all sync.WaitGroup
			for i, a := range asks {
				all.Go(func() {
					pause(t.Context(), time.Duration(i%7)*time.Second)
					ctx := t.Context()
					if a.cancel {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, time.Duration(i%5)*time.Second)
						defer cancel()
					}
					if m.Reserve(ctx, a.n, true) == nil {
						pause(t.Context(), time.Duration(1+i%3)*time.Second)
						m.Release(a.n)
					}
				})
			}
			for range 40 {
				pause(t.Context(), time.Second/2)
				synctest.Wait()
				m.mu.Lock()
				if m.used < 0 || m.used > limit || len(m.waiters) > 0 && m.waiters[0].want <= limit-m.used {
					problem = fmt.Sprintf("%d of %d used, %d wait", m.used, limit, len(m.waiters))
				}
				m.mu.Unlock()
			}
			all.Wait()
			if used, waiters := m.Used(); used != 0 || waiters != 0 {
				problem = fmt.Sprintf("%d used and %d wait in the end", used, waiters)
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

// One who leaves at the moment in which he is let in gives the bytes back, and lets the next one in.
func TestMemoryThatIsGrantedTooLateComesBack(t *testing.T) {
	t.Parallel()
	m := NewMemory(100)
	first := &memoryWaiter{want: 60, granted: make(chan struct{})}
	next := &memoryWaiter{want: 70, granted: make(chan struct{})}
	m.waiters = []*memoryWaiter{first, next}
	m.Release(0)
	<-first.granted
	if err := m.leave(first, time.Second, context.Canceled); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-next.granted
	if used, waiters := m.Used(); used != 70 || waiters != 0 {
		t.Errorf("%d used, %d wait", used, waiters)
	}
}
