// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// CastColumn gives a column another type.
type CastColumn struct {
	Column string `yaml:",key" doc:"The column."`
	// Type is as schemas write it, such as int64, decimal(10, 2) or timestamp.
	Type string `yaml:",value" doc:"Its new type." example:"timestamp"`
	// Zone is the time zone of text without one, and of dates; empty means UTC.
	Zone string `yaml:"zone" doc:"The time zone of text without one." default:"UTC" example:"America/New_York"`
}

// CastStep gives columns other types. A value that cannot have its new type rejects the record; nothing is
// rounded or wrapped, but for floats that become float32.
type CastStep struct {
	Columns []CastColumn `yaml:"cast" doc:"Columns and their new types."`
}

// Cast gives columns other types; a value that cannot have its new type rejects the record.
func Cast(columns ...CastColumn) forebay.Transform { return CastStep{Columns: columns} }

// Name is cast.
func (s CastStep) Name() string { return "cast" }

// Compile checks names, types and zones.
//
// Errors: *ColumnError, joined.
func (s CastStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	names := make([]string, len(s.Columns))
	for i, column := range s.Columns {
		names[i] = column.Column
	}
	wrong := checkNames(in, s.Name(), names)
	if in.Layout == nil {
		return forebay.Step{}, wrong.err()
	}
	c := columnsOf(in)
	var casts []*castCell
	for i, column := range s.Columns {
		cast, problem := newCast(in.Layout, column)
		if problem != nil {
			problem.Index, problem.Column = i, column.Column
			wrong.add(problem)
		}
		if cast != nil {
			cast.target = c.put(forebay.Column{Name: column.Column, Type: cast.to})
			casts = append(casts, cast)
		}
	}
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	out, err := c.shape()
	if err != nil || len(casts) == 0 {
		return forebay.Step{Out: out, Deterministic: true}, err
	}
	return forebay.Step{Out: out, Apply: applyCast(casts, out.Width), Deterministic: true}, nil
}

// castCell converts one column.
type castCell struct {
	column         string
	from, to       forebay.Type
	source, target int
	zone           *time.Location
	convert        func(x *castCell, b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool)
	text           []byte
}

// newCast is nil where nothing is to be done or something is wrong.
func newCast(layout *forebay.Layout, column CastColumn) (*castCell, *ColumnError) {
	to, err := forebay.ParseType(column.Type)
	if err != nil {
		return nil, &ColumnError{Message: err.Error()}
	}
	zone, err := loadZone(column.Zone)
	if err != nil {
		return nil, &ColumnError{Message: err.Error(), Cure: zoneCure(column.Zone)}
	}
	i := layout.Schema.Find(column.Column)
	if i < 0 {
		return nil, nil
	}
	from := layout.Schema.Column(i).Type
	if from == to {
		return nil, nil
	}
	x := &castCell{column: column.Column, from: from, to: to, source: layout.Slots[i], zone: zone}
	if x.convert = conversion(from.Kind, to.Kind); x.convert == nil {
		return nil, &ColumnError{
			Message: fmt.Sprintf("column %q is %s, which cannot become %s", column.Column,
				withArticle(from.String()), withArticle(to.String())),
			Cure: castCure(from.Kind, to.Kind),
		}
	}
	return x, nil
}

func castCure(from, to forebay.Kind) string {
	switch {
	case to == forebay.KindTimestamp:
		return "use set with fromUnix(...) or fromUnixMilli(...)"
	case from == forebay.KindTimestamp:
		return "use set with unix(...) or unixMilli(...)"
	default:
		return "go by way of string"
	}
}

type conversionFunc = func(x *castCell, b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool)

func isNumber(k forebay.Kind) bool {
	switch k {
	case forebay.KindInt32, forebay.KindInt64, forebay.KindFloat32, forebay.KindFloat64, forebay.KindDecimal:
		return true
	default:
		return false
	}
}

// conversion is how cells of one kind become another, or nil.
func conversion(from, to forebay.Kind) conversionFunc {
	isInt := func(k forebay.Kind) bool { return k == forebay.KindInt32 || k == forebay.KindInt64 }
	switch {
	case to == forebay.KindString && (from == forebay.KindBytes || from == forebay.KindJSON):
		return (*castCell).spanToText
	case to == forebay.KindString:
		return (*castCell).toText
	case from == forebay.KindString:
		return (*castCell).fromText
	case isNumber(from) && isNumber(to):
		return (*castCell).number
	case from == forebay.KindBool && isInt(to):
		return func(x *castCell, _ *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
			if c.Bool() {
				return x.intCell(1)
			}
			return x.intCell(0)
		}
	case isInt(from) && to == forebay.KindBool:
		return func(_ *castCell, _ *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
			return forebay.BoolCell(c.Int() == 1), c.Int() == 0 || c.Int() == 1
		}
	case from == forebay.KindDate && to == forebay.KindTimestamp:
		return func(x *castCell, _ *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
			const daysMax = math.MaxInt64 / (secondsPerDay * microsPerSecond)
			return forebay.TimestampCell(midnight(c.Int(), x.zone)), c.Int() < daysMax && c.Int() > -daysMax
		}
	case from == forebay.KindTimestamp && to == forebay.KindDate:
		return func(x *castCell, _ *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
			return forebay.DateCell(int32(daysOf(c.Int(), x.zone))), true
		}
	default:
		return nil
	}
}

