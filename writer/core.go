// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"math"
	"time"

	"github.com/forebay-io/forebay"
)

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
	actClose  actionKind = iota // no row may be added to the request any more: seal it
	actSend                     // send the request, and answer with core.reply
	actReject                   // rows can never be accepted: note them and cut them out of the request
	actSplit                    // the rows from a number on become a request of their own
	actRetry                    // an attempt failed and the request will be sent again
	actSettle                   // tell the request's receipts
	actFree                     // the backend has given back a request whose receipts were told before
	actInit                     // ask the target for a writer id, and answer with core.identify
	actLocate                   // look the tablet up, and answer with core.located
)

// action is one thing that the core wants done.
type action struct {
	kind     actionKind
	id       int64
	tablet   int
	writerID string
	sequence int64
	attempt  int
	expires  time.Time
	wait     time.Duration
	refresh  bool
	row      int   // actSplit: the first row of the other request
	other    int64 // actSplit: its id
	rows     []forebay.RowError
	code     forebay.Code
	settled  settlement
}

// settlement is the end of a request.
type settlement struct {
	applied   Applied
	duplicate bool
	answer    forebay.Answer
	err       error // instead of the answer, where something else than an answer ended it
	attempts  int
	flying    bool // the backend still has its data
	unplaced  bool // it is applied, and nobody knows at which offset
}

// coreConfig is what a core needs to know from the start.
type coreConfig struct {
	tuning     Tuning
	idempotent bool
	locates    bool          // tablets are looked up before anything is sent to them
	partial    bool          // requests may be applied in part
	unanswered bool          // an answer says that the request was handed over, and no more
	deadline   time.Duration // of a request, from its first row; 0 is none
	limits     bool          // a limiter bounds the requests of all tablets together
	bytes      forebay.Bytes // the most that may be in flight, with limits; 0 is no bound
}

// core is the writer's state machine. Events are its methods; each appends to actions what the shell is to do,
// in order. It knows requests by number; rows and bytes are the shell's.
//
// Concurrency: the shell's lock.
type core struct {
	coreConfig

	writerID string // the last that the target gave
	asked    bool
	stopped  bool
	queues   []*queue // by tablet, nil where nothing was added
	order    []*queue // in the order of first use
	agenda   agenda   // by the time at which tick must look at them
	opened   queueSet // with an open request
	unnamed  queueSet // that wait for a writer id
	unplaced line     // that wait for others to be looked up
	nextID   int64
	unsettle int       // requests that are not settled
	flying   int       // requests that wait for an answer
	locating int       // tablets that are being looked up
	now      time.Time // of the event
	roll     float64   // what share of a back-off is waited: 1, or a random number with jitter
	actions  []action
	count    counters
	limited  limited
}

// counters count since the core was made.
type counters struct {
	sends, retries, duplicates, moves, incarnations int64
}

const (
	noSequence = math.MinInt64
	// locatingMax bounds the look-ups of different tablets at one time.
	locatingMax = 16
)

func newCore(config coreConfig) *core {
	config.tuning = config.tuning.withDefaults()
	c := &core{coreConfig: config, roll: 1, opened: queueSet{}, unnamed: queueSet{}}
	if config.limits {
		c.limited = limited{limiter: NewLimiter(LimiterConfig{Bytes: config.bytes}), bytes: config.bytes}
	}
	return c
}

// add puts a row of a size into the tablet's open request, opening one if there is none, and returns its id.
// The request is closed when the row brings it to the batch size.
func (c *core) add(tablet, size int, now time.Time) (id int64) {
	q := c.queue(tablet)
	opened := q.open == nil
	if opened {
		q.open = &request{id: c.nextID, opened: now, sequence: noSequence}
		if c.deadline > 0 {
			q.open.expires = now.Add(c.deadline)
		}
		c.opened.add(q)
		c.nextID++
		c.unsettle++
	}
	r := q.open
	r.records++
	r.size += size
	full := forebay.Bytes(r.size) >= c.tuning.BatchSize
	if full {
		c.close(q)
	}
	if full || opened {
		c.now = now
		c.pump(q)
	}
	return r.id
}

// quiet reports whether a row of a size only makes the open request of the tablet larger: then add needs no time.
func (c *core) quiet(tablet, size int) bool {
	if tablet >= len(c.queues) || c.queues[tablet] == nil || c.queues[tablet].open == nil {
		return false
	}
	return forebay.Bytes(c.queues[tablet].open.size+size) < c.tuning.BatchSize
}

func (c *core) queue(tablet int) *queue {
	for tablet >= len(c.queues) {
		c.queues = append(c.queues, nil)
	}
	q := c.queues[tablet]
	if q == nil {
		q = newQueue(tablet, len(c.order))
		c.queues[tablet] = q
		c.order = append(c.order, q)
	}
	return q
}

func (c *core) close(q *queue) {
	if q.open == nil {
		return
	}
	c.act(q, action{kind: actClose, id: q.open.id})
	if last := q.newest(); last != nil && q.open.expires.Before(last.expires) {
		q.unordered = true
	}
	q.ready = append(q.ready, q.open)
	q.open = nil
	delete(c.opened, q)
}

func (c *core) act(q *queue, a action) {
	a.tablet = q.tablet
	c.actions = append(c.actions, a)
}

// tick closes the requests that are old enough, ends those whose deadline has passed and sends those whose back-off
// has.
func (c *core) tick(now time.Time) {
	c.now = now
	for _, q := range c.agenda.take(now) {
		c.look(q)
	}
	c.release()
}

