// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/internal/nearest"
)

// ErrDrop is what a Map function returns to filter the record.
var ErrDrop = errors.New("drop this record")

// Codes of rejected records and of lanes that stop.
const (
	CodeOverflow  = "overflow"         // a number outside its type
	CodeDivision  = "division-by-zero" // also the remainder
	CodeCast      = "cast-failed"      // a value that cannot become the wanted type
	CodeWrongType = "wrong-type"       // a value, known at run time only, that an operator cannot take
	CodeFailed    = "expression-failed"
	CodeUTF8      = "invalid-utf8"
	CodeMap       = "map-error"       // a Map function returned an error
	CodePanic     = "transform-panic" // a Map function panicked
)

// ExprError is one thing that is wrong with an expression, with its place in it.
type ExprError struct {
	// Column is the assignment's name where the expression belongs to a set.
	Column string
	Expr   string
	// Offset and Length are the bytes of Expr that it is about.
	Offset, Length int
	Message        string
	// Nearest is the known name that was probably meant, or empty.
	Nearest string
	// Cure says what to write instead, or is empty.
	Cure string
}

// Error prints what is wrong, where, and what to write.
func (e *ExprError) Error() string {
	var out strings.Builder
	if e.Column != "" {
		fmt.Fprintf(&out, "column %q: ", e.Column)
	}
	character := utf8.RuneCountInString(e.Expr[:min(e.Offset, len(e.Expr))]) + 1
	fmt.Fprintf(&out, "%s, at character %d of %#q", e.Message, character, e.Expr)
	appendCure(&out, e.Nearest, e.Cure)
	return out.String()
}

// ColumnError is a column that a step names and that is wrong.
type ColumnError struct {
	// Index is the entry's place in the step's list.
	Index   int
	Column  string
	Message string
	Nearest string
	Cure    string
}

// Error prints what is wrong and what to write.
func (e *ColumnError) Error() string {
	var out strings.Builder
	out.WriteString(e.Message)
	appendCure(&out, e.Nearest, e.Cure)
	return out.String()
}

func appendCure(out *strings.Builder, nearest, cure string) {
	if nearest != "" {
		fmt.Fprintf(out, "; did you mean %s?", nearest)
	}
	if cure != "" {
		out.WriteString("; " + cure)
	}
}

// RejectError is why a record cannot pass a step.
type RejectError struct {
	Code   string
	Reason string
}

// Error is the reason.
func (e *RejectError) Error() string { return e.Reason }

func rejectf(code, format string, args ...any) *RejectError {
	return &RejectError{Code: code, Reason: fmt.Sprintf(format, args...)}
}

// valueShownMax bounds how much of a value a reason repeats.
const valueShownMax = 64

// shown is a value in quotes, shortened.
func shown(value string) string {
	if len(value) <= valueShownMax {
		return fmt.Sprintf("%q", value)
	}
	cut := valueShownMax
	for cut > 0 && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return fmt.Sprintf("%q... (%d bytes)", value[:cut], len(value))
}

// withArticle is a type's name in a sentence: an int, a string, json.
func withArticle(name string) string {
	switch {
	case name == "bytes" || name == "json" || name == "nil":
		return name
	case strings.HasPrefix(name, "int"):
		return "an " + name
	default:
		return "a " + name
	}
}

// columnsShownMax bounds a list of names in a message.
const columnsShownMax = 12

// columnsHint says which columns there are.
func columnsHint(schema *forebay.Schema) string {
	names := schema.Names()
	if len(names) == 0 {
		return "no columns are left"
	}
	if len(names) > columnsShownMax {
		return fmt.Sprintf("the columns are %s and %d more", strings.Join(names[:columnsShownMax], ", "),
			len(names)-columnsShownMax)
	}
	return "the columns are " + strings.Join(names, ", ")
}

// unknownColumn is the error for a name that the schema does not have.
func unknownColumn(index int, name string, schema *forebay.Schema) *ColumnError {
	e := &ColumnError{Index: index, Column: name, Message: fmt.Sprintf("no column is called %q", name)}
	if e.Nearest = nearest.Name(name, schema.Names()); e.Nearest == "" {
		e.Cure = columnsHint(schema)
	}
	return e
}

func sortedNames[V any](table map[string]V) []string {
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
