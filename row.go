// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// Row is one record seen through its schema. It is a view: it is valid as long as its batch is.
//
// Concurrency: one goroutine at a time.
type Row struct {
	batch  *Batch
	record int
}

// NewRow makes a row of nulls for a program that builds rows by hand. It holds its own memory; writers
// encode a row when they take it, so one row can be filled and appended again and again.
func NewRow(schema *Schema) Row {
	b := NewBatch()
	b.Reset(Split{}, schema.Len())
	b.AppendSpan(0, 0, 0)
	b.SetLayout(NewLayout(schema))
	return Row{batch: b}
}

// Clear makes every column null again and forgets the bytes of the values; only for rows from NewRow.
func (r Row) Clear() {
	clear(r.batch.cells)
	r.batch.TruncateSlab(0)
	r.batch.index[0].Op = OpInsert
}

// Schema is the row's schema.
func (r Row) Schema() *Schema { return r.batch.layout.Schema }

// Batch is the batch that the row is part of, and its index there.
func (r Row) Batch() (b *Batch, i int) { return r.batch, r.record }

// Cell is the value of column i.
func (r Row) Cell(i int) Cell { return r.batch.Cells(r.record)[r.batch.layout.Slots[i]] }

// SetCell sets column i. A cell in a slab must be one of this row's batch.
func (r Row) SetCell(i int, c Cell) { r.batch.Cells(r.record)[r.batch.layout.Slots[i]] = c }

// Op is what the row does to a table with a key.
func (r Row) Op() Op { return r.batch.index[r.record].Op }

// SetOp changes what the row does to a table with a key.
func (r Row) SetOp(op Op) { r.batch.index[r.record].Op = op }

// column finds a column of a schema that the program knows: an unknown name is a bug in the caller.
func (r Row) column(name string) int {
	i := r.batch.layout.Schema.Find(name)
	if i < 0 {
		panic(fmt.Sprintf("the row has no column %q; it has %s", name, r.batch.layout.Schema))
	}
	return i
}

// Get is the value of the named column. A name that the schema does not have panics.
func (r Row) Get(name string) Cell { return r.Cell(r.column(name)) }

// IsNull reports whether the named column has no value.
func (r Row) IsNull(name string) bool { return r.Get(name).IsNull() }

// Text is the text form of the named column, a copy: a string as it is, a decimal as its digits, empty where
// it is null.
func (r Row) Text(name string) string {
	i := r.column(name)
	c := r.Cell(i)
	if c.kind == KindString {
		return string(c.Bytes(r.batch.slab))
	}
	return string(AppendCell(nil, r.batch.layout.Schema.Column(i).Type, c, r.batch.slab))
}

// Int is the named int32, int64, date or timestamp column, 0 where it is null.
func (r Row) Int(name string) int64 { return r.Get(name).Int() }

// Float is the named float column, 0 where it is null.
func (r Row) Float(name string) float64 { return r.Get(name).Float() }

// Bool is the named bool column, false where it is null.
func (r Row) Bool(name string) bool { return r.Get(name).Bool() }

// Time is the named timestamp column in UTC.
func (r Row) Time(name string) time.Time { return time.UnixMicro(r.Get(name).Int()).UTC() }

// Set gives the named column a Go value: nil, bool, any integer that fits, float32, float64, string, []byte,
// time.Time for timestamps and dates. For other types use SetCell.
//
// Errors: a value that the column's type cannot hold, with the column, its type and the value's.
func (r Row) Set(name string, value any) error {
	i := r.column(name)
	t := r.batch.layout.Schema.Column(i).Type
	if value == nil {
		r.SetCell(i, Null)
		return nil
	}
	c, ok := r.cellOf(t, value)
	if !ok {
		return fmt.Errorf("column %q is a %s and cannot hold %v (%T)", name, t, value, value)
	}
	r.SetCell(i, c)
	return nil
}

// SetText gives the named string column a value without an allocation. It must be valid UTF-8.
func (r Row) SetText(name, value string) error {
	i := r.column(name)
	start := r.batch.AppendText(value)
	text := r.batch.slab[start:]
	if t := r.batch.layout.Schema.Column(i).Type; t.Kind != KindString || !isASCII(text) && !utf8.Valid(text) {
		r.batch.TruncateSlab(start)
		return fmt.Errorf("column %q is a %s and cannot hold %q", name, t, value)
	}
	r.SetCell(i, SpanCell(KindString, start, len(value)))
	return nil
}

