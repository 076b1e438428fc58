// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/checkpoint"
	"github.com/forebay-io/forebay/internal/fault"
)

// Stages 5 and 6 of 6 for a two-phase sink: prepare at the barrier, CHECKPOINT durable, commit, COMMITTED durable.
//
// Enters: batches, and the transactions that the lane cuts. Leaves: committed checkpoints.
// Blocks: never on an fsync or on the target; Prepare alone runs on the lane's goroutine. The rest of a checkpoint runs
// on one goroutine for each lane (runCommitter), in the order of the checkpoints.

// checkpointsWaiting is how many checkpoints of a lane may wait for their commit; then the interval grows.
const checkpointsWaiting = 3

// preparedOutput delivers through a two-phase sink.
//
// P6: a checkpoint's positions and what was prepared for them are durable in one write, before anything is committed.
// P7: checkpoints of a lane are committed in their order, and none is skipped.
type preparedOutput struct {
	run    *run
	target forebay.TwoPhase
	opened forebay.LaneContext
	lane   forebay.Preparer // nil after a failure, until it is opened again

	number  uint64 // of the lane's last checkpoint
	records int
	size    forebay.Bytes
	touched bool // something was written or restored since the last checkpoint that held nothing

	queue     chan *preparing
	done      chan *outcome
	out       int
	committer sync.WaitGroup

	mu    sync.Mutex
	held  map[string]struct{}   // the ids of what the last durable checkpoint holds; the rest is in the store
	stale []forebay.Committable // prepared for checkpoints that never became durable
}

// preparing is a checkpoint that was cut.
type preparing struct {
	number      uint64
	transaction *transaction
	size        forebay.Bytes
	cut         time.Time
	wait        func(context.Context) (forebay.Prepared, error)
	failed      error // of Prepare
	resets      bool  // no checkpoint: the writer was opened again, and what failed before counts no more
}

