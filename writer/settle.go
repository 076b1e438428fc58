// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"slices"
	"time"

	"github.com/forebay-io/forebay"
)

// What the shell does with the core's actions.

// openLocked begins a request.
func (w *Writer) openLocked(id int64, tablet int, now time.Time) *sealed {
	s := &sealed{id: id, table: w.table, tablet: tablet, opened: now, open: 1, held: 1, done: make(chan struct{})}
	s.whole = s
	w.requests[id] = &s.piece
	if w.config.Settled != nil {
		s.calling = true
		w.ordered[tablet] = append(w.ordered[tablet], s)
	}
	return s
}

// actLocked does what the core wants: seals closed requests, starts sends, and ends settled requests, whose bytes
// are free before their receipts say so. Goroutines start under the lock, so that none starts once Close has
// taken it; Memory's lock is taken below this one, and nothing else.
func (w *Writer) actLocked() {
	for _, a := range w.core.take() {
		switch a.kind {
		case actClose:
			p := w.requests[a.id]
			p.size = p.whole.count
			w.sealLocked(p, w.rows.takeOne(a.tablet))
		case actSend:
			w.sendLocked(&a)
		case actReject:
			w.rejectLocked(w.requests[a.id], a.rows)
		case actSplit:
			w.splitLocked(&a)
		case actRetry:
			w.noteRetryLocked(&a)
		case actSettle:
			w.settleLocked(&a)
		case actFree:
			w.freeLocked(a.id)
		case actInit:
			w.work.Go(w.runInit)
		case actLocate:
			w.noteMoveLocked(&a)
			w.work.Go(func() { w.runLocate(a.tablet, a.refresh) })
		}
	}
}

// sealLocked gives a piece its data.
func (w *Writer) sealLocked(p *piece, rows openRequest) {
	p.rows = rows
	p.request = w.rows.request(&p.rows)
	p.request.Acks, p.request.Partial = w.config.Acks, w.config.Partial
}

// cutLocked leaves only some of its rows in a piece.
func (w *Writer) cutLocked(p *piece, keep func(row int) bool) {
	old := p.rows
	p.rows = w.rows.cut(&old, keep)
	p.keep(keep)
	p.request.Data, p.request.Records = p.rows.data, p.size
	w.rows.recycle(old)
}

func (w *Writer) sendLocked(a *action) {
	p := w.requests[a.id]
	request := p.request
	request.WriterID, request.Expires = a.writerID, a.expires
	if a.sequence != noSequence {
		request.Sequence = a.sequence
	}
	w.flight.Add(1) // until it is answered
	w.outbox = append(w.outbox, outgoing{action: *a, request: request})
	signal(w.outgoing)
}

func (w *Writer) rejectLocked(p *piece, rows []forebay.RowError) {
	p.whole.refuse(p, rows)
	p.rejected += len(rows)
	bad := make(map[int]bool, len(rows))
	for _, row := range rows {
		bad[row.Row] = true
	}
	if len(bad) < p.size {
		w.cutLocked(p, func(row int) bool { return !bad[row] })
	} else {
		p.keep(func(int) bool { return false })
	}
}

func (w *Writer) splitLocked(a *action) {
	p := w.requests[a.id]
	s := p.whole
	other := &piece{whole: s, first: p.first, numbers: p.numbers, size: p.size}
	second := func(row int) bool { return row >= a.row }
	other.keep(second)
	w.sealedLocked(other, w.rows.cut(&p.rows, second), p.request)
	w.cutLocked(p, func(row int) bool { return row < a.row })
	s.more = append(s.more, other)
	s.open++
	s.held++
	w.requests[a.other] = other
}

// sealedLocked gives a piece data that is sealed already.
func (w *Writer) sealedLocked(p *piece, rows openRequest, like forebay.Request) {
	p.rows, p.request = rows, like
	p.request.Data, p.request.Records = rows.data, p.size
}

func (w *Writer) settleLocked(a *action) {
	p := w.requests[a.id]
	p.settled = a.settled
	s := p.whole
	if rows := p.settled.answer.Rows; !slices.IsSortedFunc(rows, byRow) {
		p.settled.answer.Rows = slices.SortedFunc(slices.Values(rows), byRow)
	}
	if a.settled.applied == Yes {
		s.refuse(p, a.settled.answer.Rows) // of a request that was applied in part
		p.rejected += len(a.settled.answer.Rows)
	}
	w.noteSettledLocked(p)
	if s.open--; s.open == 0 {
		s.settle()
		s.place = w.place(s.tablet)
		s.ended = time.Now()
		w.unended -= s.count
	}
	if !a.settled.flying {
		w.freeLocked(a.id)
	}
	if s.open == 0 {
		w.releaseLocked(s)
		close(s.done)
		w.callLocked(s.tablet)
	}
}

