// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"

	"github.com/forebay-io/forebay"
)

// Medium is where parts lie: the local file system, or a bucket of an object store. What it hands out and takes back
// as committables was made by Encode.
//
// Concurrency: as forebay.TwoPhase says.
type Medium interface {
	forebay.Fencer
	Publisher
	// OpenLane makes the place of one lane. What it needs of the context are Owner, Opened and Memory.
	OpenLane(ctx context.Context, lane forebay.LaneContext) (Place, error)
	Close() error
}

// Publisher is what forebay.TwoPhase says beside OpenLane.
type Publisher interface {
	// Commit publishes finished parts, never in place of another file.
	Commit(ctx context.Context, requests []forebay.CommitRequest) error
	Abort(ctx context.Context, c []forebay.Committable) error
	ListOpen(ctx context.Context, owner forebay.Owner) ([]forebay.Committable, error)
}

// Place makes the parts of one lane.
//
// Concurrency: Create and Restore are called by the goroutine that writes the parts, Settle by another one.
type Place interface {
	// Create begins a part. Nothing needs to exist before the first byte is written.
	Create(name Name) Part
	// Restore goes on with a part that was persisted, from the state that this gave.
	//
	// Errors: lost where less is there than the state says.
	Restore(ctx context.Context, name Name, state []byte) (Part, error)
	// Settle makes everything that the parts persisted or finished survive any crash, unseen by readers: one call for
	// each checkpoint, in their order. The marks have their states afterwards.
	Settle(ctx context.Context, marks []Mark) error
	// Close gives everything up that was not settled. It may be called twice.
	Close() error
}

// Part is one file while it is written.
//
// Concurrency: one goroutine at a time.
type Part interface {
	// Write appends p, which begins and ends where the compression does, so that every beginning of the file that ends
	// with a Write can be read.
	//
	// Ownership: p is the caller's again on return.
	Write(ctx context.Context, p []byte) error
	// Held is the memory that the part keeps for itself after Write, such as bytes that do not fill an upload's piece.
	Held() forebay.Bytes
	// Persist marks everything written so far; the part goes on behind it.
	Persist() Mark
	// Finish marks the part as complete; nothing more is written.
	Finish() Mark
	// Close gives the part up, also a finished one for which no Settle came; what was persisted stays.
	Close() error
}

// Mark is what a part was when it was persisted or finished.
type Mark interface {
	// State describes it for Restore or Commit, once it was settled.
	State() []byte
}

// Name says where a part is published. File is never used again, in no run.
type Name struct {
	// Bucket is the folder below the base, with slashes between its parts; empty for the base itself.
	Bucket string
	File   string
}

// Path is the part's place below the base.
func (n Name) Path() string {
	if n.Bucket == "" {
		return n.File
	}
	return n.Bucket + "/" + n.File
}
