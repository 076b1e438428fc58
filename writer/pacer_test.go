// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"fmt"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// refusing are the targets that refuse above a rate.
func refusing(perSec float64, latency time.Duration, seed uint64) map[string]*rateLink {
	told := func(exact time.Duration) time.Duration { return exact }
	took := func() func() time.Duration { return about(seed, latency, latency/10) }
	return map[string]*rateLink{
		"fixed window":       {latency: took(), perSec: perSec, window: time.Second},
		"bucket":             {latency: took(), perSec: perSec, burst: perSec},
		"fixed window, told": {latency: took(), perSec: perSec, window: time.Second, tell: told},
		"bucket, told":       {latency: took(), perSec: perSec, burst: perSec, tell: told},
		"small bucket":       {latency: took(), perSec: perSec, burst: max(perSec/5, 4)},
	}
}

// From the fifth second on, the mean over every five seconds lies within 10 % of the rate.
func TestPacerSettlesOnTheRateOfATargetThatRefuses(t *testing.T) {
	for _, perSec := range []float64{20, 100, 1000} {
		for _, latency := range []time.Duration{5 * time.Millisecond, 30 * time.Millisecond} {
			for seed := range uint64(2) {
				for kind, link := range refusing(perSec, latency, seed) {
					t.Run(fmt.Sprintf("%s/rate=%.0f/latency=%s/seed=%d", kind, perSec, latency, seed), func(t *testing.T) {
						t.Parallel()
						s := oneSender(500, link)
						s.late = about(seed, time.Millisecond, time.Millisecond)
						s.run(t, 40*time.Second)
						for from := 5; from+5 <= 40; from++ {
							if rate, _ := s.between(from, from+5); rate < 0.9*perSec || rate > 1.1*perSec {
								t.Errorf("%.1f/s from second %d on, want %.0f/s within 10 %%", rate, from, perSec)
							}
						}
						if _, refused := s.between(5, 40); refused > 0.05 {
							t.Errorf("%.1f %% of requests refused from second 5 on", 100*refused)
						}
					})
				}
			}
		}
	}
}

func TestPacerRecoversWhenTheRateIsLiftedAndDisappears(t *testing.T) {
	for kind, link := range refusing(100, 10*time.Millisecond, 1) {
		t.Run(kind, func(t *testing.T) {
			s := oneSender(20, link)
			s.run(t, 20*time.Second)
			if !s.senders[0].State().Paced {
				t.Fatal("no pace at a target that refuses")
			}
			link.perSec = 0
			s.run(t, 45*time.Second)
			if rate, _ := s.between(35, 40); rate < 0.5*2000 {
				t.Errorf("%.0f/s 15 s after the end of the limit, want half of 2000/s", rate)
			}
			if got := s.senders[0].State(); got.Paced || got.Changes[ReasonPaceGone] == 0 {
				t.Errorf("state %+v, want the pace to be gone", got)
			}
		})
	}
}

func TestPacerFollowsARateThatChanges(t *testing.T) {
	for kind, link := range refusing(100, 10*time.Millisecond, 1) {
		t.Run(kind, func(t *testing.T) {
			s := oneSender(50, link)
			s.run(t, 20*time.Second)
			link.perSec, link.burst = 30, min(link.burst, 30)
			s.run(t, 20*time.Second)
			if rate, refused := s.between(25, 40); rate < 27 || rate > 33 || refused > 0.05 {
				t.Errorf("%.1f/s and %.1f %% refused after the rate fell to 30/s", rate, 100*refused)
			}
			link.perSec = 200
			s.run(t, 30*time.Second)
			if rate, refused := s.between(55, 70); rate < 0.85*200 || rate > 1.1*200 || refused > 0.05 {
				t.Errorf("%.1f/s and %.1f %% refused after the rate rose to 200/s", rate, 100*refused)
			}
		})
	}
}

// A target that limits bytes gets them at its rate, whatever the size of requests.
func TestPacerSettlesOnARateOfBytes(t *testing.T) {
	link := &rateLink{latency: exactly(10 * time.Millisecond), perSec: 1e6, bytes: true, burst: 1e6}
	s := oneSender(50, link)
	sizes, turn := []int{2_000, 30_000, 5_000, 10_000}, 0
	s.size = func() int { turn++; return sizes[turn%len(sizes)] }
	s.run(t, 30*time.Second)
	var bytes int
	for _, c := range s.seconds[5:30] {
		bytes += c.bytes
	}
	if rate := float64(bytes) / 25; rate < 0.9e6 || rate > 1.1e6 {
		t.Errorf("%.0f bytes a second, want 1,000,000 within 10 %%", rate)
	}
}

