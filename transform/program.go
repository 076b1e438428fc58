// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/jsonedit"
)

// Program is a compiled expression.
//
// Concurrency: one goroutine at a time; compile one for each.
type Program struct {
	expr    string
	operand *operand
	frame   *frame
	machine *machine
	impure  bool
	column  forebay.Type
	// values gives the results for records that are JSON, where the program is lowered.
	values valueFunc
}

// Compile checks an expression against the columns that flow in. On records that are JSON, names are paths to
// fields; one that is missing is null, and what its type cannot do is found record by record.
//
// Errors: everything that is wrong, each an *ExprError, joined.
func Compile(in forebay.Shape, expr string) (*Program, error) {
	if in.Layout == nil && !in.JSON {
		return nil, errUntyped()
	}
	p, problems := compile(in.Layout, expr, nil)
	if len(problems) > 0 {
		return nil, joined(problems)
	}
	return p, nil
}

func errUntyped() error {
	e := forebay.Errorf("transform", forebay.ClassMisconfigured, "the records are bytes without columns")
	e.Code, e.Cure = "no-schema", "give the source a schema, or a format that has one"
	return e
}

func joined(problems []*ExprError) error {
	list := make([]error, len(problems))
	for i, problem := range problems {
		list[i] = problem
	}
	return errors.Join(list...)
}

// compile takes no layout for records that are JSON.
func compile(layout *forebay.Layout, expr string, broken map[string]bool) (*Program, []*ExprError) {
	p, problems := checked(layout, expr, broken)
	if len(problems) > 0 || p.operand.lowered || p.operand.kind == kindBad {
		return p, problems
	}
	return p, p.useMachine()
}

// checked parses and checks; the machine is not needed yet.
func checked(layout *forebay.Layout, expr string, broken map[string]bool) (*Program, []*ExprError) {
	f := &frame{}
	c := &checker{expr: expr, layout: layout, machine: newMachine(f), broken: broken}
	node, ok := c.parse()
	if !ok {
		return nil, c.problems
	}
	o := c.check(node)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	p := &Program{expr: expr, operand: o, frame: f, machine: c.machine, impure: c.impure, column: o.columnType()}
	if c.onJSON() {
		p.onRecords(&jsonedit.Record{})
	}
	return p, nil
}

// useMachine makes the program run in expr-lang's machine, whose numbers are int64 and float64.
func (p *Program) useMachine() []*ExprError {
	if kindOf(p.column).number() {
		p.column = columnTypes[kindOf(p.column)]
	}
	if err := p.machine.compile(p.expr, p.operand.tree); err != nil {
		return []*ExprError{{Expr: p.expr, Length: len(p.expr), Message: err.Error()}}
	}
	return nil
}

// columnType is the type of a column that holds the operand's values; the zero type where none does.
func (o *operand) columnType() forebay.Type {
	switch {
	case o.slot >= 0, o.kind == kindDecimal:
		return o.column
	case int(o.kind) < len(columnTypes):
		return columnTypes[o.kind]
	default:
		return forebay.Type{}
	}
}

// Type is the type of the results: a bare column's own, int64, float64, bool, string, bytes, date, timestamp,
// json or a decimal; the zero Type where it is known at run time only, or where no column can hold it.
func (p *Program) Type() forebay.Type { return p.column }

// Deterministic says that the same record always gives the same result.
func (p *Program) Deterministic() bool { return !p.impure }

// Lowered says that the expression runs as compiled closures, without expr-lang's machine.
func (p *Program) Lowered() bool { return p.machine.program == nil }

// Eval evaluates the expression for record i of the batch. Texts that it makes are appended to the batch's
// slab. A result whose type is known at run time only becomes the cell that fits it.
//
// Errors: a *RejectError where the record has no result, such as an overflow.
func (p *Program) Eval(b *forebay.Batch, i int) (forebay.Cell, error) {
	p.frame.enter(b, i)
	c := p.cell()
	return c, p.frame.failure()
}

