// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/tablet/server"
)

// phase is what a front does with what comes in.
type phase uint8

const (
	phaseFollowing phase = iota // another process serves, or nobody yet
	phaseServing
	phaseLeaving // what was accepted is answered, nothing new is taken
)

// movedPause is what an answer asks for that knows no leader: about as long as a take-over needs.
const movedPause = 50 * time.Millisecond

// gate says what comes in and knows what is inside. RP2: a request is counted before the server gets it, under the
// lock under which the front begins to leave, so none slips in behind the end.
//
// Concurrency: safe.
type gate struct {
	mu      sync.Mutex
	phase   phase
	server  *server.Server
	leader  string
	load    load // of requests
	readers load
	// empty is closed when the front leaves and nothing is inside; nil before it leaves.
	empty chan struct{}
}

func newGate(l Limits) *gate {
	return &gate{
		load:    load{most: amount{requests: l.AllRequests, bytes: int64(l.AllBytes)}, first: l.RetryAfter},
		readers: load{most: amount{requests: l.Readers}, first: l.RetryAfter},
	}
}

// refusal is why something does not come in.
type refusal struct {
	code   forebay.Code
	leader string
	reason string
	after  time.Duration
}

// answer is the refusal as the answer to a request.
func (r *refusal) answer() forebay.Answer {
	return forebay.Answer{Code: r.code, Message: r.reason, Leader: r.leader, RetryAfter: r.after}
}

// err is the refusal as the error of a call.
func (r *refusal) err(op string) error {
	class, code := forebay.ClassMoved, "not-leader"
	if r.code == forebay.CodeOverload {
		class, code = forebay.ClassThrottled, "overload"
	}
	e := forebay.Errorf(op, class, "%s", r.reason)
	e.Code, e.RetryAfter = code, r.after
	return e
}

// movedLocked is the refusal while the front does not serve; nil while it does.
func (g *gate) movedLocked() *refusal {
	if g.phase == phaseServing {
		return nil
	}
	if g.leader == "" {
		return &refusal{code: forebay.CodeNotLeader, reason: "nobody serves the tables now", after: movedPause}
	}
	return &refusal{code: forebay.CodeNotLeader, leader: g.leader, reason: "the tables are served at " + g.leader}
}

// enter takes in a request, or a call without bytes. What came in leaves with leave.
func (g *gate) enter(bytes int64) (*server.Server, *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.movedLocked(); r != nil {
		return nil, r
	}
	if after, fits := g.load.enter(bytes, time.Now()); !fits {
		return nil, &refusal{
			code: forebay.CodeOverload, reason: "the requests of all clients hold as much as the server allows", after: after,
		}
	}
	return g.server, nil
}

// leave lets go of what entered.
func (g *gate) leave(bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.load.leave(bytes, time.Now())
	g.checkEmptyLocked()
}

// read takes in a reader of rows, which leaves with readEnd.
func (g *gate) read() (*server.Server, *refusal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r := g.movedLocked(); r != nil {
		return nil, r
	}
	if after, fits := g.readers.enter(0, time.Now()); !fits {
		return nil, &refusal{
			code: forebay.CodeOverload, reason: "as many clients read rows as the server allows", after: after,
		}
	}
	return g.server, nil
}

func (g *gate) readEnd() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.readers.leave(0, time.Now())
}

// pressure is how full the gate is, from 0 to 100.
func (g *gate) pressure() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.load.percent()
}

// serve opens the gate to a server. A front that leaves does not come back.
func (g *gate) serve(s *server.Server, self string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != phaseLeaving {
		g.phase, g.server, g.leader = phaseServing, s, self
	}
}

// follow notes who serves while this front does not.
func (g *gate) follow(leader string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == phaseFollowing {
		g.leader = leader
	}
}

// shut closes the gate; the channel is closed once everything inside has left.
func (g *gate) shut(leader string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase, g.leader = phaseLeaving, leader
	if g.empty == nil {
		g.empty = make(chan struct{})
		g.checkEmptyLocked()
	}
	return g.empty
}

func (g *gate) checkEmptyLocked() {
	if g.empty == nil || g.load.inside.requests > 0 {
		return
	}
	select {
	case <-g.empty:
	default:
		close(g.empty)
	}
}

// state says who serves.
func (g *gate) state() (leader string, serving, leaving bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leader, g.phase == phaseServing, g.phase == phaseLeaving
}

// inside is the number of requests that entered and did not leave.
func (g *gate) inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.load.inside.requests
}
