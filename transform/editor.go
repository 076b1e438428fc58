// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/jsonedit"
)

// Editor joins steps that work on records which are JSON objects without rows. A record is walked once for all
// of them, and written once, if one of them changed it; what none of them touches comes out byte for byte.
//
// Concurrency: one goroutine at a time; each lane has its own.
type Editor struct {
	record jsonedit.Record
	edits  []func(e *Editor) verdict
	impure bool

	batch *forebay.Batch
	index int // of the record that is visited
	// fail is why the current record is rejected.
	fail *RejectError
}

// verdict is what an edit says about its record.
type verdict uint8

const (
	passed verdict = iota
	removed
	rejected
)

// editing is a step that can work on such records.
type editing interface {
	forebay.Transform
	edit(e *Editor) error
}

// EditsJSON reports whether a step can work on records that are JSON objects without rows; others need rows.
func EditsJSON(t forebay.Transform) bool {
	_, can := t.(editing)
	return can
}

// CodeInvalidJSON is the code of a record that is not one JSON object.
const CodeInvalidJSON = "invalid-json"

const notAnObject = "the record is not one JSON object"

// CodeDuplicate is the code of a record in which a renamed field would meet another of its name.
const CodeDuplicate = "duplicate-field"

// Add appends a step.
//
// Errors: those of the step's Compile.
func (e *Editor) Add(t forebay.Transform) error {
	step, can := t.(editing)
	if !can {
		return errUntyped()
	}
	return step.edit(e)
}

// Step runs all steps that were added.
func (e *Editor) Step() forebay.Step {
	return forebay.Step{Out: forebay.Shape{JSON: true}, Apply: e.apply, Deterministic: !e.impure}
}

// editOnly compiles one step by itself.
func editOnly(t editing) (forebay.Step, error) {
	e := &Editor{}
	if err := e.Add(t); err != nil {
		return forebay.Step{}, err
	}
	return e.Step(), nil
}

func (e *Editor) apply(b *forebay.Batch) (filtered int, err error) {
	e.batch = b
	b.Filter(func(i int) bool {
		switch e.visit(i) {
		case removed:
			filtered++
			return false
		case rejected:
			reject(b, i, e.fail)
			return false
		default:
			return true
		}
	})
	e.batch = nil
	return filtered, nil
}

// visit runs the edits for a record and writes it.
func (e *Editor) visit(i int) verdict {
	r := &e.record
	e.index = i
	if !r.Open(e.batch.Value(i), e.batch.Fields(i)) {
		e.fail = rejectf(CodeInvalidJSON, notAnObject)
		return rejected
	}
	for _, edit := range e.edits {
		if v := edit(e); v != passed {
			return v
		}
	}
	if r.Changed() {
		start := len(e.batch.Slab())
		size := len(r.AppendTo(e.batch.Extend(r.SizeMax())[:0]))
		e.batch.TruncateSlab(start + size)
		e.batch.SetValue(i, start, size)
	}
	return passed
}

func (e *Editor) rejectf(code, format string, args ...any) verdict {
	e.fail = rejectf(code, format, args...)
	return rejected
}

// program compiles an expression on fields.
func (e *Editor) program(expr string) (*Program, []*ExprError) {
	p, problems := compile(nil, expr, nil)
	if len(problems) > 0 {
		return nil, problems
	}
	p.frame.record = &e.record
	e.impure = e.impure || p.impure
	return p, nil
}

func (s FilterStep) edit(e *Editor) error {
	p, problems := e.program(s.Expr)
	if len(problems) > 0 {
		return joined(problems)
	}
	if problem := s.wants(p); problem != nil {
		return problem
	}
	f := p.frame
	test := func(*frame) truth { return p.truth() }
	if p.Lowered() {
		test = p.operand.truth
	}
	e.edits = append(e.edits, func(e *Editor) verdict {
		f.turn(nil)
		keep := test(f) == yes
		switch {
		case f.fail != nil:
			e.fail = f.fail
			return rejected
		case keep:
			return passed
		default:
			return removed
		}
	})
	return nil
}

