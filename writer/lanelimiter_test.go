// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// laneCrowd is lanes that share a limiter and a target, each on a goroutine of its own.
type laneCrowd struct {
	limiter *LaneLimiter
	// answer is asked for each commit once the target has it; it may wait.
	answer func(ctx context.Context) forebay.Answer

	mu      sync.Mutex
	flying  int
	widest  int
	sent    int
	refused int
}

// Commit is the target.
func (c *laneCrowd) commit(ctx context.Context) forebay.Answer {
	c.mu.Lock()
	c.flying++
	c.sent++
	c.widest = max(c.widest, c.flying)
	c.mu.Unlock()
	a := c.answer(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flying--
	if a.Code == forebay.CodeOverload {
		c.refused++
	}
	return a
}

// runLane delivers so many commits, one after the other, sending each again until it is taken.
func (c *laneCrowd) runLane(ctx context.Context, commits int) error {
	for range commits {
		for {
			started, err := c.limiter.start(ctx, 1000)
			if err != nil {
				return err
			}
			a := c.commit(ctx)
			c.limiter.finish(1000, started, &a)
			if a.Code == forebay.CodeOK {
				break
			}
		}
	}
	return nil
}

// However many lanes there are, one commit is tried first, and more as the target answers.
func TestLaneLimiterBeginsWithOneCommitAndGrowsToAllWindows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &laneCrowd{limiter: NewLaneLimiter(6, 2, time.Now)}
		c.answer = func(ctx context.Context) forebay.Answer {
			pause(ctx, 50*time.Millisecond)
			return forebay.Answer{Code: forebay.CodeOK}
		}
		if s := c.limiter.State(); s.Limit != 1 || s.Max != 12 {
			t.Errorf("limit %d of %d, want 1 of 12", s.Limit, s.Max)
		}
		var lanes sync.WaitGroup
		for range 30 { // more than there is room for
			lanes.Go(func() {
				if err := c.runLane(t.Context(), 20); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		c.mu.Lock()
		first := c.flying
		c.mu.Unlock()
		if first != 1 {
			t.Errorf("%d commits at first, want 1", first)
		}
		lanes.Wait()
		if s := c.limiter.State(); c.widest != 12 || s.InFlight != 0 || s.Reason != ReasonRoom {
			t.Errorf("at most %d in flight, want 12; %+v", c.widest, s)
		}
		c.limiter.SetWindow(1)
		if s := c.limiter.State(); s.Limit != 6 || s.Max != 6 || s.Reason != ReasonMaximum {
			t.Errorf("with a window of 1: %+v", s)
		}
	})
}

// After a refusal single commits are tried, not before the target asked for it, and then the pace is the target's.
func TestLaneLimiterHeedsRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perSecond = 20
		c := &laneCrowd{limiter: NewLaneLimiter(4, 3, time.Now)}
		taken, second := 0, time.Now()
		c.answer = func(context.Context) forebay.Answer {
			c.mu.Lock()
			defer c.mu.Unlock()
			if now := time.Now(); now.Sub(second) >= time.Second {
				taken, second = 0, now
			}
			if taken++; taken > perSecond {
				left := time.Second - time.Since(second)
				return forebay.Answer{Code: forebay.CodeOverload, RetryAfter: left}
			}
			return forebay.Answer{Code: forebay.CodeOK}
		}
		began := time.Now()
		var lanes sync.WaitGroup
		for range 4 {
			lanes.Go(func() {
				if err := c.runLane(t.Context(), 150); err != nil {
					t.Error(err)
				}
			})
		}
		lanes.Wait()
		took := time.Since(began).Seconds()
		if ideal := 600.0 / perSecond; took > 1.5*ideal {
			t.Errorf("%.0f s for what takes %.0f s", took, ideal)
		}
		if c.refused == 0 || c.refused > 60 {
			t.Errorf("%d of %d refused", c.refused, c.sent)
		}
		if s := c.limiter.State(); s.Changes[ReasonOverload] == 0 {
			t.Errorf("no refusal was noted: %+v", s)
		}
	})
}

// A lane that stops waiting lets those behind it go on, and counts for nothing.
func TestLaneLimiterForgetsWhoLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLaneLimiter(1, 1, time.Now)
		started, err := l.start(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, leave := context.WithCancelCause(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := l.start(ctx, 1); !errors.Is(err, gone) {
				t.Errorf("got %v, want %v", err, gone)
			}
		})
		synctest.Wait()
		waiting.Go(func() {
			at, err := l.start(t.Context(), 1)
			if err != nil {
				t.Error(err)
			}
			l.finish(1, at, &forebay.Answer{Code: forebay.CodeOK})
		})
		synctest.Wait()
		leave(gone)
		synctest.Wait()
		l.finish(1, started, &forebay.Answer{Code: forebay.CodeOK})
		waiting.Wait()
		if s := l.State(); s.InFlight != 0 || s.InFlightBytes != 0 || len(l.queue) != 0 {
			t.Errorf("something is left: %+v", s)
		}
	})
}

// Whatever the target answers and whoever gives up, nobody waits for ever and nothing stays counted.
func TestLaneLimiterLosesNobody(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		lanes := rapid.IntRange(1, 5).Draw(rt, "lanes")
		window := rapid.IntRange(1, 3).Draw(rt, "window")
		codes := rapid.SliceOfN(rapid.SampledFrom([]forebay.Code{
			forebay.CodeOK, forebay.CodeOK, forebay.CodeOverload, forebay.CodeTimeout, forebay.CodeSequenceGap,
		}), 1, 60).Draw(rt, "codes")
		patience := rapid.SliceOfN(rapid.IntRange(1, 5000), lanes, lanes).Draw(rt, "patience")
		ok := t.Run("schedule", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &laneCrowd{limiter: NewLaneLimiter(lanes, window, time.Now)}
				n := 0
				c.answer = func(ctx context.Context) forebay.Answer {
					pause(ctx, 10*time.Millisecond)
					c.mu.Lock()
					defer c.mu.Unlock()
					if n++; n > len(codes) {
						return forebay.Answer{Code: forebay.CodeOK}
					}
					return forebay.Answer{Code: codes[n-1], RetryAfter: time.Millisecond}
				}
				var work sync.WaitGroup
				for i := range lanes {
					work.Go(func() {
						ctx := context.Background()
						if i > 0 { // the first one never gives up
							var cancel context.CancelFunc
							ctx, cancel = context.WithTimeout(ctx, time.Duration(patience[i])*time.Millisecond)
							defer cancel()
						}
						if err := c.runLane(ctx, 20); err != nil && i == 0 {
							t.Errorf("lane 0: %v", err)
						}
					})
				}
				work.Wait()
				if s := c.limiter.State(); s.InFlight != 0 || s.InFlightBytes != 0 || c.widest > lanes*window {
					t.Errorf("%+v, at most %d in flight", s, c.widest)
				}
			})
		})
		if !ok {
			rt.Fatalf("%d lanes, window %d, answers %v, patience %v ms", lanes, window, codes, patience)
		}
	})
}
