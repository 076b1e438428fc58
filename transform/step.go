// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"slices"

	"github.com/forebay-io/forebay"
)

// reject notes record i of the batch as one that the step cannot pass.
func reject(b *forebay.Batch, i int, fail *RejectError) {
	r := b.Record(i)
	b.Reject(forebay.Reject{
		Origin: forebay.Origin{Split: b.Split().ID, Offset: r.Offset, Sub: r.Sub},
		Stage:  forebay.StageTransform, Code: fail.Code, Reason: fail.Reason,
		Value: append([]byte(nil), b.Value(i)...),
	})
}

// checkWidth finds a batch whose rows have no room for the columns that steps add.
func checkWidth(step string, b *forebay.Batch, width int) error {
	if b.Width() >= width {
		return nil
	}
	return forebay.Errorf(step, forebay.ClassMisconfigured, "rows have %d slots and the steps need %d; "+
		"make the batch with the width of the last step's shape", b.Width(), width)
}

// columns is a schema that is being changed.
type columns struct {
	list  []forebay.Column
	slots []int
	width int
}

func columnsOf(in forebay.Shape) *columns {
	return &columns{list: in.Layout.Schema.Columns(), slots: slices.Clone(in.Layout.Slots), width: in.Width}
}

func (c *columns) find(name string) int {
	return slices.IndexFunc(c.list, func(column forebay.Column) bool { return column.Name == name })
}

// count is how many columns have the name.
func (c *columns) count(name string) (n int) {
	for _, column := range c.list {
		if column.Name == name {
			n++
		}
	}
	return n
}

// put gives a column a slot of its own, in its place if it is there, else at the end, and returns the slot.
func (c *columns) put(column forebay.Column) (slot int) {
	slot = c.width
	c.width++
	if i := c.find(column.Name); i >= 0 {
		c.list[i], c.slots[i] = column, slot
		return slot
	}
	c.list, c.slots = append(c.list, column), append(c.slots, slot)
	return slot
}

// shape is what flows on.
func (c *columns) shape() (forebay.Shape, error) {
	schema, err := forebay.NewSchema(c.list...)
	if err != nil {
		return forebay.Shape{}, err
	}
	return forebay.Shape{Layout: &forebay.Layout{Schema: schema, Slots: c.slots}, Width: c.width}, nil
}

// layoutStep is a step that moves no cell.
func layoutStep(c *columns) (forebay.Step, error) {
	out, err := c.shape()
	return forebay.Step{Out: out, Deterministic: true}, err
}

// problems gathers everything that is wrong with a step.
type problems []error

func (p *problems) add(err error) { *p = append(*p, err) }

func (p *problems) err() error { return errors.Join(*p...) }

// FilterStep keeps the records for which the expression is true; false and null remove them.
type FilterStep struct {
	Expr string `yaml:"filter" doc:"Keeps the records for which the expression is true." example:"dep_time != nil"`
}

// Filter keeps the records for which the expression is true; false and null remove them.
func Filter(expr string) forebay.Transform { return FilterStep{Expr: expr} }

// Name is filter.
func (s FilterStep) Name() string { return "filter" }

// Compile checks the expression.
//
// Errors: *ExprError, joined.
func (s FilterStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.JSON {
		return editOnly(s)
	}
	p, err := Compile(in, s.Expr)
	if err != nil {
		return forebay.Step{}, err
	}
	if problem := s.wants(p); problem != nil {
		return forebay.Step{}, problem
	}
	return forebay.Step{Out: in, Apply: p.filter, Deterministic: p.Deterministic()}, nil
}

// wants says why the program cannot be a filter, or is nil.
func (s FilterStep) wants(p *Program) *ExprError {
	o := p.operand
	if o.kind == kindBool || o.kind == kindAny || o.kind == kindNil {
		return nil
	}
	return &ExprError{
		Expr: s.Expr, Length: len(s.Expr), Message: fmt.Sprintf("a filter needs a bool, not %s", o.article()),
		Cure: "compare it, such as with != nil",
	}
}

// filter removes the records of a batch for which the program is not true.
func (p *Program) filter(b *forebay.Batch) (filtered int, err error) {
	f, rejected := p.frame, 0
	test := func(*frame) truth { return p.truth() }
	if p.Lowered() {
		test = p.operand.truth
	}
	f.batch, f.slab = b, b.Slab()
	removed := b.Filter(func(i int) bool {
		f.turn(b.Cells(i))
		keep := test(f) == yes
		if f.fail != nil {
			reject(b, i, f.fail)
			rejected++
			return false
		}
		return keep
	})
	return removed - rejected, nil
}
