// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-io/forebay"
)

// Receipt is the outcome of one appended row. Rows of one request share its memory, and are told together. Receipts
// can be compared and can be keys of a map.
//
// Concurrency: safe.
type Receipt struct {
	request *sealed
	row     int
}

// Result says what became of a row.
type Result struct {
	Applied Applied
	// Tablet and Offset are where the row lies in the table's log, when it is applied: the tablet's number is the
	// table's own, also where it has partitions, or -1 where the row came to none. Offset is NoOffset where the target
	// only said that a later row of the tablet is there.
	Tablet int
	Offset int64
}

// NoOffset is the Offset of an applied row whose place is not known.
const NoOffset = -1

// Wait returns the row's outcome.
//
// Errors: nil when the row is applied, or was handed over with AcksNone; else why not, or why it is not known, with the
// class of the target's answer. When ctx ends first, its cause: the row's fate is then still open.
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

// Outcome is what became of the rows of a request.
//
// Concurrency: safe.
type Outcome struct {
	request *sealed
}

// Tablet is where the rows went.
func (o Outcome) Tablet() int { return o.request.place }

// Rows is the number of rows, in the order of Append.
func (o Outcome) Rows() int { return o.request.count }

// Receipt is that of a row, from 0.
func (o Outcome) Receipt(row int) Receipt { return Receipt{request: o.request, row: row} }

// Result is what Receipt.Wait returns for the row.
func (o Outcome) Result(row int) (Result, error) { return o.request.result(row) }

// where names the tablet in messages.
func (s *sealed) where() string {
	if s.place < 0 {
		return s.table
	}
	return fmt.Sprintf("%s/%d", s.table, s.place)
}

// result is the outcome of one row of a settled request.
func (s *sealed) result(row int) (Result, error) {
	result := Result{Tablet: s.place, Applied: No}
	if reason, ok := s.refusal(row); ok {
		e := forebay.Errorf("append", forebay.ClassRejected, "%s", reason.Reason)
		e.Code, e.Tablet = reason.Code, s.where()
		return result, e
	}
	p, at := s.pieceOf(row)
	settled := &p.settled
	result.Applied = settled.applied
	switch {
	case settled.applied == Yes && settled.unplaced:
		result.Offset = NoOffset
		return result, nil
	case settled.applied == Yes:
		result.Offset = settled.answer.Offset + int64(at)
		return result, nil
	case settled.err == nil && settled.answer.Code == forebay.CodeOK:
		return result, nil // AcksNone: handed over
	}
	err := settled.err
	if err == nil {
		err = settled.answer.Err("append")
	}
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok {
		return result, err
	}
	told := *e // rows share the error of a look-up
	told.Tablet, told.Records = s.where(), nil
	told.Err = fmt.Errorf("%w (the row is %s, after %d attempts)", told.Err, result.Applied, settled.attempts)
	if result.Applied == No && told.Class == forebay.ClassAmbiguous {
		told.Class = forebay.ClassTransient
	}
	return result, &told
}
