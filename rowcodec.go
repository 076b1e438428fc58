// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Rows as bytes, as docs/formats/row.md draws them: a null bitmap, then the values in column order.

const (
	// rowValueMax is the most that a value takes beside the bytes of a string, bytes or json, and a byte more
	// than a short span.
	rowValueMax = shortSpan + 1
	// shortSpan is the size up to which a string is moved as if it had this size.
	shortSpan = 16
)

// RowEncoder turns rows of one layout into bytes.
//
// Concurrency: safe.
type RowEncoder struct {
	plan   []rowStep
	schema *Schema
	bitmap int
	// room is what a row takes at most, beside the bytes of strings, bytes and json.
	room int
	// sizeRoom is how many bytes the size of the last row took: a guess for the next one.
	sizeRoom atomic.Int32
}

// rowStep is one column of the row.
type rowStep struct {
	slot   int32
	column int32
	kind   Kind
}

// NewRowEncoder compiles an encoder of the columns, indexes into the layout's schema in the order in which
// they are written; nil means all.
func NewRowEncoder(layout *Layout, columns []int) *RowEncoder {
	columns = allColumns(layout.Schema, columns)
	e := &RowEncoder{schema: layout.Schema, bitmap: (len(columns) + 7) / 8}
	e.room = e.bitmap + len(columns)*rowValueMax
	e.sizeRoom.Store(1)
	for _, column := range columns {
		e.plan = append(e.plan, rowStep{
			slot: int32(layout.Slots[column]), column: int32(column), kind: layout.Schema.columns[column].Type.Kind,
		})
	}
	return e
}

func allColumns(schema *Schema, columns []int) []int {
	if columns != nil {
		return columns
	}
	columns = make([]int, schema.Len())
	for i := range columns {
		columns[i] = i
	}
	return columns
}

// Append appends the row of record i. A cell must be null or of its column's kind, or of one that widens to
// it without a slab; another one is a bug in the caller and panics.
func (e *RowEncoder) Append(dst []byte, b *Batch, i int) []byte {
	return e.encode(dst, b, i)
}

// AppendSized is Append with the row's size as a uvarint before it, as a row batch holds rows.
func (e *RowEncoder) AppendSized(dst []byte, b *Batch, i int) []byte {
	// The size comes before the row and is known after it: it gets as much room as that of the last row.
	mark, room := len(dst), int(e.sizeRoom.Load())
	dst = e.encode(append(dst, 0, 0, 0)[:mark+room], b, i)
	size := len(dst) - mark - room
	switch {
	case room == 1 && size < 1<<7:
		dst[mark] = byte(size)
	case room == 2 && size >= 1<<7 && size < 1<<14:
		dst[mark], dst[mark+1] = byte(size)|0x80, byte(size>>7)
	default:
		dst = e.resize(dst, mark, room)
	}
	return dst
}

// resize moves a row to where its size needs it, and writes the size.
func (e *RowEncoder) resize(dst []byte, mark, room int) []byte {
	var prefix [binary.MaxVarintLen64]byte
	size := len(dst) - mark - room
	n := binary.PutUvarint(prefix[:], uint64(size))
	e.sizeRoom.Store(min(int32(n), 2))
	dst = append(dst, prefix[:n]...) // long enough wherever the row goes
	copy(dst[mark+n:mark+n+size], dst[mark+room:mark+room+size])
	copy(dst[mark:], prefix[:n])
	return dst[:mark+n+size]
}

