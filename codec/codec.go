// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/forebay-io/forebay"
)

// Format describes how bytes become records. It is a configuration value: a pipeline file decodes into it,
// and a program fills it in. Its zero value is the documented default.
type Format interface {
	// Info describes the format. The error lists everything that is wrong with the configuration.
	Info() (Info, error)
	// Start settles what all readers share, such as the schema, where it must be learned from samples.
	//
	// Errors: misconfigured for what the user can mend, such as samples that have no rows.
	Start(ctx context.Context, env Env) (*Decoding, error)
}

// Info is what is known of a format before any byte is read.
type Info struct {
	// Name is what a pipeline file calls the format.
	Name string
	// Identity are the settings, beside the name, that stored positions and the learned schema depend on.
	Identity []forebay.Setting
	// Typed says that records come, or can come, as typed rows.
	Typed bool
	// JSON says that records without rows are well-formed JSON objects.
	JSON bool
	// Ranges says that the next record can be found from any byte, so that an input can be cut into ranges.
	Ranges bool
	// Blocks says that inputs are read through Decoding.OpenBlocks, and not through decoders.
	Blocks bool
	// Note is a sentence that says why there are no ranges.
	Note string
}

// Env is what a source hands to a format when it starts it.
type Env struct {
	// Memory is the Decoding's Memory of an earlier run, nil in the first.
	Memory []byte
	// NeedsRows says that a later stage needs typed rows.
	NeedsRows bool
	// MaxRecord is the size from which on a record is rejected.
	MaxRecord forebay.Bytes
	// Samples gives the inputs one after the other, each from its beginning, and io.EOF after the last. The
	// Reader is valid until the next call.
	Samples func() (Sample, error)
}

// Sample is one input to learn from.
type Sample struct {
	Name   string
	Reader io.Reader
	// Input is for formats with blocks, which get no Reader.
	Input BlockInput
}

// Decoding is a started format.
//
// Concurrency: safe; each reader takes a Decoder of its own.
type Decoding struct {
	// Schema is that of the rows, nil where records are bytes only.
	Schema *forebay.Schema
	// Memory is what Start wants back in every later run; nil if it learned nothing.
	Memory []byte
	// NewDecoder makes the decoder of one reader; nil where OpenBlocks is set.
	NewDecoder func() Decoder
	// OpenBlocks reads the index of an input, for a format whose records cannot be found from its beginning.
	//
	// Errors: corrupt, misconfigured where its columns are not those of the schema, and those of the ReaderAt.
	OpenBlocks func(ctx context.Context, in BlockInput) (Blocks, error)
}

// Decoder finds the records of one input in blocks of bytes that lie in a batch's slab. Cells and values are
// spans of the slab wherever the bytes can stay as they are.
//
// Concurrency: one goroutine at a time.
type Decoder interface {
	// Begin looks at the beginning of the input, which is complete where final is set, and returns what lies
	// before the first record, such as a header. It asks for more with ok false.
	//
	// Errors: misconfigured, such as a header that lacks a column.
	Begin(head []byte, final bool) (p Preamble, ok bool, err error)
	// Decode appends the records that lie complete in the window to the batch, in order, and moves the window's
	// start behind what it took. It stops early when the batch holds as many records as it may.
	Decode(b *forebay.Batch, w *Window)
}

// Preamble is what an input has before its first record.
type Preamble struct {
	Size  int
	Lines int64
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// ByteOrderMark is the preamble that a text begins with: a byte order mark or nothing. It asks for more with ok
// false, as Begin does.
func ByteOrderMark(head []byte, final bool) (p Preamble, ok bool) {
	if !final && len(head) < len(byteOrderMark) {
		return p, false
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		p.Size = len(byteOrderMark)
	}
	return p, true
}

// NoLimit is the Until of a window that ends with the input.
const NoLimit = 1<<63 - 1

// Window is a stretch of an input that lies in a batch's slab, from Start to End.
type Window struct {
	Start, End int
	// Offset is the place of Start in the input, and Line the number of its line, from 1.
	Offset, Line int64
	// Final says that the input ends at End.
	Final bool
	// Until bounds where records may start, as an offset in the input: the decoder stops before one that
	// starts there or later.
	Until int64
	// Skipping is set while Start lies inside a record that is passed over to its end: one that is too long,
	// or one that belongs to the range before.
	Skipping bool
	// Report notes a record that is rejected.
	Report func(b *forebay.Batch, r Rejected)
}

// RejectTooLong reports the record at the window's start as longer than limit. Of its bytes, the first are kept.
func (w *Window) RejectTooLong(b *forebay.Batch, record []byte, limit int) {
	w.Report(b, Rejected{
		Offset: w.Offset, Line: w.Line, Column: 1, Code: CodeTooLong, Reason: tooLongReason(limit),
		Value: record[:min(len(record), limit, int(keptOfTooLong))],
	})
}

// Advance moves the start to an index of the slab, lines further down.
func (w *Window) Advance(start int, lines int64) {
	w.Offset += int64(start - w.Start)
	w.Line += lines
	w.Start = start
}

// Rejected is a record that cannot be read.
type Rejected struct {
	// Offset is where the record starts in the input.
	Offset int64
	// Line and Column, both from 1, are where the mistake is; columns count characters.
	Line   int64
	Column int
	Code   string
	Reason string
	// Value are the record's bytes; they are copied.
	Value []byte
}

// Codes of rejected records.
const (
	CodeWrongType    = "wrong-type"
	CodeInvalidUTF8  = "invalid-utf8"
	CodeFieldCount   = "wrong-field-count"
	CodeQuote        = "wrong-quote"
	CodeTooLong      = "record-too-long"
	CodeInvalidJSON  = "invalid-json"
	CodeDuplicate    = "duplicate-field"
	CodeUnknownField = "unknown-field"
)

// MaxRecordDefault is the size from which on a record is rejected unless the source says otherwise.
const MaxRecordDefault = 16 * forebay.MiB

// keptOfTooLong is how much of a record that is too long is kept with its reject.
const keptOfTooLong = 4 * forebay.KiB

// tooLongReason is the reason of a record that is longer than size bytes.
func tooLongReason(size int) string {
	return fmt.Sprintf("the record is longer than %s (max_record); its first %s are kept", forebay.Bytes(size),
		min(forebay.Bytes(size), keptOfTooLong))
}

// BatchDone reports whether a batch holds as many records, or rejected ones, as it may.
func BatchDone(b *forebay.Batch) bool {
	return b.Len() >= forebay.BatchRecordsMax || len(b.Rejects()) >= forebay.BatchRecordsMax
}
