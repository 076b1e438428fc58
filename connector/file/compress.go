// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/forebay-io/forebay"
)

// The compressions, as the configuration names them.
const (
	plain    = "none"
	gzipped  = "gzip"
	zstdized = "zstd"
)

// windowMax bounds the memory that a zstd file can ask for.
const windowMax = 128 << 20

// compressionOf is that of a file: as configured, else by the ending of its name, else by its first bytes.
func compressionOf(configured, name string, head []byte) string {
	named := compressionNamed(configured, name)
	switch {
	case named != "":
		return named
	case bytes.HasPrefix(head, []byte("\x1f\x8b\x08")):
		return gzipped
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return zstdized
	default:
		return plain
	}
}

// unpacked reads what a compressed file holds.
type unpacked struct {
	file  *noted
	name  string
	in    io.Reader
	close func()
	at    int64
}

// compressionNamed is what the configuration or the ending of the name says, "" if neither does.
func compressionNamed(configured, name string) string {
	if configured != "auto" {
		return configured
	}
	switch lower := strings.ToLower(name); {
	case strings.HasSuffix(lower, ".gz"), strings.HasSuffix(lower, ".gzip"):
		return gzipped
	case strings.HasSuffix(lower, ".zst"), strings.HasSuffix(lower, ".zstd"):
		return zstdized
	default:
		return ""
	}
}

// noted remembers what reading failed with, which decompressors may hide.
type noted struct {
	io.ReadCloser
	err error
}

// Read implements io.Reader.
func (n *noted) Read(p []byte) (int, error) {
	size, err := n.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return size, err
}

// Within implements contextual.
func (n *noted) Within(ctx context.Context) {
	if c, remote := n.ReadCloser.(contextual); remote {
		c.Within(ctx)
	}
}

// unpack starts to read a compressed file. It takes the file over.
func unpack(f io.ReadCloser, name, compression string) (*unpacked, error) {
	u := &unpacked{file: &noted{ReadCloser: f}, name: name, close: func() {}}
	raw := bufio.NewReaderSize(u.file, 128<<10)
	var err error
	switch compression {
	case gzipped:
		u.in, err = gzip.NewReader(raw)
	default:
		var z *zstd.Decoder
		z, err = zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(windowMax))
		if err == nil {
			u.in, u.close = z, z.Close
		}
	}
	if err != nil {
		return nil, errors.Join(u.wrong(err), f.Close())
	}
	return u, nil
}

// Read implements io.Reader. Whatever the decompressor finds wrong names the file and the place, and never
// looks like the end.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.in.Read(p)
	u.at += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader gives io.EOF itself
		err = u.wrong(err)
	}
	return n, err
}

func (u *unpacked) wrong(err error) error {
	if u.file.err != nil {
		return u.file.err // the file could not be read, which says nothing about the data
	}
	code, why := codeCorrupt, "the compressed data are damaged"
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		code, why = codeTruncated, "the compressed data end too early"
		err = io.ErrUnexpectedEOF
	}
	e := forebay.Errorf("read "+u.name, forebay.ClassCorrupt, "%s, after %d bytes of content: %w", why, u.at, err)
	e.Code, e.Cure = code, "get a complete copy of the file; what was delivered stays delivered"
	return e
}

// Within implements contextual.
func (u *unpacked) Within(ctx context.Context) { u.file.Within(ctx) }

// Close frees the decompressor and closes the file.
func (u *unpacked) Close() error {
	u.close()
	return u.file.Close()
}
