// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/forebay-io/forebay"
)

// StatusError is an error as a call ends with it: its op, class, code, cure and message are in the status's details.
func StatusError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, validText(err.Error()))
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, validText(err.Error()))
	}
	m := NewError(err)
	st, detailErr := status.New(codeOf(forebay.Class(m.GetClass())), m.GetMessage()).WithDetails(m)
	if detailErr != nil {
		return status.Error(codes.Unknown, m.GetMessage())
	}
	return st.Err()
}

// codeOf is what a client that knows nothing of the details makes of a class.
func codeOf(class forebay.Class) codes.Code {
	switch class {
	case forebay.ClassTransient, forebay.ClassMoved:
		return codes.Unavailable
	case forebay.ClassThrottled, forebay.ClassTooLarge:
		return codes.ResourceExhausted
	case forebay.ClassDuplicate:
		return codes.AlreadyExists
	case forebay.ClassRejected:
		return codes.InvalidArgument
	case forebay.ClassFenced:
		return codes.Aborted
	case forebay.ClassLost, forebay.ClassCorrupt:
		return codes.DataLoss
	case forebay.ClassMisconfigured:
		return codes.FailedPrecondition
	default:
		return codes.Unknown
	}
}

// NewError is the message of an error: its parts where it is an Error of forebay, with what was wrapped around it.
func NewError(err error) *Error {
	m := &Error{Class: uint32(forebay.ClassOf(err)), Message: validText(err.Error())}
	e, ok := errors.AsType[*forebay.Error](err)
	if !ok {
		return m
	}
	m.Code, m.Cure = validText(e.Code), validText(e.Cure)
	if err == error(e) { //nolint:errorlint // an error that nobody wrapped comes apart
		m.Op = validText(e.Op)
		if e.Tablet != "" {
			m.Op += " " + validText(e.Tablet)
		}
		m.Message = e.Class.String()
		if e.Err != nil {
			m.Message = validText(e.Err.Error())
		}
		return m
	}
	// Code and cure are printed again where the error arrives.
	if e.Cure != "" {
		m.Message = strings.TrimSuffix(m.GetMessage(), "; "+m.GetCure())
	}
	if e.Code != "" {
		m.Message = strings.TrimSuffix(m.GetMessage(), " ("+m.GetCode()+")")
	}
	return m
}

// Forebay is the error that travelled.
func (x *Error) Forebay() *forebay.Error {
	e := &forebay.Error{
		Op: x.GetOp(), Class: classOf(x.GetClass()), Code: x.GetCode(), Cure: x.GetCure(), Err: errors.New(x.GetMessage()),
	}
	if op, message, ok := strings.Cut(x.GetMessage(), ": "); e.Op == "" && ok {
		e.Op, e.Err = op, errors.New(message)
	} else if e.Op == "" {
		e.Op = "tablet server"
	}
	return e
}

// FromStatus is the error that a server put into the details of a call's status, nil where there is none: then the
// status is the transport's.
func FromStatus(err error) *forebay.Error {
	st, ok := status.FromError(err)
	if !ok {
		return nil
	}
	for _, detail := range st.Details() {
		if m, ok := detail.(*Error); ok {
			return m.Forebay()
		}
	}
	return nil
}
