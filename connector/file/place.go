// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/forebay-io/forebay"
)

// place is where files lie: the local file system, or a bucket.
type place interface {
	// list finds the files that a path means, sorted by name.
	list(ctx context.Context, path string) ([]found, error)
	// look says how large a file is, and how it begins if that is asked for.
	look(ctx context.Context, f found, head bool) (glance, error)
	// open reads the bytes of a file as they are stored. It is an io.Seeker, and may be a contextual.
	open(ctx context.Context, in *input) (io.ReadCloser, error)
	// readerAt reads pieces of a file as they are stored; ctx ends all of it. It is safe for concurrent use.
	readerAt(ctx context.Context, in *input) (io.ReaderAt, io.Closer, error)
	close() error
}

// found is a file of a list.
type found struct {
	// path opens it; name is what splits and messages call it.
	path, name string
	// size and etag are known of objects in a bucket only.
	size int64
	etag string
}

// glance is what tells a file from another one.
type glance struct {
	size int64
	etag string
	// head is the beginning, up to headSize bytes.
	head []byte
}

// contextual is a reader that waits for another machine: while reads are under way, they end with ctx.
type contextual interface{ Within(ctx context.Context) }

// ReaderAt opens the file's bytes as they are stored, for formats that are read from their end. The size is that of
// when the file was first seen. The reads end with ctx, and are safe for concurrent use until the closer is closed.
func (in *input) ReaderAt(ctx context.Context) (io.ReaderAt, int64, io.Closer, error) {
	r, c, err := in.place.readerAt(ctx, in)
	return r, in.size, c, err
}

// openFile opens the file's content. That of an uncompressed one can be sought.
func (in *input) openFile(ctx context.Context) (io.ReadCloser, error) {
	f, err := in.place.open(ctx, in)
	if err != nil || in.compression == plain {
		return f, err
	}
	u, err := unpack(f, in.name, in.compression)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// local is the file system of this machine.
type local struct{}

func (local) list(_ context.Context, path string) ([]found, error) {
	paths, err := expand(path)
	files := make([]found, len(paths))
	for i, p := range paths {
		files[i] = found{path: p, name: splitPath(p)}
	}
	return files, err
}

func (local) look(_ context.Context, file found, _ bool) (glance, error) {
	f, err := os.Open(file.path)
	if err != nil {
		return glance{}, systemError("read "+file.name, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return glance{}, systemError("read "+file.name, err)
	}
	head := make([]byte, min(headSize, info.Size()))
	if _, err := io.ReadFull(f, head); err != nil {
		return glance{}, systemError("read "+file.name, err)
	}
	return glance{size: info.Size(), head: head}, nil
}

func (local) open(_ context.Context, in *input) (io.ReadCloser, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, systemError("read "+in.name, err)
	}
	return plainFile{f}, nil
}

func (local) readerAt(_ context.Context, in *input) (io.ReaderAt, io.Closer, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, nil, systemError("read "+in.name, err)
	}
	return plainFile{f}, f, nil
}

func (local) close() error { return nil }

// plainFile is a local file whose errors have a class.
type plainFile struct{ *os.File }

// Read implements io.Reader.
func (p plainFile) Read(buffer []byte) (int, error) {
	n, err := p.File.Read(buffer)
	return n, classified(err)
}

// ReadAt implements io.ReaderAt.
func (p plainFile) ReadAt(buffer []byte, offset int64) (int, error) {
	n, err := p.File.ReadAt(buffer, offset)
	return n, classified(err)
}

func classified(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if _, has := errors.AsType[*forebay.Error](err); has {
		return err
	}
	return systemError("read", err)
}
