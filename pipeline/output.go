// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/writer"
)

// Stages 4 and 5 of 6, batch and sink, as a lane sees them: the writer for targets that take requests, or the
// target's own lane writer.

// output takes a lane's batches and ends its transactions.
//
// Concurrency: the lane's goroutine.
type output interface {
	// write takes the batch but for the records that it returns, which can never be accepted.
	write(ctx context.Context, b *forebay.Batch) ([]forebay.Reject, error)
	cutter
	// holds says that the sink has something unfinished, which a transaction with last set ends.
	holds() bool
	// reset forgets what was written and not cut, before the lane starts again.
	reset(ctx context.Context) error
	// close ends the output; nothing is sent any more.
	close() error
}

// cutter ends transactions and gives back their outcomes in order.
type cutter interface {
	// pending is what was written since the last cut.
	pending() (records int, size forebay.Bytes)
	// cut ends a transaction. The outcome comes through settled.
	cut(ctx context.Context, t *transaction) error
	// full says that an outcome must be taken before the next cut; waiting counts those that are out.
	full() bool
	waiting() int
	// settled is the next outcome; nil where there is none, or block was asked and ctx ended.
	settled(ctx context.Context, block bool) *outcome
}

// outcome is what became of a transaction.
type outcome struct {
	transaction *transaction
	err         error
	duplicate   bool
	refused     []forebay.Reject
	size        forebay.Bytes
	took        time.Duration
}

// codeRowsRefused marks the error of a transaction in which the target refused single rows.
const codeRowsRefused = "rows-refused"

func (r *run) newOutput(ctx context.Context, number int, layout *forebay.Layout) (output, error) {
	switch target := r.target.(type) {
	case forebay.Sequencer:
		backend := target.Backend()
		if fault.Bug(fault.BugProgressPerLane) {
			backend = r.progressByLane(backend, number)
		}
		lane, err := writer.NewLane(writer.LaneConfig{
			Backend: backend, Layout: layout, Owner: r.owner, Now: time.Now,
			Window: func() int { return int(r.knobs.window.Load()) }, Limiter: r.limiter,
		})
		if err != nil {
			return nil, err
		}
		out := &commitOutput{lane: lane, progress: r.progressKept()}
		out.answers.Go(func() { lane.Run(ctx) })
		return out, nil
	case forebay.Streamer:
		opened := r.laneContext(number, layout)
		if r.prepares() {
			return r.newPreparedOutput(ctx, r.twoPhase(), opened)
		}
		out := &streamOutput{run: r, target: target, opened: opened}
		return out, out.open(ctx)
	default:
		return nil, forebay.Errorf("open sink", forebay.ClassMisconfigured, "%s takes neither batches nor requests",
			r.sink.Connector)
	}
}

// commitOutput delivers through the writer: one commit for the rows of all tablets, the dead letters and the
// progress.
type commitOutput struct {
	lane     *writer.Lane
	progress bool
	answers  sync.WaitGroup
}

func (o *commitOutput) write(_ context.Context, b *forebay.Batch) ([]forebay.Reject, error) {
	return o.lane.Write(b), nil
}

func (o *commitOutput) pending() (records int, size forebay.Bytes) { return o.lane.Pending() }
func (o *commitOutput) full() bool                                 { return o.lane.Full() }
func (o *commitOutput) holds() bool                                { return false }
func (o *commitOutput) waiting() int                               { return o.lane.Waiting() }

func (o *commitOutput) reset(context.Context) error {
	o.lane.Drop()
	return nil
}

func (o *commitOutput) cut(ctx context.Context, t *transaction) error {
	var progress []forebay.SplitProgress
	if o.progress {
		progress = t.progress
	}
	return o.lane.Cut(ctx, writer.LaneCut{Progress: progress, Letters: t.letters, Tag: t})
}

func (o *commitOutput) settled(ctx context.Context, block bool) *outcome {
	c := o.lane.Settled(ctx, block)
	if c == nil {
		return nil
	}
	t, _ := c.Tag.(*transaction)
	out := &outcome{
		transaction: t, duplicate: c.Answer.Code == forebay.CodeDuplicate, refused: c.Refused, size: c.Size, took: c.Took,
	}
	if err := c.Answer.Err("commit"); err != nil {
		if e, ok := errors.AsType[*forebay.Error](err); ok && len(c.Refused) > 0 {
			e.Code = codeRowsRefused
		}
		out.err = err
	}
	return out
}