// place is the number of a tablet in the table, -1 where it was never located.
func (w *Writer) place(tablet int) int {
	if w.locator == nil {
		return tablet
	}
	if number, located := w.locator.InTable(tablet); located {
		return number
	}
	return -1
}

func byRow(a, b forebay.RowError) int { return a.Row - b.Row }

// freeLocked takes back the data of a piece.
func (w *Writer) freeLocked(id int64) {
	p := w.requests[id]
	delete(w.requests, id)
	w.rows.recycle(p.rows)
	p.rows, p.request.Data = openRequest{}, nil
	p.whole.held--
	w.releaseLocked(p.whole)
}

// releaseLocked gives the bytes of a request back once nobody needs them. W6.
func (w *Writer) releaseLocked(s *sealed) {
	if s.open > 0 || s.held > 0 || s.calling || s.reserved == 0 {
		return
	}
	w.memory.Release(s.reserved)
	s.reserved = 0
}

// callLocked hands the settled requests at the head of a tablet's list to Config.Settled.
func (w *Writer) callLocked(tablet int) {
	list := w.ordered[tablet]
	n := 0
	for n < len(list) && list[n].open == 0 {
		n++
	}
	if n == 0 {
		return
	}
	w.calls = append(w.calls, list[:n]...)
	if list = list[n:]; len(list) == 0 {
		delete(w.ordered, tablet)
	} else {
		w.ordered[tablet] = list
	}
	signal(w.settled)
}

// runCaller calls Config.Settled, in order.
func (w *Writer) runCaller() {
	for range w.settled {
		w.mu.Lock()
		calls := w.calls
		w.calls = nil
		w.mu.Unlock()
		for _, s := range calls {
			w.config.Settled(Outcome{request: s})
			w.mu.Lock()
			s.calling = false
			w.releaseLocked(s)
			w.mu.Unlock()
		}
	}
}

// Stats are the writer's figures now.
func (w *Writer) Stats() Stats {
	used, waiters := w.memory.Used()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Stats{
		Rows: w.unended, Requests: w.core.unsettle, InFlight: w.core.flying, Locating: w.core.locating,
		Used: used, Limit: w.memory.limit, Waiters: waiters,
		Sends: w.core.count.sends, Retries: w.core.count.retries, Duplicates: w.core.count.duplicates,
		Moves: w.core.count.moves, Incarnations: w.core.count.incarnations, Tuning: w.core.tuning,
		Limiter: w.core.limited.limiter.State(),
	}
	for _, q := range w.core.order {
		s.Retrying += len(q.sent) - q.flying
		s.Ready += len(q.ready)
	}
	return s
}

// Hooks are noted under the lock and called once it is free.

func (w *Writer) takeNotesLocked() []func() {
	notes := w.notes
	w.notes = nil
	return notes
}

func call(notes []func()) {
	for _, note := range notes {
		note()
	}
}

func (w *Writer) noteAnswerLocked(o *outgoing, answer *forebay.Answer, took time.Duration) {
	hook := w.config.Hooks.Answered
	if hook == nil {
		return
	}
	e := AnsweredEvent{
		Table: w.table, Tablet: o.action.tablet, Rows: o.request.Records, Bytes: forebay.Bytes(len(o.request.Data)),
		Attempt: o.action.attempt, Code: answer.Code, Took: took, RetryAfter: answer.RetryAfter,
		Pressure: answer.Pressure, InFlight: w.core.flying,
	}
	w.notes = append(w.notes, func() { hook(e) })
}

func (w *Writer) noteRetryLocked(a *action) {
	hook := w.config.Hooks.Retried
	if hook == nil {
		return
	}
	e := RetriedEvent{Table: w.table, Tablet: a.tablet, Attempt: a.attempt, Code: a.code, Wait: a.wait}
	w.notes = append(w.notes, func() { hook(e) })
}

func (w *Writer) noteMoveLocked(a *action) {
	hook := w.config.Hooks.Moved
	if hook == nil || !a.refresh {
		return
	}
	e := MovedEvent{Table: w.table, Tablet: a.tablet}
	w.notes = append(w.notes, func() { hook(e) })
}

func (w *Writer) noteSettledLocked(p *piece) {
	hook := w.config.Hooks.Settled
	if hook == nil {
		return
	}
	settled := &p.settled
	rows := p.size + p.rejected
	if settled.applied == Yes {
		rows -= len(settled.answer.Rows) // they are among the size
	}
	e := SettledEvent{
		Table: w.table, Tablet: p.whole.tablet, Rows: rows, Bytes: forebay.Bytes(len(p.request.Data)),
		Applied: settled.applied, Code: settled.answer.Code, Duplicate: settled.duplicate,
		Attempts: settled.attempts, Rejected: p.rejected, Took: w.core.now.Sub(p.whole.opened),
	}
	w.notes = append(w.notes, func() { hook(e) })
}
