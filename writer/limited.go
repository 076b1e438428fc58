// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"time"

	"github.com/forebay-io/forebay"
)

// How the core heeds its limiter: requests of all tablets share it, and tablets take turns.

// limited is the core's side of the limiter.
type limited struct {
	limiter *Limiter // nil where nothing but the window bounds requests
	bytes   forebay.Bytes
	waiting line   // queues that found no room, in the order in which they asked
	turn    *queue // the one whose turn it is
	denied  bool
	until   time.Time // when to ask again; zero: after the next answer
}

// admit reports whether the queue's next request may be sent. A queue that finds no room, or others that wait for it,
// waits behind them.
func (c *core) admit(q *queue, r *request) bool {
	l := &c.limited
	if l.limiter == nil {
		return true
	}
	if l.turn != q && l.waiting.len() > 0 {
		if !q.limited {
			q.limited = true
			l.waiting.push(q)
		}
		return false
	}
	c.bound()
	at, ok := l.limiter.Ready(r.size, c.now)
	if !ok {
		// It was at the head of the line, or there is none.
		l.denied, l.until, q.limited = true, at, true
		l.waiting.pushFront(q)
		return false
	}
	l.turn = nil // with more to send it waits behind the others
	r.charged, r.started = r.size, c.now
	l.limiter.Start(r.charged, c.now)
	return true
}

// bound gives the limiter its maximum: the window of each tablet that is written to.
func (c *core) bound() {
	config := LimiterConfig{Requests: c.window() * max(len(c.order), 1), Bytes: c.limited.bytes}
	if config != c.limited.limiter.config {
		c.limited.limiter.SetMax(config)
	}
}

// landed tells the limiter of an answer.
func (c *core) landed(r *request, answer *forebay.Answer) {
	if c.limited.limiter != nil {
		c.limited.limiter.Finish(Completion{
			Size: r.charged, Started: r.started, Signal: SignalOf(*answer),
			RetryAfter: answer.RetryAfter, Pressure: answer.Pressure,
		}, c.now)
	}
}

// release lets the queues that wait send, one request each in turn, while there is room.
func (c *core) release() {
	l := &c.limited
	for l.waiting.len() > 0 && !c.stopped {
		q := l.waiting.pop()
		q.limited = false
		l.turn, l.denied = q, false
		c.pump(q)
		l.turn = nil
		if l.denied {
			return
		}
	}
}

// overloaded is the wait before a request that was refused for now is sent again. With a limiter that is what the
// target asks for: the limiter says when anything is tried.
func (c *core) overloaded(r *request, answer forebay.Answer) time.Duration {
	if c.limited.limiter != nil && answer.Code == forebay.CodeOverload {
		return max(answer.RetryAfter, 0)
	}
	return max(c.wait(r.waits), answer.RetryAfter)
}
