// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"math"
	"math/bits"
	"time"

	"github.com/forebay-io/forebay"
)

// The constants of the limiter; docs/limiter.md gives the source of each.
const (
	windowCompletions = 16  // a decision rests on at least so many answers
	decreaseRatio     = 0.9 // of the limit, at a sign of load
	latencyWeight     = 0.4 // of a new measurement in the moving averages
	deviationFirst    = 0.5 // of the mean, before there is a second measurement
	deviationScale    = 2.5 // deviations above the mean that count as a slower target
	latencyGrain      = 1e-6

	pressureHolds = 60 // percent of the target's queues at which the limit does not grow
	pressureCuts  = 80 // and at which it shrinks
)

// Signal is what an answer says about the target's load.
type Signal uint8

// The signals. The zero value says nothing about load.
const (
	SignalNone     Signal = iota
	SignalTaken           // taken; its latency counts
	SignalOverload        // refused for now: 429, or an http target's 503
	SignalTimeout         // no answer in time
)

// SignalOf is what an answer of a tablet says about load.
func SignalOf(answer forebay.Answer) Signal {
	switch answer.Code {
	case forebay.CodeOK, forebay.CodeDuplicate, forebay.CodeRowsRejected:
		return SignalTaken
	case forebay.CodeOverload:
		return SignalOverload
	case forebay.CodeTimeout:
		return SignalTimeout
	default:
		return SignalNone
	}
}

// Completion is the end of a request that was started.
type Completion struct {
	Size    int
	Started time.Time // the same as given to Start
	Signal  Signal
	// RetryAfter is how long the target asks to wait; 0 where it does not say.
	RetryAfter time.Duration
	// Pressure is how full the target's queues are, from 0 to 100; 0 where it does not say.
	Pressure int
}

// Reason says why the limiter last changed something.
type Reason uint8

// Why a limit or a pace changed.
const (
	ReasonStart      Reason = iota // nothing has changed yet
	ReasonRoom                     // the limit was reached and latency did not rise
	ReasonLatency                  // latency rose above its usual deviation
	ReasonOverload                 // the target refused a request
	ReasonTimeout                  // an answer did not come in time
	ReasonPressure                 // the target said that its queues are full
	ReasonMaximum                  // the maximum was changed
	ReasonPaceRaised               // the pace was held and nothing was refused
	ReasonPaceGone                 // the pace had not held anything up
	Reasons                        // their number
)

var reasonNames = [Reasons]string{
	"start", "room", "latency", "overload", "timeout", "pressure", "maximum", "pace-raised", "pace-gone",
}

// String is the reason in metrics and on pages.
func (r Reason) String() string {
	if r < Reasons {
		return reasonNames[r]
	}
	return "unknown"
}

// LimiterState is a look at a limiter.
type LimiterState struct {
	// Limit is the number of requests that may be in flight, Max what it may grow to.
	Limit, Max int
	InFlight   int
	InFlightBytes,
	// BytesLimit is what may be in flight together; 0 is no limit.
	BytesLimit forebay.Bytes
	// Latency is the moving average of answers that count.
	Latency time.Duration
	// Paced says that there is a pace: Requests and Bytes per second.
	Paced           bool
	Requests, Bytes float64
	// Closed says that after a refusal single requests are tried until one is taken.
	Closed bool
	// Reason is why something last changed; Changes counts them.
	Reason  Reason
	Changes [Reasons]int64
}

// LimiterConfig bounds a limiter.
type LimiterConfig struct {
	// Requests is the most that may be in flight; at least 1.
	Requests int
	// Bytes is the most that may be in flight together; 0 is no limit. One request may always be in flight.
	Bytes forebay.Bytes
}

