// SPDX-License-Identifier: Apache-2.0

package fault

// The bugs that a binary with the tag makes on request, to show that the campaigns would find them.
const (
	// BugNoSync: an acknowledgement does not wait for the sync.
	BugNoSync = "no-sync"
	// BugProgressApart: the progress is written in a batch of its own, after the rows.
	BugProgressApart = "progress-apart"
	// BugProgressPerLane: the progress is kept by lane instead of by split.
	BugProgressPerLane = "progress-per-lane"
	// BugEpochIgnored: a commit is applied whoever owns the pipeline by now.
	BugEpochIgnored = "epoch-ignored"
	// BugLettersLate: a rejected record's position is passed before its dead letter is durable.
	BugLettersLate = "letters-late"
	// BugLettersKept: dead letters above the recovered positions stay.
	BugLettersKept = "letters-kept"
	// BugDuplicateEarly: a repeated request is answered 409 before the request that it repeats is synced.
	BugDuplicateEarly = "duplicate-early"
	// BugReadAhead: a look-up and a reader of a change log show what is not synced yet.
	BugReadAhead = "read-ahead"
	// BugFolderUnsynced: a published part's folder is not synced.
	BugFolderUnsynced = "folder-unsynced"
	// BugHeldKept: a part that goes on is not cut back to what its checkpoint knows.
	BugHeldKept = "held-kept"
	// BugCommitEarly: what was prepared is committed before its checkpoint is durable.
	BugCommitEarly = "commit-early"
)

// Bugs returns the names of all bugs.
func Bugs() []string {
	return []string{
		BugNoSync, BugProgressApart, BugProgressPerLane, BugEpochIgnored, BugLettersLate, BugLettersKept,
		BugDuplicateEarly, BugReadAhead, BugFolderUnsynced, BugHeldKept, BugCommitEarly,
	}
}
