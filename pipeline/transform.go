// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/fault"
	"github.com/forebay-io/forebay/transform"
)

// Stage 2 of 6: transform.
//
// Enters: a batch as the source filled it. Leaves: the same batch, changed in place.
// Blocks: never. Runs on: the lane's goroutine; each lane has compiled steps of its own.

// NeedsRows reports whether the source has to make typed rows: the sink does not take its bytes, or a step works on
// rows only. Steps that edit JSON leave records that are JSON objects as they are.
func NeedsRows(source forebay.SourceInfo, sink forebay.SinkInfo, transforms []forebay.Transform) bool {
	rowsOnly := func(t forebay.Transform) bool { return !source.JSON || !transform.EditsJSON(t) }
	return sink.NeedsRows || sink.JSON && !source.JSON || slices.ContainsFunc(transforms, rowsOnly)
}

// compile fits the steps to what the source gives, and returns them with what reaches the sink. The width of
// the result is that of the widest row on the way.
func compile(transforms []forebay.Transform, in forebay.Shape) (steps []forebay.Step, out forebay.Shape, err error) {
	if in.JSON {
		return compileEdits(transforms, in)
	}
	var problems []error
	shape := in
	for i, t := range transforms {
		step, err := t.Compile(shape)
		if err != nil {
			problems = append(problems, stepError(transforms, i, err))
			break // the later ones see columns that this one would have made
		}
		steps = append(steps, step)
		shape = step.Out
	}
	if err := errors.Join(problems...); err != nil {
		return nil, shape, &forebay.Error{Op: "compile", Class: forebay.ClassMisconfigured, Err: err}
	}
	return steps, shape, nil
}

// compileEdits joins the steps into one that goes over each record once.
func compileEdits(transforms []forebay.Transform, in forebay.Shape) ([]forebay.Step, forebay.Shape, error) {
	if len(transforms) == 0 {
		return nil, in, nil
	}
	editor := &transform.Editor{}
	for i, t := range transforms {
		if err := editor.Add(t); err != nil {
			return nil, in, &forebay.Error{
				Op: "compile", Class: forebay.ClassMisconfigured, Err: stepError(transforms, i, err),
			}
		}
	}
	step := editor.Step()
	return []forebay.Step{step}, step.Out, nil
}

// stepError names the step at i of those of a run.
func stepError(steps []forebay.Transform, i int, err error) error {
	if _, first := steps[0].(transform.EventTimeStep); first {
		i--
	}
	return &StepError{Index: i, Name: steps[max(i, 0)].Name(), Err: err}
}

// StepError is what is wrong with one step of Config.Transform, or with its event time, whose Index is EventTimeIndex.
type StepError struct {
	Index int
	Name  string
	Err   error
}

// EventTimeIndex stands for Config.EventTime in a StepError.
const EventTimeIndex = -1

// Error names the step, counted from 1.
func (e *StepError) Error() string {
	if e.Index == EventTimeIndex {
		return fmt.Sprintf("event_time: %s", e.Err)
	}
	return fmt.Sprintf("transform %d (%s): %s", e.Index+1, e.Name, e.Err)
}

// Unwrap is the cause.
func (e *StepError) Unwrap() error { return e.Err }

// apply runs the steps over the batch. The batch's layout follows them.
func apply(steps []forebay.Step, b *forebay.Batch) (filtered int, err error) {
	for i := range steps {
		step := &steps[i]
		if step.Apply != nil && b.Len() > 0 {
			n, err := applyStep(i, step, b)
			filtered += n
			if err != nil {
				return filtered, err
			}
		}
		b.SetLayout(step.Out.Layout)
	}
	fault.Hit(fault.TransformDone)
	return filtered, nil
}

// applyStep keeps a panic of a step, which may be a program's own, in its lane.
func applyStep(i int, step *forebay.Step, b *forebay.Batch) (filtered int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &forebay.Error{
				Op: fmt.Sprintf("transform %d", i+1), Class: forebay.ClassMisconfigured, Code: "transform-panic",
				Err: fmt.Errorf("the step panicked in the batch of split %q that ends at %s: %v (%s)",
					b.Split().ID, b.Position(), cause, panicPlace()),
				Cure: "mend the step, or let it reject the record",
			}
		}
	}()
	return step.Apply(b)
}

// panicPlace is the innermost function of the stack that panicked.
func panicPlace() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	for panicking := false; ; {
		f, more := frames.Next()
		if panicking && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s, %s:%d", f.Function, f.File, f.Line)
		}
		panicking = panicking || f.Function == "runtime.gopanic"
		if !more {
			return "no frame"
		}
	}
}

// deterministic reports whether no step says otherwise. Steps that need a schema to compile are asked with
// none: a step that cannot say counts as deterministic, as all built-in ones are.
func deterministic(transforms []forebay.Transform) bool {
	for _, t := range transforms {
		if impure, ok := t.(interface{ Deterministic() bool }); ok && !impure.Deterministic() {
			return false
		}
	}
	return true
}
