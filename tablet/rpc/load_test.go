// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// loadClock moves a load through time.
type loadClock struct {
	t   *testing.T
	now time.Time
	l   load
}

func newLoadClock(t *testing.T, most amount) *loadClock {
	return &loadClock{t: t, now: time.Unix(1000, 0), l: load{most: most, first: 20 * time.Millisecond}}
}

func (c *loadClock) enter(bytes int64) {
	c.t.Helper()
	if _, fits := c.l.enter(bytes, c.now); !fits {
		c.t.Fatalf("%d bytes do not fit beside %+v", bytes, c.l.inside)
	}
}

func (c *loadClock) refused(bytes int64) time.Duration {
	c.t.Helper()
	after, fits := c.l.enter(bytes, c.now)
	if fits {
		c.t.Fatalf("%d bytes fit beside %+v", bytes, c.l.inside)
	}
	return after
}

// flow has so many requests of a size come and go, one each step.
func (c *loadClock) flow(n int, bytes int64, step time.Duration) {
	for range n {
		c.now = c.now.Add(step)
		c.l.leave(bytes, c.now)
		c.enter(bytes)
	}
}

// near fails unless a delay is what the rate makes of it, within a tenth.
func (c *loadClock) near(got, want time.Duration) {
	c.t.Helper()
	if got < want*9/10 || got > want*11/10 {
		c.t.Errorf("told to wait %s, want about %s", got, want)
	}
}

// Before anything was measured a refused request is told the fixed delay; then what its room takes to become free.
func TestARefusedRequestIsToldHowLongItsRoomTakes(t *testing.T) {
	t.Parallel()
	c := newLoadClock(t, amount{requests: 100, bytes: 1000})
	for range 10 {
		c.enter(100)
	}
	c.near(c.refused(100), 20*time.Millisecond)
	c.flow(50, 100, 10*time.Millisecond) // 10,000 bytes a second
	c.near(c.refused(100), 25*time.Millisecond)
	c.near(c.refused(500), 50*time.Millisecond)
	c.near(c.refused(1000), 100*time.Millisecond)
	c.flow(50, 100, 100*time.Millisecond) // a tenth of it
	c.near(c.refused(100), 250*time.Millisecond)
	c.flow(300, 100, time.Millisecond)
	if got := c.refused(100); got != retryAfterMin {
		t.Errorf("with 100,000 bytes a second: told to wait %s", got)
	}
}

func TestARefusedRequestIsToldHowLongItsPlaceTakes(t *testing.T) {
	t.Parallel()
	c := newLoadClock(t, amount{requests: 8}) // such as readers, which have no bytes
	for range 8 {
		c.enter(0)
	}
	c.flow(20, 0, 200*time.Millisecond)
	c.near(c.refused(0), 400*time.Millisecond) // for a quarter of them
	if got := c.l.percent(); got != 100 {
		t.Errorf("%d percent full", got)
	}
}

// While nothing leaves, who comes is sent away for longer and longer; time with nothing inside says nothing.
func TestWhenNothingLeavesTheDelayGrows(t *testing.T) {
	t.Parallel()
	c := newLoadClock(t, amount{requests: 4, bytes: 1000})
	for range 4 {
		c.enter(10)
	}
	c.flow(100, 10, 5*time.Millisecond)
	before := c.refused(10)
	c.now = c.now.Add(700 * time.Millisecond)
	c.near(c.refused(10), 700*time.Millisecond)
	c.now = c.now.Add(time.Minute)
	if got := c.refused(10); got != retryAfterMax {
		t.Errorf("after a minute: %s", got)
	}
	fresh := newLoadClock(t, amount{requests: 4, bytes: 1000})
	for range 30 { // nothing is inside for an hour between one request and the next
		for range 4 {
			fresh.enter(10)
		}
		fresh.flow(10, 10, 5*time.Millisecond)
		for range 4 {
			fresh.now = fresh.now.Add(5 * time.Millisecond)
			fresh.l.leave(10, fresh.now)
		}
		fresh.now = fresh.now.Add(time.Hour)
	}
	for range 4 {
		fresh.enter(10)
	}
	if got := fresh.refused(10); got != before {
		t.Errorf("with idle hours between: told to wait %s, want %s", got, before)
	}
}

// RP3: whatever comes, goes and pauses, the delay is in its bounds.
func TestTheDelayHasBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := load{most: amount{requests: 5, bytes: 1000}, first: time.Millisecond}
		now := time.Unix(1000, 0)
		var inside []int64
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "pause")))
			if len(inside) > 0 && rapid.Bool().Draw(t, "leaves") {
				l.leave(inside[0], now)
				inside = inside[1:]
				continue
			}
			size := rapid.Int64Range(0, 600).Draw(t, "size")
			after, fits := l.enter(size, now)
			if fits {
				inside = append(inside, size)
			} else if after < retryAfterMin || after > retryAfterMax {
				t.Fatalf("told to wait %s", after)
			}
		}
	})
}
