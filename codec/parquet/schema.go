// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
)

// Physical types.
const (
	physicalBool   = 0
	physicalInt32  = 1
	physicalInt64  = 2
	physicalInt96  = 3
	physicalFloat  = 4
	physicalDouble = 5
	physicalBytes  = 6
	physicalFixed  = 7
)

// Repetition.
const (
	optional = 1
	repeated = 2
)

// Logical types, by the number of their field.
const (
	logicalString    = 1
	logicalEnum      = 4
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTime      = 7
	logicalTimestamp = 8
	logicalInt       = 10
	logicalNull      = 11
	logicalJSON      = 12
	logicalBSON      = 13
	logicalUUID      = 14
	logicalFloat16   = 15
)

// Units of timestamps, by the number of their field.
const (
	unitMillis = 1
	unitMicros = 2
	unitNanos  = 3
)

// Converted types, which files had before there were logical ones.
const (
	convertedUTF8       = 0
	convertedEnum       = 4
	convertedDecimal    = 5
	convertedDate       = 6
	convertedTimeMillis = 7
	convertedTimeMicros = 8
	convertedMillis     = 9
	convertedMicros     = 10
	convertedUint8      = 11
	convertedUint64     = 14
	convertedInt8       = 15
	convertedInt64      = 18
	convertedJSON       = 19
	convertedBSON       = 20
	convertedInterval   = 21
)

// way says how a stored value becomes a cell.
type way uint8

const (
	wayInt way = iota // as it is
	wayBool
	wayUint32
	wayUint64
	wayFloat32
	wayFloat64
	wayFloat16
	wayDate
	wayMillis
	wayMicros
	wayNanos
	wayInt96
	wayDecimalInt
	wayDecimalBytes
	wayText
	wayJSON
	wayBytes
	wayUUID
)

// column is a leaf of the schema that can be read.
type column struct {
	name     string
	kind     forebay.Type
	way      way
	physical int64
	// leaf is the number of its chunk in a row group.
	leaf int
	// width is the size of a value of fixed size, 0 of others.
	width    int
	optional bool
}

// columns finds the types of the chosen columns, or of all. The error names all that have none, in one sentence, so
// that the one cure belongs to it; those that have one are given beside it.
func (f *footer) columns(chosen []string) ([]column, error) {
	var out []column
	var problems []string
	tops, _ := f.tops()
	for _, t := range tops {
		if len(chosen) > 0 && !slices.Contains(chosen, t.name) {
			continue
		}
		if t.nested {
			problems = append(problems, fmt.Sprintf("column %q is nested or repeated", t.name))
			continue
		}
		c, why := columnOf(t.element)
		if why != "" {
			problems = append(problems, fmt.Sprintf("column %q %s", t.name, why))
			continue
		}
		c.leaf = t.leaf
		out = append(out, c)
	}
	if len(out)+len(problems) == 0 {
		problems = append(problems, "it has none of the columns that are to be read")
	}
	if len(problems) == 0 {
		return out, nil
	}
	return out, errors.New(strings.Join(problems, ", "))
}

var widths = [...]int{
	physicalInt32: 4, physicalInt64: 8, physicalInt96: int96Size, physicalFloat: 4, physicalDouble: 8, physicalFixed: 0,
}

// columnOf is the column of a leaf, or why there is none.
func columnOf(e *element) (c column, why string) {
	c = column{name: e.name, physical: e.physical, optional: e.repetition == optional}
	switch {
	case e.physical > physicalFixed:
		return c, "has a type that is not known"
	case e.physical == physicalFixed:
		if e.length <= 0 || e.length > fixedMax {
			return c, fmt.Sprintf("has values of %d bytes", e.length)
		}
		c.width = int(e.length)
	case int(e.physical) < len(widths):
		c.width = widths[e.physical]
	}
	logical, why := e.meaning()
	if why != "" {
		return c, why
	}
	switch logical {
	case 0, logicalNull:
		c.kind, c.way = plainType(e.physical)
		return c, ""
	case logicalDecimal:
		why = c.asDecimal(e)
		return c, why
	case logicalTimestamp:
		why = c.asTimestamp(e)
		return c, why
	case logicalInt:
		why = c.asInt(e)
		return c, why
	case logicalFloat16:
		c.kind, c.way = forebay.Float32, wayFloat16
		return c, mismatch(e.physical == physicalFixed && e.length == 2)
	case logicalDate:
		c.kind, c.way = forebay.Date, wayDate
		return c, mismatch(e.physical == physicalInt32)
	case logicalUUID:
		c.kind, c.way = forebay.String, wayUUID
		return c, mismatch(e.physical == physicalFixed && e.length == uuidSize)
	}
	switch logical {
	case logicalString, logicalEnum:
		c.kind, c.way = forebay.String, wayText
	case logicalJSON:
		c.kind, c.way = forebay.JSON, wayJSON
	default:
		c.kind, c.way = forebay.Binary, wayBytes
	}
	return c, mismatch(e.physical == physicalBytes || e.physical == physicalFixed)
}

