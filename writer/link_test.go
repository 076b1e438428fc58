// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/forebay-io/forebay"
)

// link is a simulated target: what becomes of a request that arrives.
type link interface {
	arrive(now time.Time, size int) fate
	leave(now time.Time)
}

// fate is the answer to a request and the time that it takes.
type fate struct {
	took       time.Duration
	outcome    Signal
	retryAfter time.Duration
	pressure   int
}

// simStart is aligned with nothing: targets' windows begin at whole seconds.
var simStart = time.Date(2026, 3, 1, 12, 0, 0, 370_000_000, time.UTC)

// answer is an event of a simulation.
type answer struct {
	at      time.Time
	order   int // makes equal times deterministic
	sender  int
	started time.Time
	size    int
	fate    fate
	wake    bool
}

type answers []answer

func (a *answers) Len() int { return len(*a) }
func (a *answers) Less(i, j int) bool {
	v, w := &(*a)[i], &(*a)[j]
	return v.at.Before(w.at) || v.at.Equal(w.at) && v.order < w.order
}
func (a *answers) Swap(i, j int) { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }
func (a *answers) Push(x any)    { *a = append(*a, x.(answer)) }
func (a *answers) Pop() any {
	old := *a
	last := old[len(old)-1]
	*a = old[:len(old)-1]
	return last
}

// tally counts the answers of a second of a simulation.
type tally struct {
	taken, refused, bytes int
	inflight              float64 // sum over starts
	starts                int
	limit                 int // at its end
	paced                 bool
}

// simulation runs senders, each with a limiter and no end of requests, against a link.
type simulation struct {
	senders []*Limiter
	link    link
	size    func() int
	late    func() time.Duration // how late a timer fires
	now     time.Time
	seconds []tally
	each    []int // taken by each sender
	trace   func(now time.Time, s LimiterState)

	events answers
	order  int
	woken  []time.Time
}

func (s *simulation) push(a answer) {
	a.order = s.order
	s.order++
	heap.Push(&s.events, a)
}

// run goes on for a time.
func (s *simulation) run(t *testing.T, length time.Duration) {
	t.Helper()
	if s.now.IsZero() {
		s.now = simStart
		s.each, s.woken = make([]int, len(s.senders)), make([]time.Time, len(s.senders))
	}
	end := s.now.Add(length)
	for i := range s.senders {
		s.pump(i)
	}
	for len(s.events) > 0 && !s.events[0].at.After(end) {
		e := heap.Pop(&s.events).(answer)
		s.now = e.at
		if !e.wake {
			s.link.leave(s.now)
			s.count(e)
			s.senders[e.sender].Finish(Completion{
				Size: e.size, Started: e.started, Signal: e.fate.outcome,
				RetryAfter: e.fate.retryAfter, Pressure: e.fate.pressure,
			}, s.now)
		}
		s.pump(e.sender)
		if state := s.senders[0].State(); state.Limit < 1 || state.Limit > state.Max || state.InFlight < 0 {
			t.Fatalf("at %s: %+v", s.now.Sub(simStart), state)
		}
		if s.trace != nil {
			s.trace(s.now, s.senders[0].State())
		}
	}
	s.now = end
}

func (s *simulation) second() *tally {
	at := int(s.now.Sub(simStart) / time.Second)
	for len(s.seconds) <= at {
		s.seconds = append(s.seconds, tally{})
	}
	return &s.seconds[at]
}

func (s *simulation) count(e answer) {
	c := s.second()
	switch e.fate.outcome {
	case SignalTaken:
		c.taken++
		c.bytes += e.size
		s.each[e.sender]++
	default:
		c.refused++
	}
}

func (s *simulation) pump(sender int) {
	l := s.senders[sender]
	for {
		size := 1000
		if s.size != nil {
			size = s.size()
		}
		at, ok := l.Ready(size, s.now)
		if !ok {
			if !at.IsZero() && !at.Equal(s.woken[sender]) {
				s.woken[sender] = at
				if s.late != nil {
					at = at.Add(s.late())
				}
				s.push(answer{at: at, sender: sender, wake: true})
			}
			return
		}
		l.Start(size, s.now)
		f := s.link.arrive(s.now, size)
		s.push(answer{at: s.now.Add(f.took), sender: sender, started: s.now, size: size, fate: f})
		state := l.State()
		c := s.second()
		c.starts++
		c.inflight += float64(state.InFlight)
		c.limit, c.paced = state.Limit, state.Paced
	}
}

// between sums up the seconds of a stretch.
func (s *simulation) between(from, to int) (rate, refused float64) {
	var taken, no int
	for _, c := range s.seconds[from:min(to, len(s.seconds))] {
		taken += c.taken
		no += c.refused
	}
	return float64(taken) / float64(to-from), float64(no) / float64(max(taken+no, 1))
}