func (e *RowEncoder) encode(dst []byte, b *Batch, i int) []byte {
	cells, slab, start, plan := b.Cells(i), b.slab, len(dst), e.plan
	// With room for everything but spans made once, the loop writes without asking.
	dst = slices.Grow(dst, e.room)
	out := dst[:cap(dst)]
	at := start + e.bitmap
	clear(out[start:at])
	for k := range plan {
		step := &plan[k]
		c := &cells[step.slot]
		if c.kind != step.kind {
			if c.kind == KindNull {
				out[start+k>>3] |= 1 << (k & 7)
				continue
			}
			e.checkWidens(step, c.kind)
		}
		switch step.kind {
		case KindBool:
			out[at] = byte(c.bits)
			at++
		case KindInt32, KindInt64, KindDate:
			v := c.bits<<1 ^ uint64(int64(c.bits)>>63)
			if v < 1<<14 {
				// One or two bytes without asking which: a guess would be wrong too often.
				more := (0x7f - v) >> 63
				binary.LittleEndian.PutUint16(out[at:], uint16(v&0x7f|more<<7|v>>7<<8))
				at += 1 + int(more)
				continue
			}
			at += binary.PutUvarint(out[at:], v)
		case KindTimestamp, KindFloat64:
			binary.LittleEndian.PutUint64(out[at:], c.bits)
			at += 8
		case KindFloat32:
			binary.LittleEndian.PutUint32(out[at:], math.Float32bits(float32(c.Float())))
			at += 4
		case KindDecimal:
			copy(out[at:at+decimalSize], slab[c.bits:c.bits+decimalSize])
			at += decimalSize
		default:
			size, from := int(c.size), int(c.bits)
			if len(out)-at < size+e.room {
				out = growOut(out, at, size+e.room)
			}
			// Most strings are short: two moves of a fixed size cost less than a call. What is written
			// beyond the string is overwritten or cut off.
			if size <= shortSpan && len(slab)-from >= shortSpan {
				out[at] = byte(size)
				*(*[shortSpan]byte)(out[at+1:]) = *(*[shortSpan]byte)(slab[from:])
				at += 1 + size
				continue
			}
			at += binary.PutUvarint(out[at:], uint64(size))
			at += copy(out[at:at+size], slab[from:from+size])
		}
	}
	return out[:at]
}

// decimalSize is the size of a decimal's unscaled value.
const decimalSize = 16

// growOut makes room for n bytes after the first at bytes.
func growOut(out []byte, at, n int) []byte {
	out = slices.Grow(out[:at], n)
	return out[:cap(out)]
}

func (e *RowEncoder) checkWidens(step *rowStep, kind Kind) {
	if kind == KindInt32 && step.kind == KindInt64 || kind == KindFloat32 && step.kind == KindFloat64 {
		return
	}
	c := e.schema.columns[step.column]
	panic(fmt.Sprintf("column %q is a %s and holds a cell of kind %s", c.Name, c.Type, kind))
}

// RowDecoder turns bytes into the cells of rows of one schema.
//
// Concurrency: safe; it is immutable once made.
type RowDecoder struct {
	plan   []decodeStep
	schema *Schema
	bitmap int
}

type decodeStep struct {
	column    int32
	kind      Kind
	precision uint8
}

// NewRowDecoder compiles a decoder of rows that hold the columns, indexes into the schema in the order in
// which they were written; nil means all.
func NewRowDecoder(schema *Schema, columns []int) *RowDecoder {
	columns = allColumns(schema, columns)
	d := &RowDecoder{schema: schema, bitmap: (len(columns) + 7) / 8}
	for _, column := range columns {
		t := schema.columns[column].Type
		d.plan = append(d.plan, decodeStep{column: int32(column), kind: t.Kind, precision: t.Precision})
	}
	return d
}