func (o *commitOutput) close() error {
	o.lane.Close()
	o.answers.Wait()
	return nil
}

// streamOutput delivers through the target's own lane writer. C3: a transaction is a flush, then the dead letters
// made durable; the positions follow in the notebook.
type streamOutput struct {
	run     *run
	target  forebay.Streamer
	opened  forebay.LaneContext
	lane    forebay.LaneWriter // nil after a failure, until it is opened again
	records int
	size    forebay.Bytes
	done    *outcome
}

func (o *streamOutput) write(ctx context.Context, b *forebay.Batch) ([]forebay.Reject, error) {
	o.records += b.Len()
	o.size += b.Size()
	return writeTo(ctx, o.lane, b)
}

// writeTo hands a batch to a lane writer, and returns the records that it refused for good.
func writeTo(ctx context.Context, lane forebay.LaneWriter, b *forebay.Batch) ([]forebay.Reject, error) {
	err := lane.Write(ctx, b)
	if e, ok := errors.AsType[*forebay.Error](err); ok && e.Class == forebay.ClassRejected && len(e.Records) > 0 {
		return rejectsOf(b, e), nil
	}
	return nil, err
}

// rejectsOf names the records of a batch that the sink refused.
func rejectsOf(b *forebay.Batch, e *forebay.Error) []forebay.Reject {
	rejects := make([]forebay.Reject, 0, len(e.Records))
	for _, record := range e.Records {
		r := b.Record(record.Index)
		reason := e.Error()
		if record.Err != nil {
			reason = record.Err.Error()
		}
		rejects = append(rejects, forebay.Reject{
			Origin: forebay.Origin{Split: b.Split().ID, Offset: r.Offset, Sub: r.Sub},
			Stage:  forebay.StageSink, Code: record.Code, Reason: reason,
			Value: append([]byte(nil), b.Value(record.Index)...),
		})
	}
	return rejects
}

// pending counts no bytes: what a lane writer holds back it bounds itself, and only time ends a transaction.
func (o *streamOutput) pending() (records int, size forebay.Bytes) { return o.records, 0 }
func (o *streamOutput) full() bool                                 { return o.done != nil }
func (o *streamOutput) holds() bool                                { return len(o.opened.Restored) > 0 }

func (o *streamOutput) waiting() int {
	if o.done != nil {
		return 1
	}
	return 0
}

func (o *streamOutput) cut(ctx context.Context, t *transaction) error {
	started := time.Now()
	out := &outcome{transaction: t, size: o.size}
	o.records, o.size = 0, 0
	out.err = o.flush(ctx)
	if out.err == nil && len(t.letters) > 0 {
		out.err = o.run.state.server.AppendDeadLetters(ctx, o.run.config.Name, t.letters)
		fault.Hit(fault.DLQWritten)
	}
	out.took = time.Since(started)
	o.done = out
	return nil
}

// flush ends what was written. With it ends what a run with exactly-once had left held.
func (o *streamOutput) flush(ctx context.Context) error {
	if err := o.lane.Flush(ctx); err != nil || len(o.opened.Restored) == 0 {
		return err
	}
	ids := make([]string, len(o.opened.Restored))
	for i, c := range o.opened.Restored {
		ids[i] = c.ID
	}
	o.opened.Restored = nil
	return o.run.state.checkpoints.Forget(o.run.config.Name, ids)
}

func (o *streamOutput) settled(context.Context, bool) *outcome {
	out := o.done
	o.done = nil
	return out
}

func (o *streamOutput) open(ctx context.Context) (err error) {
	o.lane, err = o.target.OpenLane(ctx, o.opened)
	return err
}

// reset gives up what the lane writer holds and opens another one.
func (o *streamOutput) reset(ctx context.Context) error {
	o.records, o.size, o.done = 0, 0, nil
	_ = o.close() // it failed before, and what it held is sent again
	return o.open(ctx)
}

func (o *streamOutput) close() error {
	if o.lane == nil {
		return nil
	}
	lane := o.lane
	o.lane = nil
	return lane.Close()
}
