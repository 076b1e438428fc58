// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

const (
	// blockSize is what is fetched at once for a small read, and blocksMax how many are kept.
	blockSize = 512 << 10
	blocksMax = 8
)

// ReaderAt reads an object anywhere, as long as it has the ETag that it was opened with. It keeps the last blocks that
// small reads touched, up to 4 MiB; larger reads go past them.
//
// Concurrency: safe.
type ReaderAt struct {
	b      *Bucket
	object Object
	ctx    context.Context //nolint:containedctx // an io.ReaderAt has no other way to be told

	mu sync.Mutex
	// blocks are in the order of their last use.
	blocks []block
}

type block struct {
	offset int64
	data   []byte
}

// OpenAt makes the reader of an object, whose reads end with ctx. Nothing is asked before the first ReadAt.
func (b *Bucket) OpenAt(ctx context.Context, o Object) *ReaderAt {
	return &ReaderAt{b: b, object: o, ctx: ctx}
}

// ReadAt implements io.ReaderAt.
func (r *ReaderAt) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("read %s: offset %d is before its beginning", r.object.Key, offset)
	}
	short := offset+int64(len(p)) > r.object.Size
	if short {
		p = p[:max(0, r.object.Size-offset)]
	}
	if len(p) >= blockSize {
		n, err = r.fetch(p, offset)
	} else {
		n, err = r.cached(p, offset)
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (r *ReaderAt) fetch(p []byte, offset int64) (int, error) {
	in := r.b.Open(r.ctx, r.object)
	in.at, in.window = offset, int64(len(p))
	n, err := io.ReadFull(in, p)
	return n, errors.Join(err, in.Close())
}

func (r *ReaderAt) cached(p []byte, offset int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) {
		at := offset + int64(n)
		data, err := r.block(at - at%blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at%blockSize:])
	}
	return n, nil
}

// block is the kept block at an offset, which is fetched if it is missing. The caller holds the lock.
func (r *ReaderAt) block(offset int64) ([]byte, error) {
	i := slices.IndexFunc(r.blocks, func(b block) bool { return b.offset == offset })
	if i >= 0 {
		b := r.blocks[i]
		r.blocks = append(slices.Delete(r.blocks, i, i+1), b)
		return b.data, nil
	}
	size := min(blockSize, r.object.Size-offset)
	var data []byte
	if len(r.blocks) >= blocksMax {
		data, r.blocks = r.blocks[0].data, slices.Delete(r.blocks, 0, 1)
	}
	if int64(cap(data)) < size {
		data = make([]byte, size)
	}
	data = data[:size]
	if _, err := r.fetch(data, offset); err != nil {
		return nil, err
	}
	r.blocks = append(r.blocks, block{offset, data})
	return data, nil
}

// Close implements io.Closer.
func (r *ReaderAt) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks = nil
	return nil
}
