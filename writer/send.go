// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"time"

	"github.com/forebay-io/forebay"
)

// What the core sends, and when.

// pump sends what the tablet's queue allows now, and notes when to look at it again.
func (c *core) pump(q *queue) {
	if c.stopped {
		return
	}
	c.advance(q)
	c.agenda.plan(q, c.due(q))
}

func (c *core) advance(q *queue) {
	c.expire(q)
	c.resolve(q)
	if !q.waits() || !c.locate(q) || !c.identified(q) {
		return
	}
	for q.flying < c.window() { // W4: the window bounds what is in flight
		r := q.next(c.now, c.idempotent)
		if r == nil || !c.admit(q, r) {
			return
		}
		c.send(q, r)
	}
}

func (c *core) window() int {
	if c.idempotent {
		return min(c.tuning.MaxInflight, MaxInflightDefault)
	}
	return c.tuning.MaxInflight
}

func (c *core) send(q *queue, r *request) {
	if len(q.ready) > 0 && q.ready[0] == r {
		q.ready = q.ready[1:]
		q.sent = append(q.sent, r)
		if c.idempotent {
			r.sequence = q.sequence // W1: the sequence is fixed before the first send
			q.sequence++
		}
	}
	r.sends++
	r.flying, r.throttled, r.placed = true, false, q.generation
	q.flying++
	c.flying++
	c.count.sends++
	r.sent = c.count.sends
	c.act(q, action{
		kind: actSend, id: r.id, writerID: q.writerID, sequence: r.sequence, attempt: r.sends, expires: r.expires,
	})
}

// locate reports whether the tablet's place is known. If not, it sees to it that it is looked up: by one look-up at a
// time, while rows wait in the queue.
func (c *core) locate(q *queue) bool {
	if !c.locates || q.place == placeKnown {
		return true
	}
	switch {
	case q.place == placeAsked || c.now.Before(q.locateDue):
	case c.locating < locatingMax:
		q.place = placeAsked
		c.locating++
		c.act(q, action{kind: actLocate, refresh: q.refresh})
	case !q.unplaced:
		q.unplaced = true
		c.unplaced.push(q)
	}
	return false
}

// relocate has the tablet looked up again, after a while where the last look-up did not help.
func (c *core) relocate(q *queue, after time.Duration) {
	if !c.locates || q.place != placeKnown {
		return
	}
	q.place, q.refresh = placeUnknown, true
	if q.moves > 0 {
		after = max(after, c.wait(q.moves))
	}
	q.moves++
	q.locateDue = c.now.Add(after)
	c.count.moves++
}

// identified reports whether the queue has a writer id to count under. If not, it takes the last one that the target
// gave, or asks for one.
func (c *core) identified(q *queue) bool {
	if !c.idempotent || q.writerID != "" {
		return true
	}
	if len(q.ready) == 0 {
		return false
	}
	if c.writerID != "" && c.writerID != q.used {
		q.writerID = c.writerID // never used for this tablet: ids only move on
		return true
	}
	c.unnamed.add(q)
	if !c.asked {
		c.asked = true
		c.actions = append(c.actions, action{kind: actInit})
	}
	return false
}

// expire ends the requests whose deadline has passed. What is in flight keeps its number until its answer comes, and
// nothing new is sent behind it.
func (c *core) expire(q *queue) {
	if c.deadline == 0 {
		return
	}
	late := func(r *request) bool { return !c.now.Before(r.expires) }
	for i := 0; i < len(q.sent); {
		switch r := q.sent[i]; {
		case r.expired || !late(r):
			i++
		case r.flying:
			r.expired = true
			s := settlement{applied: c.fate(q, r), answer: tooLate(), flying: true}
			if s.applied == No {
				s.applied = Unknown
			}
			c.settle(q, r, s)
			i++
		default:
			c.refuse(q, r, settlement{answer: tooLate()})
		}
	}
	if q.open != nil && late(q.open) {
		c.close(q)
	}
	for i := 0; i < len(q.ready); {
		switch r := q.ready[i]; {
		case late(r):
			c.refuse(q, r, settlement{answer: tooLate()})
		case q.unordered:
			i++
		default:
			return
		}
	}
}

func tooLate() forebay.Answer {
	return forebay.Answer{Code: forebay.CodeTimeout, Message: "the delivery deadline has passed"}
}

// resolve numbers anew what has a void number, once nothing of it is in flight. Where a number may still arrive in
// another request, that is under a new writer id, after everything with a valid number is settled. W2: what may have
// been applied is settled as unknown instead, unless it stands behind something that certainly was not.
func (c *core) resolve(q *queue) {
	if q.cut == noCut {
		return
	}
	from := q.void()
	void := q.sent[from:]
	for _, r := range void {
		if r.flying {
			return
		}
	}
	renew := !q.reusable(void)
	if renew && from > 0 {
		return
	}
	certain := q.certain
	kept := make([]*request, 0, len(void)+len(q.ready)+1)
	for _, r := range void {
		if r.doubtful && !certain {
			c.settle(q, r, settlement{applied: c.fate(q, r), answer: forebay.Answer{
				Code: forebay.CodeUnknownWriter, Message: "the target does not know the writer any more",
			}})
			continue
		}
		certain = true
		r.unnumber()
		kept = append(kept, r)
		if r.oversized {
			kept = append(kept, c.split(q, r))
		}
	}
	q.sent, q.ready = q.sent[:from], append(kept, q.ready...)
	q.restart(renew)
	if renew {
		c.count.incarnations++
	}
}

// split leaves the first half of its rows in the request and returns one with the others.
func (c *core) split(q *queue, r *request) *request {
	half := r.records / 2
	other := *r
	other.id = c.nextID
	c.nextID++
	c.unsettle++
	other.records, other.size = r.records-half, r.size-r.size/2
	r.records, r.size = half, r.size/2
	r.oversized, other.oversized = false, false
	c.act(q, action{kind: actSplit, id: r.id, row: half, other: other.id})
	return &other
}
