// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// blockMax bounds a data block, packed and unpacked.
const blockMax = 256 << 20

var compressions = map[string]bool{"null": true, "deflate": true, "snappy": true, "zstandard": true, "bzip2": true}

// unpacker decompresses data blocks into memory that is used again.
type unpacker struct {
	flate  io.ReadCloser
	zstd   *zstd.Decoder
	source bytes.Reader
	buffer bytes.Buffer
	held   []byte
}

var errTooLarge = fmt.Errorf("unpacked it has more than %d bytes, which can be read", blockMax)

// unpack is what a data block holds, valid until the next call.
func (u *unpacker) unpack(data []byte, codec string) ([]byte, error) {
	switch codec {
	case "deflate":
		u.source.Reset(data)
		if u.flate == nil {
			u.flate = flate.NewReader(&u.source)
		} else if err := u.flate.(flate.Resetter).Reset(&u.source, nil); err != nil {
			return nil, err
		}
		return u.drain(u.flate)
	case "bzip2":
		u.source.Reset(data)
		return u.drain(bzip2.NewReader(&u.source))
	case "snappy":
		return u.unpackSnappy(data)
	case "zstandard":
		if u.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(blockMax))
			if err != nil {
				return nil, err
			}
			u.zstd = z
		}
		var err error
		u.held, err = u.zstd.DecodeAll(data, u.held[:0])
		return u.held, err
	default:
		return data, nil
	}
}

// drain reads a stream to its end. AV1: a small block cannot become a large one.
func (u *unpacker) drain(in io.Reader) ([]byte, error) {
	u.buffer.Reset()
	n, err := u.buffer.ReadFrom(io.LimitReader(in, blockMax+1))
	if err == nil && n > blockMax {
		err = errTooLarge
	}
	return u.buffer.Bytes(), err
}

// unpackSnappy unpacks a block with the checksum behind it.
func (u *unpacker) unpackSnappy(data []byte) ([]byte, error) {
	if len(data) < crc32.Size {
		return nil, errEnds
	}
	packed, sum := data[:len(data)-crc32.Size], binary.BigEndian.Uint32(data[len(data)-crc32.Size:])
	size, err := snappy.DecodedLen(packed)
	if err == nil && size > blockMax {
		err = errTooLarge
	}
	if err != nil {
		return nil, err
	}
	u.held = slices.Grow(u.held[:0], size)[:size]
	if _, err := snappy.Decode(u.held, packed); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(u.held) != sum {
		return nil, errors.New("its checksum is wrong")
	}
	return u.held, nil
}

func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
	}
	*u = unpacker{}
}
