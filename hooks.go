// SPDX-License-Identifier: Apache-2.0

package forebay

import "time"

// Hooks are callbacks for telemetry. Any may be nil.
//
// Blocking: they are called outside locks, on the goroutine that did the work, and must not wait.
// Concurrency: lanes call them at the same time.
type Hooks struct {
	// Read is called for each batch that a source gave.
	Read func(ReadEvent)
	// Committed is called when a lane's commit is durable.
	Committed func(CommitEvent)
	// Retried is called before a lane or a request is tried again.
	Retried func(RetryEvent)
	// Rejected is called for each batch of rejected records, once they are noted.
	Rejected func(lane int, rejects []Reject)
}

// ReadEvent is one batch from a source.
type ReadEvent struct {
	Lane    int
	Split   string
	Records int
	Bytes   Bytes
}

// CommitEvent is one durable commit of a lane.
type CommitEvent struct {
	Lane    int
	Records int
	Bytes   Bytes
	Took    time.Duration
}

// RetryEvent is one more attempt.
type RetryEvent struct {
	Lane    int
	Attempt int
	Wait    time.Duration
	Err     error
}
