// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/store"
)

// Limits of a group. A Pebble batch stays well below a memtable, also where rows are written twice.
const (
	groupRequestsMax = 1_024
	groupBytesMax    = 2 << 20
	executorsMax     = 4
	// diskSampleEvery is how often the state of the disk is looked at while requests come.
	diskSampleEvery = 100 * time.Millisecond
	busySampleEvery = 10 * time.Millisecond // while the disk does not keep up
)

// executor applies the requests of writers in groups. Each tablet has a queue, which one worker at a time takes from,
// so that its order is that of the calls; while a group waits for its sync, the next one is applied.
//
// Concurrency: safe.
type executor struct {
	server  *Server
	limits  queueLimits
	workers sync.WaitGroup
	settler sync.WaitGroup

	mu sync.Mutex
	// ready are the tablets with requests that no worker holds, in the order in which their turn comes.
	ready   []*tabletLog
	arrived sync.Cond // of mu: ready, or closed
	// waiting are the requests that are applied and not synced, in the order of their groups.
	waiting []*sent
	applied sync.Cond // of mu: waiting, or ended
	all     load
	rate    drainRate
	disk    int // percent
	sampled time.Time
	closed  bool // nothing more is accepted
	ended   bool // the workers have left
	// quiet is closed when everything accepted is answered; nil while nobody waits for that.
	quiet chan struct{}
}

// tabletQueue is the part of a tablet that belongs to the executor, guarded by its lock.
type tabletQueue struct {
	requests []*sent
	load     load
	held     bool // by a worker, or in ready
}

// phase is how far a request is; it only rises.
type phase uint8

const (
	phaseQueued   phase = iota
	phaseApplying       // a worker reads its data
	phaseWaiting        // for the sync
	phaseAnswered
)

// sent is a request on its way through the executor.
type sent struct {
	request *forebay.Request
	done    func(forebay.Answer)
	tablet  *tabletLog
	bytes   int64
	stop    func() bool // ends the watch over the caller's context

	// phase and left are guarded by the executor's lock.
	phase phase
	left  bool // the caller's context ended while it was applied

	// What its worker found out.
	answer  forebay.Answer
	decided bool
	// batch is what the answer waits for; 0 where it does not.
	batch uint64
}

func (q *sent) decide(a forebay.Answer) { q.answer, q.decided, q.batch = a, true, 0 }

func newExecutor(s *Server, limits queueLimits) *executor {
	x := &executor{server: s, limits: limits}
	x.arrived.L, x.applied.L = &x.mu, &x.mu
	for range max(2, min(executorsMax, runtime.GOMAXPROCS(0))) {
		x.workers.Go(x.runWorker)
	}
	x.settler.Go(x.runSettler)
	return x
}

// accept queues the request or answers it.
func (x *executor) accept(ctx context.Context, q *sent) {
	x.mu.Lock()
	if refusal := x.refuse(q); refusal != nil {
		x.mu.Unlock()
		q.done(*refusal)
		return
	}
	if x.all.requests == 0 {
		x.rate.begin(x.server.now())
	}
	t := &q.tablet.queue
	x.all.add(q.bytes)
	t.load.add(q.bytes)
	t.requests = append(t.requests, q)
	if !t.held {
		t.held = true
		x.ready = append(x.ready, q.tablet)
		x.arrived.Signal()
	}
	if ctx.Done() != nil {
		q.stop = context.AfterFunc(ctx, func() { x.leave(q) })
	}
	x.mu.Unlock()
}

// refuse says why a request is not accepted; nil where it is.
func (x *executor) refuse(q *sent) *forebay.Answer {
	if x.closed {
		return &forebay.Answer{
			Code: forebay.CodeServerError, Class: forebay.ClassTransient, Message: "the server is closed: it was not applied",
		}
	}
	limits := x.limits.under(x.disk)
	excess := limits.excess(x.all, q.tablet.queue.load, q.bytes)
	if excess == 0 {
		return nil
	}
	message := "the queue of the server or of the tablet is full"
	if x.disk > diskEasy {
		message = "the disk does not keep up"
	}
	return &forebay.Answer{
		Code: forebay.CodeOverload, Message: message, Pressure: 100, RetryAfter: x.rate.retryAfter(excess, x.all.bytes),
	}
}

// runWorker applies groups until the executor closes and nothing is queued.
func (x *executor) runWorker() {
	var group []*sent
	var tablets []*tabletLog
	for {
		group, tablets = x.take(group[:0], tablets[:0])
		if len(tablets) == 0 {
			return
		}
		x.sample()
		if len(group) > 0 {
			x.server.applyGroup(group)
		}
		for _, q := range group {
			if q.batch == 0 {
				x.answer(q, q.answer)
			}
		}
		x.giveBack(group, tablets)
		clear(group)
		clear(tablets)
	}
}

// take waits for queued requests and takes a group of them; no tablets are the end.
func (x *executor) take(group []*sent, tablets []*tabletLog) ([]*sent, []*tabletLog) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.ready) == 0 {
		if x.closed {
			return group, tablets
		}
		x.arrived.Wait()
	}
	bytes := int64(0)
	for len(x.ready) > 0 && len(group) < groupRequestsMax && bytes < groupBytesMax {
		t := x.ready[0]
		x.ready[0] = nil
		x.ready = x.ready[1:]
		tablets = append(tablets, t)
		taken := 0
		for _, q := range t.queue.requests {
			if len(group) >= groupRequestsMax || bytes > 0 && bytes+q.bytes > groupBytesMax {
				break
			}
			taken++
			q.phase = phaseApplying
			group = append(group, q)
			bytes += q.bytes
		}
		if taken < len(t.queue.requests) {
			bytes = groupBytesMax // it is full
		}
		rest := copy(t.queue.requests, t.queue.requests[taken:])
		clear(t.queue.requests[rest:])
		t.queue.requests = t.queue.requests[:rest]
	}
	return group, tablets
}

