// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"cmp"
	"slices"
	"time"
)

// request is one request in the core, from open to settled.
type request struct {
	id       int64
	tablet   int
	records  int
	size     int
	opened   time.Time
	sequence int64
	sends    int
	attempts int       // failed ones that count
	waits    int       // refusals that do not count
	due      time.Time // when it may be sent again
	doubtful bool      // an attempt may have been applied
}

// fate is what is known of a request that is given up.
func (r *request) fate() Applied {
	if r.doubtful {
		return Unknown
	}
	return No
}

// queue holds the requests of one tablet, in the order of their rows: in flight or retried, then ready, then
// open.
type queue struct {
	open     *request
	ready    []*request // closed, never sent or to be numbered anew
	retry    []*request // to be sent again, in order of sequence
	inflight []*request
	sequence int64 // of the next request that is sent for the first time

	// While renumbering, nothing is sent; what comes back unapplied is collected until nothing is in flight,
	// and then numbered from restart.
	renumbering bool
	restart     int64
	collected   []*request
}

// next takes the request that may be sent now: with idempotence the first one to be tried again, W4: alone;
// else the next ready one.
func (q *queue) next(now time.Time, ordered bool) *request {
	if r := q.nextRetry(ordered); r != nil {
		if now.Before(r.due) {
			if ordered || len(q.ready) == 0 {
				return nil
			}
		} else {
			q.retry = q.retry[1:]
			return r
		}
	} else if len(q.retry) > 0 {
		return nil // its predecessor is in flight
	}
	if len(q.ready) == 0 || ordered && q.trying() {
		return nil
	}
	r := q.ready[0]
	q.ready = q.ready[1:]
	return r
}

// trying reports whether a request in flight was sent before: nothing new goes out beside it.
func (q *queue) trying() bool {
	return slices.ContainsFunc(q.inflight, func(r *request) bool { return r.attempts+r.waits > 0 })
}

// nextRetry is the first request to be tried again, nil while an earlier one is in flight.
func (q *queue) nextRetry(ordered bool) *request {
	if len(q.retry) == 0 || ordered && len(q.inflight) > 0 && q.inflight[0].sequence < q.retry[0].sequence {
		return nil
	}
	return q.retry[0]
}

// land takes a request out of flight.
func (q *queue) land(id int64) *request {
	i := slices.IndexFunc(q.inflight, func(r *request) bool { return r.id == id })
	r := q.inflight[i]
	q.inflight = slices.Delete(q.inflight, i, i+1)
	return r
}

// again puts a request back to be sent when it is due. W3: the order is that of the sequences.
func (q *queue) again(r *request, due time.Time) {
	r.due = due
	q.retry = append(q.retry, r)
	slices.SortStableFunc(q.retry, func(a, b *request) int {
		if a.sequence != b.sequence {
			return cmp.Compare(a.sequence, b.sequence)
		}
		return cmp.Compare(a.id, b.id)
	})
}

// before reports whether an earlier request than r is not settled yet.
func (q *queue) before(r *request) bool {
	earlier := func(other *request) bool { return other.sequence < r.sequence }
	return slices.ContainsFunc(q.inflight, earlier) || slices.ContainsFunc(q.retry, earlier)
}

// startRenumbering sends nothing until nothing is in flight, and then numbers what was certainly not applied
// from a number on. It returns the requests that wait to be tried again and may have been applied.
func (q *queue) startRenumbering(from int64) (doubtful []*request) {
	if !q.renumbering {
		q.renumbering, q.restart = true, from
	}
	q.restart = min(q.restart, from)
	for _, r := range q.retry {
		if r.doubtful {
			doubtful = append(doubtful, r)
		} else {
			q.collect(r)
		}
	}
	q.retry = nil
	return doubtful
}

func (q *queue) collect(r *request) { q.collected = append(q.collected, r) }

// renumber ends renumbering: what came back goes first, in its old order, and is numbered from restart when
// it is sent.
func (q *queue) renumber() {
	slices.SortFunc(q.collected, func(a, b *request) int { return cmp.Compare(a.id, b.id) })
	for _, r := range q.collected {
		r.sequence, r.due = noSequence, time.Time{}
	}
	q.ready = append(q.collected, q.ready...)
	q.sequence, q.renumbering, q.collected = q.restart, false, nil
}
