// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Keys as bytes that sort as their values do, as docs/formats/key.md draws them. The tablet of a key is
// the xxHash64 of these bytes modulo the number of tablets.

// In strings and bytes a zero byte is followed by keyZero, and the end is a zero byte followed by keyEnd,
// which is smaller: so a value sorts before those that it is the beginning of, and no encoded key is the
// beginning of another one.
const (
	keyEnd  = 0x01
	keyZero = 0xFF
)

const (
	signBit32 = 1 << 31
	signBit64 = 1 << 63
)

// KeyEncoder turns the key columns of rows of one layout into bytes.
//
// Concurrency: safe; it is immutable once made.
type KeyEncoder struct {
	plan   []rowStep
	schema *Schema
}

// NewKeyEncoder compiles an encoder of the key columns, indexes into the layout's schema in key order.
//
// Errors: misconfigured for a key without columns, a column given twice or unknown, and a float or json.
func NewKeyEncoder(layout *Layout, key []int) (*KeyEncoder, error) {
	if err := checkKey(layout.Schema, key); err != nil {
		return nil, err
	}
	e := &KeyEncoder{schema: layout.Schema}
	for _, column := range key {
		e.plan = append(e.plan, rowStep{
			slot: int32(layout.Slots[column]), column: int32(column), kind: layout.Schema.columns[column].Type.Kind,
		})
	}
	return e, nil
}

func checkKey(schema *Schema, key []int) error {
	if len(key) == 0 {
		return Errorf("key", ClassMisconfigured, "it has no columns")
	}
	seen := make(map[int]bool, len(key))
	for _, column := range key {
		if column < 0 || column >= schema.Len() {
			return Errorf("key", ClassMisconfigured, "there is no column %d; the schema has %d", column, schema.Len())
		}
		c := schema.columns[column]
		if seen[column] {
			return Errorf("key", ClassMisconfigured, "column %q is given twice", c.Name)
		}
		seen[column] = true
		if k := c.Type.Kind; k == KindFloat32 || k == KindFloat64 || k == KindJSON {
			return Errorf("key", ClassMisconfigured, "column %q is a %s, which cannot be part of a key: "+
				"use bool, an integer, decimal, string, bytes, date or timestamp", c.Name, c.Type)
		}
	}
	return nil
}

// Append appends the encoded key of record i.
//
// Errors: rejected, with the code null-key, where a key column is null; dst is then as it was.
func (e *KeyEncoder) Append(dst []byte, b *Batch, i int) ([]byte, error) {
	cells, start := b.Cells(i), len(dst)
	for k := range e.plan {
		step := &e.plan[k]
		c := cells[step.slot]
		if c.kind != step.kind {
			if c.kind == KindNull {
				return dst[:start], e.nullKey(step)
			}
			e.checkWidens(step, c.kind)
		}
		// B3: the bytes of each kind compare as its values do, and none of them is the beginning of another.
		switch step.kind {
		case KindBool:
			dst = append(dst, byte(c.bits))
		case KindInt32, KindDate:
			dst = binary.BigEndian.AppendUint32(dst, uint32(c.bits)^signBit32)
		case KindInt64, KindTimestamp:
			dst = binary.BigEndian.AppendUint64(dst, c.bits^signBit64)
		case KindDecimal:
			at := len(dst)
			dst = append(dst, c.Bytes(b.slab)...)
			dst[at] ^= 0x80
		default:
			dst = appendKeyBytes(dst, c.Bytes(b.slab))
		}
	}
	return dst, nil
}

func (e *KeyEncoder) nullKey(step *rowStep) error {
	err := Errorf("encode key", ClassRejected, "column %q is part of the key and null", e.schema.columns[step.column].Name)
	err.Code = "null-key"
	return err
}

func (e *KeyEncoder) checkWidens(step *rowStep, kind Kind) {
	if kind == KindInt32 && step.kind == KindInt64 {
		return
	}
	c := e.schema.columns[step.column]
	panic(fmt.Sprintf("column %q is a %s and holds a cell of kind %s", c.Name, c.Type, kind))
}

