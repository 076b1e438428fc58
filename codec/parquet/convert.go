// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// Reasons why no cell can hold a value.
const (
	notUTF8    = "it is not valid UTF-8"
	notJSON    = "it is not one JSON value"
	tooEarly   = "it is farther away than a timestamp can say"
	tooFine    = "it has nanoseconds, and a timestamp has microseconds"
	tooManyDig = "it has more digits than the column's type"
)

// fault is a value that no cell can hold.
type fault struct {
	row    int
	column string
	code   string
	why    string
}

func codeOf(why string) string {
	switch why {
	case notUTF8:
		return codec.CodeInvalidUTF8
	case notJSON:
		return codec.CodeInvalidJSON
	default:
		return codec.CodeWrongType
	}
}

// judgeSpan is why a value in bytes cannot be a cell of the column.
func judgeSpan(w way, value []byte) string {
	switch w {
	case wayText:
		if !utf8.Valid(value) {
			return notUTF8
		}
	case wayJSON:
		if !isJSON(value) {
			return notJSON
		}
	default:
	}
	return ""
}

func isJSON(s []byte) bool {
	if !utf8.Valid(s) {
		return false
	}
	end, why := jsontext.ValueEnd(s, jsontext.Space(s, 0, len(s)), len(s), 0)
	return why == "" && jsontext.Space(s, end, len(s)) == len(s)
}

// judge looks at the values of a dictionary, so that those of rows need not be looked at.
func (v *values) judge(c *column) {
	v.wrong = nil
	if c.way != wayText && c.way != wayJSON {
		return
	}
	for i, s := range v.spans {
		if why := judgeSpan(c.way, v.data[s.start:s.start+s.size]); why != "" {
			if v.wrong == nil {
				v.wrong = make([]string, len(v.spans))
			}
			v.wrong[i] = why
		}
	}
}

// fills is what a stretch of rows is decoded into.
type fills struct {
	b *forebay.Batch
	// base is the index of the first row's record, and rows how many there are.
	base, rows int
	// large marks rows that are too long, if there are any; their values in bytes are passed over.
	large  []bool
	faults []fault
}

func (f *fills) fault(c *columnReader, row int, why string) {
	f.faults = append(f.faults, fault{row: row, column: c.name, code: codeOf(why), why: why})
}

// decimalSize is what a decimal takes in a slab.
const decimalSize = 16

// slabSize is what a value takes in a slab, 0 for values in bytes, which differ.
func (c *column) slabSize() int {
	switch c.way {
	case wayDecimalInt, wayDecimalBytes, wayUint64:
		return decimalSize
	case wayUUID:
		return 2*uuidSize + 4
	default:
		return 0
	}
}

// measure adds what the next rows take in a slab.
func (c *columnReader) measure(sizes []int) {
	if size := c.slabSize(); size > 0 {
		for i := range sizes {
			sizes[i] += size
		}
		return
	}
	if c.way != wayText && c.way != wayJSON && c.way != wayBytes {
		return
	}
	k := c.value
	for i := range sizes {
		if c.optional && c.levels[c.row+i] == 0 {
			continue
		}
		if c.indexed {
			sizes[i] += int(c.dict.spans[c.indexes[k]].size)
		} else {
			sizes[i] += int(c.values.spans[k].size)
		}
		k++
	}
}

// fill makes cells of the next rows, which the page has.
func (c *columnReader) fill(f *fills) {
	if c.inBytes() {
		c.fillBytes(f)
	} else {
		c.fillInts(f)
	}
	c.row += f.rows
}

func (c *columnReader) fillInts(f *fills) {
	for i := range f.rows {
		if c.optional && c.levels[c.row+i] == 0 {
			continue
		}
		v := c.values.ints[c.value]
		c.value++
		cell, why := c.number(f.b, v)
		if why != "" {
			f.fault(c, i, why)
			continue
		}
		f.b.Cells(f.base + i)[c.cell] = cell
	}
}

