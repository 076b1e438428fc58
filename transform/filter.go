// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"

	"github.com/forebay-io/forebay"
)

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
