// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/config"
	"github.com/forebay-io/forebay/transform"
)

// fileError is everything that is wrong with a pipeline file.
type fileError struct {
	file     string
	problems config.Problems
}

func (e *fileError) Error() string { return e.problems.Error() }

// exprError is a wrong expression on the command line.
type exprError struct {
	flag string
	err  error
}

func (e *exprError) Error() string { return e.flag + ": " + e.err.Error() }

func (e *exprError) Unwrap() error { return e.err }

// report shows an error: what is wrong, where, the nearest known name, and what to do. All errors go this way.
func (a *app) report(err error) {
	var out strings.Builder
	writeError(&out, err)
	_, _ = a.err.Write([]byte(out.String()))
}

func writeError(out *strings.Builder, err error) {
	switch e := err.(type) { //nolint:errorlint // each layer is shown by itself
	case *fileError:
		out.WriteString(e.problems.Render(e.file))
		return
	case *exprError:
		writeExpression(out, e)
		return
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			writeError(out, inner)
		}
		return
	}
	e, classified := errors.AsType[*forebay.Error](err)
	if !classified || e.Cure == "" {
		fmt.Fprintf(out, "error: %s\n", strings.TrimPrefix(err.Error(), ": "))
		return
	}
	message := strings.TrimPrefix(strings.Replace(err.Error(), "; "+e.Cure, "", 1), ": ")
	fmt.Fprintf(out, "error: %s\n  = %s\n", message, e.Cure)
}

// writeExpression shows each mistake of an expression under its place.
func writeExpression(out *strings.Builder, e *exprError) {
	joined, several := e.err.(interface{ Unwrap() []error })
	if several {
		for _, inner := range joined.Unwrap() {
			writeExpression(out, &exprError{e.flag, inner})
		}
		return
	}
	x, ok := errors.AsType[*transform.ExprError](e.err)
	if !ok {
		fmt.Fprintf(out, "error: %s\n", e.Error())
		return
	}
	fmt.Fprintf(out, "error: %s\n --> %s\n  |\n", x.Message, e.flag)
	expr := strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, x.Expr)
	from := min(max(x.Offset, 0), len(expr))
	to := min(max(from+x.Length, from), len(expr))
	mark := strings.Repeat(" ", utf8.RuneCountInString(expr[:from])) +
		strings.Repeat("^", max(utf8.RuneCountInString(expr[from:to]), 1))
	if x.Nearest != "" {
		mark += fmt.Sprintf(" did you mean %q?", x.Nearest)
	}
	fmt.Fprintf(out, "  | %s\n  | %s\n", expr, mark)
	if x.Cure != "" {
		fmt.Fprintf(out, "  = %s\n", x.Cure)
	}
}