// number is the cell of a value that is not in bytes.
func (c *column) number(b *forebay.Batch, v int64) (cell forebay.Cell, why string) {
	switch c.way {
	case wayInt:
		if c.kind.Kind == forebay.KindInt32 {
			return forebay.Int32Cell(int32(v)), ""
		}
		return forebay.Int64Cell(v), ""
	case wayBool:
		return forebay.BoolCell(v != 0), ""
	case wayUint32:
		return forebay.Int64Cell(int64(uint32(v))), ""
	case wayUint64:
		return b.AppendDecimal(forebay.Int128{Lo: uint64(v)}), ""
	case wayFloat32:
		return forebay.Float32Cell(float32(math.Float64frombits(uint64(v)))), ""
	case wayFloat64:
		return forebay.Float64Cell(math.Float64frombits(uint64(v))), ""
	case wayDate:
		return forebay.DateCell(int32(v)), ""
	case wayMicros:
		return forebay.TimestampCell(v), ""
	case wayMillis:
		if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
			return cell, tooEarly
		}
		return forebay.TimestampCell(v * 1000), ""
	case wayNanos:
		if v%1000 != 0 {
			return cell, tooFine
		}
		return forebay.TimestampCell(v / 1000), ""
	default:
		d := forebay.Int128Of(v)
		if !d.Fits(c.kind.Precision) {
			return cell, tooManyDig
		}
		return b.AppendDecimal(d), ""
	}
}

func (c *columnReader) fillBytes(f *fills) {
	spans, data := c.values.spans, c.values.data
	if c.indexed {
		spans, data = c.dict.spans, c.dict.data
	}
	for i := range f.rows {
		if c.optional && c.levels[c.row+i] == 0 {
			continue
		}
		k := c.value
		c.value++
		if f.large != nil && f.large[i] {
			continue
		}
		why := ""
		if c.indexed {
			if k = int(c.indexes[k]); c.dict.wrong != nil {
				why = c.dict.wrong[k]
			}
		}
		value := data[spans[k].start : spans[k].start+spans[k].size]
		if !c.indexed {
			why = judgeSpan(c.way, value)
		}
		var cell forebay.Cell
		if why == "" {
			cell, why = c.bytes(f.b, value)
		}
		if why != "" {
			f.fault(c, i, why)
			continue
		}
		f.b.Cells(f.base + i)[c.cell] = cell
	}
}

// bytes is the cell of a value in bytes, which was judged.
func (c *column) bytes(b *forebay.Batch, value []byte) (cell forebay.Cell, why string) {
	switch c.way {
	case wayText, wayJSON, wayBytes:
		return forebay.SpanCell(c.kind.Kind, b.AppendBytes(value), len(value)), ""
	case wayUUID:
		var text [2*uuidSize + 4]byte
		at := 0
		for i, octet := range value {
			if i == 4 || i == 6 || i == 8 || i == 10 {
				text[at] = '-'
				at++
			}
			hex.Encode(text[at:], []byte{octet})
			at += 2
		}
		return forebay.SpanCell(forebay.KindString, b.AppendBytes(text[:]), len(text)), ""
	case wayFloat16:
		return forebay.Float32Cell(float16(binary.LittleEndian.Uint16(value))), ""
	case wayInt96:
		return int96(value)
	default:
		d, ok := int128(value)
		if !ok || !d.Fits(c.kind.Precision) {
			return cell, tooManyDig
		}
		return b.AppendDecimal(d), ""
	}
}

// int128 reads a big-endian two's complement number of any size.
func int128(value []byte) (d forebay.Int128, ok bool) {
	var sign byte
	if len(value) > 0 && value[0] >= 0x80 {
		sign = 0xff
	}
	for len(value) > decimalSize {
		if value[0] != sign {
			return d, false
		}
		value = value[1:]
		if len(value) == decimalSize && value[0]&0x80 != sign&0x80 {
			return d, false
		}
	}
	var room [decimalSize]byte
	for i := range room {
		room[i] = sign
	}
	copy(room[decimalSize-len(value):], value)
	return forebay.Int128From(room[:]), true
}

const (
	julianEpoch  = 2_440_588 // the Julian day of 1970-01-01
	microsPerDay = 24 * 60 * 60 * 1_000_000
)

// int96 reads nanoseconds of a day and a Julian day.
func int96(value []byte) (cell forebay.Cell, why string) {
	nanos := int64(binary.LittleEndian.Uint64(value))
	days := int64(binary.LittleEndian.Uint32(value[8:])) - julianEpoch
	if nanos%1000 != 0 {
		return cell, tooFine
	}
	const farthest = math.MaxInt64/microsPerDay - 1
	if days > farthest || days < -farthest || nanos/1000 > microsPerDay || nanos < 0 {
		return cell, tooEarly
	}
	return forebay.TimestampCell(days*microsPerDay + nanos/1000), ""
}

// float16 is the value of an IEEE 754 half, which every float32 can hold.
func float16(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch {
	case exponent == 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	case exponent > 0:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	default:
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(f))
	}
}
