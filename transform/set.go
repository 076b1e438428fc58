// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"

	"github.com/forebay-io/forebay"
)

// Assignment gives a column the value of an expression.
type Assignment struct {
	Name string `yaml:",key" doc:"The column."`
	Expr string `yaml:",value" doc:"The expression." example:"origin + \"-\" + dest"`
}

// SetStep adds columns or replaces them, in order: each expression sees the columns as the earlier ones left
// them. A column that is there keeps its place and takes the expression's type; a new one goes to the end.
type SetStep struct {
	Assignments []Assignment `yaml:"set" doc:"Columns and their expressions, in order."`
}

// Set adds columns or replaces them, in order: each expression sees what the earlier ones made.
func Set(assignments ...Assignment) forebay.Transform { return SetStep{Assignments: assignments} }

// Name is set.
func (s SetStep) Name() string { return "set" }

// assigned is one compiled assignment.
type assigned struct {
	program *Program
	slot    int
}

// Compile checks all expressions.
//
// Errors: *ExprError with the column, and *ColumnError, joined.
func (s SetStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	if in.Layout == nil {
		return forebay.Step{}, errUntyped()
	}
	c, out := columnsOf(in), in
	var wrong problems
	var list []assigned
	deterministic, broken := true, map[string]bool{}
	for i, a := range s.Assignments {
		if a.Name == "" {
			wrong.add(&ColumnError{Index: i, Message: "a column has no name", Cure: "write name: expression"})
			continue
		}
		p, found := compile(out.Layout, a.Expr, broken)
		var t forebay.Type
		if len(found) == 0 && p.operand.kind != kindBad {
			var problem *ExprError
			if t, problem = resultType(p, out.Layout.Schema, a); problem != nil {
				found = append(found, problem)
			}
		}
		for _, e := range found {
			e.Column = a.Name
			wrong.add(e)
		}
		// What follows may use the column: a wrong expression is one problem, not several.
		if broken[a.Name] = !t.Valid(); broken[a.Name] {
			continue
		}
		deterministic = deterministic && p.Deterministic()
		slot := c.put(forebay.Column{Name: a.Name, Type: t})
		list = append(list, assigned{program: p, slot: slot})
		next, err := c.shape()
		if err != nil {
			wrong.add(err)
			break
		}
		out = next
	}
	if len(s.Assignments) == 0 {
		wrong.add(&ColumnError{Message: "set has no columns", Cure: "write name: expression"})
	}
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	return forebay.Step{Out: out, Apply: applySet(list, out.Width), Deterministic: deterministic}, nil
}

// resultType is the type of the assigned column.
func resultType(p *Program, schema *forebay.Schema, a Assignment) (forebay.Type, *ExprError) {
	if t := p.Type(); t.Valid() {
		return t, nil
	}
	problem := &ExprError{Expr: a.Expr, Length: len(a.Expr)}
	switch p.operand.kind {
	case kindNil:
		if i := schema.Find(a.Name); i >= 0 {
			return schema.Column(i).Type, nil
		}
		problem.Message, problem.Cure = "nil alone has no type", "give the column a value with a type"
	case kindDuration:
		problem.Message, problem.Cure = "a column cannot hold a duration", "write seconds(...)"
	case kindAny:
		problem.Message = "the type of the value is known at run time only"
		problem.Cure = "write string(...), int(...), float(...) or json(...)"
	default:
		problem.Message = fmt.Sprintf("a column cannot hold a %s", p.operand.kind)
		problem.Cure = "write json(...)"
	}
	return forebay.Type{}, problem
}

func applySet(list []assigned, width int) func(b *forebay.Batch) (int, error) {
	return func(b *forebay.Batch) (int, error) {
		if err := checkWidth("set", b, width); err != nil {
			return 0, err
		}
		b.Filter(func(i int) bool { return assign(list, b, i) })
		return 0, nil
	}
}

// assign evaluates the assignments for a record; false where it was rejected.
func assign(list []assigned, b *forebay.Batch, i int) bool {
	cells := b.Cells(i)
	for k := range list {
		a := &list[k]
		f := a.program.frame
		f.batch, f.slab = b, b.Slab()
		f.turn(cells)
		c := a.program.cell()
		if f.fail != nil {
			reject(b, i, f.fail)
			return false
		}
		cells[a.slot] = c
	}
	return true
}
