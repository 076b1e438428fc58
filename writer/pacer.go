// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"math"
	"time"
)

// The constants of the pacer; docs/limiter.md gives the source of each.
const (
	paceMargin    = 0.99 // of the rate that was accepted
	paceKept      = 0.7  // of a pace that held for paceHold is kept at a refusal
	paceMin       = 0.5  // requests per second
	paceHold      = 2 * time.Second
	paceHoldMax   = 10 * time.Second
	paceRefused   = 0.02 // share of refused requests that probing may cost
	paceStep      = time.Second
	paceGain      = 0.01 // of the first step up; it doubles with each that holds
	paceGainFirst = 0.25 // when there is no pace yet; half as much after each refusal
	paceGainMax   = 1.0
	paceExpires   = 10 * time.Second
	paceBurst     = 10 * time.Millisecond
	trialGrowth   = 1.25
	retryAfterMax = 30 * time.Second
)

// rate is a number of requests and bytes, or so many per second.
type rate struct{ requests, bytes float64 }

func (r *rate) add(requests, bytes float64) { r.requests, r.bytes = r.requests+requests, r.bytes+bytes }

func (r *rate) times(f float64) rate { return rate{r.requests * f, r.bytes * f} }

func atMost(a, b rate) rate { return rate{min(a.requests, b.requests), min(a.bytes, b.bytes)} }

func atLeast(a, b rate) rate { return rate{max(a.requests, b.requests), max(a.bytes, b.bytes)} }

// pacer spaces requests where the target refuses above a rate.
//
// A refusal closes it: single requests are tried until one is taken, which opens it again. Between two openings
// a target that limits a rate takes exactly that rate, be it by fixed windows or by a bucket of tokens, for both
// began with what an opening leaves. So the pace is what was accepted since the last opening. It is then held,
// and raised in steps that double while nothing is refused.
type pacer struct {
	on     bool
	pace   rate // per second
	tokens rate // what may start now; below zero it was started ahead
	filled time.Time
	bound  time.Time // when the pace last held a request up
	held   time.Time // the same, since the last opening

	epoch    time.Time // what was accepted is counted from here
	accepted rate
	recent   time.Time // without a pace, epoch moves on to here
	newer    rate      // accepted since recent

	closed   bool
	closedAt time.Time
	until    time.Time // when the next trial may start
	told     time.Duration
	trial    bool // one is under way
	trials   int  // that were refused
	refused  int  // beside trials
	opened   time.Time

	holdEnds  time.Time
	holdLasts time.Time // whatever was accepted
	owed      float64   // requests to be accepted before the pace is raised
	probe     float64   // the first gain after an opening
	gain      float64   // of the next step
	step      time.Time
	stepBound bool
	stepTook  int // accepted in this step
}

// ready reports whether the pace lets a request start; gone says that the pace has just ended.
func (p *pacer) ready(now time.Time) (at time.Time, ok, gone bool) {
	if p.closed {
		switch {
		case p.trial:
			return time.Time{}, false, false
		case now.Before(p.until):
			return p.until, false, false
		}
		return time.Time{}, true, false
	}
	if !p.on {
		return time.Time{}, true, false
	}
	if now.Sub(p.bound) >= paceExpires {
		p.off(now)
		return time.Time{}, true, true
	}
	p.fill(now)
	wait := max(-p.tokens.requests/p.pace.requests, -p.tokens.bytes/p.pace.bytes)
	if wait <= 0 {
		return time.Time{}, true, false
	}
	p.bound, p.stepBound, p.held = now, true, now
	return now.Add(time.Duration(math.Ceil(wait * float64(time.Second)))), false, false
}

// binding says that a refusal now is one of the pace, not of the requests in flight.
func (p *pacer) binding(now time.Time) bool { return p.on && now.Sub(p.held) < paceStep }

// fill adds the tokens of the time that has passed.
func (p *pacer) fill(now time.Time) {
	passed := now.Sub(p.filled).Seconds()
	p.filled = now
	p.tokens.add(p.pace.requests*passed, p.pace.bytes*passed)
	p.tokens = atMost(p.tokens, p.pace.times(paceBurst.Seconds()))
}

func (p *pacer) off(now time.Time) {
	*p = pacer{epoch: now, recent: now, opened: p.opened}
}

// start counts a request.
func (p *pacer) start(size int, now time.Time) {
	switch {
	case p.closed:
		p.trial = true
	case p.on:
		// A pace that was measured with small requests must not keep a large one back for long: no debt is larger
		// than what the least pace would wait for.
		p.tokens.add(-1, -float64(size))
		p.tokens = atLeast(p.tokens, p.pace.times(-1/paceMin))
	case p.epoch.IsZero():
		p.epoch, p.recent = now, now
	}
}

