// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"context"
	"log/slog"
)

// Setting is one fact that a pipeline's state remembers about its ends, such as path or format. A run whose
// settings differ from the stored ones is refused.
type Setting struct {
	Name  string
	Value string
}

// SourceInfo is what is known of a source before anything is opened.
type SourceInfo struct {
	// Connector is the name that a pipeline file uses.
	Connector string
	// Identity are the settings that the stored positions depend on.
	Identity []Setting
	// Bounded says that the source ends by itself.
	Bounded bool
	// Replayable says that Open can go back to any position that the source gave before, also after a crash.
	Replayable bool
	// Blocks says that Read may wait for data to come, so that it needs a goroutine of its own.
	Blocks bool
	// Typed says that its records come, or can come, as typed rows.
	Typed bool
	// JSON says that records which come without rows are well-formed JSON objects, so that steps can find their
	// fields by path and edit them in place.
	JSON bool
	// Times says that its records come with an event time.
	Times bool
	// Tables says that Start needs SourceContext.Tables: nothing is known of what it reads before a run.
	Tables bool
	// Notes are sentences for check, such as why a file is not split into ranges.
	Notes []string
}

// SourceContext is what a run hands to a source when it starts it.
type SourceContext struct {
	Pipeline string
	// Memory is what Feed.Memory gave in the first run of this state, nil in the first run.
	Memory []byte
	// NeedsRows says that a later stage needs typed rows; a source that can keep bytes may do so otherwise.
	NeedsRows bool
	// SplitOrderMatters says that two records of one file must reach the target in the order of the file, so
	// that a file must not be cut into ranges.
	SplitOrderMatters bool
	// Lanes is how many lanes will read.
	Lanes int
	// Tables is the embedded tablet server of the state directory, for sources that read its tables; nil for a check.
	Tables Tables
	Logger *slog.Logger
}

// Source describes an input. It is a configuration value: a pipeline file decodes into it, and a program
// fills it in.
type Source interface {
	// Info describes the source without touching it. The error lists everything that is wrong with the
	// configuration.
	Info() (SourceInfo, error)
	// Start opens what all splits share and learns the schema.
	//
	// Errors: misconfigured for what the user can mend, such as a path that matches nothing.
	Start(ctx context.Context, env SourceContext) (Feed, error)
}

// Feed is a started source.
//
// Concurrency: Open may be called from several goroutines; the rest from one.
type Feed interface {
	// Schema is that of the rows, nil where records are bytes only. It does not change while the feed lives.
	Schema() *Schema
	// Memory is what the source wants back in every later run, such as an inferred schema and the grid of its
	// ranges. It is stored before the first record is delivered.
	Memory() []byte
	// Splits lists all splits in a stable order.
	Splits(ctx context.Context) ([]Split, error)
	// Open continues in a split at a position that a Reader of this split gave, or at the zero Position.
	Open(ctx context.Context, split Split, at Position) (Reader, error)
	// Close frees everything. It is called once, after all readers are closed.
	Close() error
}

// Reader reads one split.
//
// Concurrency: one goroutine at a time.
type Reader interface {
	// Read fills the batch, which the caller has reset for this split, until it is full or nothing more is at
	// hand, and sets its position. A record that cannot be read goes to the batch's rejects. io.EOF ends the
	// split, and comes with an empty batch. An empty batch without an error means that nothing is at hand now.
	//
	// Blocking: where SourceInfo.Blocks says so, until a record comes or ctx ends.
	// Ownership: the reader keeps nothing of the batch.
	Read(ctx context.Context, b *Batch) error
	// Close may be called at any time after the last Read, and twice.
	Close() error
}
