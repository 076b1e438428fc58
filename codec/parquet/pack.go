// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// packings are the compressions in which can be written.
var packings = map[string]format.CompressionCodec{
	"snappy": format.Snappy, "zstd": format.Zstd, "gzip": format.Gzip, "none": format.Uncompressed,
}

// packer compresses pages. Its memory is used again, by all columns of a file.
type packer struct {
	compression string
	protocol    thrift.CompactProtocol
	// body is where pages are put together, and packed where they are compressed to.
	body, packed []byte
	zstd         *zstd.Encoder
	gzip         *gzip.Writer
	buffer       bytes.Buffer
}

// zstdMemory is about what the compressor holds.
const zstdMemory = 2 << 20

func (p *packer) held() int64 {
	n := int64(cap(p.body) + cap(p.packed) + p.buffer.Cap())
	if p.zstd != nil {
		n += zstdMemory
	}
	return n
}

// pack compresses a page, valid until the next call.
func (p *packer) pack(page []byte) ([]byte, error) {
	switch p.compression {
	case "snappy":
		if n := s2.MaxEncodedLen(len(page)); cap(p.packed) < n {
			p.packed = make([]byte, n)
		}
		return s2.EncodeSnappy(p.packed[:cap(p.packed)], page), nil
	case "zstd":
		if p.zstd == nil {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
				zstd.WithWindowSize(2*pageSize), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
			if err != nil {
				return nil, err
			}
			p.zstd = z
		}
		p.packed = p.zstd.EncodeAll(page, p.packed[:0])
		return p.packed, nil
	case "gzip":
		p.buffer.Reset()
		if p.gzip == nil {
			p.gzip = gzip.NewWriter(&p.buffer)
		} else {
			p.gzip.Reset(&p.buffer)
		}
		if _, err := p.gzip.Write(page); err != nil {
			return nil, err
		}
		err := p.gzip.Close()
		return p.buffer.Bytes(), err
	default:
		return page, nil
	}
}
