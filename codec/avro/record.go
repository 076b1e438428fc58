// SPDX-License-Identifier: Apache-2.0

package avro

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

var (
	errEnds = errors.New("it ends too early")
	errForm = errors.New("its encoding is wrong")
)

// cursor reads Avro's binary encoding. After the first mistake it reads zeros, so callers look at err once.
type cursor struct {
	data []byte
	at   int
	err  error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.at = len(c.data)
}

// take is the next n bytes, or nil where there are fewer.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.data)-c.at {
		c.fail(errEnds)
		return nil
	}
	c.at += n
	return c.data[c.at-n : c.at]
}

func (c *cursor) long() int64 {
	if c.at < len(c.data) && c.data[c.at] < 0x80 {
		u := uint64(c.data[c.at])
		c.at++
		return int64(u>>1) ^ -int64(u&1)
	}
	u, size := binary.Uvarint(c.data[c.at:])
	if size <= 0 {
		if size == 0 {
			c.fail(errEnds)
		} else {
			c.fail(errForm)
		}
		return 0
	}
	c.at += size
	return int64(u>>1) ^ -int64(u&1)
}

func (c *cursor) bytes() []byte {
	n := c.long()
	if n < 0 || n > int64(len(c.data)-c.at) {
		c.fail(errEnds)
		return nil
	}
	return c.take(int(n))
}

// count is the number of the next items of an array or map, 0 at its end.
func (c *cursor) count() int64 {
	n := c.long()
	if n < 0 {
		c.long() // the size in bytes, for those who pass over them
		n = -n
	}
	if n < 0 || n > emptyMax && n > int64(len(c.data)-c.at) {
		c.fail(errEnds)
		return 0
	}
	return n
}

