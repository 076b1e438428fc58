// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
)

// Receipt is the outcome of one appended row. Rows of one request share its memory.
//
// Concurrency: safe.
type Receipt struct {
	request *sealed
	row     int
}

// Result says what became of a row.
type Result struct {
	Applied Applied
	// Tablet and Offset are where the row lies in the table's log, when it is applied.
	Tablet int
	Offset int64
}

// Wait returns the row's outcome.
//
// Errors: nil when the row is applied; else why not, or why it is not known, with the class of the target's
// answer. When ctx ends first, its cause: the row's fate is then still open.
// Blocking: until the row's request is settled or ctx ends.
func (r Receipt) Wait(ctx context.Context) (Result, error) {
	select {
	case <-r.request.done:
		return r.request.result(r.row)
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

// Done is closed when the outcome is known.
func (r Receipt) Done() <-chan struct{} { return r.request.done }

// result is the outcome of one row of a settled request.
func (s *sealed) result(row int) (Result, error) {
	result := Result{Applied: s.settled.applied, Tablet: s.tablet}
	answer := s.settled.answer
	if result.Applied == Yes {
		result.Offset = answer.Offset + int64(row)
		return result, nil
	}
	for _, refused := range answer.Rows {
		if refused.Row == row {
			e := forebay.Errorf("append", forebay.ClassRejected, "%s", refused.Reason)
			e.Code = refused.Code
			return result, e
		}
	}
	if len(answer.Rows) > 0 {
		e := forebay.Errorf("append", forebay.ClassTransient,
			"other rows of its request were refused, so that nothing of it was applied")
		e.Tablet, e.Cure = fmt.Sprintf("%s/%d", s.table, s.tablet), "append it again"
		return result, e
	}
	err := answer.Err("append")
	if e, ok := errors.AsType[*forebay.Error](err); ok {
		e.Tablet = fmt.Sprintf("%s/%d", s.table, s.tablet)
		e.Records = nil
		e.Err = fmt.Errorf("%w (the row is %s, after %d attempts)", e.Err, result.Applied, s.settled.attempts)
		if result.Applied == No && e.Class == forebay.ClassAmbiguous {
			e.Class = forebay.ClassTransient
		}
	}
	return result, err
}
