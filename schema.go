// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Kind names the shape of a value.
type Kind uint8

// The kinds of value. Null is the zero value.
const (
	KindNull      Kind = iota
	KindBool           // true or false
	KindInt32          // 32-bit signed integer
	KindInt64          // 64-bit signed integer
	KindFloat32        // IEEE 754 single
	KindFloat64        // IEEE 754 double
	KindDecimal        // unscaled 128-bit integer; precision and scale are the column's
	KindString         // valid UTF-8
	KindBytes          // any bytes
	KindDate           // days since 1970-01-01
	KindTimestamp      // an instant: microseconds since 1970-01-01T00:00:00Z
	KindJSON           // one JSON value as text
)

var kindNames = [...]string{
	"null", "bool", "int32", "int64", "float32", "float64", "decimal", "string", "bytes", "date", "timestamp", "json",
}

// String is the name that schemas use.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Type is a column's type. Precision (1 to 38) and Scale (0 to Precision) belong to decimals only.
type Type struct {
	Kind      Kind
	Precision uint8
	Scale     uint8
}

// The types without parameters.
var (
	Bool      = Type{Kind: KindBool}
	Int32     = Type{Kind: KindInt32}
	Int64     = Type{Kind: KindInt64}
	Float32   = Type{Kind: KindFloat32}
	Float64   = Type{Kind: KindFloat64}
	String    = Type{Kind: KindString}
	Binary    = Type{Kind: KindBytes}
	Date      = Type{Kind: KindDate}
	Timestamp = Type{Kind: KindTimestamp}
	JSON      = Type{Kind: KindJSON}
)

// DecimalPrecisionMax is the largest precision of a decimal.
const DecimalPrecisionMax = 38

// DecimalOf is the type decimal(precision, scale).
func DecimalOf(precision, scale uint8) Type {
	return Type{Kind: KindDecimal, Precision: precision, Scale: scale}
}

// String prints the type as a schema writes it, such as int64 or decimal(10, 2).
func (t Type) String() string {
	if t.Kind == KindDecimal {
		return fmt.Sprintf("decimal(%d, %d)", t.Precision, t.Scale)
	}
	return t.Kind.String()
}

// Valid reports whether the type can be a column's.
func (t Type) Valid() bool {
	if t.Kind == KindDecimal {
		return t.Precision >= 1 && t.Precision <= DecimalPrecisionMax && t.Scale <= t.Precision
	}
	return t.Kind > KindNull && t.Kind <= KindJSON && t.Precision == 0 && t.Scale == 0
}

// ParseType reads what Type.String prints.
func ParseType(text string) (Type, error) {
	text = strings.TrimSpace(text)
	for k := KindBool; k <= KindJSON; k++ {
		if k != KindDecimal && text == kindNames[k] {
			return Type{Kind: k}, nil
		}
	}
	if rest, found := strings.CutPrefix(text, "decimal("); found {
		if t, ok := parseDecimalParameters(rest); ok {
			return t, nil
		}
		return Type{}, fmt.Errorf("%q is not a type: decimal needs a precision of 1 to 38 and a scale up to it, "+
			"such as decimal(10, 2)", text)
	}
	return Type{}, fmt.Errorf("%q is not a type: use one of %s, decimal(p, s)", text,
		strings.Join(append(append([]string(nil), kindNames[1:KindDecimal]...), kindNames[KindString:]...), ", "))
}

func parseDecimalParameters(rest string) (Type, bool) {
	inner, closed := strings.CutSuffix(rest, ")")
	precision, scale, both := strings.Cut(inner, ",")
	if !closed || !both {
		return Type{}, false
	}
	p, errP := strconv.ParseUint(strings.TrimSpace(precision), 10, 8)
	s, errS := strconv.ParseUint(strings.TrimSpace(scale), 10, 8)
	t := DecimalOf(uint8(p), uint8(s))
	return t, errP == nil && errS == nil && t.Valid()
}