// look is what tick does with a queue.
func (c *core) look(q *queue) {
	if q.open != nil && c.now.Sub(q.open.opened) >= c.tuning.BatchTimeout {
		c.close(q)
	}
	c.pump(q)
}

// flush closes every open request.
func (c *core) flush(now time.Time) {
	c.now = now
	for _, q := range c.opened.sorted() {
		c.close(q)
		c.pump(q)
	}
}

// relieve closes every open request where others wait for memory and nothing is under way: only so the bytes come back
// soon. While something is under way its answer brings bytes, and small requests would make the target slower.
func (c *core) relieve(now time.Time) {
	if c.flying+c.locating == 0 && !c.asked {
		c.flush(now)
	}
}

// flushUntil closes every open request, and has them expire then.
func (c *core) flushUntil(expires, now time.Time) {
	for q := range c.opened {
		q.open.expires = expires
	}
	c.flush(now)
}

// tune changes the knobs: for the open requests and for all that follow. A smaller window drains.
func (c *core) tune(t Tuning, now time.Time) {
	c.tuning, c.now = t.withDefaults(), now
	for _, q := range c.order {
		if q.open != nil && forebay.Bytes(q.open.size) >= c.tuning.BatchSize {
			c.close(q)
		}
	}
	for _, q := range c.order {
		c.look(q)
	}
	c.release()
}

// identify is the target's answer to actInit. With an error, which no further attempt will mend, the rows that wait
// for a writer id are not applied.
func (c *core) identify(writerID string, err error, now time.Time) {
	c.now, c.asked = now, false
	if err == nil {
		c.writerID = writerID
	}
	waiting := c.unnamed.sorted()
	clear(c.unnamed)
	for _, q := range waiting {
		if err != nil && q.writerID == "" && len(q.ready) > 0 {
			c.fail(q, err)
		}
	}
	for _, q := range waiting {
		c.pump(q)
	}
}

// located is the answer to actLocate. With an error of class misconfigured the tablet cannot be: what waits for it is
// not applied. Other errors pass.
func (c *core) located(tablet int, err error, now time.Time) {
	q := c.queues[tablet]
	c.now = now
	c.locating--
	switch {
	case err == nil:
		if q.refresh {
			q.hurry(now)
		}
		q.place, q.refresh, q.misses = placeKnown, false, 0
		q.generation++
	case forebay.ClassOf(err) == forebay.ClassMisconfigured:
		q.place, q.misses = placeUnknown, 0
		c.fail(q, err)
	default:
		q.place = placeUnknown
		q.misses++
		q.locateDue = now.Add(c.wait(q.misses))
	}
	c.pump(q)
	for c.locating < locatingMax && c.unplaced.len() > 0 {
		next := c.unplaced.pop()
		next.unplaced = false
		c.pump(next)
	}
}

// fail settles what is not in flight.
func (c *core) fail(q *queue, err error) {
	if c.stopped {
		return
	}
	c.close(q)
	for i := 0; i < len(q.sent); {
		if q.sent[i].flying {
			i++
			continue
		}
		c.refuse(q, q.sent[i], settlement{err: err})
	}
	for len(q.ready) > 0 {
		c.refuse(q, q.ready[0], settlement{err: err})
	}
}

// wake is when tick must be called next; the zero time is never.
func (c *core) wake() time.Time {
	if c.stopped {
		return time.Time{}
	}
	next := c.agenda.next()
	if until := c.limited.until; c.limited.waiting.len() > 0 && !until.IsZero() {
		next = earlier(next, until)
	}
	return next
}

// earlier is the earlier one of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// due is when tick must look at a queue that was just pumped; the zero time is never. What is due now and was not sent
// waits for another event.
func (c *core) due(q *queue) (due time.Time) {
	if q.open != nil {
		due = q.open.opened.Add(c.tuning.BatchTimeout)
	}
	if c.deadline > 0 {
		if first := q.expires(); !first.IsZero() {
			due = earlier(due, first)
		}
	}
	if q.place == placeUnknown && c.locates && q.locateDue.After(c.now) && q.waits() {
		due = earlier(due, q.locateDue)
	}
	for _, r := range q.sent {
		if !r.flying && r.due.After(c.now) {
			due = earlier(due, r.due)
		}
	}
	if len(q.ready) > 0 && q.ready[0].due.After(c.now) {
		due = earlier(due, q.ready[0].due)
	}
	return due
}

// wait is the back-off after a number of failures.
func (c *core) wait(failures int) time.Duration {
	return time.Duration(float64(backoff(failures)) * c.roll)
}

// stop sends nothing from here on; the answers of what is in flight still come.
func (c *core) stop() { c.stopped = true }

// abandon settles everything. Nothing may be in flight.
func (c *core) abandon() {
	c.stopped = true
	answer := forebay.Answer{Code: forebay.CodeServerError, Message: "the writer was closed"}
	for _, q := range c.order {
		c.close(q)
		for _, r := range q.sent {
			if !r.expired {
				c.settle(q, r, settlement{applied: c.fate(q, r), answer: answer})
			}
		}
		for _, r := range q.ready {
			c.settle(q, r, settlement{applied: c.fate(q, r), answer: answer})
		}
		q.sent, q.ready = nil, nil
	}
}

// take empties the list of actions.
func (c *core) take() []action {
	actions := c.actions
	c.actions = nil
	return actions
}