// Limiter decides when a request may start: by the requests and bytes in flight, which it learns from the
// latency of answers, and by a pace, which exists from the first refusal on until it no longer binds. It is the
// one limiter of the repository: for the writer, for async calls and for sinks.
//
// It is pure: now comes in. The same calls give the same answers.
//
// Concurrency: the caller's lock.
type Limiter struct {
	config        LimiterConfig
	limit         int
	inflight      int
	inflightBytes int64
	slow          bool // slow start: no sign of load so far
	full          bool // the limit, as it is now, was reached
	window        window
	latency       latency
	pacer         pacer
	reason        Reason
	changes       [Reasons]int64
}

// window gathers what happens between two decisions.
type window struct {
	began       time.Time
	completions int
	reached     bool // a request took the last place, or found none
	cut         bool
	refused     bool
	pressure    int
	sum         float64 // of latencies, in seconds
	counted     int
	classes     [sizeClasses]classWindow
}

// room says that the target gave no sign of load in this window.
func (w *window) room() bool { return !w.refused && w.pressure < pressureHolds }

// NewLimiter makes a limiter that begins with one request in flight and doubles.
func NewLimiter(config LimiterConfig) *Limiter {
	config.Requests = max(config.Requests, 1)
	return &Limiter{config: config, limit: 1, slow: true}
}

// SetMax changes the bounds of a running limiter. What is in flight above them drains.
func (l *Limiter) SetMax(config LimiterConfig) {
	config.Requests = max(config.Requests, 1)
	l.config = config
	if l.limit > config.Requests {
		l.limit = config.Requests
		l.because(ReasonMaximum)
	}
}

// Ready reports whether a request of a size may start now. If not, at is when to ask again; the zero time is
// after the next answer.
func (l *Limiter) Ready(size int, now time.Time) (at time.Time, ok bool) {
	if l.inflight >= l.limit || l.inflight > 0 && !l.bytesFit(size) {
		l.full, l.window.reached = true, true
		return time.Time{}, false
	}
	at, ok, gone := l.pacer.ready(now)
	if gone {
		l.because(ReasonPaceGone)
	}
	return at, ok
}

// bytesFit says whether the bytes in flight leave room: they get the share of their maximum that requests get
// of theirs.
func (l *Limiter) bytesFit(size int) bool {
	limit := l.bytesLimit()
	return limit == 0 || l.inflightBytes+int64(size) <= limit
}

func (l *Limiter) bytesLimit() int64 {
	return int64(l.config.Bytes) * int64(min(l.limit, l.config.Requests)) / int64(l.config.Requests)
}

// Start counts a request that Ready let through.
func (l *Limiter) Start(size int, now time.Time) {
	l.inflight++
	l.inflightBytes += int64(size)
	if l.inflight >= l.limit {
		l.full, l.window.reached = true, true
	}
	if l.window.began.IsZero() {
		l.window.began = now
	}
	l.pacer.start(size, now)
}

// Finish counts the end of a request, whatever it was, and decides.
func (l *Limiter) Finish(c Completion, now time.Time) {
	l.inflight--
	l.inflightBytes -= int64(c.Size)
	l.window.completions++
	l.window.pressure = max(l.window.pressure, c.Pressure)
	binding := l.pacer.binding(now)
	changed, raised := l.pacer.finish(c, now)
	switch c.Signal {
	case SignalTaken:
		took := max(now.Sub(c.Started).Seconds(), latencyGrain)
		l.window.add(c.Size, took)
		if l.slow && l.full && l.window.room() {
			l.grow()
		}
	case SignalOverload:
		l.window.refused = true
		if changed {
			l.because(ReasonOverload)
		}
		if changed && !binding { // what the pace let through only just, the pace answers for
			l.slow = false
			l.shrink()
		}
	case SignalTimeout:
		l.cut(ReasonTimeout)
	case SignalNone:
	}
	if raised {
		l.because(ReasonPaceRaised)
	}
	if c.Pressure >= pressureCuts {
		l.cut(ReasonPressure)
	}
	l.decide(now)
}

// cut shrinks the limit at once, once per window.
func (l *Limiter) cut(why Reason) {
	l.slow = false
	if l.shrink() {
		l.because(why)
	}
}

