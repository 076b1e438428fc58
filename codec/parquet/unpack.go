// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compressions, as footers number them.
const (
	packedNone   = 0
	packedSnappy = 1
	packedGzip   = 2
	packedBrotli = 4
	packedZstd   = 6
	packedLZ4    = 7
)

// unpacker decompresses pages. Its memory is used again.
type unpacker struct {
	gzip   *gzip.Reader
	zstd   *zstd.Decoder
	brotli *brotli.Reader
	source bytes.Reader
}

// ratioMax is how much of a byte the compressions can make at most, rounded up. PQ1: memory is not taken for more.
var ratioMax = map[int64]int{packedSnappy: 64, packedLZ4: 256, packedGzip: 1100, packedZstd: 1 << 16}

var errUnpacked = errors.New("the page has another size than it says")

// knownCompression is why pages of a compression cannot be read.
func knownCompression(compression int64) error {
	switch compression {
	case packedNone, packedSnappy, packedGzip, packedBrotli, packedZstd, packedLZ4:
		return nil
	default:
		return fmt.Errorf("compression %d cannot be read; none, snappy, gzip, brotli, zstd and lz4_raw can", compression)
	}
}

// unpack decompresses src into dst, which it returns grown to size: neither more nor less may come out.
func (u *unpacker) unpack(dst, src []byte, compression int64, size int) ([]byte, error) {
	if most, known := ratioMax[compression]; known && size/most > len(src) {
		return dst, errUnpacked
	}
	if compression == packedSnappy {
		if n, err := snappy.DecodedLen(src); err != nil || n != size {
			return dst, errors.Join(errUnpacked, err)
		}
	}
	dst = slices.Grow(dst[:0], size)[:size]
	switch compression {
	case packedSnappy:
		_, err := snappy.Decode(dst, src)
		return dst, err
	case packedLZ4:
		n, err := lz4.UncompressBlock(src, dst)
		if err == nil && n != size {
			err = errUnpacked
		}
		return dst, err
	case packedZstd:
		return u.unpackZstd(dst, src)
	case packedGzip:
		u.source.Reset(src)
		if u.gzip == nil {
			u.gzip = new(gzip.Reader)
		}
		if err := u.gzip.Reset(&u.source); err != nil {
			return dst, err
		}
		return dst, fill(dst, u.gzip)
	case packedBrotli:
		u.source.Reset(src)
		if u.brotli == nil {
			u.brotli = brotli.NewReader(nil)
		}
		if err := u.brotli.Reset(&u.source); err != nil {
			return dst, err
		}
		return dst, fill(dst, u.brotli)
	default:
		return dst, knownCompression(compression)
	}
}

func (u *unpacker) unpackZstd(dst, src []byte) ([]byte, error) {
	if u.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(pageMax))
		if err != nil {
			return dst, err
		}
		u.zstd = z
	}
	size := len(dst)
	out, err := u.zstd.DecodeAll(src, dst[:0])
	if err == nil && len(out) != size {
		err = errUnpacked
	}
	return out, err
}

// fill reads exactly dst.
func fill(dst []byte, in io.Reader) error {
	if _, err := io.ReadFull(in, dst); err != nil {
		return err
	}
	var more [1]byte
	if n, err := in.Read(more[:]); n > 0 {
		return errUnpacked
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
	*u = unpacker{}
}