func (s *simulation) limitAt(second int) int { return s.seconds[second].limit }

// constantLink answers after a fixed time with jitter, whatever comes.
type constantLink struct {
	latency func() time.Duration
	bytes   float64 // bytes per second that the link carries for each request beside its latency; 0 is no matter
}

func (l *constantLink) arrive(_ time.Time, size int) fate {
	took := l.latency()
	if l.bytes > 0 {
		took += time.Duration(float64(size) / l.bytes * float64(time.Second))
	}
	return fate{took: took, outcome: SignalTaken}
}

func (*constantLink) leave(time.Time) {}

// queueLink works on so many requests at once and lets the others wait, up to a length of its queue.
type queueLink struct {
	service  func() time.Duration
	workers  int
	queue    int // refuses above; 0 is no end
	timeout  time.Duration
	free     []time.Time
	inside   int
	pressure bool
}

func (l *queueLink) arrive(now time.Time, _ int) fate {
	for len(l.free) < l.workers {
		l.free = append(l.free, now)
	}
	l.free = l.free[:l.workers]
	l.inside++
	if l.queue > 0 && l.inside > l.workers+l.queue {
		return fate{took: time.Millisecond, outcome: SignalOverload}
	}
	first := 0
	for i, at := range l.free {
		if at.Before(l.free[first]) {
			first = i
		}
	}
	begin := l.free[first]
	if begin.Before(now) {
		begin = now
	}
	done := begin.Add(l.service())
	f := fate{took: done.Sub(now), outcome: SignalTaken}
	if l.timeout > 0 && f.took > l.timeout {
		f = fate{took: l.timeout, outcome: SignalTimeout}
	}
	if l.pressure {
		f.pressure = min(100*max(0, l.inside-l.workers)/(4*l.workers), 100)
	}
	l.free[first] = done
	return f
}

func (l *queueLink) leave(time.Time) { l.inside-- }

// rateLink refuses above a rate: by fixed windows, or by a bucket of tokens.
type rateLink struct {
	latency func() time.Duration
	perSec  float64
	bytes   bool          // perSec are bytes
	window  time.Duration // 0 is a bucket
	burst   float64       // of the bucket
	tell    func(exact time.Duration) time.Duration

	window0 time.Time
	used    float64
	tokens  float64
	filled  time.Time
}

func (l *rateLink) arrive(now time.Time, size int) fate {
	cost := 1.0
	if l.bytes {
		cost = float64(size)
	}
	took := l.latency()
	wait, ok := l.take(now, cost)
	if ok {
		return fate{took: took, outcome: SignalTaken}
	}
	f := fate{took: took / 2, outcome: SignalOverload}
	if l.tell != nil {
		f.retryAfter = l.tell(wait)
	}
	return f
}

func (l *rateLink) take(now time.Time, cost float64) (wait time.Duration, ok bool) {
	if l.perSec == 0 {
		return 0, true // lifted
	}
	if l.window > 0 {
		if start := now.Truncate(l.window); !start.Equal(l.window0) {
			l.window0, l.used = start, 0
		}
		if l.used+cost > l.perSec*l.window.Seconds() {
			return l.window0.Add(l.window).Sub(now), false
		}
		l.used += cost
		return 0, true
	}
	if l.filled.IsZero() {
		l.filled, l.tokens = now, l.burst
	}
	l.tokens = math.Min(l.burst, l.tokens+now.Sub(l.filled).Seconds()*l.perSec)
	l.filled = now
	if l.tokens < cost {
		return time.Duration((cost - l.tokens) / l.perSec * float64(time.Second)), false
	}
	l.tokens -= cost
	return 0, true
}

func (*rateLink) leave(time.Time) {}

// exactly is a latency without deviation.
func exactly(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// about is a latency with a normal deviation.
func about(seed uint64, d, deviation time.Duration) func() time.Duration {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration {
		return max(d/4, d+time.Duration(r.NormFloat64()*float64(deviation)))
	}
}

// heavyTail is a latency with a Pareto tail: the mean exists, the variance hardly.
func heavyTail(seed uint64, d time.Duration) func() time.Duration {
	r := rand.New(rand.NewPCG(seed, 2))
	return func() time.Duration {
		return min(time.Duration(float64(d)/math.Pow(1-r.Float64(), 1/2.1)), 50*d)
	}
}

func oneSender(maximum int, to link) *simulation {
	return &simulation{senders: []*Limiter{NewLimiter(LimiterConfig{Requests: maximum})}, link: to}
}

func senders(count, maximum int, to link) *simulation {
	s := &simulation{link: to}
	for range count {
		s.senders = append(s.senders, NewLimiter(LimiterConfig{Requests: maximum, Bytes: 64 * forebay.MiB}))
	}
	return s
}