func (l *Limiter) shrink() (changed bool) {
	if l.window.cut || l.limit == 1 {
		return false
	}
	l.window.cut = true
	l.limit = int(float64(l.limit) * decreaseRatio)
	return true
}

func (l *Limiter) grow() {
	if l.limit < l.config.Requests {
		l.limit++
		l.full = false
		l.because(ReasonRoom)
	}
}

func (l *Limiter) because(why Reason) {
	l.reason = why
	l.changes[why]++
}

// decide ends the window if it is long enough: the mean latency, and enough answers.
func (l *Limiter) decide(now time.Time) {
	w := &l.window
	if w.completions < windowCompletions || now.Sub(w.began).Seconds() < l.latency.mean {
		return
	}
	ratio, compared := l.latency.compare(w)
	slower := compared && ratio > 1 && ratio >= 1+deviationScale*l.latency.deviation()
	switch {
	case w.cut:
	case slower:
		l.cut(ReasonLatency)
	case w.reached && w.room() && compared && ratio <= 1 && !l.slow:
		l.grow()
	}
	l.latency.learn(w, ratio, compared)
	*w = window{began: now}
}

// State is a look at the limiter.
func (l *Limiter) State() LimiterState {
	s := LimiterState{
		Limit: l.limit, Max: l.config.Requests, InFlight: l.inflight,
		InFlightBytes: forebay.Bytes(l.inflightBytes), BytesLimit: forebay.Bytes(l.bytesLimit()),
		Latency: time.Duration(l.latency.mean * float64(time.Second)),
		Paced:   l.pacer.on, Closed: l.pacer.closed, Reason: l.reason, Changes: l.changes,
	}
	if s.Paced {
		s.Requests, s.Bytes = l.pacer.pace.requests, l.pacer.pace.bytes
	}
	return s
}

// sizeClasses is the number of classes of request size: a class holds the sizes with one number of binary
// digits.
const sizeClasses = 33

func sizeClass(size int) int { return min(bits.Len(uint(max(size, 0))), sizeClasses-1) }

type classWindow struct {
	sum   float64
	count int
}

func (w *window) add(size int, took float64) {
	c := &w.classes[sizeClass(size)]
	c.sum += took
	c.count++
	w.sum += took
	w.counted++
}

// latency is what is usual: per class of request size, so that a larger request is not taken for a slower
// target, and together.
type latency struct {
	classes  [sizeClasses]float64 // moving average in seconds; 0 is none yet
	variance float64              // of the ratio of a window's latency to the usual one
	mean     float64
}

// compare is a window's latency in units of what is usual for its requests.
func (h *latency) compare(w *window) (ratio float64, compared bool) {
	var sum float64
	var count int
	for i, c := range w.classes {
		if c.count > 0 && h.classes[i] > 0 {
			sum += c.sum / h.classes[i]
			count += c.count
		}
	}
	if count == 0 {
		return 1, false
	}
	ratio = sum / float64(count)
	return math.Round(ratio/latencyGrain) * latencyGrain, true // sums of equal numbers are not always equal
}

func (h *latency) deviation() float64 { return math.Sqrt(h.variance) }

func (h *latency) learn(w *window, ratio float64, compared bool) {
	for i, c := range w.classes {
		if c.count > 0 {
			h.classes[i] = moved(h.classes[i], c.sum/float64(c.count))
		}
	}
	if w.counted > 0 {
		h.mean = moved(h.mean, w.sum/float64(w.counted))
	}
	if compared {
		h.variance = (1 - latencyWeight) * (h.variance + latencyWeight*(ratio-1)*(ratio-1))
	} else if h.variance == 0 {
		h.variance = deviationFirst * deviationFirst
	}
}

// moved is a moving average after one more measurement.
func moved(average, measured float64) float64 {
	if average == 0 {
		return measured
	}
	return average + latencyWeight*(measured-average)
}
