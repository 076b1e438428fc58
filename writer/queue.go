// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"cmp"
	"container/heap"
	"maps"
	"math"
	"slices"
	"time"
)

// request is one request in the core, from open to settled.
type request struct {
	id        int64
	records   int
	size      int
	opened    time.Time
	expires   time.Time // zero where there is no deadline
	sequence  int64
	sends     int
	attempts  int       // failed ones that count
	waits     int       // refusals that do not count
	due       time.Time // when it may be sent again
	placed    int       // the look-up of the tablet that it was last sent by
	flying    bool      // it waits for an answer
	trying    bool      // an attempt failed: nothing new goes out beside it
	throttled bool      // the target asked to wait until it is due
	doubtful  bool      // an attempt may have been applied
	sent      int64     // the number of its last send among all
	behind    int64     // it was refused as out of order after that many sends
	expired   bool      // its receipts were told while it was in flight; only its number is left
	charged   int       // its size as the limiter knows it
	started   time.Time // when it was last sent
	oversized bool      // it is to be split once nothing later is in flight
}

// queue holds the requests of one tablet, in the order of their rows: sent, then ready, then open.
type queue struct {
	tablet int
	number int // in the order of first use
	open   *request
	ready  []*request // closed, without a number
	sent   []*request // with a number, in its order: in flight, or to be sent again
	flying int

	due      time.Time // when tick must look at it
	planned  int       // its place on the agenda
	limited  bool      // it waits for room in the limiter
	unplaced bool      // it waits for others to be looked up
	// unordered says that a request may expire before one that is older.
	unordered bool

	writerID string // what the numbers count under; empty until there is one
	used     string // the one before
	sequence int64  // of the next request that gets a number
	acked    int64  // the highest number that is known to be applied, and with it all lower ones
	stale    int64  // the highest number whose request was given up and may still arrive

	// From cut on, numbers are void: their requests were not applied under them. What has one waits until nothing
	// with one is in flight, and is then numbered anew.
	cut     int64
	certain bool // cut itself can never be applied under this writer id, and so nothing behind it
	renew   bool // the numbers cannot be used again: they need a new writer id

	place      place
	generation int  // look-ups that succeeded
	refresh    bool // the next look-up must not trust what it knows
	moves      int  // look-ups in a row that did not help
	misses     int  // look-ups in a row that failed
	locateDue  time.Time
}

// place says whether requests for a tablet can be sent.
type place uint8

const (
	placeUnknown place = iota
	placeAsked
	placeKnown
)

const (
	noCut    = math.MaxInt64
	noNumber = -1
)

func newQueue(tablet, number int) *queue {
	return &queue{tablet: tablet, number: number, planned: unplanned, cut: noCut, acked: noNumber, stale: noNumber}
}

// waits reports whether there is anything in the queue that is not in flight.
func (q *queue) waits() bool { return q.open != nil || len(q.ready) > 0 || len(q.sent) > q.flying }

// newest is the last request that is closed; nil where there is none.
func (q *queue) newest() *request {
	if n := len(q.ready); n > 0 {
		return q.ready[n-1]
	}
	if n := len(q.sent); n > 0 {
		return q.sent[n-1]
	}
	return nil
}

// expires is the first deadline in the queue; the zero time is none. It is that of the oldest request, unless the
// deadlines are not in order.
func (q *queue) expires() (first time.Time) {
	q.unordered = q.unordered && len(q.sent)+len(q.ready) > 0
	for _, r := range q.sent {
		if r.expired {
			continue
		}
		if first = earlier(first, r.expires); !q.unordered {
			return first
		}
	}
	for _, r := range q.ready {
		if first = earlier(first, r.expires); !q.unordered {
			return first
		}
	}
	if q.open != nil {
		first = earlier(first, q.open.expires)
	}
	return first
}

// next is the request that may be sent now: with an order the first one to be sent again, else the next ready one. W4:
// nothing new goes out beside one that is tried again, behind one whose number is unresolved, or while numbers are
// void. What was refused as out of order follows once the ones before it are settled or were sent again.
func (q *queue) next(now time.Time, ordered bool) *request {
	// W3: a request is sent once those before it are settled or on their way again.
	trying, flying, ahead := false, false, int64(math.MaxInt64)
	for _, r := range q.sent {
		switch {
		case r.flying:
			if ordered && r.expired {
				return nil
			}
			flying, trying, ahead = true, trying || r.trying, min(ahead, r.sent)
		case !ordered:
			if !now.Before(r.due) {
				return r
			}
		case r.sequence >= q.cut, trying, r.trying && flying, r.behind >= ahead, now.Before(r.due):
			return nil
		default:
			return r
		}
	}
	if len(q.ready) == 0 || now.Before(q.ready[0].due) || ordered && (trying || q.cut != noCut) {
		return nil
	}
	return q.ready[0]
}

// flight is the request in flight with an id that was sent so many times; nil where there is none.
func (q *queue) flight(id int64, sends int) *request {
	i := slices.IndexFunc(q.sent, func(r *request) bool { return r.id == id })
	if i < 0 || !q.sent[i].flying || q.sent[i].sends != sends {
		return nil
	}
	return q.sent[i]
}

