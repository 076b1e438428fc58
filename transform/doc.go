// SPDX-License-Identifier: Apache-2.0

// Package transform holds the steps between source and sink: filter, set, drop, keep, rename, cast and Go
// functions; and the expressions that they use.
//
// A map of the package:
//
//	set.go columns.go cast.go map.go   the steps          step.go   what they share, and filter
//	eventtime.go  the step that gives records their event time
//	editor.go     the steps on records that are JSON
//	program.go    Compile: an expression for the rows of a shape, or for JSON
//	check.go      types of an expression's parts; each gets two forms: closures, and a tree for expr-lang
//	operator.go   arithmetic.go compare.go in.go  the operators as closures
//	function.go   scalar.go time.go               the functions as closures
//	field.go      fields of JSON records          value.go   operators where a kind is known at run time only
//	collection.go json.go                         what only expr-lang's machine runs: lists, maps, let
//	machine.go    expr-lang's machine             dynamic.go   its null-safe operators and functions
//
// # Expressions
//
// The language is expr-lang's. Columns are names; $env["a b"] reads one whose name is no identifier. What
// an expression sees of a column: int32 and int64 are int, float32 and float64 are float, the other types
// are themselves.
//
//	== != < <= > >=     two of one type; int, float and decimal with each other, exactly (a decimal with
//	                    a float only where that is a literal, which counts as the digits that are written)
//	and or not ?:       on bools                         in   [a, b], 1..5, or a list
//	+ - * / % **        on numbers: / and ** give a float, the others of two ints an int
//	+                   joins strings; date + days, timestamp + duration, and - for the differences
//	contains startsWith endsWith matches   on strings; the pattern of matches is a constant
//	?? coalesce()       the first that is not null       == nil, != nil   test for null
//	x.a x["a"] x[0] x[1:3]   fields of json, places in lists, parts of strings in characters
//
// On records that are JSON objects without rows, names are paths to fields, such as user.address.city; one that is
// missing is null. A whole number that fits is int, every other one float. What a value's type cannot do
// rejects the record.
//
// Functions: see functions, strictFunctions and predicateFunctions in the source; an unknown name is an error
// that shows the nearest one. now() makes a step not deterministic.
//
// Invariants:
//
//	X1  null follows SQL: an operator or function with a null operand gives null. and, or are three-valued;
//	    a condition (filter, ?:, predicates) that is null counts as not true; in is null where it does not
//	    find the value and the list has a null. coalesce, ??, == nil, != nil and type() take nulls.
//	X2  nothing wraps, and nothing turns into infinity: overflow and division by zero reject the record.
//	X3  closures and expr-lang's machine give the same result, or the same code of failure, for every record.
//	X4  a compiled closure allocates nothing; texts that it makes go to the batch's slab.
//	X5  a result does not depend on the machine: no local time zone, no order of a map.
package transform
