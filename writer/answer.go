// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// What the core makes of answers.

// response is the answer to one attempt.
type response struct {
	tablet  int
	id      int64
	attempt int
	answer  forebay.Answer
}

// reply is the target's answer to a request in flight. An answer to anything else is ignored.
func (c *core) reply(p response, now time.Time) {
	q := c.queues[p.tablet]
	r := q.flight(p.id, p.attempt)
	if r == nil {
		return
	}
	c.now = now
	r.flying = false
	q.flying--
	c.flying--
	c.landed(r, &p.answer)
	switch {
	case p.answer.Code == forebay.CodeOK || p.answer.Code == forebay.CodeDuplicate:
		c.applied(q, r, p.answer)
	case r.expired:
		c.unresolved(q, r, p.answer)
	default:
		c.failed(q, r, p.answer)
	}
	c.pump(q)
	c.release()
}

// applied settles a request that the target took.
func (c *core) applied(q *queue, r *request, answer forebay.Answer) {
	q.remove(r)
	q.moves = 0
	if c.idempotent {
		q.acked = max(q.acked, r.sequence)
		if r.sequence >= q.cut {
			q.renew = true // the target contradicts itself
		}
	}
	if answer.Code == forebay.CodeDuplicate {
		c.count.duplicates++
	}
	if r.expired {
		c.act(q, action{kind: actFree, id: r.id})
		return
	}
	s := settlement{applied: Yes, duplicate: answer.Code == forebay.CodeDuplicate, answer: answer}
	if c.unanswered {
		s.applied = Unknown
	}
	c.settle(q, r, s)
}

// unresolved is the answer to a request whose receipts were told before: only its number is left to clear up.
func (c *core) unresolved(q *queue, r *request, answer forebay.Answer) {
	if classOf(answer) == forebay.ClassAmbiguous && !gap(answer.Code) {
		r.doubtful = true
	}
	q.remove(r)
	c.act(q, action{kind: actFree, id: r.id})
	c.vacate(q, r)
}

// failed is every answer but success.
func (c *core) failed(q *queue, r *request, answer forebay.Answer) {
	switch code := answer.Code; {
	case gap(code):
		c.gap(q, r, answer)
	case code == forebay.CodeNotLeader:
		c.moved(q, r, answer)
	case code == forebay.CodeOverload || code == forebay.CodeDiskFull:
		r.waits++
		r.throttled = true
		c.again(q, r, answer, c.overloaded(r, answer))
	case code == forebay.CodeRowsRejected:
		c.remainder(q, r, answer)
	default:
		switch classOf(answer) {
		case forebay.ClassTooLarge:
			c.tooLarge(q, r, answer)
		case forebay.ClassAmbiguous:
			r.doubtful = true // no answer, or one that nobody knows
			c.retry(q, r, answer)
		case forebay.ClassTransient, forebay.ClassThrottled, forebay.ClassMoved:
			c.retry(q, r, answer)
		default:
			c.refuse(q, r, settlement{answer: answer})
		}
	}
}

func classOf(answer forebay.Answer) forebay.Class {
	if answer.Code == forebay.CodeServerError {
		return answer.Class
	}
	return answer.Code.Class()
}

func gap(code forebay.Code) bool {
	return code == forebay.CodeSequenceGap || code == forebay.CodeUnknownWriter
}

// retry tries a request again unless its attempts are used up.
func (c *core) retry(q *queue, r *request, answer forebay.Answer) {
	r.attempts++
	if r.attempts > c.tuning.attempts() {
		c.refuse(q, r, settlement{answer: answer})
		return
	}
	c.again(q, r, answer, max(c.wait(r.attempts), answer.RetryAfter))
}

// again keeps a request to be sent after a while.
func (c *core) again(q *queue, r *request, answer forebay.Answer, wait time.Duration) {
	r.trying, r.due = true, c.now.Add(wait)
	c.count.retries++
	c.act(q, action{kind: actRetry, id: r.id, attempt: r.sends, code: answer.Code, wait: wait})
}

// moved is the answer of a target that does not have the tablet, or of none.
func (c *core) moved(q *queue, r *request, answer forebay.Answer) {
	if !c.locates {
		r.waits++
		c.again(q, r, answer, max(c.wait(r.waits), answer.RetryAfter))
		return
	}
	if r.placed == q.generation { // else it was looked up since
		c.relocate(q, answer.RetryAfter)
	}
	c.again(q, r, answer, 0)
}

