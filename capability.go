// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"context"
	"time"
)

// LaneContext is what a lane hands to a streaming sink.
type LaneContext struct {
	Lane   int
	Owner  Owner
	Layout *Layout
	// Memory bounds what the writer may hold back in this process; 0 is for the writer to choose.
	Memory Bytes
	// Restored is what earlier runs, or the lane before it started again, held: the writer owns it from now on.
	Restored []Committable
	// Opened notes durably that something exists which ListOpen could not find again, before it is used. What is
	// opened and not committed is aborted by the next run. An id that is held may be opened beside, for what its state
	// does not have yet. It is safe from any goroutine.
	Opened func(ctx context.Context, c Committable) error
	// Now is the processing time.
	Now func() time.Time
}

// Streamer is a target that takes batches directly, without the writer.
type Streamer interface {
	// OpenLane makes the writer of one lane. It is called once for each lane, and again after a lane restarts.
	OpenLane(ctx context.Context, lane LaneContext) (LaneWriter, error)
}

// LaneWriter writes the batches of one lane in order.
//
// Concurrency: one goroutine at a time.
type LaneWriter interface {
	// Write takes the records of the batch. Records that can never be accepted come back as an Error of class
	// rejected that lists them; the others are then taken.
	//
	// Ownership: the batch is the caller's again on return.
	Write(ctx context.Context, b *Batch) error
	// Flush returns once the target has acknowledged everything written so far.
	Flush(ctx context.Context) error
	// Close gives up what was not flushed. It may be called twice.
	Close() error
}

// Verifier is a target that can tell at the end whether it got what it expected, such as a sink that adds up
// what it gets.
type Verifier interface {
	// Verify is called once, before Close, after the last flush of a run that read every split from its
	// beginning to its end, rejected nothing and repeated nothing.
	//
	// Errors: corrupt where what came differs from what was expected, with both.
	Verify(ctx context.Context) error
}

// Sequencer is a target that is reached through the writer: requests with rows for tablets.
type Sequencer interface {
	Backend() Backend
}

// ProgressHolder is a target whose own transaction carries the progress.
//
// Concurrency: safe.
type ProgressHolder interface {
	// State reads what the target holds of a pipeline, waiting for every write whose outcome is in doubt.
	State(ctx context.Context, pipeline string) (TargetState, error)
	// Fence makes the owner the only one that may write for its pipeline, durably.
	//
	// Errors: fenced where the stored epoch is not smaller and the holder another.
	Fence(ctx context.Context, fence Fence) error
	// Forget removes everything held of the pipeline.
	Forget(ctx context.Context, pipeline string) error
}

// Committer is a backend that takes everything of a lane since its last commit in one transaction.
//
// Concurrency: safe.
type Committer interface {
	// Commit decides the order on return; wait returns the answer when it is durable. Everything is applied or
	// nothing is.
	//
	// Ownership: the commit and its data belong to the target until wait has returned.
	Commit(ctx context.Context, c *Commit) (wait func(context.Context) Answer)
}

// DeadLetterHolder keeps the dead letters of a pipeline whose target does not take them in its commit.
//
// Concurrency: safe.
type DeadLetterHolder interface {
	// AppendDeadLetters returns once they are durable. The same record again overwrites.
	AppendDeadLetters(ctx context.Context, pipeline string, letters []DeadLetter) error
	// TrimDeadLetters removes the letters that lie at or above the given positions of their splits; a split
	// that is not listed has none below.
	TrimDeadLetters(ctx context.Context, pipeline string, from map[string]Position) (removed int, err error)
}

// Committable is something that a two-phase sink opened, holds or prepared, as bytes that only it understands.
type Committable struct {
	// ID names it: in messages, and in what the state remembers. It is never used again, in no run.
	ID   string
	Data []byte
}

// Prepared is what a lane's writer made of everything that was written since it prepared last.
type Prepared struct {
	// Commit are finished: each is committed once, after the checkpoint is durable, in this order.
	Commit []Committable
	// Held are unfinished and go on, such as a file that is not full: a later run gets them back in the state that
	// Data describes (LaneContext.Restored). Only those that changed are listed. One that is in Commit, or in Dropped,
	// is held no more.
	Held []Committable
	// Dropped are the ids of held ones that nothing was left of.
	Dropped []string
}

// Outcome answers one commit request. The zero value is no answer, which is an error.
type Outcome uint8

// The outcomes of a commit request.
const (
	OutcomeMissing Outcome = iota
	// OutcomeDone says that it is committed now.
	OutcomeDone
	// OutcomeAlready says that it had been committed before.
	OutcomeAlready
	// OutcomeRetry asks to try again later, with Changed where that is set.
	OutcomeRetry
	// OutcomeLost says that the target definitely does not have what was prepared and never will, and why.
	OutcomeLost
	// OutcomeFatal says that it will never be possible, and why; whether it is there is not known.
	OutcomeFatal
)

// CommitRequest is one committable and, after Commit, its answer.
type CommitRequest struct {
	Committable Committable
	Outcome     Outcome
	// Changed replaces the committable, durably, before the next attempt.
	Changed *Committable
	Err     error
}

// Preparer is a lane's writer of a two-phase sink.
type Preparer interface {
	LaneWriter
	// Prepare ends a checkpoint: on return it is decided which records belong to it, and Write goes on with the next
	// one. wait returns once all of them survive any crash, unseen by readers; it runs on another goroutine, one at a
	// time and in the order of the checkpoints. Nothing written gives an empty Prepared. With last set nothing follows
	// in this run: everything that is held, also what was restored, is finished and in Commit.
	//
	// After a failure of either the lane closes the writer, and opens another one with what was held last.
	Prepare(ctx context.Context, checkpoint uint64, last bool) (
		wait func(context.Context) (Prepared, error), err error)
}

// TwoPhase is a target that commits what its lanes prepared. Its lanes' writers are Preparers; their Flush is called
// only where the run gives less than exactly-once, and then publishes what was written.
//
// Concurrency: Commit and Abort are safe, also beside lanes that write; ListOpen is called while no lane runs.
type TwoPhase interface {
	Streamer
	// Commit answers every request, in order; it must be repeatable. An error means that no answer counts, and that it
	// is called again with the same requests.
	Commit(ctx context.Context, requests []CommitRequest) error
	// Abort gives up what was opened, held or prepared and is never committed. What is gone already is no error.
	Abort(ctx context.Context, c []Committable) error
	// ListOpen lists what the target still has open, held or prepared of the pipeline, from owners up to this one,
	// also what the state was never told of.
	ListOpen(ctx context.Context, owner Owner) ([]Committable, error)
}

// Fencer is a two-phase target that knows which run may publish. One without needs a state directory of its own for
// each pipeline, and check says so.
//
// Concurrency: called by one goroutine before the lanes start.
type Fencer interface {
	// Owner is the newest owner that fenced the target for the pipeline; its epoch is 0 where none ever did.
	Owner(ctx context.Context, pipeline string) (Owner, error)
	// Fence makes the owner the only one that may publish, durably: whatever an older one does from now on stays
	// unseen. What is held stays usable for this owner.
	//
	// Errors: fenced where the stored epoch is not smaller and the holder another.
	Fence(ctx context.Context, owner Owner, held []Committable) error
	// Forget removes everything held of the pipeline, but not what was published.
	Forget(ctx context.Context, pipeline string) error
}