func (r *run) newPreparedOutput(ctx context.Context, target forebay.TwoPhase, lane forebay.LaneContext) (
	output, error,
) {
	o := &preparedOutput{
		run: r, target: target, opened: lane, held: map[string]struct{}{},
		queue: make(chan *preparing, checkpointsWaiting+1), done: make(chan *outcome, checkpointsWaiting+1),
	}
	for _, c := range lane.Restored {
		o.held[c.ID] = struct{}{}
	}
	o.committer.Go(func() { o.runCommitter(ctx) })
	err := o.open(ctx, lane.Restored)
	o.opened.Restored = nil // it can be much, and is not needed again
	if err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

func (o *preparedOutput) open(ctx context.Context, restored []forebay.Committable) error {
	opened := o.opened
	opened.Restored = slices.SortedFunc(slices.Values(restored), func(a, b forebay.Committable) int {
		return strings.Compare(a.ID, b.ID)
	})
	o.touched = len(restored) > 0
	lane, err := o.target.OpenLane(ctx, opened)
	if err != nil {
		return err
	}
	preparer, ok := lane.(forebay.Preparer)
	if !ok {
		return errors.Join(forebay.Errorf("open sink", forebay.ClassMisconfigured,
			"the lanes of %s cannot prepare, which its sink promises", o.run.sink.Name), lane.Close())
	}
	o.lane = preparer
	return nil
}

func (o *preparedOutput) write(ctx context.Context, b *forebay.Batch) ([]forebay.Reject, error) {
	o.records += b.Len()
	o.size += b.Size()
	o.touched = o.touched || b.Len() > 0
	return writeTo(ctx, o.lane, b)
}

// pending counts bytes only where the user gave a limit: a checkpoint otherwise ends by time alone.
func (o *preparedOutput) pending() (records int, size forebay.Bytes) {
	if o.run.config.Checkpoint.Bytes == 0 {
		return o.records, 0
	}
	return o.records, o.size
}

func (o *preparedOutput) full() bool   { return o.out >= checkpointsWaiting }
func (o *preparedOutput) waiting() int { return o.out }
func (o *preparedOutput) holds() bool  { return o.touched }

func (o *preparedOutput) cut(ctx context.Context, t *transaction) error {
	o.number++
	c := &preparing{number: o.number, transaction: t, size: o.size, cut: time.Now()}
	o.records, o.size = 0, 0
	c.wait, c.failed = o.lane.Prepare(ctx, o.number, t.last)
	if t.last {
		o.touched = false
	}
	o.out++
	o.queue <- c
	return nil
}

func (o *preparedOutput) settled(ctx context.Context, block bool) *outcome {
	if o.out == 0 {
		return nil
	}
	var out *outcome
	if block {
		select {
		case out = <-o.done:
		case <-ctx.Done():
			// The committer ends with ctx too, and what it has to say must not be lost.
			out = <-o.done
		}
	} else {
		select {
		case out = <-o.done:
		default:
			return nil
		}
	}
	o.out--
	return out
}

// reset gives up what was not prepared, and opens another writer with what the last durable checkpoint held. Every
// checkpoint that was cut is settled.
func (o *preparedOutput) reset(ctx context.Context) error {
	o.records, o.size = 0, 0
	_ = o.closeLane() // it failed before, and what it did not prepare is read again
	o.queue <- &preparing{resets: true}
	o.mu.Lock()
	stale := slices.DeleteFunc(o.stale, func(c forebay.Committable) bool {
		_, held := o.held[c.ID]
		return held
	})
	o.stale = nil
	ids := slices.Collect(maps.Keys(o.held))
	o.mu.Unlock()
	if len(stale) > 0 {
		if err := o.target.Abort(ctx, stale); err != nil {
			o.run.logger.Warn("what was prepared and is not needed stays in the target until the run ends", "cause", err)
		}
	}
	held, err := o.run.state.checkpoints.Held(o.run.config.Name, ids)
	if err != nil {
		return err
	}
	return o.open(ctx, held)
}

func (o *preparedOutput) closeLane() error {
	if o.lane == nil {
		return nil
	}
	lane := o.lane
	o.lane = nil
	return lane.Close()
}

func (o *preparedOutput) close() error {
	close(o.queue)
	o.committer.Wait()
	return o.closeLane()
}

// runCommitter takes the lane's checkpoints to their end, in order. Once one has failed, those behind it fail too: they
// rest on its records.
func (o *preparedOutput) runCommitter(ctx context.Context) {
	var failed error
	for c := range o.queue {
		if c.resets {
			failed = nil
			continue
		}
		prepared, err := c.prepared(ctx)
		durable := false
		if err == nil && failed == nil {
			durable, err = o.finish(ctx, c, prepared)
		}
		if failed == nil {
			failed = err
		}
		if !durable {
			o.mu.Lock()
			o.stale = slices.Concat(o.stale, prepared.Commit, prepared.Held)
			o.mu.Unlock()
		}
		o.done <- &outcome{transaction: c.transaction, err: failed, size: c.size, took: time.Since(c.cut)}
	}
}

// prepared waits until what was cut survives a crash.
func (c *preparing) prepared(ctx context.Context) (forebay.Prepared, error) {
	if c.failed != nil {
		return forebay.Prepared{}, c.failed
	}
	prepared, err := c.wait(ctx)
	if err == nil {
		fault.Hit(fault.Prepared)
	}
	return prepared, err
}

// finish makes a checkpoint durable and commits it.
func (o *preparedOutput) finish(ctx context.Context, c *preparing, prepared forebay.Prepared) (
	durable bool, err error,
) {
	r, t := o.run, c.transaction
	if len(t.letters) > 0 { // C3: before the positions pass them
		if err := r.state.server.AppendDeadLetters(ctx, r.config.Name, t.letters); err != nil {
			return false, err
		}
		fault.Hit(fault.DLQWritten)
	}
	if empty(prepared) && len(t.progress) == 0 {
		return true, nil
	}
	if fault.Bug(fault.BugCommitEarly) && len(prepared.Commit) > 0 {
		early := checkpoint.Pending{Epoch: r.owner.Epoch, Lane: o.opened.Lane, Number: c.number, Commit: prepared.Commit}
		if err := r.commitPending(ctx, o.target, early); err != nil {
			return false, err
		}
	}
	pending, err := r.state.checkpoints.SaveCheckpoint(r.config.Name, checkpoint.Checkpoint{
		Epoch: r.owner.Epoch, Lane: o.opened.Lane, Number: c.number,
		Entries: r.entriesOf(t, false), Prepared: prepared,
	})
	if err != nil {
		return false, err
	}
	o.hold(prepared)
	if len(prepared.Commit) == 0 {
		return true, nil
	}
	return true, r.commitPending(ctx, o.target, pending)
}

func empty(p forebay.Prepared) bool { return len(p.Commit)+len(p.Held)+len(p.Dropped) == 0 }

// hold notes what the durable checkpoint holds.
func (o *preparedOutput) hold(p forebay.Prepared) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range p.Held {
		o.held[c.ID] = struct{}{}
	}
	for _, c := range p.Commit {
		delete(o.held, c.ID)
	}
	for _, id := range p.Dropped {
		delete(o.held, id)
	}
}

// lostCheckpointError says that the target definitely has nothing of a checkpoint, nor ever will: the run goes back to
// before it.
type lostCheckpointError struct {
	pending checkpoint.Pending
	cause   error
}

