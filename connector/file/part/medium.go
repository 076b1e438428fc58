// SPDX-License-Identifier: Apache-2.0

package part

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
	// State describes it for Restore or Commit, once it was settled. It is JSON.
	State() json.RawMessage
}

// Name says where a part is published. File is never used again, in no run.
type Name struct {
	// Bucket is the folder below the base, with slashes between its parts; empty for the base itself.
	Bucket string `json:"bucket,omitempty"`
	File   string `json:"file"`
}

// Path is the part's place below the base.
func (n Name) Path() string {
	if n.Bucket == "" {
		return n.File
	}
	return n.Bucket + "/" + n.File
}

// Record is a part as a committable holds it: what its writer and what its medium know.
type Record struct {
	Version int  `json:"v"`
	Name    Name `json:"name"`
	// State is the medium's; nil for something that was found, or opened, and never persisted.
	State json.RawMessage `json:"state,omitempty"`
	// Held is set while the part goes on.
	Held *Progress `json:"held,omitempty"`
}

// Progress is what the writer of a part needs to go on with it.
type Progress struct {
	Created time.Time `json:"created"`
	// Bytes counts the records before the compression, with the header.
	Bytes forebay.Bytes `json:"bytes"`
	// Shape is a checksum of what else decides how the part goes on: header, format, compression.
	Shape uint64 `json:"shape"`
}

// recordVersion is that of the JSON in a committable.
const recordVersion = 1

// Encode makes the committable of a part. Its id is the name of the file.
func Encode(r Record) (forebay.Committable, error) {
	r.Version = recordVersion
	data, err := json.Marshal(r)
	return forebay.Committable{ID: r.Name.File, Data: data}, err
}

// Decode reads what Encode made.
//
// Errors: corrupt.
func Decode(c forebay.Committable) (Record, error) {
	var r Record
	err := json.Unmarshal(c.Data, &r)
	switch {
	case err != nil:
	case r.Version != recordVersion:
		err = fmt.Errorf("its version is %d, and this program knows %d", r.Version, recordVersion)
	case r.Name.File == "" || r.Name.File != c.ID:
		err = errors.New("it does not have the name of its file")
	default:
		return r, nil
	}
	return r, forebay.Errorf("read the state of part "+c.ID, forebay.ClassCorrupt, "%w", err)
}
