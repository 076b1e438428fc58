// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"context"
	"log/slog"
	"time"
)

// SinkInfo is what is known of a sink before anything is opened.
type SinkInfo struct {
	// Connector is the name that a pipeline file uses.
	Connector string
	// Identity are the settings that the stored positions depend on.
	Identity []Setting
	// NeedsRows says that the sink takes typed rows only.
	NeedsRows bool
	// JSON says that records which come without rows must be JSON objects: a source of other bytes makes rows.
	JSON bool
	// Keyed says that records of one key must arrive in order, because the last one wins.
	Keyed bool
	// Upserts says that the records go into a table with a key of the state directory, whose store then does
	// better with a large write buffer.
	Upserts bool
	// Way is how the sink delivers at its strongest.
	Way Way
	// Name is what the guarantee's sentence calls the target, such as table "flights".
	Name string
	// Times says that it divides records by their event time.
	Times bool
	// Interval is how often a lane ends its transaction unless the user says; 0 leaves it to the way.
	Interval time.Duration
	// Notes are sentences for check, such as that the target has no fence.
	Notes []string
	// Schema checks a schema before anything is touched, such as that the key's columns exist; nil where every
	// schema will do.
	Schema func(*Schema) error
}

// Way is how a target can take part in a guarantee.
type Way uint8

// The ways, from the weakest.
const (
	// WayPlain targets take records and answer.
	WayPlain Way = iota
	// WayIdempotent targets overwrite by key.
	WayIdempotent
	// WayTwoPhase targets prepare at a barrier and commit after the checkpoint.
	WayTwoPhase
	// WayProgress targets hold the progress in the transaction that delivers the records.
	WayProgress
)

// SinkContext is what a run hands to a sink when it starts it.
type SinkContext struct {
	Pipeline string
	// Schema is that of the rows, nil where records are bytes only.
	Schema *Schema
	// Tables is the embedded tablet server of the state directory.
	Tables Tables
	Logger *slog.Logger
}

// Sink describes an output. It is a configuration value, as a Source is.
type Sink interface {
	// Info describes the sink without touching it. The error lists everything that is wrong with the
	// configuration.
	Info() (SinkInfo, error)
	// Start opens the target and makes what is missing, such as its table.
	//
	// Errors: misconfigured for what the user can mend, before anything is made.
	Start(ctx context.Context, env SinkContext) (Target, error)
}

// Target is a started sink. What it can do beyond being closed is in capability.go: it is a Streamer or a
// Sequencer, and may hold progress or commit in two phases.
type Target interface {
	Close() error
}

// Tables is a tablet server as sinks and programs see it, in this process or elsewhere.
//
// Concurrency: safe.
type Tables interface {
	// OpenTable makes the table if it is missing, applies compatible changes of its schema, and returns the
	// target that writes to it. Changes that are not compatible are refused before anything is written.
	OpenTable(ctx context.Context, spec TableSpec) (Target, error)
}

// TabletsDefault is the number of tablets of a table that does not say.
const TabletsDefault = 4

// TableSpec describes a table.
type TableSpec struct {
	Name   string
	Schema *Schema
	// Key lists the columns of the primary key; none makes a log table.
	Key []string
	// Tablets is fixed at creation; 0 means TabletsDefault.
	Tablets int
	// Version is a column of a key table: of two rows with one key the one with the greater value stays.
	Version string
	// DistributeBy lists the columns by whose hash rows of a log table are spread, instead of by split.
	DistributeBy []string
	// PartitionBy divides the table into partitions with Tablets each, made when the first row comes.
	PartitionBy PartitionBy
	// Retention is how long the change log is kept; 0 means everything for log tables, 7 days for key tables.
	Retention time.Duration
}

// PartitionBy says how the partition of a row is found. The zero value is a table without partitions.
type PartitionBy struct {
	// Column gives the partition; in a table with a key it is part of the key.
	Column string
	// Template is day or hour for a date or timestamp, in UTC, or value for a string, integer, bool or date.
	Template string
	// Limit bounds the number of partitions; 0 means PartitionsDefault.
	Limit int
}

// PartitionsDefault is the limit of partitions of a table that does not say.
const PartitionsDefault = 1000