func (e *lostCheckpointError) Error() string {
	return fmt.Sprintf("the target lost checkpoint %d of lane %d: %v", e.pending.Number, e.pending.Lane, e.cause)
}

func (e *lostCheckpointError) Unwrap() error { return e.cause }

// commitPending commits a durable checkpoint and notes it. What the target asks to try again, and an answer that did
// not come, is tried again without limit while ctx lives; else the next run does.
//
// Errors: fenced; a lostCheckpointError where all of it is definitely lost; lost (code commit-lost) where a part is;
// corrupt (code commit-unanswered) where the sink breaks its contract; what the sink says where it never can.
func (r *run) commitPending(ctx context.Context, target forebay.TwoPhase, p checkpoint.Pending) error {
	c := committing{run: r, target: target, pending: p}
	for i := range p.Commit {
		c.left = append(c.left, i)
	}
	fault.Hit(fault.CommitBegun)
	for attempt := 0; ; attempt++ {
		again, err := c.try(ctx)
		if err != nil {
			return err
		}
		if len(c.left) == 0 {
			break
		}
		r.totals.retries.Add(1)
		r.logger.Warn("a checkpoint is not committed yet; trying again", "lane", p.Lane, "checkpoint", p.Number,
			"attempt", attempt+1, "left", len(c.left), "cause", again)
		if err := pause(ctx, backoffFor(attempt)); err != nil {
			return err
		}
	}
	if len(c.lost) > 0 {
		return c.lose()
	}
	fault.Hit(fault.CommitDone)
	return r.state.checkpoints.Committed(r.config.Name, p)
}

// committing is a checkpoint on its way into the target.
type committing struct {
	run     *run
	target  forebay.TwoPhase
	pending checkpoint.Pending
	left    []int // indexes in pending.Commit without a final answer
	lost    []error
	done    int
}

// try asks for a commit of what is left. again is why something stays.
func (c *committing) try(ctx context.Context) (again, err error) {
	requests := make([]forebay.CommitRequest, len(c.left))
	for i, index := range c.left {
		requests[i].Committable = c.pending.Commit[index]
	}
	if err := c.target.Commit(ctx, requests); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch forebay.ClassOf(err) {
		case forebay.ClassFenced, forebay.ClassMisconfigured, forebay.ClassCorrupt, forebay.ClassLost:
			return nil, err
		default:
			return err, nil
		}
	}
	left := c.left[:0:0]
	changed := false
	for i, index := range c.left {
		q := &requests[i]
		switch q.Outcome {
		case forebay.OutcomeDone, forebay.OutcomeAlready:
			c.done++
		case forebay.OutcomeRetry:
			left, again = append(left, index), q.Err
			if q.Changed != nil {
				c.pending.Commit[index], changed = *q.Changed, true
			}
		case forebay.OutcomeLost:
			c.lost = append(c.lost, fmt.Errorf("%s: %w", q.Committable.ID, orUnsaid(q.Err)))
		case forebay.OutcomeFatal:
			return nil, c.stop("commit-impossible", fmt.Errorf("%s: %w", q.Committable.ID, orUnsaid(q.Err)))
		default:
			return nil, &forebay.Error{
				Op: "commit", Class: forebay.ClassCorrupt, Code: "commit-unanswered",
				Err:  fmt.Errorf("%s left the request for %s without an answer", c.run.sink.Name, q.Committable.ID),
				Cure: "the sink breaks its contract: every commit request must be answered",
			}
		}
	}
	c.left = left
	if changed {
		return again, c.run.state.checkpoints.Change(c.run.config.Name, c.pending)
	}
	return again, nil
}

var errUnsaid = errors.New("the sink does not say why")

func orUnsaid(err error) error {
	if err == nil {
		return errUnsaid
	}
	return err
}

// lose decides what follows from committables that are lost.
func (c *committing) lose() error {
	cause := errors.Join(c.lost...)
	if c.done == 0 {
		return &lostCheckpointError{pending: c.pending, cause: c.stop("commit-lost", cause)}
	}
	return c.stop("commit-lost", fmt.Errorf("%d of %d parts of the checkpoint are committed, and others are lost: %w",
		c.done, len(c.pending.Commit), cause))
}

func (c *committing) stop(code string, cause error) error {
	return &forebay.Error{
		Op:    fmt.Sprintf("commit checkpoint %d of lane %d", c.pending.Number, c.pending.Lane),
		Class: forebay.ClassLost, Code: code, Err: cause,
		Cure: "restore the target, or start over with: forebay checkpoint reset " + c.run.config.Name,
	}
}

func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