func (q *queue) remove(r *request) {
	if i := slices.Index(q.sent, r); i >= 0 {
		q.sent = slices.Delete(q.sent, i, i+1)
		return
	}
	switch i := slices.Index(q.ready, r); {
	case i == 0:
		q.ready = q.ready[1:]
	case i > 0:
		q.ready = slices.Delete(q.ready, i, i+1)
	}
}

// hurry ends the back-off of requests that failed where the tablet was, unless the target asked for it.
func (q *queue) hurry(now time.Time) {
	for _, r := range q.sent {
		if !r.throttled && now.Before(r.due) {
			r.due = now
		}
	}
}

// cutAt declares the numbers from one on void. W2: with certain, the request that had it was never applied, and nobody
// will send it again under this number.
func (q *queue) cutAt(sequence int64, certain bool) {
	if sequence < q.cut {
		q.cut, q.certain = sequence, certain
	}
}

// void are the requests whose numbers are void.
func (q *queue) void() (from int) {
	for from < len(q.sent) && q.sent[from].sequence < q.cut {
		from++
	}
	return from
}

// reusable reports whether the void numbers can be given to other requests: nothing that was sent under one of them
// can still arrive.
func (q *queue) reusable(void []*request) bool {
	return !q.renew && q.acked < q.cut && q.stale < q.cut &&
		!slices.ContainsFunc(void, func(r *request) bool { return r.doubtful })
}

// restart begins the numbers anew: under the same writer id from cut on, or under another one from 0.
func (q *queue) restart(renew bool) {
	q.sequence = q.cut
	if renew {
		q.used, q.writerID = q.writerID, ""
		q.sequence, q.acked, q.stale = 0, noNumber, noNumber
	}
	q.cut, q.certain, q.renew = noCut, false, false
}

// unnumber prepares a request to be sent for the first time under another number.
func (r *request) unnumber() {
	r.sequence = noSequence
	r.trying, r.doubtful, r.behind = false, false, 0
}

// How the core finds the queues that an event concerns, however many tablets there are. Where several are concerned
// they come in the order of first use, or of their waiting, so that the same events give the same actions.

// agenda holds the queues that tick must look at, the next one first. It is a heap for container/heap.
type agenda []*queue

// Len implements heap.Interface.
func (a *agenda) Len() int { return len(*a) }

// Less implements heap.Interface.
func (a *agenda) Less(i, j int) bool { return (*a)[i].due.Before((*a)[j].due) }

// Swap implements heap.Interface.
func (a *agenda) Swap(i, j int) {
	h := *a
	h[i], h[j] = h[j], h[i]
	h[i].planned, h[j].planned = i, j
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	q := x.(*queue)
	q.planned = len(*a)
	*a = append(*a, q)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	last := len(*a) - 1
	q := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	q.planned = unplanned
	return q
}

// unplanned is the place of a queue that is not on the agenda.
const unplanned = -1

// plan puts the queue where its time is; the zero time is never.
func (a *agenda) plan(q *queue, due time.Time) {
	switch {
	case due.IsZero() && q.planned != unplanned:
		heap.Remove(a, q.planned)
	case due.IsZero():
	case q.planned == unplanned:
		q.due = due
		heap.Push(a, q)
	case !due.Equal(q.due):
		q.due = due
		heap.Fix(a, q.planned)
	}
}

// next is when tick must look at a queue; the zero time is never.
func (a *agenda) next() time.Time {
	if len(*a) == 0 {
		return time.Time{}
	}
	return (*a)[0].due
}

// take takes the queues that are due off the agenda.
func (a *agenda) take(now time.Time) []*queue {
	var due []*queue
	for len(*a) > 0 && !now.Before((*a)[0].due) {
		due = append(due, heap.Pop(a).(*queue))
	}
	slices.SortFunc(due, byNumber)
	return due
}

func byNumber(a, b *queue) int { return cmp.Compare(a.number, b.number) }

// queueSet is queues without an order.
type queueSet map[*queue]struct{}

func (s queueSet) add(q *queue) { s[q] = struct{}{} }

// sorted are the queues in the order of first use.
func (s queueSet) sorted() []*queue { return slices.SortedFunc(maps.Keys(s), byNumber) }

// line is queues that wait for their turn.
type line struct {
	queues []*queue
	gone   int // from the front
}

func (l *line) len() int { return len(l.queues) - l.gone }

func (l *line) push(q *queue) { l.queues = append(l.queues, q) }

// pushFront puts a queue before all others: mostly the one that pop gave last.
func (l *line) pushFront(q *queue) {
	if l.gone == 0 {
		l.queues = slices.Insert(l.queues, 0, q)
		return
	}
	l.gone--
	l.queues[l.gone] = q
}

func (l *line) pop() *queue {
	q := l.queues[l.gone]
	l.queues[l.gone] = nil
	l.gone++
	if l.gone > len(l.queues)/2 {
		// What has gone is at least as much as what moves.
		left := copy(l.queues, l.queues[l.gone:])
		clear(l.queues[left:])
		l.queues, l.gone = l.queues[:left], 0
	}
	return q
}
