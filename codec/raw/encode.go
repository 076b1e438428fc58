// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"bytes"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Encoding writes the bytes of each record as they were read, whatever rows they have, and the delimiter. A record
// with the delimiter in it would be read as two: it is refused.
func (f Format) Encoding(*forebay.Layout) (*codec.Encoding, error) {
	d, err := f.delimiter()
	if err != nil {
		return nil, forebay.Errorf("write raw", forebay.ClassMisconfigured, "%w", err)
	}
	extension := ".bin"
	if d == '\n' {
		extension = ".txt"
	}
	return &codec.Encoding{
		Extension: extension,
		Append: func(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
			value := b.Value(i)
			if at := bytes.IndexByte(value, d); at >= 0 {
				return dst, holdsDelimiter(d, at)
			}
			return append(append(dst, value...), d), nil
		},
	}, nil
}

func holdsDelimiter(d byte, at int) error {
	err := forebay.Errorf("write raw", forebay.ClassRejected, "its byte %d is %q, which ends a record", at, d)
	err.Code, err.Cure = "delimiter-inside", "choose another delimiter, or a format that can hold it, such as ndjson"
	return err
}