// sample looks at the disk now and then.
func (x *executor) sample() {
	now := time.Now()
	x.mu.Lock()
	every := diskSampleEvery
	if x.disk > diskEasy {
		every = busySampleEvery
	}
	due := now.Sub(x.sampled) >= every
	if due {
		x.sampled = now
	}
	x.mu.Unlock()
	if !due {
		return
	}
	disk := diskPercent(x.server.store.Metrics())
	x.mu.Lock()
	x.disk = disk
	x.mu.Unlock()
}

// giveBack lets others take from the tablets, once what was applied stands before the settler: so the answers of a
// tablet keep its order.
func (x *executor) giveBack(group []*sent, tablets []*tabletLog) {
	var left []*sent
	x.mu.Lock()
	for _, q := range group {
		switch {
		case q.phase != phaseApplying: // answered
		case q.left:
			q.phase = phaseWaiting
			left = append(left, q)
		default:
			q.phase = phaseWaiting
			x.waiting = append(x.waiting, q)
			x.applied.Signal()
		}
	}
	for _, t := range tablets {
		if len(t.queue.requests) == 0 {
			t.queue.held = false
			continue
		}
		x.ready = append(x.ready, t)
		x.arrived.Signal()
	}
	x.mu.Unlock()
	for _, q := range left {
		x.answer(q, timeoutAnswer(leftUnsynced))
	}
}

// runSettler answers what was applied, group by group, once it is synced, until the workers have left.
func (x *executor) runSettler() {
	var list []*sent
	for {
		if list = x.takeWaiting(list); len(list) == 0 {
			return
		}
		newest := uint64(0)
		for _, q := range list {
			newest = max(newest, q.batch)
		}
		err := x.server.ledger.wait(context.Background(), newest, store.SyncNow)
		_, synced := x.server.ledger.numbers()
		for _, q := range list {
			if err != nil && q.batch > synced {
				x.answer(q, errorAnswer(fmt.Errorf("wait for the sync: %w", err)))
				continue
			}
			x.answer(q, q.answer)
		}
		clear(list)
	}
}

// takeWaiting takes what waits for the sync, and leaves the memory of the last list in its place.
func (x *executor) takeWaiting(last []*sent) []*sent {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.waiting) == 0 && !x.ended {
		x.applied.Wait()
	}
	list := x.waiting
	x.waiting = last[:0]
	return list
}

// answer answers a request, unless its caller has left.
func (x *executor) answer(q *sent, a forebay.Answer) {
	x.mu.Lock()
	if q.phase == phaseAnswered {
		x.mu.Unlock()
		return
	}
	a.Pressure = x.releaseLocked(q)
	x.mu.Unlock()
	if q.stop != nil {
		q.stop()
	}
	q.done(a)
}

// releaseLocked takes the request out of the load. It returns how full the queues were.
func (x *executor) releaseLocked(q *sent) (pressure int) {
	t := &q.tablet.queue
	pressure = x.limits.pressure(x.all, t.load, x.disk)
	q.phase = phaseAnswered
	x.all.remove(q.bytes)
	t.load.remove(q.bytes)
	x.rate.answered(x.server.now(), q.bytes)
	if x.all.requests == 0 && x.quiet != nil {
		close(x.quiet)
		x.quiet = nil
	}
	return pressure
}

func timeoutAnswer(why string) forebay.Answer {
	return forebay.Answer{Code: forebay.CodeTimeout, Message: "its caller left " + why}
}

const (
	leftUnsynced = "before it was synced: it may have been applied"
	leftQueued   = "before its turn came: it was not applied"
)

// leave answers a request whose caller's context has ended; one that is being applied is answered by its worker, which
// reads its data.
func (x *executor) leave(q *sent) {
	x.mu.Lock()
	a := timeoutAnswer(leftUnsynced)
	switch q.phase {
	case phaseAnswered:
		x.mu.Unlock()
		return
	case phaseApplying:
		q.left = true
		x.mu.Unlock()
		return
	case phaseQueued:
		a = timeoutAnswer(leftQueued)
		t := &q.tablet.queue
		if i := slices.Index(t.requests, q); i >= 0 {
			t.requests = slices.Delete(t.requests, i, i+1)
		}
	case phaseWaiting:
	}
	a.Pressure = x.releaseLocked(q)
	x.mu.Unlock()
	q.done(a)
}

// pressure is how full the queues are, with those of all tablets together.
func (x *executor) pressure() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.limits.pressure(x.all, load{}, x.disk)
}

// drained waits until everything that was accepted is answered.
func (x *executor) drained(ctx context.Context) error {
	x.mu.Lock()
	if x.all.requests == 0 {
		x.mu.Unlock()
		return nil
	}
	if x.quiet == nil {
		x.quiet = make(chan struct{})
	}
	quiet := x.quiet
	x.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close refuses what comes from now on, answers everything that was accepted, and ends.
func (x *executor) close() {
	x.mu.Lock()
	x.closed = true
	x.arrived.Broadcast()
	x.mu.Unlock()
	x.workers.Wait()
	x.mu.Lock()
	x.ended = true
	x.applied.Broadcast()
	x.mu.Unlock()
	x.settler.Wait()
}
