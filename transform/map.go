// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/forebay-io/forebay"
)

// MapStep runs a Go function for each record. See Map.
type MapStep struct {
	// Fn may set columns of the row. Its errors: ErrDrop filters the record, any other one rejects it.
	Fn func(row forebay.Row) error
	// Adds are columns that the function sets; each is null until then. One that is there already takes this
	// type and starts as null.
	Adds []forebay.Column
	// Impure says that the function can give other results for the same record, such as after a look-up.
	// Targets that rely on a replay that repeats itself are then at-least-once.
	Impure bool
}

// Map runs a function for each record; it may set the row's columns and those that adds names. The function
// must give the same results for the same record; use a MapStep with Impure for one that does not.
//
// Errors: ErrDrop from the function filters the record, any other error rejects it (code map-error). A panic
// stops the lane with the class misconfigured, the code transform-panic, the record and the place.
//
// Concurrency: each lane calls the function from its own goroutine.
// Ownership: the row is valid during the call only.
func Map(fn func(row forebay.Row) error, adds ...forebay.Column) forebay.Transform {
	return MapStep{Fn: fn, Adds: adds}
}

// Name is map.
func (s MapStep) Name() string { return "map" }

// Compile adds the columns.
func (s MapStep) Compile(in forebay.Shape) (forebay.Step, error) {
	if in.Layout == nil {
		return forebay.Step{}, errUntyped()
	}
	var wrong problems
	if s.Fn == nil {
		wrong.add(errors.New("map has no function"))
	}
	c := columnsOf(in)
	for i, column := range s.Adds {
		if column.Name == "" || !column.Type.Valid() {
			wrong.add(&ColumnError{
				Index: i, Column: column.Name, Message: fmt.Sprintf("the added column %q needs a name and a type", column.Name),
			})
			continue
		}
		c.put(column)
	}
	if err := wrong.err(); err != nil {
		return forebay.Step{}, err
	}
	out, err := c.shape()
	if err != nil {
		return forebay.Step{}, err
	}
	m := &mapper{fn: s.Fn, out: out, added: in.Width}
	return forebay.Step{Out: out, Apply: m.apply, Deterministic: !s.Impure}, nil
}

// mapper runs a function over batches.
type mapper struct {
	fn    func(row forebay.Row) error
	out   forebay.Shape
	added int
}

func (m *mapper) apply(b *forebay.Batch) (filtered int, err error) {
	if err := checkWidth("map", b, m.out.Width); err != nil {
		return 0, err
	}
	current := 0
	defer func() {
		if cause := recover(); cause != nil {
			filtered, err = 0, panicError(b, current, cause)
		}
	}()
	b.SetLayout(m.out.Layout)
	b.Filter(func(i int) bool {
		current = i
		clear(b.Cells(i)[m.added:m.out.Width])
		switch err := m.fn(b.Row(i)); {
		case err == nil:
			return true
		case errors.Is(err, ErrDrop):
			filtered++
		default:
			reject(b, i, &RejectError{Code: CodeMap, Reason: err.Error()})
		}
		return false
	})
	return filtered, nil
}

// panicError names the record and the place where the user's function panicked.
func panicError(b *forebay.Batch, i int, cause any) error {
	e := forebay.Errorf("map", forebay.ClassMisconfigured, "the function panicked at record %s of split %q: %v (%s)",
		recordName(b, i), b.Split().ID, cause, userFrame())
	if inner, ok := cause.(error); ok {
		e.Err = fmt.Errorf("the function panicked at record %s of split %q: %w (%s)", recordName(b, i), b.Split().ID,
			inner, userFrame())
	}
	e.Code, e.Cure = CodePanic, "mend the function, or let it return an error, which rejects the record"
	return e
}

func recordName(b *forebay.Batch, i int) string {
	r := b.Record(i)
	if r.Sub > 0 {
		return fmt.Sprintf("%d.%d", r.Offset, r.Sub)
	}
	return fmt.Sprint(r.Offset)
}

const (
	framesMax   = 64
	rootPackage = "github.com/forebay-io/forebay."
)

// userFrame is the innermost function of the panicking stack that is neither the runtime's nor the root
// package's, whose rows panic for columns that they do not have.
func userFrame() string {
	var callers [framesMax]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	panicking := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime.") && !strings.HasPrefix(f.Function, rootPackage):
			return fmt.Sprintf("%s, %s:%d", f.Function, f.File, f.Line)
		}
		if !more {
			return "no frame"
		}
	}
}