func applyCast(casts []*castCell, width int) func(b *forebay.Batch) (int, error) {
	return func(b *forebay.Batch) (int, error) {
		if err := checkWidth("cast", b, width); err != nil {
			return 0, err
		}
		b.Filter(func(i int) bool {
			cells := b.Cells(i)
			for _, x := range casts {
				c := cells[x.source]
				if c.IsNull() {
					cells[x.target] = forebay.Null
					continue
				}
				to, ok := x.convert(x, b, c)
				if !ok {
					reject(b, i, x.failure(b, c))
					return false
				}
				cells[x.target] = to
			}
			return true
		})
		return 0, nil
	}
}

func (x *castCell) failure(b *forebay.Batch, c forebay.Cell) *RejectError {
	text := string(forebay.AppendCell(nil, x.from, c, b.Slab()))
	return rejectf(CodeCast, "column %q: %s (%s) cannot become %s", x.column, shown(text), x.from,
		withArticle(x.to.String()))
}

// fromText reads the text where it lies.
func (x *castCell) fromText(b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
	start, size := c.Span()
	to, err := b.ParseCell(x.to, start, size, x.zone)
	return to, err == nil
}

func (x *castCell) spanToText(b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
	start, size := c.Span()
	return forebay.SpanCell(forebay.KindString, start, size), utf8.Valid(c.Bytes(b.Slab()))
}

// toText writes the text form; a timestamp in a zone shows that zone's offset.
func (x *castCell) toText(b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
	if x.from.Kind == forebay.KindTimestamp && x.zone != time.UTC {
		x.text = time.UnixMicro(c.Int()).In(x.zone).AppendFormat(x.text[:0], "2006-01-02T15:04:05.999999Z07:00")
	} else {
		x.text = forebay.AppendCell(x.text[:0], x.from, c, b.Slab())
	}
	return forebay.SpanCell(forebay.KindString, b.AppendBytes(x.text), len(x.text)), true
}

func (x *castCell) intCell(v int64) (forebay.Cell, bool) {
	if x.to.Kind == forebay.KindInt32 {
		return forebay.Int32Cell(int32(v)), v == int64(int32(v))
	}
	return forebay.Int64Cell(v), true
}

// number converts between ints, floats and decimals.
func (x *castCell) number(b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
	switch x.from.Kind {
	case forebay.KindInt32, forebay.KindInt64:
		return x.fromInt(b, c.Int())
	case forebay.KindFloat32, forebay.KindFloat64:
		return x.fromFloat(b, c)
	default:
		x.text = forebay.AppendCell(x.text[:0], x.from, c, b.Slab())
		return x.fromNumber(b)
	}
}

func (x *castCell) fromInt(b *forebay.Batch, v int64) (forebay.Cell, bool) {
	switch x.to.Kind {
	case forebay.KindInt32, forebay.KindInt64:
		return x.intCell(v)
	case forebay.KindFloat32:
		return forebay.Float32Cell(float32(v)), exactInt(float64(float32(v)), v)
	case forebay.KindFloat64:
		return forebay.Float64Cell(float64(v)), exactInt(float64(v), v)
	default:
		x.text = strconv.AppendInt(x.text[:0], v, 10)
		return x.fromNumber(b)
	}
}

// exactInt says that the float is the int. 2^63 is a float and no int64.
func exactInt(f float64, v int64) bool { return f < 1<<63 && f >= -1<<63 && int64(f) == v }

func (x *castCell) fromFloat(b *forebay.Batch, c forebay.Cell) (forebay.Cell, bool) {
	v := c.Float()
	switch x.to.Kind {
	case forebay.KindInt32, forebay.KindInt64:
		if v != math.Trunc(v) || v >= 1<<63 || v < -1<<63 {
			return forebay.Null, false
		}
		return x.intCell(int64(v))
	case forebay.KindFloat32:
		return forebay.Float32Cell(float32(v)), math.IsInf(v, 0) || !math.IsInf(float64(float32(v)), 0)
	case forebay.KindFloat64:
		return forebay.Float64Cell(v), true
	default:
		x.text = forebay.AppendCell(x.text[:0], x.from, c, b.Slab())
		return x.fromNumber(b)
	}
}

// fromNumber reads the digits in x.text.
func (x *castCell) fromNumber(b *forebay.Batch) (forebay.Cell, bool) {
	switch x.to.Kind {
	case forebay.KindDecimal:
		v, err := forebay.ParseDecimal(x.to, x.text)
		if err != nil {
			return forebay.Null, false
		}
		return b.AppendDecimal(v), true
	case forebay.KindInt32, forebay.KindInt64:
		// A decimal is whole where its fraction is all zeros: as a decimal without a scale it reads exactly.
		v, err := forebay.ParseDecimal(forebay.DecimalOf(forebay.DecimalPrecisionMax, 0), x.text)
		if err != nil || v != forebay.Int128Of(int64(v.Lo)) {
			return forebay.Null, false
		}
		return x.intCell(int64(v.Lo))
	default:
		to, _, err := forebay.ParseCell(nil, x.to, x.text)
		return to, err == nil
	}
}