// WidensTo reports whether every value of t is a value of other without loss, so that a table may change a
// column of type t to other on the fly. A type widens to itself.
func (t Type) WidensTo(other Type) bool {
	switch {
	case t == other:
		return true
	case t.Kind == KindInt32 && other.Kind == KindInt64, t.Kind == KindFloat32 && other.Kind == KindFloat64:
		return true
	case t.Kind == KindDecimal && other.Kind == KindDecimal:
		return other.Scale >= t.Scale && other.Precision-other.Scale >= t.Precision-t.Scale
	default:
		return false
	}
}

// Column is one named value of a row. Every column that is not part of a key may be null.
type Column struct {
	Name string
	Type Type
}

// Schema is an ordered list of columns with distinct names. It is immutable once made.
type Schema struct {
	columns []Column
	byName  map[string]int
}

// ColumnsMax bounds the columns of a schema.
const ColumnsMax = 4096

// NewSchema checks the columns and keeps a copy of them. The error names every wrong column.
func NewSchema(columns ...Column) (*Schema, error) {
	s := &Schema{columns: append([]Column(nil), columns...), byName: make(map[string]int, len(columns))}
	var problems []error
	for i, c := range s.columns {
		switch {
		case c.Name == "":
			problems = append(problems, fmt.Errorf("column %d has no name", i+1))
		case !c.Type.Valid():
			problems = append(problems, fmt.Errorf("column %q has the type %s, which no column can have", c.Name, c.Type))
		}
		if first, twice := s.byName[c.Name]; twice && c.Name != "" {
			problems = append(problems, fmt.Errorf("column %q is given twice, as column %d and %d", c.Name, first+1, i+1))
			continue
		}
		s.byName[c.Name] = i
	}
	if len(columns) > ColumnsMax {
		problems = append(problems, fmt.Errorf("%d columns are more than %d", len(columns), ColumnsMax))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return s, nil
}

// MustSchema is NewSchema for columns that the program spells out; a wrong one is a bug and panics.
func MustSchema(columns ...Column) *Schema {
	s, err := NewSchema(columns...)
	if err != nil {
		panic("forebay: " + err.Error())
	}
	return s
}

// Len is the number of columns.
func (s *Schema) Len() int { return len(s.columns) }

// Column is the column at i, which must be below Len.
func (s *Schema) Column(i int) Column { return s.columns[i] }

// Columns is a copy of the columns in order.
func (s *Schema) Columns() []Column { return append([]Column(nil), s.columns...) }

// searchMax is how many names are compared one by one: up to there that is faster than a hash.
const searchMax = 8

// Find is the index of the named column, or -1.
func (s *Schema) Find(name string) int {
	if len(s.columns) <= searchMax {
		for i := range s.columns {
			if s.columns[i].Name == name {
				return i
			}
		}
		return -1
	}
	if i, found := s.byName[name]; found {
		return i
	}
	return -1
}

// Names lists the column names in order.
func (s *Schema) Names() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.Name
	}
	return names
}

// Equal reports whether both hold the same columns in the same order. Nil equals nil only.
func (s *Schema) Equal(other *Schema) bool {
	if s == nil || other == nil {
		return s == other
	}
	if len(s.columns) != len(other.columns) {
		return false
	}
	for i := range s.columns {
		if s.columns[i] != other.columns[i] {
			return false
		}
	}
	return true
}

// String prints the schema as name type, name type.
func (s *Schema) String() string {
	var out strings.Builder
	for i, c := range s.columns {
		if i > 0 {
			out.WriteString(", ")
		}
		out.WriteString(c.Name + " " + c.Type.String())
	}
	return out.String()
}

// Layout says in which slot of a batch's rows each column of a schema lies. Dropping, keeping and renaming
// columns changes the layout only; no cell moves.
//
// Ownership: immutable once it is given to a batch.
type Layout struct {
	Schema *Schema
	Slots  []int
}

// NewLayout lays the columns of s into the slots 0, 1, 2 and so on.
func NewLayout(s *Schema) *Layout {
	slots := make([]int, s.Len())
	for i := range slots {
		slots[i] = i
	}
	return &Layout{Schema: s, Slots: slots}
}

// Width is the number of slots that a row needs at least.
func (l *Layout) Width() int {
	width := 0
	for _, slot := range l.Slots {
		width = max(width, slot+1)
	}
	return width
}
