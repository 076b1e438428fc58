// SPDX-License-Identifier: Apache-2.0

package fault

import "slices"

// The kill points, in the order in which a record meets them.
const (
	// DirectoryLocked: the state directory is ours, nothing is opened yet.
	DirectoryLocked = "directory-locked"
	// StoreOpened: the store has recovered.
	StoreOpened = "store-opened"
	// TableCreated: a table is in the catalogue and synced.
	TableCreated = "table-created"
	// SchemaChanged: a compatible change of a schema is in the catalogue and synced.
	SchemaChanged = "schema-changed"
	// EpochTaken: the new epoch is durable, the older owner is not fenced yet.
	EpochTaken = "epoch-taken"
	// Fenced: the target refuses the older owner from here on.
	Fenced = "fenced"
	// ProgressRead: the target's progress is known, no source has moved.
	ProgressRead = "progress-read"
	// Seeked: a source stands at its position, nothing is read.
	Seeked = "seeked"
	// SourceRead: a batch was read from a source.
	SourceRead = "source-read"
	// SourcePosition: the positions of a batch are noted in its lane.
	SourcePosition = "source-position"
	// TransformDone: a batch went through all transforms.
	TransformDone = "transform-done"
	// BatchEncoded: rows are encoded for their tablet.
	BatchEncoded = "batch-encoded"
	// CommitBuilt: rows, progress and dead letters stand in one Pebble batch.
	CommitBuilt = "commit-built"
	// DLQWritten: a dead letter is in the batch that its position goes with.
	DLQWritten = "dlq-written"
	// CommitApplied: a Pebble batch is visible and not synced.
	CommitApplied = "commit-applied"
	// PartWritten: bytes of a part were handed to the operating system.
	PartWritten = "part-written"
	// PartPersisted: parts that go on survive a crash as far as they were written.
	PartPersisted = "part-persisted"
	// PartFinished: complete parts survive a crash, unseen by readers.
	PartFinished = "part-finished"
	// PartRenamed: a part is visible, its folder is not synced.
	PartRenamed = "part-renamed"
	// PartDirectorySynced: the names of published parts survive a crash, nobody has been told.
	PartDirectorySynced = "part-directory-synced"
	// OwnerWritten: a base names its new owner, what the older one left is still there.
	OwnerWritten = "owner-written"
	// EpochMovedAway: the folders of older owners are gone from where these look, and not removed.
	EpochMovedAway = "epoch-moved-away"
	// CommitSynced: a sync has returned, nobody has been told.
	CommitSynced = "commit-synced"
	// CommitAcked: the lane knows that its commit is durable.
	CommitAcked = "commit-acked"
	// OpenedWritten: what a two-phase sink opened is noted, and not used yet.
	OpenedWritten = "opened-written"
	// Prepared: what a lane's two-phase sink prepared survives a crash, and no checkpoint says so yet.
	Prepared = "prepared"
	// CommitBegun: a checkpoint is durable, and its commit begins.
	CommitBegun = "commit-begun"
	// CommitDone: a two-phase sink has committed, and nothing says so yet.
	CommitDone = "commit-done"
	// CommittedWritten: it is durable that a checkpoint is committed.
	CommittedWritten = "committed-written"
	// CommitsReplayed: a run has committed what earlier ones left, and has not fenced the target.
	CommitsReplayed = "commits-replayed"
	// LeftoversAborted: what earlier runs opened and never committed is gone.
	LeftoversAborted = "leftovers-aborted"
	// CheckpointBuilt: a checkpoint is encoded.
	CheckpointBuilt = "checkpoint-built"
	// CheckpointWritten: a checkpoint is durable.
	CheckpointWritten = "checkpoint-written"
	// SplitFinished: the end of a split is durable.
	SplitFinished = "split-finished"
	// DrainBegun: nothing new is taken from the sources.
	DrainBegun = "drain-begun"
)

// points is the order of the counters in a trace file.
var points = [...]string{
	DirectoryLocked, StoreOpened, TableCreated, SchemaChanged, EpochTaken, Fenced, ProgressRead, Seeked,
	SourceRead, SourcePosition, TransformDone, BatchEncoded, CommitBuilt, DLQWritten, CommitApplied, CommitSynced,
	CommitAcked, CheckpointBuilt, CheckpointWritten, SplitFinished, DrainBegun,
	OpenedWritten, Prepared, CommitBegun, CommitDone, CommittedWritten, CommitsReplayed, LeftoversAborted,
	PartWritten, PartPersisted, PartFinished, PartRenamed, PartDirectorySynced, OwnerWritten, EpochMovedAway,
}

// Points returns the names of all kill points.
func Points() []string { return slices.Clone(points[:]) }