func (c *cursor) bits32() uint32 {
	if p := c.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (c *cursor) bits64() uint64 {
	if p := c.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// fault is a value that no cell can hold.
type fault struct{ field, code, why string }

// Reasons why no cell can hold a value.
const (
	notUTF8   = "it is not valid UTF-8"
	tooFar    = "it is farther away than a timestamp can say"
	tooFine   = "it has nanoseconds, and a timestamp has microseconds"
	tooMany   = "it has more digits than the field's type"
	tooDeep   = "it is nested too deeply"
	notInt    = "it does not fit 32 bits"
	faultsMax = 4
	uuidText  = 2*uuidSize + 4
)

// record decodes a record into the cells of row i. AV2: what no cell can hold is a fault.
func (r *reader) record(b *forebay.Batch, i int) {
	r.faults = r.faults[:0]
	for k := range r.file.fields {
		f := &r.file.fields[k]
		one := f.kind
		if one.shape == shapeUnion {
			if whole := f.to.Kind == forebay.KindJSON; whole {
				if single, _ := one.single(); single == nil {
					r.nested(b, i, f)
					continue
				}
			}
			branch := r.long()
			if branch < 0 || branch >= int64(len(one.parts)) {
				r.fail(errForm)
				return
			}
			one = one.parts[branch]
		}
		if one.shape == shapeNull {
			continue
		}
		if one.shape >= shapeRecord {
			r.nestedOf(b, i, f, one)
			continue
		}
		cell, why := r.cell(b, f, one)
		if r.err != nil {
			return
		}
		if why != "" {
			r.fault(f, why)
			continue
		}
		b.Cells(i)[f.cell] = cell
	}
}

func (r *reader) fault(f *field, why string) {
	code := codec.CodeWrongType
	if why == notUTF8 {
		code = codec.CodeInvalidUTF8
	}
	if len(r.faults) < faultsMax {
		r.faults = append(r.faults, fault{f.name, code, why})
	}
}

func (r *reader) nested(b *forebay.Batch, i int, f *field) { r.nestedOf(b, i, f, f.kind) }

// nestedOf decodes a value as JSON.
func (r *reader) nestedOf(b *forebay.Batch, i int, f *field, k *kind) {
	j := jsonWriter{cursor: r.cursor, out: r.scratch[:0], left: jsonMax}
	j.value(k, 0)
	r.cursor, r.scratch = j.cursor, j.out
	switch {
	case r.err != nil:
	case j.why != "":
		r.fault(f, j.why)
	case string(j.out) == "null":
	default:
		b.Cells(i)[f.cell] = forebay.SpanCell(forebay.KindJSON, b.AppendBytes(j.out), len(j.out))
	}
}

// cell decodes a value that is not nested.
func (r *reader) cell(b *forebay.Batch, f *field, k *kind) (cell forebay.Cell, why string) {
	switch k.shape {
	case shapeBool:
		p := r.take(1)
		if p != nil && p[0] > 1 {
			r.fail(errForm)
		}
		return forebay.BoolCell(p != nil && p[0] == 1), ""
	case shapeInt, shapeLong:
		return intCell(f, k, r.long())
	case shapeFloat:
		v := math.Float32frombits(r.bits32())
		if f.to.Kind == forebay.KindFloat64 {
			return forebay.Float64Cell(float64(v)), ""
		}
		return forebay.Float32Cell(v), ""
	case shapeDouble:
		return forebay.Float64Cell(math.Float64frombits(r.bits64())), ""
	case shapeEnum:
		n := r.long()
		if n < 0 || n >= int64(len(k.symbols)) {
			r.fail(errForm)
			return cell, ""
		}
		return forebay.SpanCell(forebay.KindString, b.AppendText(k.symbols[n]), len(k.symbols[n])), ""
	case shapeFixed:
		return bytesCell(b, f, k, r.take(k.size))
	default:
		return bytesCell(b, f, k, r.bytes())
	}
}

func intCell(f *field, k *kind, v int64) (cell forebay.Cell, why string) {
	switch k.meaning {
	case millis:
		if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
			return cell, tooFar
		}
		return forebay.TimestampCell(v * 1000), ""
	case micros:
		return forebay.TimestampCell(v), ""
	case nanos:
		if v%1000 != 0 {
			return cell, tooFine
		}
		return forebay.TimestampCell(v / 1000), ""
	default:
	}
	if k.shape == shapeInt && v != int64(int32(v)) {
		return cell, notInt
	}
	switch {
	case k.meaning == date:
		return forebay.DateCell(int32(v)), ""
	case f.to.Kind == forebay.KindInt32:
		return forebay.Int32Cell(int32(v)), ""
	default:
		return forebay.Int64Cell(v), ""
	}
}

func bytesCell(b *forebay.Batch, f *field, k *kind, value []byte) (cell forebay.Cell, why string) {
	switch {
	case k.meaning == decimal:
		d, ok := int128(value)
		if !ok || !d.Fits(f.to.Precision) {
			return cell, tooMany
		}
		return b.AppendDecimal(d), ""
	case k.meaning == uuid && k.shape == shapeFixed:
		var text [uuidText]byte
		if len(value) == uuidSize {
			appendUUID(text[:0], value)
		}
		return forebay.SpanCell(forebay.KindString, b.AppendBytes(text[:]), len(text)), ""
	case k.shape == shapeString:
		if !utf8.Valid(value) {
			return cell, notUTF8
		}
		return forebay.SpanCell(forebay.KindString, b.AppendBytes(value), len(value)), ""
	default:
		return forebay.SpanCell(forebay.KindBytes, b.AppendBytes(value), len(value)), ""
	}
}

func appendUUID(dst, value []byte) []byte {
	for i, octet := range value {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, []byte{octet})
	}
	return dst
}

// int128 reads a big-endian two's complement number of any size.
func int128(value []byte) (d forebay.Int128, ok bool) {
	var sign byte
	if len(value) > 0 && value[0] >= 0x80 {
		sign = 0xff
	}
	for len(value) > decimalSize {
		if value[0] != sign || value[1]&0x80 != sign&0x80 {
			return d, false
		}
		value = value[1:]
	}
	var room [decimalSize]byte
	for i := range room {
		room[i] = sign
	}
	copy(room[decimalSize-len(value):], value)
	return forebay.Int128From(room[:]), true
}
