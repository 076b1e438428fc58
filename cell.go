// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/binary"
	"math"
)

// Cell is one value in 16 bytes: a kind and either the value itself or a span of a slab. B2: it holds no
// pointer: strings, bytes, json and decimals lie in the slab of the batch (or the buffer) that the cell
// belongs to, and are read with it. The zero Cell is null.
type Cell struct {
	bits uint64
	size uint32
	kind Kind
}

// Null is the null cell.
var Null = Cell{}

// BoolCell makes a bool.
func BoolCell(v bool) Cell {
	c := Cell{kind: KindBool}
	if v {
		c.bits = 1
	}
	return c
}

// Int32Cell makes an int32.
func Int32Cell(v int32) Cell { return Cell{bits: uint64(int64(v)), kind: KindInt32} }

// Int64Cell makes an int64.
func Int64Cell(v int64) Cell { return Cell{bits: uint64(v), kind: KindInt64} }

// Float32Cell makes a float32.
func Float32Cell(v float32) Cell { return Cell{bits: math.Float64bits(float64(v)), kind: KindFloat32} }

// Float64Cell makes a float64.
func Float64Cell(v float64) Cell { return Cell{bits: math.Float64bits(v), kind: KindFloat64} }

// DateCell makes a date from days since 1970-01-01.
func DateCell(days int32) Cell { return Cell{bits: uint64(int64(days)), kind: KindDate} }

// TimestampCell makes a timestamp from microseconds since 1970-01-01T00:00:00Z.
func TimestampCell(micros int64) Cell { return Cell{bits: uint64(micros), kind: KindTimestamp} }

// SpanCell makes a string, bytes, json or decimal cell from a span of a slab. The caller vouches that a
// string's span is valid UTF-8, a json's is one JSON value and a decimal's has 16 bytes, big-endian two's
// complement.
func SpanCell(kind Kind, start, size int) Cell {
	return Cell{bits: uint64(start), size: uint32(size), kind: kind}
}

// Kind is the kind of the value; KindNull for null.
func (c Cell) Kind() Kind { return c.kind }

// IsNull reports whether there is no value.
func (c Cell) IsNull() bool { return c.kind == KindNull }

// Bool is the value of a bool.
func (c Cell) Bool() bool { return c.bits != 0 }

// Int is the value of an int32, int64, date (days) or timestamp (microseconds).
func (c Cell) Int() int64 { return int64(c.bits) }

// Float is the value of a float32 or float64.
func (c Cell) Float() float64 { return math.Float64frombits(c.bits) }

// Span is where a string, bytes, json or decimal lies in its slab.
func (c Cell) Span() (start, size int) { return int(c.bits), int(c.size) }

// Bytes is the value of a string, bytes, json or decimal cell: a part of slab that must not be changed.
func (c Cell) Bytes(slab []byte) []byte {
	start, size := c.Span()
	return slab[start : start+size : start+size]
}

// inSlab reports whether values of the kind lie in the slab.
func (k Kind) inSlab() bool {
	return k == KindString || k == KindBytes || k == KindJSON || k == KindDecimal
}

// InSlab reports whether cells of this kind are spans of a slab.
func (k Kind) InSlab() bool { return k.inSlab() }

// Int128 is a signed 128-bit integer, the unscaled value of a decimal.
type Int128 struct {
	Hi int64
	Lo uint64
}

// Int128From reads 16 bytes, big-endian two's complement.
func Int128From(b []byte) Int128 {
	v := (*[decimalSize]byte)(b)
	return Int128{Hi: int64(binary.BigEndian.Uint64(v[:8])), Lo: binary.BigEndian.Uint64(v[8:])}
}

// Append appends the 16 bytes that Int128From reads.
func (v Int128) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(v.Hi))
	return binary.BigEndian.AppendUint64(dst, v.Lo)
}
