// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

func TestLimiterDoublesToItsMaximumWhereNothingSlowsDown(t *testing.T) {
	s := oneSender(40, &constantLink{latency: about(7, 20*time.Millisecond, time.Millisecond)})
	s.run(t, 10*time.Second)
	if got := s.limitAt(1); got < 36 {
		t.Errorf("limit after 2 s: %d, want about the maximum of 40", got)
	}
	if got := s.limitAt(9); got < 36 {
		t.Errorf("limit at the end: %d, want it to stay near 40", got)
	}
	if state := s.senders[0].State(); state.Paced || state.Latency < 19*time.Millisecond ||
		state.Latency > 21*time.Millisecond {
		t.Errorf("state %+v, want no pace and a latency of 20 ms", state)
	}
}

func TestLimiterGrowsOnlyIfItsLimitWasReached(t *testing.T) {
	l, now := NewLimiter(LimiterConfig{Requests: 100}), simStart
	for range 1000 {
		started := now
		l.Start(1, now)
		l.Start(1, now)
		now = now.Add(10 * time.Millisecond)
		l.Finish(Completion{Size: 1, Started: started, Signal: SignalTaken}, now)
		l.Finish(Completion{Size: 1, Started: started, Signal: SignalTaken}, now)
	}
	if got := l.State().Limit; got > 3 {
		t.Errorf("limit %d after two requests at a time, want at most 3", got)
	}
}

func TestLimiterShrinksOncePerWindowAndNotBelowOne(t *testing.T) {
	l, now := NewLimiter(LimiterConfig{Requests: 100}), simStart
	l.limit = 100
	finish := func(outcome Signal, pressure int) {
		l.Start(1, now)
		started := now
		now = now.Add(10 * time.Millisecond)
		l.Finish(Completion{Size: 1, Started: started, Signal: outcome, Pressure: pressure}, now)
	}
	for range windowCompletions - 1 {
		finish(SignalTimeout, 0)
		if got := l.State().Limit; got != 90 {
			t.Fatalf("limit %d within a window of time-outs, want 90", got)
		}
	}
	for range 100 * windowCompletions {
		finish(SignalTaken, 100)
	}
	if got := l.State(); got.Limit != 1 || got.Reason != ReasonPressure {
		t.Errorf("limit %d (%s) under full queues, want 1 (pressure)", got.Limit, got.Reason)
	}
}

func TestLimiterDoesNotTakeLargeRequestsForASlowTarget(t *testing.T) {
	link := &constantLink{latency: exactly(5 * time.Millisecond), bytes: 20e6}
	s := oneSender(8, link)
	small, large := 2_000, 2_000_000
	size, turns := small, 0
	s.size = func() int {
		if turns++; turns%400 == 0 {
			size = small + large - size
		}
		return size
	}
	s.run(t, 60*time.Second)
	if got := s.senders[0].State().Changes[ReasonLatency]; got > 0 {
		t.Errorf("the limit shrank %d times because of latency, though the link is always the same", got)
	}
	if got := s.senders[0].State().Limit; got != 8 {
		t.Errorf("limit %d, want 8", got)
	}
}

func TestLimiterBoundsBytesInFlightByTheShareOfRequests(t *testing.T) {
	l := NewLimiter(LimiterConfig{Requests: 10, Bytes: 1000})
	l.limit = 5
	if _, ok := l.Ready(5000, simStart); !ok {
		t.Error("a request above the limit of bytes must start when nothing is in flight")
	}
	l.Start(400, simStart)
	if _, ok := l.Ready(101, simStart); ok {
		t.Error("501 bytes in flight, the share of 5 of 10 requests is 500")
	}
	if _, ok := l.Ready(100, simStart); !ok {
		t.Error("500 bytes in flight are allowed")
	}
}

func TestLimiterFollowsItsMaximum(t *testing.T) {
	l := NewLimiter(LimiterConfig{Requests: 10})
	l.limit = 8
	l.SetMax(LimiterConfig{Requests: 3})
	if got := l.State(); got.Limit != 3 || got.Max != 3 || got.Reason != ReasonMaximum {
		t.Errorf("state %+v, want limit 3", got)
	}
	l.SetMax(LimiterConfig{})
	if got := l.State().Limit; got != 1 {
		t.Errorf("limit %d, want at least one", got)
	}
}