// finish counts an answer. changed says that a refusal closed the pacer, raised that the pace went up.
func (p *pacer) finish(c Completion, now time.Time) (changed, raised bool) {
	tried := p.closed && c.Started.After(p.closedAt)
	switch {
	case c.Signal == SignalOverload && p.closed:
		p.stillClosed(c, tried, now)
	case c.Signal == SignalOverload:
		if !c.Started.Before(p.opened) {
			p.close(c.RetryAfter, now)
			changed = true
		}
	case c.Signal == SignalTaken:
		if tried {
			p.open(c, now)
			break
		}
		p.accept(c.Size, now)
		if p.on && !p.closed {
			raised = p.raise(now)
		}
	case tried:
		p.trialFailed(now)
	}
	return changed, raised
}

// accept counts what was taken. Without a pace, the count covers the last five to ten seconds.
func (p *pacer) accept(size int, now time.Time) {
	p.accepted.add(1, float64(size))
	p.stepTook++
	if p.on || p.closed {
		return
	}
	p.newer.add(1, float64(size))
	if now.Sub(p.recent) >= paceExpires/2 {
		p.epoch, p.accepted = p.recent, p.newer
		p.recent, p.newer = now, rate{}
	}
}

func (p *pacer) close(told time.Duration, now time.Time) {
	p.closed, p.closedAt, p.trial, p.trials, p.refused = true, now, false, 0, 1
	p.told = min(told, retryAfterMax)
	p.until = now.Add(p.trialWait())
}

func (p *pacer) stillClosed(c Completion, tried bool, now time.Time) {
	p.told = min(max(c.RetryAfter, 0), retryAfterMax)
	if tried {
		p.trialFailed(now)
		return
	}
	p.refused++
	if until := now.Add(p.told); until.After(p.until) {
		p.until = until
	}
}

// trialFailed has the next trial wait, and longer where another refusal asked for it meanwhile.
func (p *pacer) trialFailed(now time.Time) {
	p.trial = false
	p.trials++
	if until := now.Add(p.trialWait()); until.After(p.until) {
		p.until = until
	}
}

// trialWait is the time to the next trial: what the target asks for, else the first back-off, and more after
// each trial that was refused.
func (p *pacer) trialWait() time.Duration {
	first := p.told
	if first <= 0 {
		first = backoffFirst
	}
	wait := float64(first) * math.Pow(trialGrowth, float64(p.trials))
	return time.Duration(min(wait, float64(max(first, backoffMax))))
}

// open begins a new stretch of requests with the trial that was taken, at the pace that was accepted since the
// last opening.
func (p *pacer) open(trial Completion, now time.Time) {
	opened := p.opened
	if opened.Before(p.epoch) {
		opened = p.epoch
	}
	before := p.pace
	if !p.on {
		before = p.accepted.times(1 / seconds(p.epoch, p.closedAt))
	}
	size := float64(trial.Size)
	switch {
	case p.on && !p.binding(p.closedAt) && p.trials == 0 && p.told == 0:
		// Too much was in flight: the pace had no part in it, and stays.
		p.epoch, p.accepted = trial.Started, rate{1, size}
	case p.accepted.requests >= windowCompletions || !p.on:
		next := atMost(p.accepted.times(paceMargin/seconds(p.epoch, trial.Started)), before)
		if p.closedAt.Sub(opened) >= paceHold {
			next = atLeast(next, before.times(paceKept))
		}
		p.pace = next
		p.epoch, p.accepted = trial.Started, rate{1, size}
	default: // too few to measure: go slower, and count on
		p.pace = before.times(decreaseRatio)
		p.accepted.add(1, size)
	}
	p.pace = atLeast(p.pace, rate{paceMin, paceMin * max(size, 1)})
	p.owed, p.probe = float64(p.refused)/paceRefused, max(p.probe/2, paceGain)
	p.holdEnds, p.holdLasts = now.Add(paceHold), now.Add(paceHoldMax)
	if !p.on { // what was refused so far no pace could have kept from it
		p.owed, p.probe, p.holdEnds = 0, paceGainFirst, now.Add(paceStep)
	}
	p.on, p.closed, p.trial, p.held, p.opened, p.bound = true, false, false, time.Time{}, now, now
	p.filled, p.tokens = trial.Started, atLeast(rate{-1, -size}, p.pace.times(-1/paceMin))
	p.gain, p.step, p.stepTook, p.stepBound = p.probe, time.Time{}, 0, false
}

func seconds(from, to time.Time) float64 { return max(to.Sub(from).Seconds(), latencyGrain) }

// raise ends the hold or a step that is over.
func (p *pacer) raise(now time.Time) bool {
	if p.step.IsZero() {
		if now.Before(p.holdEnds) || float64(p.stepTook) < p.owed && now.Before(p.holdLasts) {
			return false
		}
	} else if now.Sub(p.step) < paceStep || p.stepTook < windowCompletions {
		return false
	}
	bound := p.stepBound
	p.step, p.stepTook, p.stepBound = now, 0, false
	if !bound {
		return false // nobody waited for it: there is no evidence for more
	}
	p.fill(now)
	p.pace = p.pace.times(1 + p.gain)
	p.gain = min(2*p.gain, paceGainMax)
	return true
}
