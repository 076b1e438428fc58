// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// file implements codec.Blocks: it is one block.
type file struct {
	*header
	name   string
	layout *forebay.Layout
}

// Len implements codec.Blocks.
func (f *file) Len() int { return 1 }

// Rows implements codec.Blocks.
func (f *file) Rows(int) int64 { return codec.RowsUnknown }

// Open implements codec.Blocks.
func (f *file) Open(_ context.Context, in codec.BlockInput, c codec.BlockConfig) (codec.BlockReader, error) {
	r := &reader{file: f, in: in, config: c, start: f.size, next: f.size}
	if r.config.MaxRecord <= 0 {
		r.config.MaxRecord = codec.MaxRecordDefault
	}
	if c.At == (forebay.Position{}) {
		return r, nil
	}
	at, first, _ := strings.Cut(c.At.Detail, ":")
	var errs [2]error
	r.next, errs[0] = strconv.ParseInt(at, 10, 64)
	r.row, errs[1] = strconv.ParseInt(first, 10, 64)
	r.skip = c.At.Offset - r.row
	if errs[0] != nil || errs[1] != nil || r.next < f.size || r.next > in.Size || r.skip < 0 {
		e := forebay.Errorf("read "+in.Name, forebay.ClassMisconfigured,
			"it has no place %q, to which it was read before: it has changed", c.At.Detail)
		e.Code, e.Cure = "file-changed", "bring the earlier content back, or give the pipeline another name to start over"
		return nil, e
	}
	r.start = r.next
	return r, nil
}

const (
	// readSize is how much is read at once, and blockHeadMax bounds the two numbers before a data block.
	readSize     = 256 << 10
	blockHeadMax = 20
	// emptyMax bounds records and items that take no bytes.
	emptyMax = 1 << 24
)

// reader implements codec.BlockReader.
type reader struct {
	file   *file
	in     codec.BlockInput
	config codec.BlockConfig
	unpack unpacker

	// cursor is in the data block, of which left records remain. It begins at the byte start of the file, with the record
	// first; the next data block begins at next.
	cursor
	left, first int64
	start       int64
	next        int64
	// row is the number of the next record, and skip how many of them are passed over.
	row, skip int64

	window   []byte
	windowAt int64
	scratch  []byte
	faults   []fault
}

// look is n bytes of the file from at on.
func (r *reader) look(at int64, n int) ([]byte, error) {
	if from := at - r.windowAt; from >= 0 && from+int64(n) <= int64(len(r.window)) {
		return r.window[from : from+int64(n)], nil
	}
	size := int(min(int64(max(n, readSize)), r.in.Size-at))
	if cap(r.window) < size {
		r.window = make([]byte, size)
	}
	r.window, r.windowAt = r.window[:size], at
	if err := r.in.ReadAt(r.window, at); err != nil {
		r.window = r.window[:0]
		return nil, err
	}
	return r.window[:n], nil
}

func (r *reader) corrupt(format string, args ...any) error {
	return codec.Corrupt(r.in.Name, "block at byte "+strconv.FormatInt(r.start, 10), format, args...)
}

// block reads and unpacks the next data block.
func (r *reader) block() error {
	r.start, r.first = r.next, r.row
	head, err := r.look(r.start, int(min(blockHeadMax, r.in.Size-r.start)))
	if err != nil {
		return err
	}
	c := cursor{data: head}
	count, size := c.long(), c.long()
	body := r.start + int64(c.at)
	switch {
	case c.err != nil:
		return r.corrupt("its header: %w", c.err)
	case count < 0 || size < 0 || size > r.in.Size-body-syncSize:
		return r.corrupt("it says that it has %d records in %d bytes, and the file %d more", count, size, r.in.Size-body)
	case size > blockMax:
		return r.corrupt("it has %d bytes, more than can be read (%d)", size, blockMax)
	}
	data, err := r.look(body, int(size)+syncSize)
	if err != nil {
		return err
	}
	if [syncSize]byte(data[size:]) != r.file.sync {
		return r.corrupt("it does not end with the file's marker")
	}
	unpacked, err := r.unpack.unpack(data[:size], r.file.codec)
	if err != nil {
		return r.corrupt("it cannot be unpacked: %w", err)
	}
	if count > int64(len(unpacked)) && count > emptyMax {
		return r.corrupt("it says that it has %d records, and has %d bytes", count, len(unpacked))
	}
	r.cursor, r.left = cursor{data: unpacked}, count
	r.next = body + size + syncSize
	return nil
}

// Read implements codec.BlockReader.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	b.SetLayout(r.file.layout)
	for !r.finished() && !b.Full() && !codec.BatchDone(b) {
		if r.left == 0 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := r.block(); err != nil {
				return err
			}
			continue
		}
		if err := r.add(b); err != nil {
			return err
		}
	}
	if r.skip > 0 && r.finished() {
		return forebay.Errorf("read "+r.in.Name, forebay.ClassMisconfigured,
			"it ends %d records before the one to which it was read before: it has changed", r.skip)
	}
	return nil
}

// add appends the next record. AV3: its number is its offset.
func (r *reader) add(b *forebay.Batch) error {
	size := int(b.Size())
	i := b.AppendSpan(r.config.First+r.row, size, 0)
	r.record(b, i)
	drop := func() {
		b.RemoveLast()
		b.TruncateSlab(size)
	}
	if r.err == nil && r.left == 1 && r.at != len(r.data) {
		r.err = fmt.Errorf("%d bytes follow its last record", len(r.data)-r.at)
	}
	if r.err != nil {
		drop()
		return r.corrupt("record %d: %w", r.config.First+r.row, r.err)
	}
	switch {
	case r.skip > 0:
		r.skip--
		drop()
	case int(b.Size())-size > int(r.config.MaxRecord):
		drop()
		r.reject(b, fault{code: codec.CodeTooLong, why: "the record is longer than " + r.config.MaxRecord.String() +
			" (max_record); nothing of it is kept"}, []byte("{}"))
	case len(r.faults) > 0:
		kept := codec.RowJSON(b, i)
		drop()
		r.reject(b, r.faults[0], kept)
	}
	r.row++
	r.left--
	return nil
}

func (r *reader) reject(b *forebay.Batch, f fault, value []byte) {
	reason := f.why
	if f.field != "" {
		reason = "field " + strconv.Quote(f.field) + ": " + reason
	}
	row := r.config.First + r.row
	b.Reject(forebay.Reject{
		Origin: forebay.Origin{Split: r.config.Split, Offset: row}, Stage: forebay.StageSource, Code: f.code,
		Reason: reason, Place: r.in.Name + ": row " + strconv.FormatInt(row, 10), Value: value,
	})
}

func (r *reader) finished() bool { return r.left == 0 && r.next >= r.in.Size }

// Position implements codec.BlockReader.
func (r *reader) Position() forebay.Position {
	at, first := r.start, r.first
	if r.left == 0 {
		at, first = r.next, r.row
	}
	return forebay.Position{
		Offset:   r.config.First + r.row + r.skip,
		Detail:   strconv.FormatInt(at, 10) + ":" + strconv.FormatInt(first, 10),
		Finished: r.finished() && r.skip == 0,
	}
}

// Close implements codec.BlockReader.
func (r *reader) Close() error {
	r.unpack.close()
	r.window = nil
	return nil
}