// Nothing was refused, but latency rises tenfold at once: the limit falls before the moving average has followed.
func TestLimiterShrinksWhenLatencyRises(t *testing.T) {
	l, now := NewLimiter(LimiterConfig{Requests: 40}), simStart
	took := 10 * time.Millisecond
	rounds := func(n int) {
		for range n {
			started, starting := now, 0
			for _, ok := l.Ready(1, now); ok; _, ok = l.Ready(1, now) {
				l.Start(1, now)
				starting++
			}
			now = now.Add(took)
			for range starting {
				l.Finish(Completion{Size: 1, Started: started, Signal: SignalTaken}, now)
			}
		}
	}
	rounds(100)
	if got := l.State().Limit; got != 40 {
		t.Fatalf("limit %d at a steady latency, want 40", got)
	}
	took = 100 * time.Millisecond
	rounds(3)
	if got := l.State(); got.Limit > 36 || got.Changes[ReasonLatency] == 0 {
		t.Errorf("limit %d (%s) at ten times the latency, want at most 36", got.Limit, got.Reason)
	}
}

// After a first sign of load the limit grows by one per window in which it was reached, and not otherwise.
func TestLimiterGrowsByOnePerWindow(t *testing.T) {
	l, now := NewLimiter(LimiterConfig{Requests: 40}), simStart
	l.slow, l.limit = false, 5
	window := func(together int) {
		for done := 0; done < 2*windowCompletions; done += together {
			started := now
			for range together {
				l.Start(1, now)
			}
			now = now.Add(10 * time.Millisecond)
			for range together {
				l.Finish(Completion{Size: 1, Started: started, Signal: SignalTaken}, now)
			}
		}
	}
	window(4)
	window(4)
	if got := l.State().Limit; got != 5 {
		t.Errorf("limit %d with four of five in flight, want 5", got)
	}
	window(5)
	if got := l.State().Limit; got < 6 || got > 7 {
		t.Errorf("limit %d after two windows in which it was reached, want 6 or 7", got)
	}
}

// A target with a queue that refuses when it is full: capacity 8 / 10 ms = 800 requests a second.
func TestLimiterKeepsAFullQueueFromRefusing(t *testing.T) {
	for seed := range uint64(5) {
		link := &queueLink{service: about(seed, 10*time.Millisecond, time.Millisecond), workers: 8, queue: 16}
		s := oneSender(100, link)
		s.run(t, 40*time.Second)
		rate, refused := s.between(5, 40)
		if rate < 0.85*800 || refused > 0.05 {
			t.Errorf("seed %d: %.0f/s of 800, %.1f %% refused; want 85 %% and under 5 %%", seed, rate, 100*refused)
		}
	}
}

// Latency grows with what is in flight, and nothing is ever refused: the maximum bounds it.
func TestLimiterFillsAQueueingTarget(t *testing.T) {
	for seed := range uint64(5) {
		link := &queueLink{service: about(seed, 10*time.Millisecond, time.Millisecond), workers: 8}
		s := oneSender(100, link)
		s.run(t, 40*time.Second)
		if rate, _ := s.between(5, 40); rate < 0.9*800 {
			t.Errorf("seed %d: %.0f/s of 800", seed, rate)
		}
		if got := s.senders[0].State().Latency; got > 130*time.Millisecond {
			t.Errorf("seed %d: latency %s with at most 100 in flight at 800/s", seed, got)
		}
	}
}

// The same target says how full its queues are: four requests wait for each that is worked on.
func TestLimiterHeedsPressure(t *testing.T) {
	link := &queueLink{service: about(1, 10*time.Millisecond, time.Millisecond), workers: 8, pressure: true}
	s := oneSender(100, link)
	s.run(t, 40*time.Second)
	if rate, _ := s.between(5, 40); rate < 0.9*800 {
		t.Errorf("%.0f/s of 800", rate)
	}
	for i, c := range s.seconds[5:] {
		if mean := c.inflight / float64(max(c.starts, 1)); mean > 8+32*0.9 {
			t.Errorf("second %d: %.0f in flight on average, the queues are full at 40", i+5, mean)
		}
	}
}

func TestLimiterStandsAHeavyTail(t *testing.T) {
	for seed := range uint64(5) {
		s := oneSender(50, &constantLink{latency: heavyTail(seed, 10*time.Millisecond)})
		s.run(t, 60*time.Second)
		low := 50
		for i := 10; i < 60; i++ {
			low = min(low, s.limitAt(i))
		}
		if low < 15 {
			t.Errorf("seed %d: the limit fell to %d of 50, though the tail is always the same", seed, low)
		}
	}
}

