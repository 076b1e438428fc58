// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"fmt"
	"sync"
	"time"
)

// stalledAfter is how long a commit may wait for its answer before the pipeline is not ready. With the age of a
// transaction it makes the five seconds within which a failure is to be seen.
const stalledAfter = 4 * time.Second

// HealthState says what a pipeline is doing.
type HealthState string

// What a pipeline can be doing.
const (
	HealthStarting  HealthState = "starting"
	HealthRunning   HealthState = "running"
	HealthFailing   HealthState = "failing"   // a lane is tried again, or waits for an answer for too long
	HealthStopped   HealthState = "stopped"   // a lane stopped for good
	HealthDelivered HealthState = "delivered" // the run has ended
)

// Health is how a pipeline is doing.
type Health struct {
	State HealthState
	// Ready says that writes succeed, as far as is known.
	Ready bool
	// Cause is why it is not ready; nil where it is.
	Cause error
	// Since is when State began; zero where it always was.
	Since time.Time
	// Lane is the lane concerned.
	Lane int
}

// Health is a look at the run.
func (p *Pipeline) Health(now time.Time) Health {
	r := p.running()
	if r == nil {
		return Health{State: HealthStarting, Cause: fmt.Errorf("the pipeline has not begun")}
	}
	return r.health.look(now)
}

// health is what the lanes of a run say of themselves.
type health struct {
	mu    sync.Mutex
	lanes []*laneHealth
	ended bool
	err   error
}

// laneHealth is what one lane says of itself.
type laneHealth struct {
	mu      sync.Mutex
	waiting time.Time // since when a commit waits for an answer, or since the answer before it; zero: none does
	failing error
	since   time.Time
	stopped bool
}

func (h *health) lane() *laneHealth {
	l := &laneHealth{}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lanes = append(h.lanes, l)
	return l
}

// end says that the run is over.
func (h *health) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended, h.err = true, err
}

// look is the worst that a lane says.
func (h *health) look(now time.Time) Health {
	h.mu.Lock()
	lanes, ended, err := h.lanes, h.ended, h.err
	h.mu.Unlock()
	switch {
	case ended && err != nil:
		return Health{State: HealthStopped, Cause: err}
	case ended:
		return Health{State: HealthDelivered, Ready: true}
	case len(lanes) == 0:
		return Health{State: HealthStarting, Cause: fmt.Errorf("recovery is not done")}
	}
	worst := Health{State: HealthRunning, Ready: true}
	for i, l := range lanes {
		if at := l.look(now); !at.Ready && (worst.Ready || at.State == HealthStopped) {
			worst, worst.Lane = at, i
		}
	}
	return worst
}

func (l *laneHealth) look(now time.Time) Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped:
		return Health{State: HealthStopped, Cause: l.failing, Since: l.since}
	case l.failing != nil:
		return Health{State: HealthFailing, Cause: l.failing, Since: l.since}
	case !l.waiting.IsZero() && now.Sub(l.waiting) >= stalledAfter:
		return Health{
			State: HealthFailing, Since: l.waiting,
			Cause: fmt.Errorf("no answer to a commit for %s", now.Sub(l.waiting).Round(time.Second)),
		}
	}
	return Health{State: HealthRunning, Ready: true}
}

// cut says that a commit goes out.
func (l *laneHealth) cut(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.IsZero() {
		l.waiting = now
	}
}

// settled says that a commit was answered, and how many wait.
func (l *laneHealth) settled(err error, waiting int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = time.Time{}
	if waiting > 0 {
		l.waiting = now
	}
	if err == nil {
		l.failing = nil
	}
}

// fails says that the lane is tried again, or stops.
func (l *laneHealth) fails(err error, stopped bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing == nil {
		l.since = now
	}
	l.failing, l.stopped, l.waiting = err, stopped, time.Time{}
}