// SetInt gives the named int32, int64, date or timestamp column a value.
func (r Row) SetInt(name string, value int64) error {
	i := r.column(name)
	t := r.batch.layout.Schema.Column(i).Type
	c, ok := intCell(t, value)
	if !ok {
		return fmt.Errorf("column %q is a %s and cannot hold %d", name, t, value)
	}
	r.SetCell(i, c)
	return nil
}

// SetFloat gives the named float32 or float64 column a value.
func (r Row) SetFloat(name string, value float64) error {
	i := r.column(name)
	t := r.batch.layout.Schema.Column(i).Type
	c, ok := floatCell(t, value)
	if !ok {
		return fmt.Errorf("column %q is a %s and cannot hold %v", name, t, value)
	}
	r.SetCell(i, c)
	return nil
}

func intCell(t Type, v int64) (Cell, bool) {
	switch t.Kind {
	case KindInt32:
		return Int32Cell(int32(v)), v >= math.MinInt32 && v <= math.MaxInt32
	case KindDate:
		return DateCell(int32(v)), v >= math.MinInt32 && v <= math.MaxInt32
	case KindInt64:
		return Int64Cell(v), true
	case KindTimestamp:
		return TimestampCell(v), true
	default:
		return Null, false
	}
}

func floatCell(t Type, v float64) (Cell, bool) {
	switch t.Kind {
	case KindFloat64:
		return Float64Cell(v), true
	case KindFloat32:
		return Float32Cell(float32(v)), math.IsInf(v, 0) || !math.IsInf(float64(float32(v)), 0)
	default:
		return Null, false
	}
}

func (r Row) cellOf(t Type, value any) (Cell, bool) {
	switch v := value.(type) {
	case bool:
		return BoolCell(v), t.Kind == KindBool
	case int:
		return numberCell(t, int64(v))
	case int8:
		return numberCell(t, int64(v))
	case int16:
		return numberCell(t, int64(v))
	case int32:
		return numberCell(t, int64(v))
	case int64:
		return numberCell(t, v)
	case uint, uint8, uint16, uint32, uint64:
		return unsignedCell(t, value)
	case float32:
		return floatCell(t, float64(v))
	case float64:
		return floatCell(t, v)
	case string:
		return r.spanCell(t, []byte(v))
	case []byte:
		return r.spanCell(t, v)
	case time.Time:
		return timeCell(t, v)
	default:
		return Null, false
	}
}

func numberCell(t Type, v int64) (Cell, bool) {
	if t.Kind == KindFloat32 || t.Kind == KindFloat64 {
		return floatCell(t, float64(v))
	}
	return intCell(t, v)
}

func unsignedCell(t Type, value any) (Cell, bool) {
	var v uint64
	switch n := value.(type) {
	case uint:
		v = uint64(n)
	case uint8:
		v = uint64(n)
	case uint16:
		v = uint64(n)
	case uint32:
		v = uint64(n)
	case uint64:
		v = n
	}
	if v > math.MaxInt64 {
		return floatCell(t, float64(v))
	}
	return numberCell(t, int64(v))
}

func timeCell(t Type, v time.Time) (Cell, bool) {
	switch t.Kind {
	case KindTimestamp:
		return TimestampCell(v.UnixMicro()), true
	case KindDate:
		seconds := time.Date(v.Year(), v.Month(), v.Day(), 0, 0, 0, 0, time.UTC).Unix()
		return intCell(t, seconds/secondsPerDay)
	default:
		return Null, false
	}
}

func (r Row) spanCell(t Type, v []byte) (Cell, bool) {
	switch t.Kind {
	case KindString:
		return SpanCell(KindString, r.batch.AppendBytes(v), len(v)), isASCII(v) || utf8.Valid(v)
	case KindBytes:
		return SpanCell(KindBytes, r.batch.AppendBytes(v), len(v)), true
	default:
		buf := append([]byte(nil), v...)
		c, slab, err := ParseCell(r.batch.slab, t, buf)
		r.batch.slab = slab
		return c, err == nil
	}
}
