// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault"
)

// lane is one goroutine's chain: splits -> transforms -> sink. It owns its splits until it ends.
//
// The loop in work is the life of a record: read (stage 1), apply (2), write (4, 5), and cut and settle (6).
type lane struct {
	run    *run
	number int
	intake intake
	steps  []forebay.Step
	out    output
	health *laneHealth

	open     transaction // since the last cut
	nextTick time.Time
	lastCut  time.Time
	refused  map[forebay.Origin]forebay.Reject // by the target, in an earlier attempt
	attempts int                               // since something was last confirmed
	failed   []*transaction                    // whose answer was an error, until they are looked up
	seen     counts                            // read and not confirmed
	high     int64                             // the latest event time of the batch that is worked on
}

// transaction is what a lane delivers together: counters, positions and rejected records.
type transaction struct {
	counts  counts
	splits  []*splitRun
	letters []forebay.DeadLetter
	// progress is what the transaction makes the positions of its splits.
	progress []forebay.SplitProgress
	// times are what is known of the event time of each split of progress, nil without event time.
	times []checkpoint.EventTime
	// advanced is by how much positions move, for the progress line.
	advanced int64
	// letterBytes are the bytes of the rejected records.
	letterBytes forebay.Bytes
	// last says that the lane writes nothing after it: the sink holds nothing back any more.
	last bool
}

const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 30 * time.Second
	// letterOverhead is what a rejected record takes beside its bytes and its reason.
	letterOverhead = 256
	// positionsAlone is how often positions are written when there is nothing else to write.
	positionsAlone = time.Second
)

func (r *run) newLane(ctx context.Context, number int) (*lane, error) {
	l := &lane{run: r, number: number, refused: map[forebay.Origin]forebay.Reject{}, health: r.health.lane()}
	l.intake = intake{run: r, batch: forebay.NewBatch(), timer: time.NewTimer(time.Hour)}
	l.intake.timer.Stop()
	if r.source.Blocks {
		l.intake.batch = nil
		l.intake.ready = make(chan *fetched, fetchDepth)
	}
	steps, shape, err := compile(r.config.steps(func(micros int64) { l.high = max(l.high, micros) }), r.given)
	if err != nil {
		return nil, err
	}
	l.steps = steps
	l.out, err = r.newOutput(ctx, number, shape.Layout)
	return l, err
}

// runLane works until the lane's splits are delivered or the run drains, and starts again from the last
// confirmed positions after errors that pass.
//
// Errors: the one that stops the lane; its class says why.
func (l *lane) runLane(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, l.intake.close(), l.end(ctx, err)) }()
	for {
		err := l.work(ctx)
		if err == nil {
			return nil
		}
		for err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !l.passes(err) {
				l.health.fails(err, true, time.Now())
				return err
			}
			err = l.restart(ctx, err)
		}
	}
}

// end closes the output. P5: what was answered and not yet taken counts. P4: a fenced run leaves everything as
// it is.
func (l *lane) end(ctx context.Context, cause error) error {
	errs := []error{l.out.close()}
	if errors.Is(cause, forebay.ErrFenced) {
		return errs[0]
	}
	for o := l.out.settled(ctx, false); o != nil; o = l.out.settled(ctx, false) {
		if o.err == nil {
			errs = append(errs, l.settle(o))
		} else {
			l.failed = append(l.failed, o.transaction)
		}
	}
	return errors.Join(errs...)
}

// passes reports whether starting again from the last confirmed positions can help.
func (l *lane) passes(err error) bool {
	e, classified := errors.AsType[*forebay.Error](err)
	if !classified || !l.run.source.Replayable {
		return false
	}
	switch e.Class {
	case forebay.ClassAmbiguous, forebay.ClassTransient, forebay.ClassThrottled, forebay.ClassMoved:
		return true
	case forebay.ClassRejected:
		return len(l.refused) > 0 && e.Code == codeRowsRefused
	default:
		return false
	}
}

// work is the lane's loop. It returns nil when everything that it read is confirmed and nothing is left to
// read, or a drain began.
func (l *lane) work(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if l.run.draining() {
			l.intake.stopFetchers()
			if len(l.intake.backlog) == 0 && !l.intake.behind() {
				return l.finish(ctx)
			}
		} else if err := l.intake.refill(ctx); err != nil {
			return err
		}
		if l.intake.exhausted() {
			return l.finish(ctx)
		}
		split, batch, err := l.intake.read(ctx, l.nextTick) // stage 1
		if err != nil {
			return err
		}
		if split != nil {
			if err := l.process(ctx, split, batch); err != nil { // stages 2, 4 and 5
				return err
			}
		}
		if err := l.commit(ctx); err != nil { // stage 6; P1: a transaction ends only here, between two batches
			return err
		}
		fault.Pace()
	}
}

