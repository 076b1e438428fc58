// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"math"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// Tuning are the knobs of a running writer. Zero fields are the defaults.
type Tuning struct {
	// BatchSize closes a request; default 2 MB.
	BatchSize forebay.Bytes
	// BatchTimeout closes a request that is this old; default 500 ms.
	BatchTimeout time.Duration
	// Retries is the number of attempts after the first that the target failed or that timed out; default 3.
	// NoRetries stands for none.
	Retries int
	// MaxInflight is the number of requests of a tablet that may wait for an answer; default 5, which is the
	// limit with idempotence.
	MaxInflight int
}

// NoRetries is the value of Tuning.Retries for a single attempt.
const NoRetries = -1

// Defaults of Tuning.
const (
	BatchSizeDefault    = 2 * forebay.MiB
	BatchTimeoutDefault = 500 * time.Millisecond
	RetriesDefault      = 3
	MaxInflightDefault  = 5

	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

func (t Tuning) withDefaults() Tuning {
	if t.BatchSize == 0 {
		t.BatchSize = BatchSizeDefault
	}
	if t.BatchTimeout == 0 {
		t.BatchTimeout = BatchTimeoutDefault
	}
	if t.Retries == 0 {
		t.Retries = RetriesDefault
	} else if t.Retries < 0 {
		t.Retries = 0
	}
	if t.MaxInflight == 0 {
		t.MaxInflight = MaxInflightDefault
	}
	return t
}

// backoff is the wait before attempt number attempt + 1: min(100 ms x 2^(attempt-1), 5 s).
func backoff(attempt int) time.Duration {
	if attempt < 1 {
		attempt = 1
	}
	if attempt > 6 {
		return backoffMax // 100 ms x 2^6 is more, and a large shift would overflow
	}
	return min(backoffFirst<<(attempt-1), backoffMax)
}

// Applied says whether a row is in the target.
type Applied uint8

// What is known of a row's fate. The zero value is the cautious one.
const (
	Unknown Applied = iota
	Yes
	No
)

// String is the word that messages use.
func (a Applied) String() string {
	switch a {
	case Yes:
		return "applied"
	case No:
		return "not applied"
	default:
		return "unknown"
	}
}

// actionKind says what the shell is to do.
type actionKind uint8

const (
	actSend   actionKind = iota // send the request
	actSettle                   // tell the request's receipts
	actInit                     // ask the target for a writer id, and answer with core.identify
	actClose                    // no row may be added to the request any more: seal it
)

// action is one thing that the core wants done.
type action struct {
	kind     actionKind
	id       int64
	tablet   int
	sequence int64
	settled  settlement
}

// settlement is the end of a request.
type settlement struct {
	applied   Applied
	duplicate bool
	answer    forebay.Answer
	attempts  int
}

// core is the writer's state machine. Events are its methods; each appends to actions what the shell is to do,
// in order. It knows requests by number; rows and bytes are the shell's.
//
// Concurrency: the shell's lock.
type core struct {
	tuning     Tuning
	idempotent bool

	writerID string // empty until the target gave one
	asked    bool
	queues   map[int]*queue
	order    []*queue // in the order of first use, so that the same events give the same actions
	nextID   int64
	unsettle int // requests that are not settled
	actions  []action
}

const noSequence = math.MinInt64

func newCore(tuning Tuning, idempotent bool) *core {
	return &core{tuning: tuning.withDefaults(), idempotent: idempotent, queues: map[int]*queue{}}
}

// add puts a row of a size into the tablet's open request, opening one if there is none, and returns its id.
// The request is closed when the row brings it to the batch size.
func (c *core) add(tablet, size int, now time.Time) (id int64) {
	q := c.queue(tablet)
	if q.open == nil {
		q.open = &request{id: c.nextID, tablet: tablet, opened: now, sequence: noSequence}
		c.nextID++
		c.unsettle++
	}
	q.open.records++
	q.open.size += size
	id = q.open.id
	if forebay.Bytes(q.open.size) >= c.tuning.BatchSize {
		c.close(q)
	}
	c.pump(q, now)
	return id
}

func (c *core) queue(tablet int) *queue {
	q := c.queues[tablet]
	if q == nil {
		q = &queue{}
		c.queues[tablet] = q
		c.order = append(c.order, q)
	}
	return q
}

func (c *core) close(q *queue) {
	if q.open == nil {
		return
	}
	c.actions = append(c.actions, action{kind: actClose, id: q.open.id, tablet: q.open.tablet})
	q.ready = append(q.ready, q.open)
	q.open = nil
}

// tick closes the requests that are old enough and sends those whose back-off has passed.
func (c *core) tick(now time.Time) {
	for _, q := range c.order {
		if q.open != nil && now.Sub(q.open.opened) >= c.tuning.BatchTimeout {
			c.close(q)
		}
		c.pump(q, now)
	}
}

// flush closes every open request.
func (c *core) flush(now time.Time) {
	for _, q := range c.order {
		c.close(q)
		c.pump(q, now)
	}
}

// identify is the target's answer to actInit.
func (c *core) identify(writerID string, now time.Time) {
	c.writerID, c.asked = writerID, false
	for _, q := range c.order {
		c.pump(q, now)
	}
}

// wake is when tick must be called next; the zero time is never.
func (c *core) wake() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, q := range c.order {
		if q.open != nil {
			earlier(q.open.opened.Add(c.tuning.BatchTimeout))
		}
		if r := q.nextRetry(c.idempotent); r != nil {
			earlier(r.due)
		}
	}
	return next
}

