// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/jsonedit"
)

// onJSON says that the records are JSON objects: names are paths to fields, whose types are known at run time.
func (c *checker) onJSON() bool { return c.layout == nil }

// field reads the field at a path. One that is missing is null.
func (c *checker) field(at file.Location, names ...string) *operand {
	if cure := notAField(names); cure != "" {
		return c.bad(at, cure, "%q is no value", names[0])
	}
	path := jsonedit.NewPath(names...)
	o := &operand{kind: kindAny, slot: -1, lowered: true, path: path, at: at}
	o.value = func(f *frame) value { return f.field(path) }
	machine := c.machine
	o.tree = machine.callOwn("field", func(...any) (any, error) {
		v := machine.frame.field(path)
		if fail := machine.frame.failure(); fail != nil {
			return nil, fail
		}
		return v.box()
	})
	return o
}

// notAField is what to write in place of a word of another language, or empty.
func notAField(names []string) string {
	switch names[0] {
	case "null", "NULL", "None":
		return `write nil, or $env["` + names[0] + `"] for a field of that name`
	case "True", "TRUE", "False", "FALSE":
		return "write " + strings.ToLower(names[0]) + `, or $env["` + names[0] + `"] for a field of that name`
	default:
		return ""
	}
}

// inner reads a field of the object at a path.
func (c *checker) inner(n *ast.MemberNode, o *operand) (*operand, bool) {
	name, constant := n.Property.(*ast.StringNode)
	if o.path == nil || !constant {
		return nil, false
	}
	return c.field(n.Location(), append(o.path.Names(), name.Value)...), true
}

// nullTest says whether the field at the operand's path is null. It does not read the value, in both forms.
func (c *checker) nullTest(path *jsonedit.Path, wanted bool) (boolFunc, ast.Node) {
	machine := c.machine
	test := func(f *frame) truth {
		raw, state := f.record.Find(path)
		if state == jsonedit.Blocked {
			f.blocked(path)
		}
		return truthOf((state != jsonedit.Found || jsonedit.IsNull(raw)) == wanted)
	}
	return test, machine.callOwn("isNull", func(...any) (any, error) {
		v := test(machine.frame)
		return v == yes, machine.frame.failure()
	})
}

func (f *frame) blocked(path *jsonedit.Path) {
	f.refuse(CodeWrongType, "%s: what stands before its last name is no object", path)
}

// field is the value at a path of the frame's record.
func (f *frame) field(path *jsonedit.Path) value {
	raw, state := f.record.Find(path)
	switch state {
	case jsonedit.Found:
		return f.fieldValue(path, raw)
	case jsonedit.Blocked:
		f.blocked(path)
	case jsonedit.Missing:
	}
	return noValue
}

// fieldValue is a JSON value. A whole number that fits is an int, every other number a float.
func (f *frame) fieldValue(path *jsonedit.Path, raw []byte) value {
	switch raw[0] {
	case 'n':
		return noValue
	case 't':
		return intOf(kindBool, 1)
	case 'f':
		return intOf(kindBool, 0)
	case '[':
		return textOf(kindList, view(raw))
	case '{':
		return textOf(kindMap, view(raw))
	case '"':
		text, scratch, ok := jsonedit.Text(raw, f.scratch)
		f.scratch = scratch
		if !ok {
			f.refuse(CodeUTF8, "%s: an escape stands for half a character", path)
			return noValue
		}
		return textOf(kindText, view(text))
	}
	if n, ok := jsonedit.Int(raw); ok {
		return intOf(kindInt, n)
	}
	c, _, err := forebay.ParseCell(nil, forebay.Float64, raw)
	if err != nil {
		f.refuse(CodeOverflow, "%s: the number %s does not fit a float64", path, shown(string(raw)))
		return noValue
	}
	return floatOf(c.Float())
}

// fieldNumber reads a number inside a list or a map as fieldValue does.
func fieldNumber(text string) (any, error) {
	if n, ok := jsonedit.Int([]byte(text)); ok {
		return int(n), nil
	}
	c, _, err := forebay.ParseCell(nil, forebay.Float64, []byte(text))
	if err != nil {
		return nil, rejectf(CodeOverflow, "the JSON number %s does not fit a float64", shown(text))
	}
	return c.Float(), nil
}

// bytesOf is v as bytes without a copy; nobody may change them.
func bytesOf(v string) []byte { return unsafe.Slice(unsafe.StringData(v), len(v)) }

// appendResult evaluates the program for the frame's record and appends the result as JSON. A bare path gives
// the field's bytes as they are.
func (p *Program) appendResult(dst []byte) []byte {
	f := p.frame
	if !p.Lowered() {
		return f.appendBoxed(dst, p.machine.run())
	}
	path := p.operand.path
	if path == nil {
		return f.appendValue(dst, p.values(f))
	}
	switch raw, state := f.record.Find(path); state {
	case jsonedit.Found:
		return append(dst, raw...)
	case jsonedit.Blocked:
		f.blocked(path)
	case jsonedit.Missing:
	}
	return append(dst, "null"...)
}

// onRecords fits a program to records that are JSON: every result needs a closure that gives a value.
func (p *Program) onRecords(record *jsonedit.Record) {
	p.frame.record = record
	if p.operand.kind == kindAny && p.operand.lowered {
		p.operand.demand(kindBool, "the condition must be")
	}
	if p.values = p.operand.values(); p.values == nil {
		p.operand.lowered = false
	}
}

// holdable says why no field can hold the results, or is nil.
func (p *Program) holdable(a Assignment) *ExprError {
	if p.operand.kind != kindDuration {
		return nil
	}
	return &ExprError{
		Column: a.Name, Expr: a.Expr, Length: len(a.Expr), Message: "a field cannot hold a duration",
		Cure: "write seconds(...)",
	}
}

// pathOf reads a path that a step names.
func pathOf(index int, name string) (*jsonedit.Path, *ColumnError) {
	path, err := jsonedit.ParsePath(name)
	if err != nil {
		return nil, &ColumnError{
			Index: index, Column: name, Message: fmt.Sprint(err), Cure: `write names with dots between them, such as user.name`,
		}
	}
	return path, nil
}
