// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"unsafe"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/jsonedit"
)

// kind is the static type of an expression, as far as operators care.
type kind uint8

const (
	kindBad kind = iota // something in it is wrong and was reported
	kindNil
	kindBool
	kindInt
	kindFloat
	kindText
	kindBytes
	kindJSON
	kindDate     // days
	kindInstant  // microseconds
	kindDuration // microseconds
	kindDecimal
	kindAny // known at run time only
	kindList
	kindMap
)

var kindNames = [...]string{
	"wrong", "nil", "bool", "int", "float", "string", "bytes", "json", "date", "timestamp", "duration", "decimal",
	"value known at run time only", "list", "map",
}

func (k kind) String() string { return kindNames[k] }

func (k kind) number() bool { return k == kindInt || k == kindFloat }

// inInt says that values of the kind are an int64.
func (k kind) inInt() bool {
	return k == kindInt || k == kindDate || k == kindInstant || k == kindDuration
}

// inText says that values of the kind are bytes.
func (k kind) inText() bool { return k == kindText || k == kindBytes || k == kindJSON }

// dynamic says that only expr-lang's machine can hold the values.
func (k kind) dynamic() bool { return k == kindAny || k == kindList || k == kindMap }

// kindOf is how expressions see a column's type.
func kindOf(t forebay.Type) kind {
	switch t.Kind {
	case forebay.KindBool:
		return kindBool
	case forebay.KindInt32, forebay.KindInt64:
		return kindInt
	case forebay.KindFloat32, forebay.KindFloat64:
		return kindFloat
	case forebay.KindString:
		return kindText
	case forebay.KindBytes:
		return kindBytes
	case forebay.KindJSON:
		return kindJSON
	case forebay.KindDate:
		return kindDate
	case forebay.KindTimestamp:
		return kindInstant
	case forebay.KindDecimal:
		return kindDecimal
	default:
		return kindNil
	}
}

// columnTypes are the types that results get, by kind; zero where a column cannot hold them.
var columnTypes = [...]forebay.Type{
	kindBool: forebay.Bool, kindInt: forebay.Int64, kindFloat: forebay.Float64, kindText: forebay.String,
	kindBytes: forebay.Binary, kindJSON: forebay.JSON, kindDate: forebay.Date, kindInstant: forebay.Timestamp,
}

// truth is a three-valued bool.
type truth uint8

const (
	no truth = iota
	yes
	unknown // null
)

func truthOf(v bool) truth {
	if v {
		return yes
	}
	return no
}

// The compiled forms of an expression, one per family of kinds. ok is false where the value is null. An
// expression that fails sets frame.fail and returns null.
type (
	boolFunc    func(f *frame) truth
	intFunc     func(f *frame) (v int64, ok bool)
	floatFunc   func(f *frame) (v float64, ok bool)
	textFunc    func(f *frame) (v string, ok bool)
	decimalFunc func(f *frame) (v forebay.Int128, ok bool)
)

// frame is the record that expressions look at.
type frame struct {
	batch *forebay.Batch
	cells []forebay.Cell
	slab  []byte
	// record is the record where it is a JSON object without a row, else nil.
	record *jsonedit.Record
	// scratch holds texts that are made while one record is evaluated.
	scratch []byte
	fail    *RejectError
}

// enter turns to a record of any batch.
func (f *frame) enter(b *forebay.Batch, i int) {
	f.batch, f.slab = b, b.Slab()
	f.turn(b.Cells(i))
	if f.record != nil && !f.record.Open(b.Value(i), b.Fields(i)) {
		f.refuse(CodeInvalidJSON, notAnObject)
	}
}

// turn goes to another record of the batch, whose slab is where it was.
func (f *frame) turn(cells []forebay.Cell) {
	f.cells = cells
	if len(f.scratch) > 0 {
		f.scratch = f.scratch[:0]
	}
	if f.fail != nil {
		f.fail = nil
	}
}

// refuse notes the first failure.
func (f *frame) refuse(code, format string, args ...any) {
	if f.fail == nil {
		f.fail = rejectf(code, format, args...)
	}
}

// made is the text that was appended to scratch from start on.
func (f *frame) made(start int) string { return view(f.scratch[start:]) }

