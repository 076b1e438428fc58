// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"testing"

	"github.com/forebay-io/forebay"
)

const null = "\x00null"

// fixtureColumns are one column of each type, and a second of each that is null in row 1.
var fixtureColumns = []struct {
	name, text string
	t          forebay.Type
}{
	{"i", "7", forebay.Int64},
	{"j", "-3", forebay.Int32},
	{"big", "9223372036854775807", forebay.Int64},
	{"zero", "0", forebay.Int64},
	{"f", "2.5", forebay.Float64},
	{"g", "0.25", forebay.Float32},
	{"s", "EWR", forebay.String},
	{"t", "zurich \u00fc", forebay.String},
	{"yes", "true", forebay.Bool},
	{"no", "false", forebay.Bool},
	{"d", "2013-01-31", forebay.Date},
	{"ts", "2013-01-31T23:30:15.5Z", forebay.Timestamp},
	{"dec", "12.50", forebay.DecimalOf(10, 2)},
	{"raw", "ab", forebay.Binary},
	{"js", `{"id": 7, "tags": ["a", "b"], "n": null, "f": 1.5, "deep": {"x": "y"}}`, forebay.JSON},
	{"ni", null, forebay.Int64},
	{"nf", null, forebay.Float64},
	{"ns", null, forebay.String},
	{"nb", null, forebay.Bool},
	{"nd", null, forebay.Date},
	{"nts", null, forebay.Timestamp},
	{"ndec", null, forebay.DecimalOf(10, 2)},
	{"nraw", null, forebay.Binary},
	{"njs", null, forebay.JSON},
}

// fixture is a batch with one row of fixtureColumns, with room for more columns.
func fixture(tb testing.TB) (forebay.Shape, *forebay.Batch) {
	tb.Helper()
	var columns []forebay.Column
	var texts []string
	for _, c := range fixtureColumns {
		columns = append(columns, forebay.Column{Name: c.name, Type: c.t})
		texts = append(texts, c.text)
	}
	return rows(tb, columns, texts)
}

// rows makes a batch of text rows; the value of each record is its number.
func rows(tb testing.TB, columns []forebay.Column, lines ...[]string) (forebay.Shape, *forebay.Batch) {
	tb.Helper()
	schema := forebay.MustSchema(columns...)
	layout := forebay.NewLayout(schema)
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "flights.csv"}, schema.Len()+16)
	b.SetLayout(layout)
	for n, line := range lines {
		i := b.Append(int64(100+n), fmt.Appendf(nil, "record %d", n))
		for k, text := range line {
			if text == null {
				continue
			}
			start := b.AppendText(text)
			t := schema.Column(k).Type
			c, err := b.ParseCell(t, start, len(text), nil)
			if err != nil {
				tb.Fatal(err)
			}
			b.Cells(i)[k] = c
		}
	}
	return forebay.Shape{Layout: layout, Width: schema.Len()}, b
}

// run compiles a step and applies it; it returns the rows as text.
func run(tb testing.TB, step forebay.Transform, in forebay.Shape, b *forebay.Batch) (forebay.Shape, int) {
	tb.Helper()
	compiled, err := step.Compile(in)
	if err != nil {
		tb.Fatal(err)
	}
	filtered := 0
	if compiled.Apply != nil {
		if filtered, err = compiled.Apply(b); err != nil {
			tb.Fatal(err)
		}
	}
	b.SetLayout(compiled.Out.Layout)
	return compiled.Out, filtered
}

// lines prints a batch: one line per record, columns parted by a bar, null as -.
func lines(b *forebay.Batch) []string {
	var out []string
	layout := b.Layout()
	for i := range b.Len() {
		line := ""
		for k, slot := range layout.Slots {
			if k > 0 {
				line += "|"
			}
			line += cellText(b.Cells(i)[slot], layout.Schema.Column(k).Type, b)
		}
		out = append(out, line)
	}
	return out
}

func cellText(c forebay.Cell, t forebay.Type, b *forebay.Batch) string {
	if c.IsNull() {
		return "-"
	}
	return string(forebay.AppendCell(nil, t, c, b.Slab()))
}

// outcome is a program's result as text: the value, null as -, or ! and the code of the failure.
func outcome(p *Program, b *forebay.Batch, i int) string {
	c, err := p.Eval(b, i)
	if e, ok := errors.AsType[*RejectError](err); ok {
		return "!" + e.Code
	}
	if p.Type().Valid() || c.IsNull() {
		return cellText(c, p.Type(), b)
	}
	return cellText(c, forebay.Type{Kind: c.Kind()}, b)
}

// bothForms compiles an expression twice: as closures, nil where that is not possible, and for the machine.
func bothForms(tb testing.TB, in forebay.Shape, expr string) (closures, machine *Program) {
	tb.Helper()
	machine, problems := checked(in.Layout, expr, nil)
	if len(problems) > 0 {
		tb.Fatalf("%s: %v", expr, joined(problems))
	}
	if problems := machine.useMachine(); len(problems) > 0 {
		tb.Fatalf("%s: %v", expr, joined(problems))
	}
	if closures, problems = compile(in.Layout, expr, nil); len(problems) > 0 {
		tb.Fatalf("%s: %v", expr, joined(problems))
	}
	if !closures.Lowered() {
		closures = nil
	}
	return closures, machine
}
