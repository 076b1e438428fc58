// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"context"
	"errors"
	"io"

	"github.com/forebay-io/forebay"
)

// BlockInput is an input that can be read anywhere. Its ReaderAt is safe for concurrent use.
type BlockInput struct {
	Name     string
	ReaderAt io.ReaderAt
	Size     int64
}

// ReadAt fills p with the bytes at a place.
//
// Errors: corrupt where the input ends earlier than it said; those of the ReaderAt.
func (in BlockInput) ReadAt(p []byte, at int64) error {
	n, err := in.ReaderAt.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Corrupt(in.Name, "", "it ends before byte %d; it had %d: %w", at+int64(len(p)), in.Size, io.ErrUnexpectedEOF)
	}
	return err
}

// StartBlocks settles the schema of a format with blocks: the stored one, or what learn finds in the first input. The
// Decoding lacks OpenBlocks.
//
// Errors: misconfigured where there is no input; those of learn.
func StartBlocks(env Env, learn func(Sample) (*forebay.Schema, error)) (*Decoding, error) {
	if env.Memory != nil {
		schema, err := Recall(env.Memory)
		return &Decoding{Schema: schema, Memory: env.Memory}, err
	}
	first, err := Sample{}, io.EOF
	if env.Samples != nil {
		first, err = env.Samples()
	}
	if errors.Is(err, io.EOF) {
		e := forebay.Errorf("learn the columns", forebay.ClassMisconfigured, "there is no file to learn them from")
		e.Code, e.Cure = "no-rows", "wait until there is a file"
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	schema, err := learn(first)
	if err != nil {
		return nil, err
	}
	return &Decoding{Schema: schema, Memory: Remember(schema)}, nil
}

// RowsUnknown is the number of records of a block that only reading tells.
const RowsUnknown = -1

// Blocks is what the index of an input says: blocks that can be read independently of each other. It holds nothing
// open, and does not keep the BlockInput that it was made from. An input with RowsUnknown has one block.
//
// Concurrency: safe.
type Blocks interface {
	// Len is how many blocks there are, which may be none.
	Len() int
	// Rows is how many records, also such as will be rejected, a block has.
	Rows(block int) int64
	// Open begins to read a block at a position that a BlockReader of this block gave, or at its beginning.
	//
	// Errors: corrupt, or those of the ReaderAt.
	Open(ctx context.Context, in BlockInput, c BlockConfig) (BlockReader, error)
}

// BlockConfig says what to read of an input.
type BlockConfig struct {
	// Split is the split that the block is, or is a part of.
	Split string
	Block int
	// First is the number of the block's first record in the input, from 0. Offsets of records are such numbers.
	First int64
	// At is where to continue; the zero Position is the block's beginning.
	At forebay.Position
	// MaxRecord is the size from which on a record is rejected; 0 means MaxRecordDefault.
	MaxRecord forebay.Bytes
}

// BlockReader reads the records of one block.
//
// Concurrency: one goroutine at a time.
type BlockReader interface {
	// Read appends records to the batch until it is full or the block ends. It fails before it has appended
	// anything that is not complete, so a batch that holds records may be handed on.
	//
	// Errors: corrupt, with the place; those of the ReaderAt.
	Read(ctx context.Context, b *forebay.Batch) error
	// Position is behind what was read; Finished says that the block has ended.
	Position() forebay.Position
	// Close frees the memory; it does not close the input.
	Close() error
}

// CodeCorrupt is the code of an error about bytes that are not what the format says.
const CodeCorrupt = "file-corrupt"

// Corrupt is the error of an input whose bytes are damaged; where says in which part of it.
func Corrupt(name, where, format string, args ...any) error {
	op := "read " + name
	if where != "" {
		op += ", " + where
	}
	e := forebay.Errorf(op, forebay.ClassCorrupt, format, args...)
	e.Code, e.Cure = CodeCorrupt, "get a complete copy of the file; what was delivered stays delivered"
	return e
}

// RowJSON are the values of a row that are not null, as a JSON object: what is kept of a record that is rejected and
// has no text of its own.
func RowJSON(b *forebay.Batch, i int) []byte {
	out, row := []byte{'{'}, b.Row(i)
	for k := range row.Schema().Len() {
		column, cell := row.Schema().Column(k), row.Cell(k)
		if cell.IsNull() {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(forebay.AppendJSONString(out, []byte(column.Name)), ':')
		out = forebay.AppendCellJSON(out, column.Type, cell, b.Slab())
	}
	return append(out, '}')
}
