// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// span is where a value lies in the bytes of a page.
type span struct{ start, size uint32 }

// values are those of a page or a dictionary that are not null: whole numbers, floats as their bits, or spans.
type values struct {
	ints  []int64
	data  []byte
	spans []span
	// wrong says for each value of a dictionary why no cell can hold it; nil if all are fine.
	wrong []string

	unpacked []uint64
	sizes    []int64
}

// len is the number of values.
func (v *values) len() int { return max(len(v.ints), len(v.spans)) }

// inBytes reports whether values of the column are spans.
func (c *column) inBytes() bool {
	return c.physical == physicalBytes || c.physical == physicalFixed || c.physical == physicalInt96
}

// readValues decodes n values of a page.
func (c *columnReader) readValues(encoding int64, src []byte, n int) error {
	c.indexed = false
	v := &c.values
	switch encoding {
	case encodingPlain:
		return v.plain(&c.column, src, n)
	case encodingDict, encodingPlainDict:
		return c.readIndexes(src, n)
	case encodingRLE:
		return c.readBools(src, n)
	case encodingDelta:
		if c.physical != physicalInt32 && c.physical != physicalInt64 {
			return errForm
		}
		_, _, err := v.delta(src, n, c.physical == physicalInt32)
		return err
	case encodingDeltaLength:
		if c.physical != physicalBytes {
			return errForm
		}
		return v.deltaLength(src, n)
	case encodingDeltaBytes:
		if c.physical != physicalBytes && c.physical != physicalFixed {
			return errForm
		}
		return v.deltaBytes(&c.column, src, n)
	case encodingSplit:
		return v.split(&c.column, src, n)
	default:
		return fmt.Errorf("encoding %d cannot be read", encoding)
	}
}

// plain decodes values as they are. Spans point into src.
func (v *values) plain(c *column, src []byte, n int) error {
	v.ints, v.spans = v.ints[:0], v.spans[:0]
	switch c.physical {
	case physicalBool:
		if len(src) < (n+7)/8 {
			return errEnds
		}
		v.ints = slices.Grow(v.ints, n)
		for i := range n {
			v.ints = append(v.ints, int64(src[i>>3]>>(i&7)&1))
		}
		return nil
	case physicalBytes:
		return v.plainBytes(src, n)
	}
	if len(src)/c.width < n {
		return errEnds
	}
	if c.inBytes() {
		v.fixed(src, c.width, n)
		return nil
	}
	v.ints = slices.Grow(v.ints, n)[:n]
	switch c.physical {
	case physicalInt32:
		for i := range v.ints {
			v.ints[i] = int64(int32(binary.LittleEndian.Uint32(src[4*i:])))
		}
	case physicalFloat:
		for i := range v.ints {
			f := math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
			v.ints[i] = int64(math.Float64bits(float64(f)))
		}
	default:
		for i := range v.ints {
			v.ints[i] = int64(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}
	return nil
}

func (v *values) fixed(src []byte, width, n int) {
	v.data, v.spans = src, slices.Grow(v.spans[:0], n)
	for i := range n {
		v.spans = append(v.spans, span{uint32(i * width), uint32(width)})
	}
}

func (v *values) plainBytes(src []byte, n int) error {
	if len(src)/4 < n {
		return errEnds
	}
	v.data, v.spans = src, slices.Grow(v.spans, n)
	for at := 0; n > 0; n-- {
		if len(src)-at < 4 {
			return errEnds
		}
		size := binary.LittleEndian.Uint32(src[at:])
		if at += 4; uint64(size) > uint64(len(src)-at) {
			return errEnds
		}
		v.spans = append(v.spans, span{uint32(at), size})
		at += int(size)
	}
	return nil
}

// readIndexes decodes indexes of the dictionary, and the values behind them where these are numbers.
func (c *columnReader) readIndexes(src []byte, n int) (err error) {
	v := &c.values
	v.ints, v.spans = v.ints[:0], v.spans[:0]
	c.indexed = true
	c.indexes = c.indexes[:0]
	if n == 0 {
		return nil
	}
	if !c.hasDict {
		return fmt.Errorf("%w: it has indexes and the column no dictionary", errForm)
	}
	if len(src) == 0 {
		return errEnds
	}
	if c.indexes, err = hybrid(c.indexes, src[1:], int(src[0]), n); err != nil {
		return err
	}
	known := uint32(c.dict.len())
	for _, index := range c.indexes {
		if index >= known {
			return fmt.Errorf("%w: it has the index %d and the dictionary %d values", errForm, index, known)
		}
	}
	if !c.inBytes() {
		v.ints = slices.Grow(v.ints, n)
		for _, index := range c.indexes {
			v.ints = append(v.ints, c.dict.ints[index])
		}
	}
	return nil
}

func (c *columnReader) readBools(src []byte, n int) (err error) {
	if c.physical != physicalBool {
		return errForm
	}
	v := &c.values
	v.ints = v.ints[:0]
	if n == 0 {
		return nil
	}
	if len(src) < 4 || uint64(binary.LittleEndian.Uint32(src)) > uint64(len(src)-4) {
		return errEnds
	}
	size := binary.LittleEndian.Uint32(src)
	if c.indexes, err = hybrid(c.indexes, src[4:4+size], 1, n); err != nil {
		return err
	}
	for _, bit := range c.indexes {
		v.ints = append(v.ints, int64(bit))
	}
	return nil
}

// deltaLength decodes the sizes of byte arrays, which then lie one behind the other.
func (v *values) deltaLength(src []byte, n int) error {
	sizes, rest, err := v.delta(src, n, true)
	if err != nil {
		return err
	}
	v.data, v.spans = rest, slices.Grow(v.spans[:0], n)
	at := int64(0)
	for _, size := range sizes {
		if size < 0 || size > int64(len(rest))-at {
			return errEnds
		}
		v.spans = append(v.spans, span{uint32(at), uint32(size)})
		at += size
	}
	v.ints = v.ints[:0]
	return nil
}

// deltaBytes decodes byte arrays that share a prefix with the one before. PQ1: together they are no larger than a page
// may be.
func (v *values) deltaBytes(c *column, src []byte, n int) error {
	prefixes, rest, err := v.delta(src, n, true)
	if err != nil {
		return err
	}
	v.sizes = append(v.sizes[:0], prefixes...)
	if err := v.deltaLength(rest, n); err != nil {
		return err
	}
	var built []byte
	suffixes, last := v.data, span{}
	for i, suffix := range v.spans {
		prefix := v.sizes[i]
		if prefix < 0 || prefix > int64(last.size) {
			return errForm
		}
		if int64(len(built))+prefix+int64(suffix.size) > pageMax {
			return fmt.Errorf("its values take more than %d bytes", pageMax)
		}
		start := uint32(len(built))
		built = append(built, built[last.start:last.start+uint32(prefix)]...)
		built = append(built, suffixes[suffix.start:suffix.start+suffix.size]...)
		last = span{start, uint32(len(built)) - start}
		if c.width > 0 && int(last.size) != c.width {
			return errForm
		}
		v.spans[i] = last
	}
	v.data = built
	return nil
}

// split decodes values whose first bytes come first, then their second ones and so on.
func (v *values) split(c *column, src []byte, n int) error {
	if c.physical == physicalBytes || c.physical == physicalBool || c.physical == physicalInt96 {
		return errForm
	}
	if len(src)/c.width < n {
		return errEnds
	}
	joined := make([]byte, n*c.width)
	for k := range c.width {
		for i, b := range src[k*n : (k+1)*n] {
			joined[i*c.width+k] = b
		}
	}
	return v.plain(c, joined, n)
}
