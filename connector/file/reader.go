// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// reader implements forebay.Reader.
type reader struct {
	piece
	ctx    context.Context //nolint:containedctx // of the call that is under way: counting lines has no other
	in     io.ReadCloser
	stream *codec.Stream
}

// Open implements forebay.Feed.
func (f *feed) Open(ctx context.Context, split forebay.Split, at forebay.Position) (forebay.Reader, error) {
	p, known := f.pieces[split.ID]
	if !known {
		return nil, fmt.Errorf("open split %q: there is no such split", split.ID)
	}
	if p.container != nil {
		r, err := f.openBlocks(ctx, p, split, at)
		if err != nil {
			return nil, err
		}
		return r, nil
	}
	in, err := p.openFile(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{piece: p, in: in, ctx: ctx}
	if p.compression == plain && p.until == 0 {
		in = io.NopCloser(bytes.NewReader(nil)) // it was empty when it was first seen
	}
	r.stream = codec.NewStream(in, f.decoding.NewDecoder(), codec.StreamConfig{
		Split: split.ID, Name: p.name, MaxRecord: f.source.MaxRecord, From: p.from, Until: p.until,
		Lines: func(before int64) (int64, error) { return p.countLines(r.ctx, before) },
	})
	if err := r.stream.Begin(ctx, at); err != nil {
		return nil, errors.Join(fmt.Errorf("open split %q: %w", split.ID, err), in.Close())
	}
	return r, nil
}

// Read implements forebay.Reader.
func (r *reader) Read(ctx context.Context, b *forebay.Batch) error {
	r.ctx = ctx
	if c, remote := r.in.(contextual); remote {
		c.Within(ctx)
	}
	err := r.stream.Read(ctx, b)
	if b.Position().Finished && (err == nil || errors.Is(err, io.EOF)) && r.stream.Offset() < r.until {
		return misconfigured(advice{"read " + r.name, codeChanged, startOver},
			"the file ends at byte %d and had %d: it was cut off while it was read", r.stream.Offset(), r.until)
	}
	return err
}

// Close implements forebay.Reader.
func (r *reader) Close() error {
	if r.in == nil {
		return nil
	}
	err := r.in.Close()
	r.in = nil
	return err
}

// countLines counts the line breaks of the file before an offset. Only places of rejected records in ranges
// need it.
func (in *input) countLines(ctx context.Context, before int64) (lines int64, err error) {
	f, err := in.place.open(ctx, in)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	buffer := make([]byte, min(int64(forebay.BatchBytesMax), before))
	for left := before; left > 0; {
		n, err := f.Read(buffer[:min(int64(len(buffer)), left)])
		lines += int64(bytes.Count(buffer[:n], []byte{'\n'}))
		left -= int64(n)
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}