// process takes a batch, or the end of a split when batch is nil, through the stages before the commit.
func (l *lane) process(ctx context.Context, split *splitRun, batch *forebay.Batch) error {
	if batch == nil {
		l.open.touch(split)
		return nil
	}
	batch.SetLayout(l.run.given.Layout)
	fault.Hit(fault.SourceRead)
	size := int64(batch.Size())
	read := int64(batch.Len() + len(batch.Rejects()))
	l.run.totals.seen.Add(read)
	l.run.totals.seenBytes.Add(size)
	l.seen.add(counts{read: read, bytesIn: size})
	if hook := l.run.config.Hooks.Read; hook != nil {
		hook(forebay.ReadEvent{Lane: l.number, Split: split.split.ID, Records: int(read), Bytes: forebay.Bytes(size)})
	}
	l.high = forebay.NoTime
	if e := l.run.config.EventTime; e != nil && e.Field == "" {
		l.high = latest(batch)
	}
	filtered, err := apply(l.steps, batch)
	if err != nil {
		return err
	}
	late := int64(0)
	if clock := l.run.clock; clock != nil {
		now := time.Now()
		late = clock.judge(batch, now)
		clock.observe(split.split.ID, l.high, now)
	}
	l.removeRefused(batch)
	delivered := int64(batch.Len())
	refused, err := l.out.write(ctx, batch)
	if err != nil {
		return err
	}
	rejects := append(batch.Rejects(), refused...)
	delivered -= int64(len(refused))
	l.open.counts.add(counts{
		read: read, delivered: delivered, filtered: int64(filtered), rejected: int64(len(rejects)), bytesIn: size,
		late: late,
	})
	l.open.advanced += max(0, batch.Position().Offset-split.position.Offset)
	split.position = batch.Position()
	split.reached = max(split.reached, split.position.Offset)
	split.position.Finished = false // the end of a split counts once: when its reader says so
	// P2: the position moves in the transaction that holds the batch, whatever became of its records.
	l.open.touch(split)
	fault.Hit(fault.SourcePosition)
	return l.reject(rejects)
}

// touch notes that the split's position moves with this transaction.
func (t *transaction) touch(s *splitRun) {
	if !s.moved || !t.has(s) {
		t.splits = append(t.splits, s)
	}
	s.moved = true
}

func (t *transaction) has(s *splitRun) bool {
	return slices.Contains(t.splits, s)
}

// removeRefused takes out the records that the target refused before, so that the rest can be delivered.
func (l *lane) removeRefused(b *forebay.Batch) {
	if len(l.refused) == 0 {
		return
	}
	b.Filter(func(i int) bool {
		record := b.Record(i)
		reject, found := l.refused[forebay.Origin{Split: b.Split().ID, Offset: record.Offset, Sub: record.Sub}]
		if found {
			reject.Value = append([]byte(nil), b.Value(i)...)
			b.Reject(reject)
		}
		return !found
	})
}

// reject applies the policy for rejected records. Under dead-letter they go into the open transaction.
func (l *lane) reject(rejects []forebay.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	config := l.run.config.Errors
	first := rejects[0]
	total := l.run.totals.rejectedSeen.Add(int64(len(rejects)))
	l.seen.rejected += int64(len(rejects))
	switch {
	case config.Rejected == RejectedStop:
		return rejectError("record-rejected", first, "correct the record, or let errors.rejected be dead-letter or drop")
	case config.Max > 0 && total > config.Max:
		return rejectError("too-many-rejected", first,
			fmt.Sprintf("more than errors.max (%d) records were rejected; this is the last one", config.Max))
	case config.Rejected == RejectedDeadLetter:
		l.open.letters = append(l.open.letters, deadLetters(rejects, time.Now())...)
		for i := range rejects {
			l.open.letterBytes += forebay.Bytes(len(rejects[i].Value) + len(rejects[i].Reason) + letterOverhead)
		}
	}
	if hook := l.run.config.Hooks.Rejected; hook != nil {
		hook(l.number, rejects)
	}
	return nil
}

func rejectError(code string, r forebay.Reject, cure string) error {
	place := r.Place
	if place == "" {
		place = fmt.Sprintf("%s at %d", r.Split, r.Offset)
	}
	return &forebay.Error{
		Op: "reject", Class: forebay.ClassRejected, Code: code, Cure: cure,
		Err: fmt.Errorf("%s: %s", place, r.Reason),
	}
}

// backoffFor is the longest wait after n failed attempts: 100 ms x 2^n up to 30 s.
func backoffFor(n int) time.Duration {
	const doublings = 9 // beyond, it is backoffMax
	return min(backoffMax, backoffMin<<min(n, doublings))
}

// backoff waits before the lane starts again: 100 ms x 2^n up to 30 s, with full jitter. Where the target refused for
// now and there is a limiter, it waits as long as the target asked.
func (l *lane) backoff(ctx context.Context, cause error) error {
	wait := time.Duration(rand.Int64N(int64(backoffFor(l.attempts))) + 1)
	if e, ok := errors.AsType[*forebay.Error](cause); ok {
		if e.Class == forebay.ClassThrottled && l.run.limiter != nil {
			wait = e.RetryAfter // it says when anything is tried
		}
		wait = max(wait, e.RetryAfter)
	}
	l.attempts++
	l.health.fails(cause, false, time.Now())
	l.run.totals.retries.Add(1)
	l.run.logger.Warn("lane starts again from its last confirmed positions",
		"lane", l.number, "attempt", l.attempts, "wait", wait, "cause", cause)
	if hook := l.run.config.Hooks.Retried; hook != nil {
		hook(forebay.RetryEvent{Lane: l.number, Attempt: l.attempts, Wait: wait, Err: cause})
	}
	l.intake.timer.Reset(wait)
	select {
	case <-l.intake.timer.C:
		return nil
	case <-l.run.drainBegins():
		return nil // the time of a drain is short: one attempt at once
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
