// SPDX-License-Identifier: Apache-2.0

package writer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/forebay-io/forebay"
)

// The codes of failed operations that sessions themselves know; a target has more.
const (
	// CodeAlreadyPresent is an insert of a key that is there.
	CodeAlreadyPresent = "already-present"
	// CodeNotFound is an update or delete of a key that is not there.
	CodeNotFound = "not-found"
	// CodeTimedOut is an operation without an answer in time; OperationError.Applied says what is known.
	CodeTimedOut = "timed-out"
	// CodeUnknown is an operation of which nobody can say whether it was applied.
	CodeUnknown = "unknown"
)

// Operation is one operation of a session, as its response and its error show it.
type Operation struct {
	// Number counts the operations of the session from 0, in the order in which it took them.
	Number int64
	Table  string
	Op     forebay.Op

	table *SessionTable
	row   []byte // encoded; nil where no copy was kept
}

// HasRow reports whether a copy of the row was kept.
func (o Operation) HasRow() bool { return o.row != nil }

// CopyRow fills a row from SessionTable.NewRow with the operation's, so that it can be applied again.
//
// Errors: where no copy was kept.
func (o Operation) CopyRow(to forebay.Row) error {
	if !o.HasRow() {
		return fmt.Errorf("copy row: the session kept no copy of the row of %s", o)
	}
	return o.table.decode(o.row, to)
}

// String names the operation in messages.
func (o Operation) String() string { return fmt.Sprintf("%s %d on %s", o.Op, o.Number, o.Table) }

// Response says what became of one operation.
type Response struct {
	Operation
	Applied Applied
	// Tablet is where the operation went, and Offset where it lies in the tablet's log, when it is applied.
	Tablet int
	Offset int64
	// Elapsed is the time from Apply to the answer.
	Elapsed time.Duration
	// Err says why it was not applied, or why that is not known; nil for success and for what the session is to ignore.
	Err *OperationError
}

// OperationError is an operation that failed, alone: its neighbours are not concerned.
type OperationError struct {
	Operation
	Tablet  int
	Applied Applied
	// Code is a stable name of the cause, such as already-present or timed-out.
	Code    string
	Message string
	Elapsed time.Duration
	// Err is the writer's error, with its class.
	Err error
}

// Error prints the operation, its tablet, the cause and its code.
func (e *OperationError) Error() string {
	return fmt.Sprintf("%s/%d: %s (%s)", e.Operation, e.Tablet, e.Message, e.Code)
}

// Unwrap is the writer's error.
func (e *OperationError) Unwrap() error { return e.Err }

// size is what a pending error is charged.
func (e *OperationError) size() forebay.Bytes {
	return forebay.Bytes(len(e.row) + len(e.Message) + operationOverhead)
}

// newOperationError reads a receipt's error.
func newOperationError(o Operation, receipt Receipt, result Result, err error) *OperationError {
	out := &OperationError{Operation: o, Tablet: result.Tablet, Applied: result.Applied, Message: err.Error(), Err: err}
	e, ok := errors.AsType[*forebay.Error](err)
	if ok {
		out.Code = e.Code
		if e.Err != nil {
			out.Message = e.Err.Error()
		}
		if e.Cure != "" {
			out.Message += "; " + e.Cure
		}
	}
	switch {
	case out.Code != "":
	case receipt.timedOut():
		out.Code, out.Message = CodeTimedOut, "timed out: "+out.Message
	case result.Applied == Unknown:
		out.Code = CodeUnknown
	default:
		out.Code = forebay.ClassOf(err).String()
	}
	return out
}

// timedOut reports whether the row was given up because there was no answer in time.
func (r Receipt) timedOut() bool {
	select {
	case <-r.request.done:
		p, _ := r.request.pieceOf(r.row)
		return p.settled.answer.Code == forebay.CodeTimeout
	default:
		return false
	}
}

// OperationsError is that operations failed: those of a Flush, or those that nobody has seen when the session ends.
type OperationsError struct {
	// Op is what found them: flush or close session.
	Op string
	// Errors are the failures in the order of the operations; after the end of a session the newest ones.
	Errors []*OperationError
	// Dropped is the number of older failures for which the session had no room.
	Dropped int
	// Operations is the number of operations that were looked at; 0 where that is not known.
	Operations int
}

// Error prints how many failed, and the first of them.
func (e *OperationsError) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d ", e.Op, len(e.Errors)+e.Dropped)
	if e.Operations > 0 {
		fmt.Fprintf(&out, "of %d ", e.Operations)
	}
	out.WriteString("operations failed")
	if e.Dropped > 0 {
		fmt.Fprintf(&out, ", of which the oldest %d were dropped", e.Dropped)
	}
	if len(e.Errors) > 0 {
		out.WriteString("; the first: " + e.Errors[0].Error())
	}
	return out.String()
}

// Unwrap are the failures.
func (e *OperationsError) Unwrap() []error {
	out := make([]error, len(e.Errors))
	for i, failed := range e.Errors {
		out[i] = failed
	}
	return out
}

// BufferError is an operation that MANUAL_FLUSH has no room for. What is in the buffer stays there.
type BufferError struct {
	// Operations and Bytes are in the buffer; OperationsMax and BytesMax bound it.
	Operations, OperationsMax int
	Bytes, BytesMax           forebay.Bytes
	// Asked is what the operation takes.
	Asked forebay.Bytes
}

// Error is Kudu's text.
func (*BufferError) Error() string { return "MANUAL_FLUSH is enabled but the buffer is too big" }

// Unwrap is ErrBufferFull.
func (*BufferError) Unwrap() error { return forebay.ErrBufferFull }

// PendingError is a change of mode while operations are pending.
type PendingError struct {
	From, To   FlushMode
	Operations int
}

// Error says what to do.
func (e *PendingError) Error() string {
	return fmt.Sprintf("set mode: cannot go from %s to %s while %d operations are pending; flush first",
		e.From, e.To, e.Operations)
}

// PendingErrors are the failures of the background that a session had room for.
type PendingErrors struct {
	// Errors are the newest failures, in the order in which their answers were seen.
	Errors []*OperationError
	// Overflowed says that failures were dropped, and Dropped how many.
	Overflowed bool
	Dropped    int
	// First is the oldest failure of all where it was dropped, without its row: often the cause of the others.
	First *OperationError
}

// collector holds the newest failures within a number and bytes.
type collector struct {
	max      int
	maxBytes forebay.Bytes

	errors  []*OperationError
	bytes   forebay.Bytes
	dropped int
	first   *OperationError
}

// add keeps a failure with a copy of its row, so that it does not hold the memory of a whole buffer. A row that has no
// room at all is left out: that something failed is never forgotten for the size of its row.
func (c *collector) add(e *OperationError) {
	kept := *e
	kept.row = append([]byte(nil), e.row...)
	if kept.size() > c.maxBytes {
		kept.row = nil
	}
	c.errors = append(c.errors, &kept)
	c.bytes += kept.size()
	for len(c.errors) > 1 && (len(c.errors) > c.max || c.bytes > c.maxBytes) {
		oldest := c.errors[0]
		if c.dropped == 0 {
			first := *oldest
			first.row = nil
			c.first = &first
		}
		c.errors[0] = nil
		c.errors, c.bytes = c.errors[1:], c.bytes-oldest.size()
		c.dropped++
	}
}

func (c *collector) take() PendingErrors {
	out := PendingErrors{Errors: c.errors, Overflowed: c.dropped > 0, Dropped: c.dropped, First: c.first}
	*c = collector{max: c.max, maxBytes: c.maxBytes}
	return out
}
