// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// warm lets the limiter begin with as many requests as the window allows, as after a while of good answers.
func (s *shell) warm() {
	s.writer.mu.Lock()
	defer s.writer.mu.Unlock()
	s.writer.core.limited.limiter.limit = MaxInflightDefault
}

// sends are the tablets of the requests that the core sends.
func sends(c *core) (tablets []int, actions []action) {
	actions = c.take()
	for _, a := range actions {
		if a.kind == actSend {
			tablets = append(tablets, a.tablet)
		}
	}
	return tablets, actions
}

func limitedCore(tuning Tuning) *core {
	c := newCore(coreConfig{tuning: tuning, idempotent: true, limits: true, bytes: forebay.MiB})
	c.identify("w", nil, simStart)
	return c
}

// With room for one request, tablets take turns, however much one of them has to send.
func TestTabletsTakeTurnsWhereTheLimitIsReached(t *testing.T) {
	c, now := limitedCore(Tuning{BatchSize: 1, MaxInflight: 2}), simStart
	for range 8 {
		c.add(0, 1, now)
	}
	for tablet := 1; tablet < 3; tablet++ {
		for range 2 {
			c.add(tablet, 1, now)
		}
	}
	var order []int
	inFlight, actions := sends(c)
	for len(inFlight) > 0 {
		order = append(order, inFlight...)
		var next []int
		for _, a := range actions {
			if a.kind != actSend {
				continue
			}
			now = now.Add(time.Millisecond)
			// Time-outs keep the limit at one; the attempt is made again.
			c.reply(response{tablet: a.tablet, id: a.id, attempt: a.attempt, answer: forebay.Answer{Code: forebay.CodeOK}}, now)
			c.limited.limiter.limit = 1
		}
		next, actions = sends(c)
		inFlight = next
	}
	last := map[int]int{}
	for i, tablet := range order {
		last[tablet] = i
	}
	if len(order) != 12 || last[1] > 8 || last[2] > 8 {
		t.Errorf("order %v: tablets 1 and 2 have two requests each and must not wait for all of tablet 0", order)
	}
}

// Whatever is answered, everything settles, nothing passes the limit, and the core always says when to go on.
func TestLimitedCoreComesToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tuning := Tuning{
			BatchSize: 1, MaxInflight: rapid.IntRange(1, 5).Draw(t, "inflight"), Retries: forebay.Unlimited,
		}
		c, now := limitedCore(tuning), simStart
		total := rapid.IntRange(1, 60).Draw(t, "requests")
		for range total {
			c.add(rapid.IntRange(0, 3).Draw(t, "tablet"), rapid.IntRange(1, 1<<19).Draw(t, "size"), now)
		}
		var flying []action
		settled := 0
		for steps := 0; settled < total; steps++ {
			if steps > 100*total {
				t.Fatalf("%d of %d settled after %d steps: %+v", settled, total, steps, c.limited.limiter.State())
			}
			for _, a := range c.take() {
				switch a.kind {
				case actSend:
					flying = append(flying, a)
				case actSettle:
					settled++
				default:
				}
			}
			if s := c.limited.limiter.State(); s.InFlight != len(flying) || s.InFlight > s.Limit && s.InFlight > s.Max {
				t.Fatalf("%d in flight: %+v", len(flying), s)
			}
			wake := c.wake()
			switch {
			case len(flying) > 0 && (wake.IsZero() || rapid.Bool().Draw(t, "answer")):
				i := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
				a := flying[i]
				flying = append(flying[:i], flying[i+1:]...)
				now = now.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "ms")) * time.Millisecond)
				answer := forebay.Answer{Code: rapid.SampledFrom([]forebay.Code{200, 200, 200, 429}).Draw(t, "code")}
				answer.RetryAfter = rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second}).Draw(t, "after")
				if a.sequence != c.queues[a.tablet].sent[0].sequence {
					answer.Code = forebay.CodeSequenceGap // the target takes numbers in their order
				}
				c.reply(response{tablet: a.tablet, id: a.id, attempt: a.attempt, answer: answer}, now)
			case !wake.IsZero():
				if wake.After(now) {
					now = wake
				}
				c.tick(now)
			case settled < total:
				t.Fatalf("%d of %d settled, nothing in flight and no time to wake: %+v", settled, total,
					c.limited.limiter.State())
			}
		}
		if s := c.limited.limiter.State(); s.InFlight != 0 {
			t.Fatalf("%+v after everything has settled", s)
		}
	})
}

// refusingTarget answers for a rateLink in a bubble, after its latency.
type refusingTarget struct {
	mu             sync.Mutex
	link           *rateLink
	began          time.Time
	taken, refused []int // by second
}

func (r *refusingTarget) send(b *fakeBackend) func(context.Context, *forebay.Request) forebay.Answer {
	return func(ctx context.Context, q *forebay.Request) forebay.Answer {
		r.mu.Lock()
		now := time.Now()
		f := r.link.arrive(now, len(q.Data))
		r.mu.Unlock()
		select {
		case <-time.After(f.took):
		case <-ctx.Done():
			return forebay.Answer{Code: forebay.CodeTimeout}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		second := int(time.Since(r.began) / time.Second)
		for len(r.taken) <= second {
			r.taken, r.refused = append(r.taken, 0), append(r.refused, 0)
		}
		if f.outcome == SignalOverload {
			r.refused[second]++
			return forebay.Answer{Code: forebay.CodeOverload, RetryAfter: f.retryAfter}
		}
		r.taken[second]++
		return b.apply(q)
	}
}

func (r *refusingTarget) between(from, to int) (rate, refused float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken, no := 0, 0
	for i := from; i < min(to, len(r.taken)); i++ {
		taken += r.taken[i]
		no += r.refused[i]
	}
	return float64(taken) / float64(to-from), float64(no) / float64(max(taken+no, 1))
}

// The whole writer against a target that refuses above 200 requests a second, with requests of few rows: within 10 %
// of the rate from the fifth second on and under 5 % refused; when the limit is lifted the rate at least doubles.
func TestWriterSettlesOnTheRateOfATargetThatRefuses(t *testing.T) {
	const perSec = 200
	for kind, link := range refusing(perSec, 10*time.Millisecond, 1) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &shell{t: t, backend: newBackend()}
				s.backend.tablets = 4
				target := &refusingTarget{link: link, began: time.Now()}
				s.backend.send = target.send(s.backend)
				var err error
				s.writer, err = New(s.backend, forebay.NewLayout(fakeSchema()), Config{
					Tuning: Tuning{BatchSize: 100, Retries: forebay.Unlimited}, BufferMemory: 64 * forebay.KiB,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer s.end()
				ctx, stop := context.WithTimeout(t.Context(), 24*time.Second)
				defer stop()
				lift := time.AfterFunc(15*time.Second, func() {
					target.mu.Lock()
					defer target.mu.Unlock()
					link.perSec = 0
				})
				defer lift.Stop()
				r := rand.New(rand.NewPCG(1, 1))
				for {
					if _, err := s.writer.Append(ctx, fakeRow(r.Int64N(1<<40))); err != nil {
						break
					}
				}
				most := 1.1*perSec + link.burst/5 // a target with a bucket may take what it had saved up
				for from := 5; from+5 <= 15; from++ {
					if rate, refused := target.between(from, from+5); rate < 0.9*perSec || rate > most || refused > 0.05 {
						t.Errorf("%.0f/s and %.1f %% refused from second %d on", rate, 100*refused, from)
					}
				}
				if rate, _ := target.between(22, 24); rate < 2*perSec {
					t.Errorf("%.0f/s 7 s after the end of the limit", rate)
				}
			})
		})
	}
}
