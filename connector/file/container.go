// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// footSize is how much of the end of a file with blocks tells whether it still is the same one: its index is there.
const footSize = 4096

// container is a file with blocks, whose index was read.
type container struct {
	codec.Blocks
	// firsts are the numbers of the first records of the blocks, and one behind the last.
	firsts []int64
}

// sampleBlocks opens a file for a format with blocks.
func (s *sampler) sampleBlocks(in *input) (codec.Sample, error) {
	input, closer, err := in.blockInput(s.ctx)
	s.open = closer
	return codec.Sample{Name: in.name, Input: input}, err
}

// blockInput opens a file to be read anywhere.
func (in *input) blockInput(ctx context.Context) (codec.BlockInput, io.Closer, error) {
	if in.compression != plain {
		return codec.BlockInput{}, nil, misconfigured(advice{"read " + in.name, codeUnreadable, "unpack it"},
			"it is compressed as a whole, and its format must be read from the end")
	}
	r, size, closer, err := in.ReaderAt(ctx)
	return codec.BlockInput{Name: in.name, ReaderAt: r, Size: size}, closer, err
}

// cutBlocks makes the splits of a file with blocks: each is one, or the file is where the order in it matters.
func (f *feed) cutBlocks(ctx context.Context, in *input, each bool) error {
	c, foot, err := f.openContainer(ctx, in)
	if err != nil {
		return err
	}
	split := forebay.Split{ID: in.name, Fingerprint: "file:" + in.name + ":blocks:" + foot}
	if in.etag != "" {
		split.Fingerprint += ":" + in.etag
	}
	n := c.Len()
	if !each || n <= 1 {
		split.Size = c.firsts[n]
		return f.add(split, piece{input: in, container: c, until: int64(n)})
	}
	if n > rangesMax {
		return misconfigured(advice{"read " + in.name, codeTooMany, "set order: file and leave the file one split"},
			"its %d blocks are more than %d splits", n, rangesMax)
	}
	for i := range n {
		split.ID = in.name + "#rg" + strconv.Itoa(i)
		split.Size = c.firsts[i+1] - c.firsts[i]
		if err := f.add(split, piece{input: in, container: c, from: int64(i), until: int64(i) + 1}); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) openContainer(ctx context.Context, in *input) (c *container, foot string, err error) {
	input, closer, err := in.blockInput(ctx)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, closer.Close()) }()
	end := make([]byte, min(footSize, input.Size))
	if _, err := input.ReaderAt.ReadAt(end, input.Size-int64(len(end))); err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	blocks, err := f.decoding.OpenBlocks(ctx, input)
	if err != nil {
		return nil, "", err
	}
	c = &container{Blocks: blocks, firsts: make([]int64, blocks.Len()+1)}
	for i := range blocks.Len() {
		c.firsts[i+1] = c.firsts[i] + max(blocks.Rows(i), 0)
	}
	sum := sha256.Sum256(end)
	return c, hex.EncodeToString(sum[:8]), nil
}

// blockReader implements forebay.Reader for blocks that follow each other.
type blockReader struct {
	piece
	config codec.BlockConfig
	in     codec.BlockInput
	closer io.Closer
	// block is the one that is read or comes next, and reader its reader once it is open.
	block  int
	reader codec.BlockReader
	at     forebay.Position
	// err waits until the records before it were handed on.
	err error
}

// openBlocks continues in a split at a position.
func (f *feed) openBlocks(
	ctx context.Context, p piece, split forebay.Split, at forebay.Position,
) (*blockReader, error) {
	r := &blockReader{
		piece: p, at: at, block: int(p.from), config: codec.BlockConfig{Split: split.ID, MaxRecord: f.source.MaxRecord},
	}
	if at == (forebay.Position{}) {
		r.at.Offset = p.container.firsts[p.from]
	}
	for r.block+1 < int(p.until) && r.at.Offset >= p.container.firsts[r.block+1] {
		r.block++
	}
	input, closer, err := p.blockInput(ctx)
	if err != nil {
		return nil, err
	}
	r.in, r.closer = input, closer
	if at.Finished || p.from == p.until {
		r.at.Finished = true
		return r, nil
	}
	if err := r.open(ctx, at); err != nil {
		return nil, errors.Join(fmt.Errorf("open split %q: %w", split.ID, err), r.closer.Close())
	}
	return r, nil
}

// open opens the reader's block at a position in it.
func (r *blockReader) open(ctx context.Context, at forebay.Position) (err error) {
	r.config.Block, r.config.First, r.config.At = r.block, r.container.firsts[r.block], at
	r.reader, err = r.container.Open(ctx, r.in, r.config)
	return err
}

// Read implements forebay.Reader.
func (r *blockReader) Read(ctx context.Context, b *forebay.Batch) error {
	if c, remote := r.in.ReaderAt.(contextual); remote {
		c.Within(ctx)
	}
	for r.err == nil && !r.at.Finished && !b.Full() && !codec.BatchDone(b) {
		r.err = r.step(ctx, b)
	}
	b.SetPosition(r.at)
	if b.Len()+len(b.Rejects()) > 0 {
		return nil
	}
	if err := r.err; err != nil {
		r.err = nil // the next call tries again
		return err
	}
	return io.EOF
}

// step reads on in a block, and goes to the next one at its end.
func (r *blockReader) step(ctx context.Context, b *forebay.Batch) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if r.reader == nil {
		if err := r.open(ctx, forebay.Position{}); err != nil {
			return err
		}
	}
	err := r.reader.Read(ctx, b)
	if r.at = r.reader.Position(); err != nil || !r.at.Finished {
		return err
	}
	r.block++
	r.at.Finished = r.block >= int(r.until)
	r.reader, err = nil, r.reader.Close()
	return err
}

// Close implements forebay.Reader.
func (r *blockReader) Close() error {
	if r.closer == nil {
		return nil
	}
	var err error
	if r.reader != nil {
		err = r.reader.Close()
	}
	err = errors.Join(err, r.closer.Close())
	r.reader, r.closer = nil, nil
	return err
}
