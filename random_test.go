// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"math"

	"pgregory.net/rapid"
)

// drawType draws any type that a column can have.
func drawType(t *rapid.T, label string) Type {
	typ := Type{Kind: Kind(rapid.IntRange(int(KindBool), int(KindJSON)).Draw(t, label))}
	if typ.Kind == KindDecimal {
		typ.Precision = rapid.Uint8Range(1, DecimalPrecisionMax).Draw(t, label+" precision")
		typ.Scale = rapid.Uint8Range(0, typ.Precision).Draw(t, label+" scale")
	}
	return typ
}

// drawSchema draws a schema of up to columnsMax columns.
func drawSchema(t *rapid.T, columnsMax int) *Schema {
	columns := make([]Column, rapid.IntRange(0, columnsMax).Draw(t, "columns"))
	for i := range columns {
		columns[i] = Column{Name: string(rune('a'+i%26)) + string(rune('a'+i/26)), Type: drawType(t, "type")}
	}
	return MustSchema(columns...)
}

// drawCell draws a value of the type, its edges more often than chance would.
func drawCell(t *rapid.T, slab []byte, typ Type) (Cell, []byte) {
	start := len(slab)
	switch typ.Kind {
	case KindBool:
		return BoolCell(rapid.Bool().Draw(t, "bool")), slab
	case KindInt32:
		return Int32Cell(rapid.Int32().Draw(t, "int32")), slab
	case KindInt64:
		return Int64Cell(rapid.Int64().Draw(t, "int64")), slab
	case KindFloat32:
		return Float32Cell(rapid.Float32().Draw(t, "float32")), slab
	case KindFloat64:
		return Float64Cell(rapid.Float64().Draw(t, "float64")), slab
	case KindDecimal:
		slab = drawDecimal(t, typ).Append(slab)
	case KindString:
		slab = append(slab, rapid.StringN(-1, -1, 300).Draw(t, "string")...)
	case KindBytes:
		slab = append(slab, rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xFE, 0xFF}), 0, 20).Draw(t, "bytes")...)
	case KindDate:
		return DateCell(rapid.Int32().Draw(t, "date")), slab
	case KindTimestamp:
		return TimestampCell(rapid.Int64().Draw(t, "timestamp")), slab
	case KindJSON:
		slab = append(slab, rapid.SampledFrom([]string{"null", "{}", "[1, 2]", `"x"`, "-1.5e9"}).Draw(t, "json")...)
	default:
		panic("no value has the type " + typ.String())
	}
	return SpanCell(typ.Kind, start, len(slab)-start), slab
}

// drawDecimal draws an unscaled value that fits the type.
func drawDecimal(t *rapid.T, typ Type) Int128 {
	limit := pow10[typ.Precision]
	m := magnitude{hi: rapid.Uint64Max(limit.hi).Draw(t, "high"), lo: rapid.Uint64().Draw(t, "low")}
	if !m.less(limit) {
		m = magnitude{hi: limit.hi, lo: limit.lo - 1}
		if limit.lo == 0 {
			m = magnitude{hi: limit.hi - 1, lo: math.MaxUint64}
		}
	}
	return m.signed(rapid.Bool().Draw(t, "negative"))
}

// drawBatch draws typed rows of the schema whose columns lie in mixed slots, with nulls.
func drawBatch(t *rapid.T, schema *Schema, rowsMax int) *Batch {
	width := schema.Len() + 2
	slots := rapid.Permutation(upTo(width)).Draw(t, "slots")[:schema.Len()]
	b := NewBatch()
	b.Reset(Split{ID: "s"}, width)
	b.SetLayout(&Layout{Schema: schema, Slots: slots})
	for i := range rapid.IntRange(1, rowsMax).Draw(t, "rows") {
		b.AppendSpan(int64(i), 0, 0)
		for column, slot := range slots {
			if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
				continue
			}
			b.Cells(i)[slot], b.slab = drawCell(t, b.slab, schema.Column(column).Type)
		}
	}
	return b
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
