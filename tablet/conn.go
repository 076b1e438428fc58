// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/writer"
)

// Conn is a tablet server as a program sees it: one in this process, or one elsewhere that Dial found. All its
// writers and sessions share its connections and its memory.
//
// Concurrency: safe.
type Conn interface {
	forebay.Tables
	Catalogue
	Reader
	Opener
	// Close ends the connection at once; what writers and sessions still hold settles as unknown. It may be called
	// twice.
	Close() error
}

// Opener opens what its caller closes.
//
// Concurrency: safe.
type Opener interface {
	// Append makes a writer for a log table: rows of one writer go to one tablet, in order.
	//
	// Errors: misconfigured where there is no such table, it has a key, or the configuration is wrong.
	Append(ctx context.Context, table string, config writer.Config) (*writer.Writer, error)
	// Upsert makes a writer for a table with a key: a row replaces the one with its key, and Delete removes it.
	//
	// Errors: misconfigured where there is no such table, it has no key, or the configuration is wrong.
	Upsert(ctx context.Context, table string, config writer.Config) (*writer.Writer, error)
	// Session makes a session over tables with a key and without one.
	//
	// Errors: misconfigured where the configuration is wrong.
	Session(config writer.SessionConfig) (*writer.Session, error)
	// OpenLog begins to read the log of a tablet at an offset.
	//
	// Errors: misconfigured with the code no-such-table or no-such-tablet; lost with the code offset-trimmed.
	OpenLog(ctx context.Context, r LogRequest) (Log, error)
}

// LogRequest says what to read of a tablet's log.
type LogRequest struct {
	Table string
	// Tablet is a number below that of TableInfo.Logs.
	Tablet int
	// From is the offset of the first row.
	From int64
	// Follow waits for more rows at the end instead of ending there.
	Follow bool
}

// Log is the log of a tablet while it is read: the rows of a log table, or the changes of a key table, in order and
// without a gap. What it shows is durable.
//
// Concurrency: one goroutine.
type Log interface {
	// Next fills the batch with the next rows, whose offsets are those of the log and whose ops say what they did. The
	// layout of a batch is that of the table when its rows were read. io.EOF, with an empty batch, is the end.
	//
	// Errors: lost, with the code offset-trimmed, where rows are no longer kept.
	Next(ctx context.Context, b *forebay.Batch) error
	// Offset is that of the row that Next gives next.
	Offset() int64
	// Close ends the reading. Closing twice is fine.
	Close() error
}
