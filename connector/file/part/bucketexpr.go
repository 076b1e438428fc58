// SPDX-License-Identifier: Apache-2.0

package part

import (
	"errors"
	"fmt"
	"strings"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/transform"
)

// parseExpression reads the expression that text begins with, up to the brace that closes it. What it says is checked
// when the columns are known.
func parseExpression(text string, at int) (p piece, rest string, err error) {
	end, err := expressionEnd(text)
	if err != nil {
		return p, "", err
	}
	p = piece{expr: text[:end], at: at}
	if strings.TrimSpace(p.expr) == "" {
		return p, "", errors.New("{=} has no expression; write one such as {=upper(country)}")
	}
	return p, text[end+1:], nil
}

// expressionEnd is where the brace is that closes an expression. Braces in texts and comments do not count, and those
// of maps and predicates come in pairs.
func expressionEnd(text string) (int, error) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch rest := text[i:]; {
		case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
			i += textSize(rest) - 1
		case strings.HasPrefix(rest, "//"):
			i += sizeUpTo(rest, 2, "\n") - 1
		case strings.HasPrefix(rest, "/*"):
			i += sizeUpTo(rest, 2, "*/") - 1
		case rest[0] == '{':
			depth++
		case rest[0] == '}' && depth == 0:
			return i, nil
		case rest[0] == '}':
			depth--
		case strings.HasPrefix(rest, ":%"): // no expression has these two in a row
			return 0, fmt.Errorf("{=%s takes no format; write {=format(column, \"2006-01-02\")} or {column:%%Y-%%m-%%d}",
				text[:i])
		}
	}
	return 0, fmt.Errorf("{=%s is not closed: the } is missing, or stands in a text or comment; "+
		"write {{ for the character", text)
}

// textSize is the size of the literal that text begins with, quotes included; all of the text where it does not end.
// The quote twice stands for itself between backticks: as two literals it ends at the same place.
func textSize(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == text[0]:
			return i + 1
		case text[i] == '\\' && text[0] != '`':
			i++
		}
	}
	return len(text)
}

// sizeUpTo is how far the mark's end is, looked for behind the first skip bytes; all of the text where it has none.
func sizeUpTo(text string, skip int, mark string) int {
	if i := strings.Index(text[skip:], mark); i >= 0 {
		return skip + i + len(mark)
	}
	return len(text)
}

// compile fits the expression of a piece to a layout.
//
// Errors: *transform.ExprError, joined, whose places are those in the pattern.
func (p *Pattern) compile(piece *piece, layout *forebay.Layout) (*transform.Program, error) {
	if layout == nil {
		return nil, fmt.Errorf("{=%s} needs typed rows, and these records are bytes", piece.expr)
	}
	program, err := transform.Compile(forebay.Shape{Layout: layout, Width: layout.Width()}, piece.expr)
	if err == nil {
		if problem := unfit(program); problem != nil {
			problem.Length = len(piece.expr)
			err = problem
		}
	}
	if err != nil {
		p.shift(err, piece.at)
		return nil, err
	}
	return program, nil
}

// shift turns places in an expression into places in the pattern.
func (p *Pattern) shift(err error, at int) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, inner := range several.Unwrap() {
			p.shift(inner, at)
		}
		return
	}
	if e, ok := errors.AsType[*transform.ExprError](err); ok {
		e.Expr, e.Offset = p.text, e.Offset+at
	}
}

// unfit says why the results of a program name no folder; nil where they do.
func unfit(program *transform.Program) *transform.ExprError {
	switch t := program.Type(); {
	case !program.Deterministic():
		return &transform.ExprError{
			Message: "now() would give a record another folder at each replay", Cure: "write {@processing:%Y-%m-%d}",
		}
	case !t.Valid():
		return &transform.ExprError{
			Message: "the expression gives what names no folder, or its type is known at run time only",
			Cure:    "write string(...) or int(...)",
		}
	case t.Kind == forebay.KindJSON || t.Kind == forebay.KindBytes:
		return &transform.ExprError{
			Message: fmt.Sprintf("the expression gives %s, which names no folder", t), Cure: "write string(...)",
		}
	case t.Kind == forebay.KindDate || t.Kind == forebay.KindTimestamp:
		return &transform.ExprError{
			Message: fmt.Sprintf("the expression gives a %s, and a time needs a format", t),
			Cure:    `write format(..., "2006-01-02"), or a column's name and a format such as {column:%Y-%m-%d}`,
		}
	default:
		return nil
	}
}

// appendResult appends what the expression gives for record i. What it puts into the slab is taken out again.
//
// Errors: rejected, with the code that a step would give.
func (f *bucketField) appendResult(dst []byte, batch *forebay.Batch, i int) ([]byte, error) {
	size := len(batch.Slab())
	cell, err := f.program.Eval(batch, i)
	if err == nil {
		dst = f.appendCell(dst, cell, batch.Slab())
	}
	batch.TruncateSlab(size)
	if err == nil {
		return dst, nil
	}
	e := forebay.Errorf("find the bucket", forebay.ClassRejected, "{=%s}: %w", f.expr, err)
	if r, ok := errors.AsType[*transform.RejectError](err); ok {
		e.Code = r.Code
	}
	return dst, e
}