// A target that is away for a while is tried with single requests, and is soon used again as before.
func TestPacerTriesATargetThatRefusesEverythingOneByOne(t *testing.T) {
	link := &rateLink{latency: exactly(10 * time.Millisecond), perSec: 1e9, burst: 1e9}
	s := oneSender(50, link)
	s.run(t, 10*time.Second)
	link.perSec, link.burst, link.tokens = 1e-9, 0, 0
	s.run(t, 20*time.Second)
	if _, refused := s.between(11, 30); refused != 1 {
		t.Fatal("the target is not away")
	}
	var tried int
	for _, c := range s.seconds[11:30] {
		tried += c.refused
	}
	if tried < 3 || tried > 20 {
		t.Errorf("%d requests in 19 s to a target that refuses all, want a few", tried)
	}
	link.perSec, link.burst, link.tokens = 1e9, 1e9, 1e9
	s.run(t, 30*time.Second)
	if rate, _ := s.between(50, 60); rate < 0.8*5000 {
		t.Errorf("%.0f/s 20 s after it came back, want about 5000/s", rate)
	}
}

// A refusal pauses as long as the target asks for, but not for ever.
func TestPacerHeedsRetryAfter(t *testing.T) {
	for _, c := range []struct{ asked, waited time.Duration }{
		{250 * time.Millisecond, 250 * time.Millisecond},
		{0, backoffFirst},
		{100 * time.Hour, retryAfterMax},
	} {
		l, now := NewLimiter(LimiterConfig{Requests: 5}), simStart
		l.Start(1, now)
		l.Finish(Completion{Size: 1, Started: now, Signal: SignalOverload, RetryAfter: c.asked}, now.Add(time.Millisecond))
		now = now.Add(time.Millisecond)
		if at, ok := l.Ready(1, now); ok || at.Sub(now) != c.waited {
			t.Errorf("asked for %s: ready %t, waits %s, want %s", c.asked, ok, at.Sub(now), c.waited)
		}
		if _, ok := l.Ready(1, now.Add(c.waited)); !ok {
			t.Errorf("asked for %s: not ready afterwards", c.asked)
		}
	}
}

// Several writers of one target share its rate, and together they keep to it.
func TestPacersOfSeveralWritersShareARate(t *testing.T) {
	for kind, link := range refusing(400, 10*time.Millisecond, 1) {
		t.Run(kind, func(t *testing.T) {
			s := senders(4, 50, link)
			s.run(t, 60*time.Second)
			if rate, refused := s.between(10, 60); rate < 0.85*400 || refused > 0.05 {
				t.Errorf("%.0f/s of 400 together, %.1f %% refused", rate, 100*refused)
			}
			for i, taken := range s.each {
				if share := float64(taken) / 60; share < 400.0/4/3 {
					t.Errorf("writer %d had %.0f/s of 100", i, share)
				}
			}
		})
	}
}

func TestSignalOfAnswers(t *testing.T) {
	for code, want := range map[forebay.Code]Signal{
		forebay.CodeOK: SignalTaken, forebay.CodeDuplicate: SignalTaken, forebay.CodeRowsRejected: SignalTaken,
		forebay.CodeOverload: SignalOverload, forebay.CodeTimeout: SignalTimeout,
		forebay.CodeNotLeader: SignalNone, forebay.CodeServerError: SignalNone, 0: SignalNone,
	} {
		if got := SignalOf(forebay.Answer{Code: code}); got != want {
			t.Errorf("code %d: outcome %d, want %d", code, got, want)
		}
	}
}

// What one refusal asks for is not shortened by the refusal of a trial that began before it.
func TestATrialThatIsRefusedDoesNotShortenTheWait(t *testing.T) {
	t.Parallel()
	l := NewLimiter(LimiterConfig{Requests: 4})
	l.limit = 4
	begun := simStart
	for range 2 {
		l.Start(1, begun)
	}
	l.Finish(Completion{Size: 1, Started: begun, Signal: SignalOverload}, begun)
	trial := begun.Add(time.Second)
	l.Start(1, trial)
	asked := trial.Add(time.Millisecond)
	l.Finish(Completion{Size: 1, Started: begun, Signal: SignalOverload, RetryAfter: 2 * time.Second}, asked)
	l.Finish(Completion{Size: 1, Started: trial, Signal: SignalOverload}, asked)
	if at, ok := l.Ready(1, asked); ok || at.Before(asked.Add(2*time.Second)) {
		t.Errorf("the next trial may start at %s; the target asked for 2s from %s", at, asked)
	}
}
