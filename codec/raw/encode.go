// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Encoding writes the bytes of each record as they were read, whatever rows they have, and the delimiter.
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
			return append(append(dst, b.Value(i)...), d), nil
		},
	}, nil
}