// EvalBool is whether the expression is true; false and null are not.
//
// Errors: as Eval, and a result that is no bool.
func (p *Program) EvalBool(b *forebay.Batch, i int) (bool, error) {
	p.frame.enter(b, i)
	v := p.truth()
	return v == yes, p.frame.failure()
}

// truth evaluates a condition for the frame's record.
func (p *Program) truth() truth {
	if p.Lowered() {
		if k := p.operand.kind; k == kindBool || k == kindNil || k == kindAny {
			return p.operand.truth(p.frame)
		}
		p.frame.refuse(CodeWrongType, "the expression gives %s, not a bool", p.operand.article())
		return unknown
	}
	v, err := truthArgument("the condition", p.machine.run())
	if err != nil {
		p.frame.refuse(CodeWrongType, "%s", err)
	}
	return v
}

// cell evaluates for the frame's record and puts what lies in a slab there.
func (p *Program) cell() forebay.Cell {
	o, f := p.operand, p.frame
	if !p.Lowered() {
		return p.store(p.machine.run())
	}
	if o.slot >= 0 {
		return f.cells[o.slot]
	}
	switch {
	case o.kind == kindAny:
		v, err := o.value(f).box()
		if err != nil {
			f.fails(err)
		}
		return p.store(v)
	case o.kind == kindBool:
		if v := o.truth(f); v != unknown {
			return forebay.BoolCell(v == yes)
		}
	case o.kind.inInt():
		if v, ok := o.int(f); ok {
			return intCell(o.kind, v)
		}
	case o.kind == kindFloat:
		if v, ok := o.float(f); ok {
			return forebay.Float64Cell(v)
		}
	case o.plain:
		return storePlain(f, o.pieces)
	case o.pieces != nil:
		return storeConcat(f, o.pieces)
	case o.kind.inText():
		if v, ok := o.text(f); ok {
			return forebay.SpanCell(columnTypes[o.kind].Kind, f.batch.AppendText(v), len(v))
		}
	case o.kind == kindDecimal:
		if v, ok := o.decimal(f); ok {
			return f.batch.AppendDecimal(v)
		}
	}
	return forebay.Null
}

func intCell(k kind, v int64) forebay.Cell {
	switch k {
	case kindDate:
		return forebay.DateCell(int32(v))
	case kindInstant:
		return forebay.TimestampCell(v)
	default:
		return forebay.Int64Cell(v)
	}
}

// store makes a cell of a machine's value, of the program's type where it has one.
func (p *Program) store(value any) forebay.Cell {
	f := p.frame
	if value == nil || f.fail != nil {
		return forebay.Null
	}
	if v, ok := value.(int); ok && p.column.Kind == forebay.KindFloat64 {
		value = float64(v)
	}
	c := f.valueCell(value)
	if p.column.Valid() && c.Kind() != p.column.Kind && f.fail == nil {
		f.refuse(CodeWrongType, "the result is %s, not %s", withArticle(typeName(value)), withArticle(p.column.String()))
	}
	return c
}

func (f *frame) valueCell(value any) forebay.Cell {
	switch v := value.(type) {
	case bool:
		return forebay.BoolCell(v)
	case float64:
		return forebay.Float64Cell(v)
	case string:
		if !utf8.ValidString(v) {
			f.refuse(CodeUTF8, "the result is not valid UTF-8")
			return forebay.Null
		}
		return forebay.SpanCell(forebay.KindString, f.batch.AppendText(v), len(v))
	case []byte:
		return forebay.SpanCell(forebay.KindBytes, f.batch.AppendBytes(v), len(v))
	case jsonText:
		return forebay.SpanCell(forebay.KindJSON, f.batch.AppendText(string(v)), len(v))
	case decimalValue:
		return f.batch.AppendDecimal(v.unscaled)
	case []any, map[string]any:
		text, err := jsonOf(v)
		if err != nil {
			f.refuse(CodeFailed, "%s", err)
			return forebay.Null
		}
		return f.valueCell(jsonText(text.(string)))
	}
	if v, k := intValue(value); k != kindBad {
		return intCell(k, v)
	}
	f.refuse(CodeWrongType, "a column cannot hold a %s", typeName(value))
	return forebay.Null
}
