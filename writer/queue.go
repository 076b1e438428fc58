// SPDX-License-Identifier: Apache-2.0

package writer

import (
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
	pumped time.Time // when it was last looked at
	open   *request
	ready  []*request // closed, without a number
	sent   []*request // with a number, in its order: in flight, or to be sent again
	flying int
	// limited says that the queue waits for room in the limiter.
	limited bool

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

func newQueue(tablet int) *queue {
	return &queue{tablet: tablet, cut: noCut, acked: noNumber, stale: noNumber}
}

// busy reports whether there is anything in the queue.
func (q *queue) busy() bool { return q.open != nil || len(q.ready)+len(q.sent) > 0 }

// oldest is the request whose deadline comes first.
func (q *queue) oldest() *request {
	for _, r := range q.sent {
		if !r.expired {
			return r
		}
	}
	if len(q.ready) > 0 {
		return q.ready[0]
	}
	return q.open
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
	if i := slices.Index(q.ready, r); i >= 0 {
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