func TestLimiterFollowsADropOfCapacityAndItsEnd(t *testing.T) {
	service := 10 * time.Millisecond
	r := rand.New(rand.NewPCG(5, 5))
	link := &queueLink{workers: 8, timeout: 200 * time.Millisecond, service: func() time.Duration {
		return time.Duration((0.9 + 0.2*r.Float64()) * float64(service))
	}}
	s := oneSender(100, link)
	s.run(t, 15*time.Second)
	service = 100 * time.Millisecond // a tenth of the capacity: 100 in flight wait 1.2 s and time out
	s.run(t, 30*time.Second)
	rate, failed := s.between(30, 45)
	if rate < 0.8*80 || failed > 0.1 {
		t.Errorf("%.0f/s of 80 and %.0f %% timed out at a tenth of the capacity", rate, 100*failed)
	}
	service = 10 * time.Millisecond
	s.run(t, 30*time.Second)
	if rate, _ := s.between(60, 75); rate < 0.8*800 {
		t.Errorf("%.0f/s of 800 after the capacity came back", rate)
	}
}

func TestLimiterIsDeterministic(t *testing.T) {
	run := func() ([]tally, LimiterState) {
		link := &rateLink{latency: about(9, 20*time.Millisecond, 5*time.Millisecond), perSec: 200, window: time.Second}
		s := oneSender(50, link)
		s.run(t, 20*time.Second)
		return s.seconds, s.senders[0].State()
	}
	first, firstState := run()
	second, secondState := run()
	if diff := cmp.Diff(first, second, cmp.AllowUnexported(tally{})); diff != "" {
		t.Errorf("the same events, another run (-first +second):\n%s", diff)
	}
	if firstState != secondState {
		t.Errorf("states %+v and %+v", firstState, secondState)
	}
}

// Whatever happens: the limit is within its bounds, what is counted returns to zero, and with nothing in flight a
// request can start, now or at a time that is said and at most retryAfterMax away.
func TestLimiterNeverLocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := LimiterConfig{
			Requests: rapid.IntRange(0, 20).Draw(t, "max"),
			Bytes:    forebay.Bytes(rapid.IntRange(0, 1<<20).Draw(t, "bytes")),
		}
		l, now := NewLimiter(config), simStart
		var flying []Completion
		size := rapid.IntRange(0, 1<<18)
		finish := func(i int, outcome Signal, retryAfter time.Duration) {
			c := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			c.Signal, c.RetryAfter = outcome, retryAfter
			c.Pressure = rapid.SampledFrom([]int{0, 0, 50, 70, 100}).Draw(t, "pressure")
			l.Finish(c, now)
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				n := size.Draw(t, "size")
				if _, ok := l.Ready(n, now); ok {
					l.Start(n, now)
					flying = append(flying, Completion{Size: n, Started: now})
				}
			},
			"finish": func(t *rapid.T) {
				if len(flying) == 0 {
					t.Skip()
				}
				finish(rapid.IntRange(0, len(flying)-1).Draw(t, "which"),
					rapid.SampledFrom([]Signal{
						SignalNone, SignalTaken, SignalTaken, SignalOverload, SignalTimeout,
					}).Draw(t, "signal"),
					rapid.SampledFrom([]time.Duration{0, 0, -1, time.Millisecond, time.Second, 100 * time.Hour}).Draw(t, "wait"))
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "time")))
			},
			"tune": func(t *rapid.T) {
				config.Requests = rapid.IntRange(1, 20).Draw(t, "max")
				l.SetMax(config)
			},
			"": func(t *rapid.T) {
				s := l.State()
				if s.Limit < 1 || s.Limit > s.Max || s.InFlight != len(flying) {
					t.Fatalf("%+v with %d in flight", s, len(flying))
				}
				if s.Paced && (s.Requests < paceMin || s.Bytes <= 0) {
					t.Fatalf("pace %v %v", s.Requests, s.Bytes)
				}
			},
		})
		for len(flying) > 0 {
			finish(0, SignalNone, 0)
		}
		if s := l.State(); s.InFlight != 0 || s.InFlightBytes != 0 {
			t.Fatalf("%+v with nothing in flight", s)
		}
		for range 4 { // the time that is said may have to be asked for again once
			at, ok := l.Ready(1, now)
			if ok {
				return
			}
			if at.IsZero() || at.Before(now) {
				t.Fatalf("nothing in flight, not ready, and ask again at %s (now %s)", at, now)
			}
			if wait := at.Sub(now); wait > retryAfterMax {
				t.Fatalf("the wait is %s", wait)
			}
			now = at
		}
		t.Fatalf("never ready: %+v", l.State())
	})
}
