// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what the caller of a failed operation is to do. The zero value is the cautious one.
type Class uint8

// The classes of error. The list is closed.
const (
	ClassAmbiguous     Class = iota // may have been applied: resend only with the same sequence, or look it up
	ClassTransient                  // certainly not applied, will pass: resend with back-off
	ClassThrottled                  // told to wait: resend after RetryAfter, slow down
	ClassMoved                      // the tablet lives elsewhere now: refresh the location, resend
	ClassDuplicate                  // already applied: success
	ClassTooLarge                   // would fit in pieces: split
	ClassRejected                   // these records can never be accepted: dead-letter them, or stop
	ClassFenced                     // a newer owner exists: stop at once, touch nothing
	ClassLost                       // the target says that completed work is gone: a named stop
	ClassMisconfigured              // a human must act: stop
	ClassCorrupt                    // durable bytes are wrong: stop, keep the evidence
)

var classNames = [...]string{
	"ambiguous", "transient", "throttled", "moved", "duplicate", "too-large", "rejected", "fenced", "lost",
	"misconfigured", "corrupt",
}

// String is the class's name in messages and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Error is a failed operation with its class. Wrap it with %w to add where it happened.
type Error struct {
	// Op is what was tried, such as "commit".
	Op    string
	Class Class
	// Code is a stable name of the cause for people and scripts, such as "progress-missing".
	Code string
	// Tablet is the tablet concerned, where there is one.
	Tablet string
	// Records are the records concerned, where only some failed.
	Records []RecordError
	// RetryAfter is how long the target asks to wait; 0 where it does not say.
	RetryAfter time.Duration
	// Cure says what to do about it, where a person can.
	Cure string
	Err  error
}

// RecordError is one record of a batch or request that failed, by its index there.
type RecordError struct {
	Index int
	Code  string
	Err   error
}

// Error prints op, tablet, cause, code and cure.
func (e *Error) Error() string {
	var out strings.Builder
	out.WriteString(e.Op)
	if e.Tablet != "" {
		out.WriteString(" " + e.Tablet)
	}
	out.WriteString(": ")
	switch {
	case e.Err != nil:
		out.WriteString(e.Err.Error())
	default:
		out.WriteString(e.Class.String())
	}
	if e.Code != "" {
		out.WriteString(" (" + e.Code + ")")
	}
	if e.Cure != "" {
		out.WriteString("; " + e.Cure)
	}
	return out.String()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the sentinel of the error's class.
func (e *Error) Is(target error) bool { return target == ErrFenced && e.Class == ClassFenced }

// ClassOf is the class of an error: that of the first Error in its chain, else ambiguous.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return ClassAmbiguous
}

// Sentinels for states that callers branch on.
var (
	// ErrClosed is the answer of anything that was closed or shut down.
	ErrClosed = errors.New("closed")
	// ErrStopped is the cause of a context that ends because its owner was asked to stop.
	ErrStopped = errors.New("stopped")
	// ErrFenced matches every error of the class fenced.
	ErrFenced = errors.New("fenced: a newer owner exists")
	// ErrBufferFull is the answer of a writer that was told not to wait for memory.
	ErrBufferFull = errors.New("buffer full")
)

// Errorf makes an Error of a class with a formatted cause.
func Errorf(op string, class Class, format string, args ...any) *Error {
	return &Error{Op: op, Class: class, Err: fmt.Errorf(format, args...)}
}
