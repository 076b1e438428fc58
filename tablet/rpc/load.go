// SPDX-License-Identifier: Apache-2.0

package rpc

import "time"

// amount is a number of requests and their bytes.
type amount struct {
	requests int
	bytes    int64
}

// load is what is inside some bounds, and how fast it leaves. It is pure: now comes in.
//
// Concurrency: the caller's lock.
type load struct {
	most   amount // bytes 0 is no bound
	first  time.Duration
	inside amount
	out    outflow
}

// enter counts a request that fits. One that does not is told how long to stay away.
func (l *load) enter(bytes int64, now time.Time) (after time.Duration, ok bool) {
	over := amount{requests: l.inside.requests + 1 - l.most.requests, bytes: l.inside.bytes + bytes - l.most.bytes}
	if l.most.bytes == 0 {
		over.bytes = 0
	}
	if over.requests > 0 || over.bytes > 0 {
		return l.out.time(over, l.inside, l.first, now), false
	}
	if l.inside.requests == 0 {
		l.out.since, l.out.last = now, now
	}
	l.inside.requests++
	l.inside.bytes += bytes
	return 0, true
}

// leave takes a request back that entered.
func (l *load) leave(bytes int64, now time.Time) {
	l.inside.requests--
	l.inside.bytes -= bytes
	l.out.left(bytes, now)
}

// percent is how full the bounds are.
func (l *load) percent() int {
	full := int64(l.inside.requests) * 100 / int64(l.most.requests)
	if l.most.bytes > 0 {
		full = max(full, l.inside.bytes*100/l.most.bytes)
	}
	return int(full)
}

// Bounds of the delay that a refused request is told.
const (
	retryAfterMin = 5 * time.Millisecond
	retryAfterMax = 2 * time.Second
)

// outflowSample is how much time with something inside a sample of the rate takes, and outflowWeight the share of the
// newest one.
const (
	outflowSample = 20 * time.Millisecond
	outflowWeight = 0.3
)

// outflow measures how fast what is inside leaves: only the time counts in which something is.
type outflow struct {
	requests, bytes float64 // per second; 0 before anything was measured

	sample amount        // left since the last sample
	busy   time.Duration // of which so much time counts
	since  time.Time     // when busy was added up last
	last   time.Time     // when something left, or came in after nothing was inside
}

func (o *outflow) left(bytes int64, now time.Time) {
	o.busy += max(0, now.Sub(o.since))
	o.since, o.last = now, now
	o.sample.requests++
	o.sample.bytes += bytes
	if o.busy < outflowSample {
		return
	}
	o.requests = o.moved(o.requests, float64(o.sample.requests))
	o.bytes = o.moved(o.bytes, float64(o.sample.bytes))
	o.sample, o.busy = amount{}, 0
}

// moved is a rate after one more sample.
func (o *outflow) moved(rate, count float64) float64 {
	now := count / o.busy.Seconds()
	if rate == 0 {
		return now
	}
	return rate + outflowWeight*(now-rate)
}

// time is how long the excess takes to leave: at least as long as a quarter of what is inside, so that those who are
// refused together do not all come back for the first free place, and as long as nothing has left for.
func (o *outflow) time(excess, inside amount, unknown time.Duration, now time.Time) time.Duration {
	seconds := 0.0
	if excess.requests > 0 && o.requests > 0 {
		seconds = float64(max(excess.requests, inside.requests/4)) / o.requests
	}
	if excess.bytes > 0 && o.bytes > 0 {
		seconds = max(seconds, float64(max(excess.bytes, inside.bytes/4))/o.bytes)
	}
	wait := unknown
	if seconds > 0 {
		wait = time.Duration(min(seconds, retryAfterMax.Seconds()) * float64(time.Second))
	}
	return min(max(wait, now.Sub(o.last), retryAfterMin), retryAfterMax)
}
