// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"io"

	"github.com/forebay-io/forebay"
)

// Writable is a Format in which records can be written.
type Writable interface {
	Format
	// Encoding fits the format to rows of a layout, which is nil while records are bytes only.
	//
	// Errors: misconfigured where such records cannot be written in it.
	Encoding(layout *forebay.Layout) (*Encoding, error)
}

// Encoding writes records of one layout. Either Append is set, or NewBulk.
//
// Concurrency: safe.
type Encoding struct {
	// Extension is how names of such files end before that of a compression, such as .ndjson.
	Extension string
	// JSON says that records without rows must be JSON objects.
	JSON bool
	// Header comes before the first record of each file; it may be empty.
	Header []byte
	// Append appends record i, complete with what ends it. A record that can never be written is an error of class
	// rejected, and dst is then returned as it was.
	Append func(dst []byte, b *forebay.Batch, i int) ([]byte, error)
	// NewBulk begins a file whose records cannot be appended one by one, such as one with columns.
	NewBulk func(w io.Writer) (BulkEncoder, error)
}

// BulkEncoder writes one file that only its end makes complete.
//
// Concurrency: one goroutine at a time.
type BulkEncoder interface {
	// Append takes record i. A record that can never be written is an error of class rejected; any other error means
	// that the file cannot be completed any more.
	Append(b *forebay.Batch, i int) error
	// Written is what went to the writer so far; Buffered is the memory that is held for records which did not.
	Written() forebay.Bytes
	Buffered() forebay.Bytes
	// Close completes the file. It does not close the writer.
	Close() error
}
