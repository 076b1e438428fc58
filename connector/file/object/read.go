// SPDX-License-Identifier: Apache-2.0

package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/forebay-io/forebay"
)

const (
	// windowFirst is what the first request of a Reader asks for, and windowMax the most; in between each asks for
	// windowGrowth times as much. A window that was read whole leaves its connection to the next one.
	windowFirst  = 256 << 10
	windowMax    = 64 << 20
	windowGrowth = 4
	// breaksMax bounds how often in a row reading may break off without one byte.
	breaksMax = 4
)

// Reader reads an object from anywhere, as long as it has the ETag that it was opened with. Where reading breaks off
// it goes on at the same byte.
//
// Concurrency: one goroutine at a time.
type Reader struct {
	b      *Bucket
	object Object
	ctx    context.Context //nolint:containedctx // Within changes it: an io.Reader has no other way to be told
	at     int64

	body   io.ReadCloser
	cancel context.CancelFunc
	// left is how much the open window has, and window how large the next one is.
	left, window int64
	breaks       int
}

// Open makes the reader of an object. Nothing is asked before the first Read.
func (b *Bucket) Open(ctx context.Context, o Object) *Reader {
	return &Reader{b: b, object: o, ctx: ctx, window: windowFirst}
}

// Within says that reads end with ctx from now on.
func (r *Reader) Within(ctx context.Context) { r.ctx = ctx }

// Seek implements io.Seeker.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.object.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in %s: %d is before its beginning", r.object.Key, offset)
	}
	if offset != r.at {
		r.drop()
		r.at, r.window = offset, windowFirst
	}
	return offset, nil
}

// Read implements io.Reader.
//
// Errors: misconfigured with CodeChanged where the object has another ETag by now; transient where it cannot be read.
func (r *Reader) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if r.at >= r.object.Size {
			r.drop()
			return 0, io.EOF
		}
		if err := context.Cause(r.ctx); err != nil {
			r.drop()
			return 0, err
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, err
			}
		}
		n, err := r.read(p)
		r.at += int64(n)
		r.left -= int64(n)
		if r.left <= 0 || err != nil {
			r.drop()
		}
		if n > 0 {
			r.breaks = 0
			return n, nil
		}
		if cause := context.Cause(r.ctx); cause != nil {
			return 0, cause
		}
		if r.breaks++; err != nil && r.breaks >= breaksMax {
			return 0, r.b.fail(r.ctx, r.request(), fmt.Errorf("it broke off %d times at byte %d: %w", r.breaks, r.at, err))
		}
	}
	return 0, nil
}

// read reads from the open window, which must give something within the bucket's timeout.
func (r *Reader) read(p []byte) (int, error) {
	late := time.AfterFunc(r.b.timeout, r.cancel)
	defer late.Stop()
	defer context.AfterFunc(r.ctx, r.cancel)()
	n, err := r.body.Read(p[:min(int64(len(p)), r.left)])
	if errors.Is(err, io.EOF) && int64(n) < r.left {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *Reader) request() request { return request{op: "read " + URL(r.b.name, r.object.Key)} }

// open asks for the next window.
func (r *Reader) open() error {
	size := min(r.window, r.object.Size-r.at)
	// The request outlives r.ctx, which may be another one in the next Read.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	stop := context.AfterFunc(r.ctx, cancel)
	body, err := r.b.get(ctx, r.object, r.at, size)
	stop()
	if err != nil {
		cancel()
		if cause := context.Cause(r.ctx); cause != nil {
			return cause
		}
		return err
	}
	r.body, r.cancel, r.left = body, cancel, size
	r.window = min(r.window*windowGrowth, windowMax)
	return nil
}

func (r *Reader) drop() {
	if r.body == nil {
		return
	}
	_ = r.body.Close()
	r.cancel()
	r.body = nil
}

// Close implements io.Closer.
func (r *Reader) Close() error {
	r.drop()
	return nil
}

// get asks for size bytes of an object from an offset on.
func (b *Bucket) get(ctx context.Context, o Object, offset, size int64) (io.ReadCloser, error) {
	span := fmt.Sprintf("bytes=%d-%d", offset, offset+size-1)
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &o.Key, Range: &span}
	if o.ETag != "" {
		in.IfMatch = &o.ETag
	}
	out, err := b.client.GetObject(ctx, in)
	if err == nil {
		return out.Body, nil
	}
	err = b.fail(ctx, request{op: "read " + URL(b.name, o.Key)}, err)
	e, _ := errors.AsType[*forebay.Error](err)
	switch {
	case e == nil:
	case e.Code == CodeCondition:
		e.Class, e.Code, e.Cure = forebay.ClassMisconfigured, CodeChanged, cureChange
		e.Err = fmt.Errorf("the object changed: it does not have the ETag %s any more", o.ETag)
	case e.Code == CodeNoObject:
		e.Code, e.Cure = CodeChanged, cureChange
		e.Err = errors.New("the object is not there any more")
	}
	return nil, err
}