const (
	uuidSize  = 16
	int96Size = 12
	// fixedMax bounds values of fixed size.
	fixedMax = 1 << 20
)

func mismatch(fits bool) (why string) {
	if !fits {
		return "has a meaning that its stored type cannot have"
	}
	return ""
}

// meaning is the logical type, which older files give as a converted one.
func (e *element) meaning() (logical int64, why string) {
	switch e.logical {
	case 0:
	case logicalString, logicalEnum, logicalDecimal, logicalDate, logicalTimestamp, logicalInt, logicalNull, logicalJSON,
		logicalBSON, logicalUUID, logicalFloat16:
		return e.logical, ""
	case logicalTime:
		return 0, "is a time of day, for which there is no type"
	default:
		return 0, "has a meaning that is not known"
	}
	switch c := e.converted; {
	case c < 0:
		return 0, ""
	case c == convertedUTF8:
		return logicalString, ""
	case c == convertedEnum:
		return logicalEnum, ""
	case c == convertedDecimal:
		return logicalDecimal, ""
	case c == convertedDate:
		return logicalDate, ""
	case c == convertedMillis, c == convertedMicros:
		e.unit = c - convertedMillis + unitMillis
		return logicalTimestamp, ""
	case c >= convertedUint8 && c <= convertedUint64:
		e.width = 8 << (c - convertedUint8)
		return logicalInt, ""
	case c >= convertedInt8 && c <= convertedInt64:
		e.width, e.signed = 8<<(c-convertedInt8), true
		return logicalInt, ""
	case c == convertedJSON:
		return logicalJSON, ""
	case c == convertedBSON:
		return logicalBSON, ""
	case c == convertedTimeMillis, c == convertedTimeMicros:
		return 0, "is a time of day, for which there is no type"
	case c == convertedInterval:
		return 0, "is an interval, for which there is no type"
	default:
		return 0, "has a meaning that is not known"
	}
}

func plainType(physical int64) (forebay.Type, way) {
	switch physical {
	case physicalBool:
		return forebay.Bool, wayBool
	case physicalInt32:
		return forebay.Int32, wayInt
	case physicalInt64:
		return forebay.Int64, wayInt
	case physicalInt96:
		return forebay.Timestamp, wayInt96
	case physicalFloat:
		return forebay.Float32, wayFloat32
	case physicalDouble:
		return forebay.Float64, wayFloat64
	default:
		return forebay.Binary, wayBytes
	}
}

func (c *column) asDecimal(e *element) (why string) {
	if e.precision < 1 || e.precision > forebay.DecimalPrecisionMax || e.scale < 0 || e.scale > e.precision {
		return fmt.Sprintf("is a decimal(%d, %d), and the precision must be 1 to %d and the scale 0 up to it",
			e.precision, e.scale, forebay.DecimalPrecisionMax)
	}
	c.kind = forebay.DecimalOf(uint8(e.precision), uint8(e.scale))
	switch e.physical {
	case physicalInt32, physicalInt64:
		c.way = wayDecimalInt
	case physicalBytes, physicalFixed:
		c.way = wayDecimalBytes
	default:
		return mismatch(false)
	}
	return ""
}

func (c *column) asTimestamp(e *element) (why string) {
	c.kind = forebay.Timestamp
	switch e.unit {
	case unitMillis:
		c.way = wayMillis
	case unitMicros:
		c.way = wayMicros
	case unitNanos:
		c.way = wayNanos
	default:
		return "is a timestamp in a unit that is not known"
	}
	return mismatch(e.physical == physicalInt64)
}

func (c *column) asInt(e *element) (why string) {
	wide := e.physical == physicalInt64
	if !wide && e.physical != physicalInt32 {
		return mismatch(false)
	}
	switch {
	case e.signed && wide:
		c.kind, c.way = forebay.Int64, wayInt
	case e.signed || e.width < 32:
		c.kind, c.way = forebay.Int32, wayInt
	case wide:
		c.kind, c.way = forebay.DecimalOf(uint64Digits, 0), wayUint64
	default:
		c.kind, c.way = forebay.Int64, wayUint32
	}
	return ""
}

// uint64Digits is the precision of a decimal for any uint64.
const uint64Digits = 20

// schema is the schema of the columns.
func schema(columns []column) (*forebay.Schema, error) {
	out := make([]forebay.Column, len(columns))
	for i, c := range columns {
		out[i] = forebay.Column{Name: c.name, Type: c.kind}
	}
	return forebay.NewSchema(out...)
}
