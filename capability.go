// SPDX-License-Identifier: Apache-2.0

package forebay

import "context"

// LaneContext is what a lane hands to a streaming sink.
type LaneContext struct {
	Lane   int
	Owner  Owner
	Layout *Layout
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

// Committable is what a two-phase sink prepared, as bytes that only it understands.
type Committable struct {
	// ID names it in messages and in OPENED and COMMITTED records.
	ID   string
	Data []byte
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
	// OutcomeLost says that the target no longer has what was prepared, and why.
	OutcomeLost
	// OutcomeFatal says that it will never be possible, and why.
	OutcomeFatal
)

// CommitRequest is one committable and, after Commit, its answer.
type CommitRequest struct {
	Committable Committable
	Outcome     Outcome
	Changed     *Committable
	Err         error
}

// Preparer is a lane's writer of a two-phase sink.
type Preparer interface {
	LaneWriter
	// Prepare ends what was written since the last one so that it survives any crash unseen, and returns what
	// commits it. Nothing written gives no committable.
	Prepare(ctx context.Context, checkpoint uint64) ([]Committable, error)
}

// TwoPhase is a target that commits what its lanes prepared.
//
// Concurrency: one goroutine at a time.
type TwoPhase interface {
	// Commit answers every request, in order. An error means that no answer counts.
	Commit(ctx context.Context, requests []CommitRequest) error
	// Abort gives up what was opened or prepared and never committed.
	Abort(ctx context.Context, c []Committable) error
	// ListOpen lists what the target still holds open or prepared for owners up to this one.
	ListOpen(ctx context.Context, owner Owner) ([]Committable, error)
}