func appendKeyBytes(dst, value []byte) []byte {
	for {
		zero := bytes.IndexByte(value, 0)
		if zero < 0 {
			dst = append(dst, value...)
			return append(dst, 0, keyEnd)
		}
		dst = append(dst, value[:zero]...)
		dst = append(dst, 0, keyZero)
		value = value[zero+1:]
	}
}

// KeyDecoder turns encoded keys into the cells of rows of one schema.
//
// Concurrency: safe; it is immutable once made.
type KeyDecoder struct {
	schema *Schema
	key    []int
}

// NewKeyDecoder makes a decoder of the key columns, indexes into the schema in key order.
func NewKeyDecoder(schema *Schema, key []int) *KeyDecoder {
	return &KeyDecoder{schema: schema, key: key}
}

// Decode reads an encoded key and sets cells[c] for each of its columns c. Strings, bytes and decimals are
// appended to slab, which is returned.
//
// Errors: corrupt, with the column. The cells are then undefined and the slab is as it was.
func (d *KeyDecoder) Decode(cells []Cell, slab, encoded []byte) ([]byte, error) {
	start, rest := len(slab), encoded
	for _, column := range d.key {
		c := &d.schema.columns[column]
		var ok bool
		cells[column], slab, rest, ok = decodeKeyCell(slab, c.Type, rest)
		if !ok {
			return slab[:start], Errorf("decode key", ClassCorrupt, "the bytes from %d of %d are no %s for column %q",
				len(encoded)-len(rest), len(encoded), c.Type, c.Name)
		}
	}
	if len(rest) > 0 {
		return slab[:start], Errorf("decode key", ClassCorrupt, "%d bytes follow the last column", len(rest))
	}
	return slab, nil
}

func decodeKeyCell(slab []byte, t Type, data []byte) (c Cell, grown, rest []byte, ok bool) {
	switch {
	case t.Kind == KindBool && len(data) >= 1 && data[0] <= 1:
		return BoolCell(data[0] == 1), slab, data[1:], true
	case (t.Kind == KindInt32 || t.Kind == KindDate) && len(data) >= 4:
		v := int32(binary.BigEndian.Uint32(data) ^ signBit32)
		return Cell{kind: t.Kind, bits: uint64(int64(v))}, slab, data[4:], true
	case (t.Kind == KindInt64 || t.Kind == KindTimestamp) && len(data) >= 8:
		return Cell{kind: t.Kind, bits: binary.BigEndian.Uint64(data) ^ signBit64}, slab, data[8:], true
	case t.Kind == KindDecimal && len(data) >= decimalSize:
		start := len(slab)
		slab = append(slab, data[:decimalSize]...)
		slab[start] ^= 0x80
		if !Int128From(slab[start:]).Fits(t.Precision) {
			return Null, slab, data, false
		}
		return SpanCell(KindDecimal, start, decimalSize), slab, data[decimalSize:], true
	case t.Kind == KindString || t.Kind == KindBytes:
		start := len(slab)
		grown, rest, ok := cutKeyBytes(slab, data)
		return SpanCell(t.Kind, start, len(grown)-start), grown, rest, ok
	default:
		return Null, slab, data, false
	}
}

// cutKeyBytes appends the string or bytes at the start of data to slab.
func cutKeyBytes(slab, data []byte) (grown, rest []byte, ok bool) {
	rest = data
	for {
		zero := bytes.IndexByte(rest, 0)
		if zero < 0 || zero+1 >= len(rest) {
			return slab, data, false
		}
		slab = append(slab, rest[:zero]...)
		mark := rest[zero+1]
		rest = rest[zero+2:]
		switch mark {
		case keyEnd:
			return slab, rest, true
		case keyZero:
			slab = append(slab, 0)
		default:
			return slab, data, false
		}
	}
}
