// SPDX-License-Identifier: Apache-2.0

package tablet

import (
	"context"

	"github.com/forebay-io/forebay"
)

// ScanRequest says what to read of a table.
type ScanRequest struct {
	Table string
	// Select lists the columns to show, in order; none means all.
	Select []string
	// Where keeps the rows for which it is true; nil keeps all. It sees every column, laid out as NewLayout lays
	// the schema that Describe gives.
	Where func(b *forebay.Batch, i int) bool
	// Limit ends the scan after so many rows; 0 means none.
	Limit int64
	// Prefix keeps the rows of a key table whose first key columns have the row's values; its schema has these
	// columns alone. The zero Row keeps all.
	Prefix forebay.Row
	// Piece reads one tablet alone, in pieces that a reader can continue after a restart; nil reads all.
	Piece *ScanPiece
}

// ScanPiece is the part of a scan that lies in one tablet, behind a key.
type ScanPiece struct {
	// Tablet is a number below that of TableInfo.Logs.
	Tablet int `json:"tablet"`
	// After is an encoded key of a key table, as KeyEncoder makes it; empty begins at the first row.
	After []byte `json:"after,omitempty"`
}

// Rows is a scan under way: a key table in the order of its keys over all tablets, a log table by tablet and offset.
//
// Concurrency: one goroutine.
type Rows interface {
	// Layout is that of the rows that Next gives.
	Layout() *forebay.Layout
	// Next fills the batch with the next rows; io.EOF, with an empty batch, is the end.
	Next(ctx context.Context, b *forebay.Batch) error
	// LogEnd is the offset of the tablet's log at which the scan of a piece stands: the log from there on holds every
	// change that the scan does not show. It is -1 for other scans.
	LogEnd() int64
	// Close ends the scan. Closing twice is fine.
	Close() error
}

// Catalogue is the tables of a server, in this process or behind the socket of a state directory.
//
// Concurrency: safe.
type Catalogue interface {
	// Tables describes all tables, in the order of their names.
	Tables(ctx context.Context) ([]TableInfo, error)
	// Describe describes one table.
	//
	// Errors: misconfigured with the code no-such-table.
	Describe(ctx context.Context, name string) (TableInfo, error)
	// Create makes a table that must not exist.
	//
	// Errors: misconfigured, with the code exists where it does.
	Create(ctx context.Context, spec forebay.TableSpec) error
	// Drop removes a table with its rows and its log, durably.
	//
	// Errors: misconfigured with the code no-such-table, or in-use while somebody writes to it.
	Drop(ctx context.Context, name string) error
}

// Reader reads tables. What it shows is durable.
//
// Concurrency: safe.
type Reader interface {
	// Scan begins to read a table. The caller closes the rows.
	//
	// Errors: misconfigured with the code no-such-table or no-such-column.
	Scan(ctx context.Context, r ScanRequest) (Rows, error)
	// Count is the number of rows.
	Count(ctx context.Context, name string) (int64, error)
	// Get reads the row with a key into the batch, which then has one record or none. The row gives the key
	// columns by name, with the types of the table.
	//
	// Errors: misconfigured for a table without a key, and where a key column is missing or null.
	Get(ctx context.Context, name string, key forebay.Row, b *forebay.Batch) (found bool, err error)
}