// Decode reads the row that lies in slab[start:start+size] and sets cells[c] for each of the decoder's
// columns c; the cells of strings, bytes, json and decimals are spans of slab. The shape of the row is
// checked, and the range of its values; strings and json are taken as they are, since they were checked
// before they were encoded.
//
// Errors: corrupt, with the column; cells are then undefined.
func (d *RowDecoder) Decode(cells []Cell, slab []byte, start, size int) error {
	if start < 0 || size < d.bitmap || start > len(slab)-size {
		return corruptRow("a row of %d bytes at %d cannot lie in %d bytes", size, start, len(slab))
	}
	// B4: nothing is read outside the row, which ends data. Positions are those of the slab, so that spans need
	// no arithmetic.
	data := slab[:start+size]
	at, plan := start+d.bitmap, d.plan
	for k := range plan {
		step := &plan[k]
		c := &cells[step.column]
		if data[start+k>>3]&(1<<(k&7)) != 0 {
			*c = Null
			continue
		}
		next := 0
		switch step.kind {
		case KindInt32, KindInt64, KindDate:
			if at+1 < len(data) {
				// One and two bytes hold -8192 to 8191, most integers; both are in the range of each kind.
				v, n := uint64(data[at]), 1
				if v >= 0x80 {
					v, n = v&0x7f|uint64(data[at+1])<<7, 2
				}
				if v < 1<<14 {
					*c = Cell{kind: step.kind, bits: v>>1 ^ -(v & 1)}
					at += n
					continue
				}
			}
			next = decodeInt(c, step.kind, data, at)
		case KindTimestamp, KindFloat64:
			if len(data)-at >= 8 {
				*c = Cell{kind: step.kind, bits: binary.LittleEndian.Uint64(data[at:])}
				at += 8
				continue
			}
		case KindString, KindBytes, KindJSON:
			if at < len(data) && data[at] < 0x80 && int(data[at]) < len(data)-at {
				*c = Cell{kind: step.kind, bits: uint64(at + 1), size: uint32(data[at])}
				at += int(data[at]) + 1
				continue
			}
			next = decodeSpan(c, step.kind, data, at)
		default:
			next = decodeRare(c, step, data, at)
		}
		if next == 0 {
			return d.corruptColumn(step, at-start, size)
		}
		at = next
	}
	if at != len(data) {
		return corruptRow("a row of %d bytes has %d more than its columns", size, len(data)-at)
	}
	if n := len(d.plan) & 7; n != 0 && data[start+d.bitmap-1]>>n != 0 {
		return corruptRow("the null bitmap has more columns than the row's %d", len(d.plan))
	}
	return nil
}

// The decoders of single values return where the next value starts, or 0 where the bytes are wrong.

func decodeInt(c *Cell, kind Kind, data []byte, at int) (next int) {
	u, n := binary.Uvarint(data[at:])
	if n <= 0 {
		return 0
	}
	v := int64(u>>1) ^ -int64(u&1)
	if kind != KindInt64 && v != int64(int32(v)) {
		return 0
	}
	*c = Cell{kind: kind, bits: uint64(v)}
	return at + n
}

func decodeSpan(c *Cell, kind Kind, data []byte, at int) (next int) {
	size, n := binary.Uvarint(data[at:])
	if n <= 0 || size > uint64(len(data)-at-n) || size > math.MaxUint32 {
		return 0
	}
	*c = SpanCell(kind, at+n, int(size))
	return at + n + int(size)
}

func decodeRare(c *Cell, step *decodeStep, data []byte, at int) (next int) {
	switch left := len(data) - at; {
	case step.kind == KindBool && left >= 1 && data[at] <= 1:
		*c = BoolCell(data[at] == 1)
		return at + 1
	case step.kind == KindFloat32 && left >= 4:
		*c = Float32Cell(math.Float32frombits(binary.LittleEndian.Uint32(data[at:])))
		return at + 4
	case step.kind == KindDecimal && left >= decimalSize && Int128From(data[at:]).Fits(step.precision):
		*c = SpanCell(KindDecimal, at, decimalSize)
		return at + decimalSize
	default:
		return 0
	}
}

func corruptRow(format string, args ...any) error {
	return Errorf("decode row", ClassCorrupt, format, args...)
}

func (d *RowDecoder) corruptColumn(step *decodeStep, at, size int) error {
	c := d.schema.columns[step.column]
	return corruptRow("the bytes from %d of a row of %d are no %s for column %q", at, size, c.Type, c.Name)
}

// WidenCell makes a cell of type from one of type to, for rows written under an older schema. Decimals whose
// scale differs are appended to the slab. Types that do not widen are a bug in the caller and panic.
func WidenCell(c Cell, from, to Type, slab []byte) (Cell, []byte) {
	switch {
	case !from.WidensTo(to):
		panic(fmt.Sprintf("a %s does not widen to a %s", from, to))
	case c.kind == KindInt32, c.kind == KindFloat32:
		c.kind = to.Kind
	case c.kind == KindDecimal && from.Scale != to.Scale:
		v := Int128From(c.Bytes(slab))
		v = v.magnitude().scaled(int(to.Scale - from.Scale)).signed(v.Hi < 0)
		c = SpanCell(KindDecimal, len(slab), decimalSize)
		slab = v.Append(slab)
	}
	return c, slab
}
