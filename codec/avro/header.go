// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

const (
	magic    = "Obj\x01"
	syncSize = 16
	// headRead is how much is read of the beginning at first, and headMax bounds the header.
	headRead = 16 << 10
	headMax  = 16 << 20
)

// header is what a file begins with.
type header struct {
	fields []field
	codec  string
	sync   [syncSize]byte
	// size is where the first data block begins.
	size int64
}

func readHeader(ctx context.Context, in codec.BlockInput) (*header, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for n := int64(headRead); ; n *= 16 {
		head := make([]byte, min(n, in.Size))
		if err := in.ReadAt(head, 0); err != nil {
			return nil, err
		}
		h, schema, err := parseHeader(head)
		if errors.Is(err, errEnds) && n < in.Size && n < headMax {
			continue
		}
		if err != nil {
			return nil, codec.Corrupt(in.Name, "header", "%w", err)
		}
		if h.fields, err = parseSchema(schema); err != nil {
			return nil, unreadable(in.Name, err)
		}
		if !compressions[h.codec] {
			return nil, forebay.Errorf("read "+in.Name, forebay.ClassMisconfigured,
				"its compression %q cannot be read; null, deflate, snappy, zstandard and bzip2 can", h.codec)
		}
		return h, nil
	}
}

func parseHeader(head []byte) (h *header, schema []byte, err error) {
	if len(head) < len(magic) || string(head[:len(magic)]) != magic {
		return nil, nil, fmt.Errorf("it does not begin as an avro file does")
	}
	h = &header{codec: "null"}
	c := cursor{data: head, at: len(magic)}
	for c.err == nil {
		n := c.count()
		if n == 0 {
			break
		}
		for ; n > 0 && c.err == nil; n-- {
			key, value := c.bytes(), c.bytes()
			switch string(key) {
			case "avro.schema":
				schema = value
			case "avro.codec":
				h.codec = string(value)
			}
		}
	}
	copy(h.sync[:], c.take(syncSize))
	h.size = int64(c.at)
	if c.err == nil && schema == nil {
		c.err = errors.New("it has no schema")
	}
	return h, schema, c.err
}