// view is b as a string without a copy. The slab's and the scratch's bytes do not change while a record is
// evaluated; when they grow, the old memory lives on as long as a view of it does.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// operand is a checked expression: its static type, its closures, and the tree that expr-lang's machine runs
// instead of them.
type operand struct {
	kind kind
	// column is the type of a bare column, else of the result where the kind does not say it all (decimal).
	column forebay.Type
	at     file.Location
	// slot is the cell of a bare column, else -1.
	slot int
	// constant is the value of a literal: bool, int64, float64 or string; else nil.
	constant any
	// lowered says that the closure of the kind's family is there.
	lowered bool
	tree    ast.Node

	truth   boolFunc
	int     intFunc
	float   floatFunc
	text    textFunc
	decimal decimalFunc
	// value is the closure of kindAny.
	value valueFunc
	// path leads to the field that the operand is, else it is nil.
	path *jsonedit.Path
	// pieces are those of a concatenation.
	pieces []piece
	// plain says that all pieces are columns and constants.
	plain bool
}

// name is the operand's type in messages.
func (o *operand) name() string {
	if o.kind == kindDecimal || o.slot >= 0 {
		return o.column.String()
	}
	return o.kind.String()
}

// article is the operand's type in a sentence.
func (o *operand) article() string { return withArticle(o.name()) }

// isLiteralNil says that the operand is the word nil.
func (o *operand) isLiteralNil() bool { return o.kind == kindNil && o.slot < 0 }

// nulls makes every closure answer null.
func (o *operand) nulls() *operand {
	o.lowered = true
	o.truth = func(*frame) truth { return unknown }
	o.int = func(*frame) (int64, bool) { return 0, false }
	o.float = func(*frame) (float64, bool) { return 0, false }
	o.text = func(*frame) (string, bool) { return "", false }
	o.decimal = func(*frame) (forebay.Int128, bool) { return forebay.Int128{}, false }
	o.value = func(*frame) value { return noValue }
	return o
}

// toFloat is the operand as a float: an int is converted.
func (o *operand) toFloat() floatFunc {
	if o.kind != kindInt {
		return o.float
	}
	if c, constant := o.constant.(int64); constant {
		v := float64(c)
		return func(*frame) (float64, bool) { return v, true }
	}
	get := o.int
	return func(f *frame) (float64, bool) {
		v, ok := get(f)
		return float64(v), ok
	}
}

// columnOperand reads a column.
func columnOperand(slot int, t forebay.Type) *operand {
	o := &operand{kind: kindOf(t), column: t, slot: slot, lowered: true}
	switch {
	case o.kind == kindBool:
		o.truth = func(f *frame) truth {
			c := f.cells[slot]
			if c.IsNull() {
				return unknown
			}
			return truthOf(c.Bool())
		}
	case o.kind.inInt():
		o.int = func(f *frame) (int64, bool) {
			c := f.cells[slot]
			return c.Int(), !c.IsNull()
		}
	case o.kind == kindFloat:
		o.float = func(f *frame) (float64, bool) {
			c := f.cells[slot]
			return c.Float(), !c.IsNull()
		}
	case o.kind == kindDecimal:
		o.decimal = func(f *frame) (forebay.Int128, bool) {
			c := f.cells[slot]
			if c.IsNull() {
				return forebay.Int128{}, false
			}
			return forebay.Int128From(c.Bytes(f.slab)), true
		}
	case o.kind == kindJSON:
		// The JSON value null is null too, as a field that holds it is.
		o.text = func(f *frame) (string, bool) {
			c := f.cells[slot]
			if c.IsNull() {
				return "", false
			}
			v := view(c.Bytes(f.slab))
			return v, v != "null"
		}
	default:
		o.text = func(f *frame) (string, bool) {
			c := f.cells[slot]
			if c.IsNull() {
				return "", false
			}
			return view(c.Bytes(f.slab)), true
		}
	}
	return o
}

// literal makes a constant.
func literal(value any) *operand {
	o := &operand{slot: -1, constant: value, lowered: true}
	switch v := value.(type) {
	case bool:
		o.kind = kindBool
		o.truth = func(*frame) truth { return truthOf(v) }
	case int64:
		o.kind = kindInt
		o.int = func(*frame) (int64, bool) { return v, true }
	case float64:
		o.kind = kindFloat
		o.float = func(*frame) (float64, bool) { return v, true }
	case string:
		o.kind = kindText
		o.text = func(*frame) (string, bool) { return v, true }
	}
	return o
}
