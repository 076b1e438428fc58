// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"time"

	"github.com/forebay-io/forebay"
)

// loadModel looks that the core heeds its limiter: every request that is sent is one that the limiter, as it was before
// the event, lets through after the event's answer. What a target asks for when it refuses holds whatever the limiter
// says.
type loadModel struct {
	world  *world
	before Limiter     // as it was before the event
	ended  *Completion // by the event's answer

	closed         bool // a request was refused, and none that was sent since was taken
	closedAt, hold time.Time
	opened         time.Time
}

// look notes the limiter between two events.
func (m *loadModel) look() {
	l := m.world.core.limited.limiter
	if l == nil {
		return
	}
	flying, size := 0, 0
	for _, k := range m.world.tracks {
		if k.flying {
			flying++
			size += k.rows
		}
	}
	if l.inflight != flying || l.inflightBytes != int64(size) {
		m.world.t.Fatalf("%d requests with %d rows are in flight; the limiter counts %d with %d",
			flying, size, l.inflight, l.inflightBytes)
	}
	m.before, m.ended = *l, nil
}

// answered notes the answer to an attempt in flight.
func (m *loadModel) answered(k track, answer forebay.Answer) {
	m.ended = &Completion{Size: k.rows, Started: k.at, Signal: SignalOf(answer), RetryAfter: answer.RetryAfter}
	now := m.world.now
	switch {
	case m.ended.Signal == SignalOverload && (m.closed || !k.at.Before(m.opened)):
		if !m.closed {
			m.closed, m.closedAt, m.hold = true, now, time.Time{}
		}
		if hold := now.Add(answer.RetryAfter); hold.After(m.hold) {
			m.hold = hold
		}
	case m.ended.Signal == SignalTaken && m.closed && k.at.After(m.closedAt):
		m.closed, m.opened = false, now
	}
}

// event begins to look at what an event led to.
func (m *loadModel) event() {
	l := m.world.core.limited.limiter
	if l == nil {
		return
	}
	if m.ended != nil {
		m.before.Finish(*m.ended, m.world.now)
	}
	if m.before.config != l.config {
		m.before.SetMax(l.config)
	}
}

// sent is called for each request that the event sends.
func (m *loadModel) sent(a action) {
	if m.world.core.limited.limiter == nil {
		return
	}
	size, now := len(m.world.content[a.id]), m.world.now
	if at, ok := m.before.Ready(size, now); !ok {
		m.world.t.Fatalf("request %d is sent at %s, and the limiter says not before %s", a.id, now, at)
	}
	m.before.Start(size, now)
	if m.closed && now.Before(m.hold) {
		m.world.t.Fatalf("request %d is sent at %s, and the target asked to wait until %s", a.id, now, m.hold)
	}
}