// pump sends what the tablet's queue allows now.
func (c *core) pump(q *queue, now time.Time) {
	if q.renumbering && len(q.inflight) == 0 {
		q.renumber()
	}
	if q.renumbering || len(q.ready)+len(q.retry) == 0 {
		return
	}
	if c.idempotent && c.writerID == "" {
		if !c.asked {
			c.asked = true
			c.actions = append(c.actions, action{kind: actInit})
		}
		return
	}
	for len(q.inflight) < c.window() { // W4: the window bounds what is in flight
		r := q.next(now, c.idempotent)
		if r == nil {
			return
		}
		if c.idempotent && r.sequence == noSequence {
			r.sequence = q.sequence // W1: the sequence is fixed before the first send
			q.sequence++
		}
		r.sends++
		q.inflight = append(q.inflight, r)
		c.actions = append(c.actions, action{kind: actSend, id: r.id, tablet: r.tablet, sequence: r.sequence})
	}
}

func (c *core) window() int {
	if c.idempotent {
		return min(c.tuning.MaxInflight, MaxInflightDefault)
	}
	return c.tuning.MaxInflight
}

// reply is the target's answer to a request in flight.
func (c *core) reply(tablet int, id int64, answer forebay.Answer, now time.Time) {
	q := c.queues[tablet]
	r := q.land(id)
	switch answer.Code {
	case forebay.CodeOK, forebay.CodeDuplicate:
		c.settle(r, settlement{applied: Yes, duplicate: answer.Code == forebay.CodeDuplicate, answer: answer})
	case forebay.CodeSequenceGap, forebay.CodeUnknownWriter:
		c.gap(q, r, answer, now)
	case forebay.CodeNotLeader, forebay.CodeOverload, forebay.CodeDiskFull:
		r.waits++
		c.again(q, r, now.Add(max(backoff(r.waits), answer.RetryAfter)))
	case forebay.CodeTimeout:
		r.doubtful = true
		c.retry(q, r, answer, now)
	case forebay.CodeServerError:
		c.serverError(q, r, answer, now)
	default:
		if answer.Code.Class() == forebay.ClassAmbiguous {
			r.doubtful = true // no answer, or one that nobody knows
			c.retry(q, r, answer, now)
			break
		}
		c.refuse(q, r, answer)
	}
	c.pump(q, now)
}