// gap is the answer to a request whose predecessor the target has not seen. Behind one that is not settled it follows
// that one; else the target forgot the writer, or what was before it never arrived.
func (c *core) gap(q *queue, r *request, answer forebay.Answer) {
	switch {
	case !c.idempotent:
		c.retry(q, r, answer)
	case r.sequence <= q.acked:
		c.refuse(q, r, settlement{answer: answer}) // a later one was taken: so was this one
	case q.sent[0] != r || r.sequence >= q.cut:
		r.behind, r.due = c.count.sends, c.now
	default:
		q.cutAt(r.sequence, false)
		q.renew = true
		c.relocate(q, 0)
		if r.waits++; r.waits > 1 {
			c.again(q, r, answer, c.wait(r.waits-1))
		} else {
			c.again(q, r, answer, 0)
		}
	}
}

// remainder cuts the refused rows out of a request. Nothing of it was applied and its number is not used up: what is
// left takes it.
func (c *core) remainder(q *queue, r *request, answer forebay.Answer) {
	bad := refusedRows(answer.Rows, r.records)
	if len(bad) == 0 {
		c.refuse(q, r, settlement{answer: answer})
		return
	}
	c.act(q, action{kind: actReject, id: r.id, rows: bad})
	r.size -= r.size / r.records * len(bad)
	r.records -= len(bad)
	r.doubtful, r.trying, r.due = false, false, c.now
	if r.records == 0 {
		c.refuse(q, r, settlement{answer: answer})
	}
}

// refusedRows are the rows that a request has, each once, in order.
func refusedRows(rows []forebay.RowError, records int) []forebay.RowError {
	bad := make([]forebay.RowError, 0, len(rows))
	for _, row := range rows {
		if row.Row >= 0 && row.Row < records {
			bad = append(bad, row)
		}
	}
	slices.SortStableFunc(bad, func(a, b forebay.RowError) int { return a.Row - b.Row })
	return slices.CompactFunc(bad, func(a, b forebay.RowError) bool { return a.Row == b.Row })
}

// tooLarge splits a request, once all later ones of the tablet are known not to be applied.
func (c *core) tooLarge(q *queue, r *request, answer forebay.Answer) {
	switch {
	case r.records == 1:
		answer.Rows = []forebay.RowError{{Code: "too-large", Reason: orElse(answer.Message, "it is too large")}}
		c.act(q, action{kind: actReject, id: r.id, rows: answer.Rows})
		r.records, r.doubtful = 0, false
		c.refuse(q, r, settlement{answer: answer})
	case c.idempotent:
		r.oversized = true
		q.cutAt(r.sequence, true)
		q.renew = q.renew || r.doubtful
		r.doubtful = false
	default:
		r.trying, r.due = false, c.now
		q.sent = slices.Insert(q.sent, slices.Index(q.sent, r)+1, c.split(q, r))
	}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// refuse settles a request that is given up or will never be taken.
func (c *core) refuse(q *queue, r *request, s settlement) {
	q.remove(r)
	s.applied = c.fate(q, r)
	c.settle(q, r, s)
	c.vacate(q, r)
}

// fate is what is known of a request that is given up. A target takes numbers in their order: what is below one that
// it took, it took as well; of one that applies in part, nobody knows what.
func (c *core) fate(q *queue, r *request) Applied {
	switch {
	case r.sequence != noSequence && r.sequence <= q.acked:
		if c.partial {
			return Unknown
		}
		return Yes
	case r.doubtful:
		return Unknown
	default:
		return No
	}
}

// vacate is the end of a number whose request is gone. If it was not used up, what is behind it is numbered anew. If
// nobody knows, the answer to the next one tells; where there is none, a new writer id is safe.
func (c *core) vacate(q *queue, r *request) {
	switch {
	case r.sequence == noSequence || r.sequence <= q.acked:
	case !r.doubtful:
		q.cutAt(r.sequence, true)
	default:
		q.stale = max(q.stale, r.sequence)
		if r.sequence == q.sequence-1 {
			q.cutAt(q.sequence, false)
			q.renew = true
		}
	}
}

func (c *core) settle(q *queue, r *request, s settlement) {
	s.attempts = r.sends
	s.unplaced = s.applied == Yes && s.answer.Code != forebay.CodeOK && s.answer.Code != forebay.CodeDuplicate
	c.unsettle--
	// W5: a request is in one list only, and leaves it for this, or is marked as expired.
	c.act(q, action{kind: actSettle, id: r.id, settled: s})
}