func (s SetStep) edit(e *Editor) error {
	var wrong problems
	var edits []func(e *Editor) verdict
	for i, a := range s.Assignments {
		path, problem := pathOf(i, a.Name)
		if problem != nil {
			wrong.add(problem)
		}
		p, found := e.program(a.Expr)
		if len(found) == 0 {
			if problem := p.holdable(a); problem != nil {
				found = append(found, problem)
			}
		}
		for _, e := range found {
			e.Column = a.Name
			wrong.add(e)
		}
		if problem == nil && len(found) == 0 {
			edits = append(edits, assignment(path, p))
		}
	}
	if len(s.Assignments) == 0 {
		wrong.add(&ColumnError{Message: "set has no columns", Cure: "write name: expression"})
	}
	e.edits = append(e.edits, edits...)
	return wrong.err()
}

// assignment gives the field at a path the value of an expression.
func assignment(path *jsonedit.Path, p *Program) func(e *Editor) verdict {
	f := p.frame
	return func(e *Editor) verdict {
		f.turn(nil)
		made := p.appendResult(e.record.Buffer())
		if f.fail != nil {
			e.fail = f.fail
			return rejected
		}
		if !e.record.Set(path, made) {
			return e.rejectf(CodeWrongType, "set %s: what stands before its last name is no object", path)
		}
		return passed
	}
}

// pathsOf reads the paths that a step names.
func pathsOf(step string, names []string) (paths []*jsonedit.Path, wrong problems) {
	if len(names) == 0 {
		wrong.add(&ColumnError{Message: step + " names no field", Cure: "write names such as user.name"})
	}
	seen := map[string]bool{}
	for i, name := range names {
		path, problem := pathOf(i, name)
		switch {
		case problem != nil:
			wrong.add(problem)
		case seen[path.String()]:
			wrong.add(&ColumnError{
				Index: i, Column: name, Message: fmt.Sprintf("field %q is named twice", name), Cure: "name it once",
			})
		default:
			seen[path.String()] = true
		}
		paths = append(paths, path)
	}
	return paths, wrong
}

func (s DropStep) edit(e *Editor) error {
	paths, wrong := pathsOf(s.Name(), s.Columns)
	e.edits = append(e.edits, func(e *Editor) verdict {
		for _, path := range paths {
			e.record.Drop(path)
		}
		return passed
	})
	return wrong.err()
}

func (s KeepStep) edit(e *Editor) error {
	paths, wrong := pathsOf(s.Name(), s.Columns)
	if err := wrong.err(); err != nil {
		return err
	}
	kept := jsonedit.NewKept(paths...)
	e.edits = append(e.edits, func(e *Editor) verdict {
		e.record.Keep(kept)
		return passed
	})
	return nil
}

func (s RenameStep) edit(e *Editor) error {
	names := make([]string, len(s.Renamings))
	for i, r := range s.Renamings {
		names[i] = r.From
	}
	from, wrong := pathsOf(s.Name(), names)
	// Renamings of one object happen at once: groups holds them, each with the indices of its renamings.
	var groups [][]jsonedit.Renaming
	var first []*jsonedit.Path
	taken := map[string]bool{}
	for i, r := range s.Renamings {
		to, problem := pathOf(i, r.To)
		switch {
		case problem != nil:
			problem.Column = r.From
			wrong.add(problem)
			continue
		case from[i] == nil:
			continue
		case !from[i].Siblings(to):
			wrong.add(&ColumnError{
				Index: i, Column: r.From, Message: fmt.Sprintf("%q cannot become %q in another object", r.From, r.To),
				Cure: "write its new name with the same names before it, or use set and drop",
			})
			continue
		case taken[to.String()]:
			wrong.add(&ColumnError{
				Index: i, Column: r.From, Message: fmt.Sprintf("another field is called %q already", r.To),
				Cure: "rename or drop that one first",
			})
		}
		taken[to.String()] = true
		group := 0
		for group < len(first) && !first[group].Siblings(from[i]) {
			group++
		}
		if group == len(first) {
			first, groups = append(first, from[i]), append(groups, nil)
		}
		groups[group] = append(groups[group], jsonedit.NewRenaming(from[i], to))
	}
	e.edits = append(e.edits, func(e *Editor) verdict {
		for _, group := range groups {
			if taken := e.record.Rename(group); taken >= 0 {
				return e.rejectf(CodeDuplicate, "rename: there is a field %q already", group[taken].To())
			}
		}
		return passed
	})
	return wrong.err()
}