func (c *core) serverError(q *queue, r *request, answer forebay.Answer, now time.Time) {
	switch answer.Class {
	case forebay.ClassAmbiguous:
		r.doubtful = true
		c.retry(q, r, answer, now)
	case forebay.ClassTransient, forebay.ClassThrottled, forebay.ClassMoved:
		c.retry(q, r, answer, now)
	default:
		c.refuse(q, r, answer)
	}
}

// retry tries a request again unless its attempts are used up.
func (c *core) retry(q *queue, r *request, answer forebay.Answer, now time.Time) {
	r.attempts++
	if r.attempts > c.tuning.Retries {
		c.refuse(q, r, answer)
		return
	}
	c.again(q, r, now.Add(backoff(r.attempts)))
}

// again puts a request back to be sent when it is due. While the queue is numbered anew, one that was
// certainly not applied joins the others, and one that may have been ends the writer's incarnation (W2).
func (c *core) again(q *queue, r *request, due time.Time) {
	switch {
	case !q.renumbering:
		q.again(r, due)
	case r.doubtful:
		c.settle(r, settlement{applied: Unknown, answer: forebay.Answer{Code: forebay.CodeUnknownWriter}})
		c.incarnate()
	default:
		q.collect(r)
	}
}

// gap is the answer to a request whose predecessor the target has not seen. Behind one that is in flight or
// tried again, it follows that one; else the target forgot the writer.
func (c *core) gap(q *queue, r *request, answer forebay.Answer, now time.Time) {
	switch {
	case q.renumbering || q.before(r):
		c.again(q, r, now)
	case r.doubtful:
		c.settle(r, settlement{applied: Unknown, answer: answer})
		c.incarnate()
	default:
		q.collect(r)
		c.incarnate()
	}
}

// incarnate gives up the writer id. W2: a request that may have been applied under the old one is not sent
// under the new one; it settles as unknown.
func (c *core) incarnate() {
	c.writerID = ""
	answer := forebay.Answer{Code: forebay.CodeUnknownWriter, Message: "the target does not know the writer any more"}
	for _, q := range c.order {
		for _, doubtful := range q.startRenumbering(0) {
			c.settle(doubtful, settlement{applied: Unknown, answer: answer})
		}
	}
}

// refuse settles a request that is given up or will never be taken. Its number was not used up unless it may
// have been applied, so that the requests behind it are numbered anew from there.
func (c *core) refuse(q *queue, r *request, answer forebay.Answer) {
	c.settle(r, settlement{applied: r.fate(), answer: answer})
	if r.sequence == noSequence || r.doubtful {
		return // the target answers the next one with a gap, or takes it
	}
	if slices.ContainsFunc(q.retry, func(other *request) bool { return other.doubtful }) {
		c.incarnate()
		return
	}
	q.startRenumbering(r.sequence)
}

func (c *core) settle(r *request, s settlement) {
	s.attempts = r.sends
	c.unsettle--
	// W5: a request is in one list only, and leaves it for this.
	c.actions = append(c.actions, action{kind: actSettle, id: r.id, tablet: r.tablet, settled: s})
}

// abandon settles everything as unknown, or not applied where it was never sent. Nothing may be in flight.
func (c *core) abandon() {
	answer := forebay.Answer{Code: forebay.CodeServerError, Message: "the writer was closed"}
	for _, q := range c.order {
		if q.open != nil {
			c.close(q)
		}
		left := append(append(q.collected, q.retry...), q.ready...)
		*q = queue{sequence: q.sequence}
		for _, r := range left {
			c.settle(r, settlement{applied: r.fate(), answer: answer})
		}
	}
}

// take empties the list of actions.
func (c *core) take() []action {
	actions := c.actions
	c.actions = nil
	return actions
}
