// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"github.com/forebay-io/forebay"
)

// Digits of decimals that integers hold.
const (
	digitsInt32 = 9
	digitsInt64 = 18
)

// schemaOf is the schema of a file. Every column may be null. Older readers know converted types only.
func schemaOf(s *forebay.Schema) []format.SchemaElement {
	out := []format.SchemaElement{{Name: "schema", NumChildren: thrift.New(int32(s.Len()))}}
	for i := range s.Len() {
		c := s.Column(i)
		physical, width := physicalOf(c.Type)
		e := format.SchemaElement{
			Name: c.Name, Type: thrift.New(format.Type(physical)), RepetitionType: thrift.New(format.Optional),
		}
		if width > 0 {
			e.TypeLength = thrift.New(int32(width))
		}
		switch c.Type.Kind {
		case forebay.KindDecimal:
			precision, scale := int32(c.Type.Precision), int32(c.Type.Scale)
			e.Precision, e.Scale = thrift.New(precision), thrift.New(scale)
			e.ConvertedType = thrift.New(deprecated.Decimal)
			e.LogicalType.Value = &format.DecimalType{Precision: precision, Scale: scale}
		case forebay.KindString:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType.Value = &format.StringType{}
		case forebay.KindJSON:
			e.ConvertedType = thrift.New(deprecated.Json)
			e.LogicalType.Value = &format.JsonType{}
		case forebay.KindDate:
			e.ConvertedType = thrift.New(deprecated.Date)
			e.LogicalType.Value = &format.DateType{}
		case forebay.KindTimestamp:
			e.ConvertedType = thrift.New(deprecated.TimestampMicros)
			unit := format.TimeUnit{Value: &format.MicroSeconds{}}
			e.LogicalType.Value = &format.TimestampType{IsAdjustedToUTC: true, Unit: unit}
		default:
		}
		out = append(out, e)
	}
	return out
}

// physicalOf is how a type is stored, and the size of its values where they are bytes of a fixed size.
func physicalOf(t forebay.Type) (physical int64, width int) {
	switch t.Kind {
	case forebay.KindBool:
		return physicalBool, 0
	case forebay.KindInt32, forebay.KindDate:
		return physicalInt32, 0
	case forebay.KindInt64, forebay.KindTimestamp:
		return physicalInt64, 0
	case forebay.KindFloat32:
		return physicalFloat, 0
	case forebay.KindFloat64:
		return physicalDouble, 0
	case forebay.KindDecimal:
		switch {
		case t.Precision > digitsInt64:
			return physicalFixed, decimalWidth(t.Precision)
		case t.Precision > digitsInt32:
			return physicalInt64, 0
		default:
			return physicalInt32, 0
		}
	default:
		return physicalBytes, 0
	}
}

// decimalWidth is how many bytes hold any number of that many digits.
func decimalWidth(precision uint8) int {
	width, largest, limit := 1, 127.0, 1.0
	for range precision {
		limit *= 10
	}
	for largest < limit {
		width++
		largest *= 256
	}
	return width
}