func (s CastStep) edit(e *Editor) error {
	names := make([]string, len(s.Columns))
	for i, column := range s.Columns {
		names[i] = column.Column
	}
	paths, wrong := pathsOf(s.Name(), names)
	var edits []func(e *Editor) verdict
	for i, column := range s.Columns {
		x, err := newFieldCast(paths[i], column)
		if err != nil {
			err.Index, err.Column = i, column.Column
			wrong.add(err)
			continue
		}
		edits = append(edits, x.edit)
	}
	e.edits = append(e.edits, edits...)
	return wrong.err()
}

// fieldCast gives a field another type. A field that is missing or null stays so.
type fieldCast struct {
	path *jsonedit.Path
	to   forebay.Type
	// by are the conversions from the types that JSON has, by kind.
	by [forebay.KindJSON + 1]*castCell
	// cells holds the value while it is converted, and texts is for strings with escapes.
	cells *forebay.Batch
	texts []byte
}

func newFieldCast(path *jsonedit.Path, column CastColumn) (*fieldCast, *ColumnError) {
	to, errType := forebay.ParseType(column.Type)
	zone, errZone := loadZone(column.Zone)
	if err := errors.Join(errType, errZone); err != nil {
		return nil, &ColumnError{Message: err.Error()}
	}
	x := &fieldCast{path: path, to: to, cells: forebay.NewBatch()}
	for _, from := range []forebay.Type{forebay.Bool, forebay.Int64, forebay.Float64, forebay.String, forebay.JSON} {
		if convert := conversion(from.Kind, to.Kind); convert != nil && from != to {
			x.by[from.Kind] = &castCell{column: column.Column, from: from, to: to, zone: zone, convert: convert}
		}
	}
	return x, nil
}

func (x *fieldCast) edit(e *Editor) verdict {
	raw, state := e.record.Find(x.path)
	if state != jsonedit.Found || jsonedit.IsNull(raw) {
		return passed
	}
	from := kindOfJSON(raw)
	if from == x.to.Kind || x.to.Kind == forebay.KindJSON && from != forebay.KindString {
		return passed
	}
	b := x.cells
	b.TruncateSlab(0)
	cell, ok := x.convert(b, from, raw)
	if !ok {
		return e.rejectf(CodeCast, "field %s: %s cannot become %s", x.path, shown(string(raw)), withArticle(x.to.String()))
	}
	made := e.record.Buffer()
	start := len(made)
	made = forebay.AppendCellJSON(made, x.to, cell, b.Slab())
	if bytes.Equal(made[start:], raw) {
		return passed
	}
	e.record.Set(x.path, made)
	return passed
}

// kindOfJSON is the kind of column that a value that is not null would be read into.
func kindOfJSON(raw []byte) forebay.Kind {
	switch raw[0] {
	case 't', 'f':
		return forebay.KindBool
	case '"':
		return forebay.KindString
	case '[', '{':
		return forebay.KindJSON
	}
	if _, ok := jsonedit.Int(raw); ok {
		return forebay.KindInt64
	}
	return forebay.KindFloat64
}

// convert is the value in the new type. Digits of numbers that an int64 or a float64 would lose stay.
func (x *fieldCast) convert(b *forebay.Batch, from forebay.Kind, raw []byte) (forebay.Cell, bool) {
	number := from == forebay.KindInt64 || from == forebay.KindFloat64
	if number && x.to.Kind == forebay.KindDecimal {
		if v, err := forebay.ParseDecimal(x.to, raw); err == nil {
			return b.AppendDecimal(v), true
		}
	}
	if number && x.to.Kind == forebay.KindString && jsonedit.Whole(raw) {
		return forebay.SpanCell(forebay.KindString, b.AppendBytes(raw), len(raw)), true
	}
	by := x.by[from]
	if by == nil {
		return forebay.Null, false
	}
	var cell forebay.Cell
	switch from {
	case forebay.KindBool:
		cell = forebay.BoolCell(raw[0] == 't')
	case forebay.KindString:
		text, scratch, ok := jsonedit.Text(raw, x.texts[:0])
		if x.texts = scratch; !ok {
			return forebay.Null, false
		}
		cell = forebay.SpanCell(forebay.KindString, b.AppendBytes(text), len(text))
	case forebay.KindJSON:
		cell = forebay.SpanCell(forebay.KindJSON, b.AppendBytes(raw), len(raw))
	default:
		c, _, err := forebay.ParseCell(nil, by.from, raw)
		if err != nil {
			return forebay.Null, false
		}
		cell = c
	}
	return by.convert(by, b, cell)
}
