// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"math"
	"math/bits"

	"github.com/expr-lang/expr/ast"

	"github.com/forebay-io/forebay"
)

// arithmetic is + - * / % ** ^ on numbers, + on texts, and what dates, timestamps and durations can do.
func (c *checker) arithmetic(n *ast.BinaryNode, l, r *operand) *operand {
	result := &operand{slot: -1, lowered: l.lowered && r.lowered}
	result.tree = c.machine.call("arithmetic"+n.Operator, dynamicArithmetic(n.Operator), l.tree, r.tree)
	if l.kind == kindNil || r.kind == kindNil {
		return c.nullArithmetic(n, result, l, r)
	}
	if l.kind == kindAny || r.kind == kindAny {
		result.kind = kindAny
		if n.Operator == "/" || n.Operator == "**" || n.Operator == "^" {
			result.kind = kindFloat
		}
		return arithmeticAtRunTime(n.Operator, result, l, r)
	}
	switch {
	case n.Operator == "+" && l.kind == kindText && r.kind == kindText:
		lowerConcat(result, l, r)
	case l.kind.number() && r.kind.number():
		if n.Operator == "%" && (l.kind != kindInt || r.kind != kindInt) {
			return c.bad(n.Location(), "convert with int(...)", "%% needs ints, not %s and %s", l.name(), r.name())
		}
		lowerNumbers(result, n.Operator, l, r)
	default:
		result.kind = timeArithmetic(n.Operator, l.kind, r.kind)
		if result.kind == kindBad {
			return c.bad(n.Location(), arithmeticCure(n.Operator, l, r), "%s cannot take %s and %s", n.Operator,
				l.article(), r.article())
		}
		result.int = intArithmetic(n.Operator, l.int, r.int)
		if result.kind == kindDate {
			result.int = inDateRange(result.int)
		}
	}
	return result
}

// nullArithmetic is an operation with the word nil: always null, of the kind that the other side suggests.
func (c *checker) nullArithmetic(n *ast.BinaryNode, result, l, r *operand) *operand {
	other := l
	if l.kind == kindNil {
		other = r
	}
	failing := other.isNull()
	if l.kind == kindNil && r.kind == kindNil {
		failing = func(*frame) bool { return true }
	}
	result.kind = other.kind
	switch {
	case other.kind == kindNil:
		result.kind = kindNil
	case other.kind == kindText && n.Operator == "+", other.kind == kindAny,
		other.kind == kindInt && n.Operator != "/" && n.Operator != "**" && n.Operator != "^":
	case other.kind.number():
		result.kind = kindFloat
	case other.kind == kindDate || other.kind == kindInstant || other.kind == kindDuration:
	default:
		return c.bad(n.Location(), arithmeticCure(n.Operator, l, r), "%s cannot take %s", n.Operator, other.article())
	}
	lowered := result.lowered
	result.nulls()
	result.lowered = lowered
	result.int = func(f *frame) (int64, bool) { failing(f); return 0, false }
	result.float = func(f *frame) (float64, bool) { failing(f); return 0, false }
	result.text = func(f *frame) (string, bool) { failing(f); return "", false }
	result.value = func(f *frame) value { failing(f); return noValue }
	return result
}

func arithmeticCure(operator string, l, r *operand) string {
	switch {
	case operator == "+" && (l.kind == kindText || r.kind == kindText):
		return "convert the other side with string(...)"
	case l.kind == kindDecimal || r.kind == kindDecimal:
		return "convert the decimal with float(...), or use cast"
	case l.kind == kindInstant && r.kind.number() || r.kind == kindInstant && l.kind.number():
		return `write duration("90s") for a length of time`
	case l.kind == kindText || r.kind == kindText:
		return "convert text with int(...) or float(...)"
	default:
		return ""
	}
}

// timeArithmetic is the kind of an operation with times, or kindBad.
func timeArithmetic(operator string, l, r kind) kind {
	type operation struct {
		operator string
		l, r     kind
	}
	switch (operation{operator, l, r}) {
	case operation{"-", kindInstant, kindInstant}, operation{"+", kindDuration, kindDuration},
		operation{"-", kindDuration, kindDuration}, operation{"*", kindDuration, kindInt},
		operation{"*", kindInt, kindDuration}:
		return kindDuration
	case operation{"+", kindInstant, kindDuration}, operation{"-", kindInstant, kindDuration},
		operation{"+", kindDuration, kindInstant}:
		return kindInstant
	case operation{"-", kindDate, kindDate}:
		return kindInt
	case operation{"+", kindDate, kindInt}, operation{"-", kindDate, kindInt}, operation{"+", kindInt, kindDate}:
		return kindDate
	default:
		return kindBad
	}
}

func lowerNumbers(result *operand, operator string, l, r *operand) {
	if l.kind == kindInt && r.kind == kindInt {
		switch operator {
		case "+", "-", "*", "%":
			result.kind, result.int = kindInt, intArithmetic(operator, l.int, r.int)
			return
		}
	}
	result.kind, result.float = kindFloat, floatArithmetic(operator, l.toFloat(), r.toFloat())
}

const overflowReason = "%d %s %d does not fit 64 bits"

// intArithmetic is an operation of ints. X2: a result outside 64 bits is a failure.
func intArithmetic(operator string, l, r intFunc) intFunc {
	code := operatorCode(operator)
	return func(f *frame) (int64, bool) {
		a, b, ok := both(f, l, r)
		if !ok {
			return 0, false
		}
		v, fail := intOperation(code, a, b)
		if fail != "" {
			f.refuse(fail, intFailure(fail), a, operator, b)
			return 0, false
		}
		return v, true
	}
}

// operatorCode is an operator as one byte; a power is ^.
func operatorCode(operator string) byte {
	if operator == "**" {
		return '^'
	}
	return operator[0]
}

func intFailure(code string) string {
	if code == CodeDivision {
		return "%d %s %d divides by zero"
	}
	return overflowReason
}

// intOperation is one operation on ints and the code of its failure.
func intOperation(operator byte, a, b int64) (v int64, fail string) {
	switch operator {
	case '+':
		if v = a + b; (v > a) == (b > 0) {
			return v, ""
		}
	case '-':
		if v = a - b; (v < a) == (b > 0) {
			return v, ""
		}
	case '*':
		if v, ok := product(a, b); ok {
			return v, ""
		}
	case '%':
		if b == 0 {
			return 0, CodeDivision
		}
		return a % b, ""
	}
	return 0, CodeOverflow
}

// product multiplies unless the result does not fit.
func product(a, b int64) (int64, bool) {
	negative := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	switch {
	case hi != 0 || lo > 1<<63, lo == 1<<63 && !negative:
		return 0, false
	case negative:
		return -int64(lo), true
	default:
		return int64(lo), true
	}
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

func floatArithmetic(operator string, l, r floatFunc) floatFunc {
	code := operatorCode(operator)
	return func(f *frame) (float64, bool) {
		a, b, ok := both(f, l, r)
		if !ok {
			return 0, false
		}
		v, fail := floatOperation(code, a, b)
		switch fail {
		case "":
			return v, true
		case CodeDivision:
			f.refuse(fail, "%v %s %v divides by zero", a, operator, b)
		default:
			f.refuse(fail, "%v %s %v does not fit a float64", a, operator, b)
		}
		return 0, false
	}
}

// floatOperation is one operation on floats and the code of its failure. Infinity comes out only where it
// went in.
func floatOperation(operator byte, a, b float64) (v float64, fail string) {
	switch operator {
	case '+':
		v = a + b
	case '-':
		v = a - b
	case '*':
		v = a * b
	case '/':
		if b == 0 {
			return 0, CodeDivision
		}
		v = a / b
	default:
		v = math.Pow(a, b)
	}
	if math.IsInf(v, 0) && !math.IsInf(a, 0) && !math.IsInf(b, 0) {
		return 0, CodeOverflow
	}
	return v, ""
}

// inDateRange holds days to what a date cell can hold.
func inDateRange(get intFunc) intFunc {
	return func(f *frame) (int64, bool) {
		v, ok := get(f)
		if ok && v != int64(int32(v)) {
			f.refuse(CodeOverflow, "%d days from 1970-01-01 do not fit a date", v)
			return 0, false
		}
		return v, ok
	}
}

// piece is one part of a concatenation: a column, a constant or anything else.
type piece struct {
	slot     int
	constant string
	text     textFunc
}

// lowerConcat flattens a + b + c, so that the bytes are copied once.
func lowerConcat(result, l, r *operand) {
	result.kind = kindText
	result.plain = true
	for _, side := range []*operand{l, r} {
		if side.pieces != nil {
			result.pieces = append(result.pieces, side.pieces...)
			result.plain = result.plain && side.plain
			continue
		}
		constant, _ := side.constant.(string)
		result.pieces = append(result.pieces, piece{slot: side.slot, constant: constant, text: side.text})
		result.plain = result.plain && (side.slot >= 0 || side.constant != nil)
	}
	pieces := result.pieces
	result.text = func(f *frame) (string, bool) {
		var room [concatPiecesInline]string
		views, total := appendViews(room[:0], f, pieces)
		if total < 0 {
			return "", false
		}
		start := len(f.scratch)
		for _, v := range views {
			f.scratch = append(f.scratch, v...)
		}
		return f.made(start), true
	}
}

// concatPiecesInline is how many pieces of a concatenation are kept without an allocation.
const concatPiecesInline = 8

// appendViews evaluates the pieces and adds up their sizes; -1 where one is null. All of them are evaluated
// first, as a piece may use the scratch itself.
func appendViews(views []string, f *frame, pieces []piece) ([]string, int) {
	total, null := 0, false
	for i := range pieces {
		var v string
		if slot := pieces[i].slot; slot >= 0 {
			c := &f.cells[slot]
			if c.IsNull() {
				null = true
				continue
			}
			v = view(c.Bytes(f.slab))
		} else {
			var ok bool
			if v, ok = pieces[i].text(f); !ok {
				null = true
				continue
			}
		}
		views = append(views, v)
		total += len(v)
	}
	if null {
		return views, -1
	}
	return views, total
}

// storeConcat puts a concatenation straight into the batch's slab. X4: nothing is made beside it.
func storeConcat(f *frame, pieces []piece) forebay.Cell {
	var room [concatPiecesInline]string
	views, total := appendViews(room[:0], f, pieces)
	if total < 0 {
		return forebay.Null
	}
	start := len(f.batch.Slab())
	to := f.batch.Extend(total)[:0]
	for _, v := range views {
		to = append(to, v...)
	}
	return forebay.SpanCell(forebay.KindString, start, total)
}

// storePlain is storeConcat for columns and constants, which are read twice in place of being noted.
func storePlain(f *frame, pieces []piece) forebay.Cell {
	total := 0
	for i := range pieces {
		p := &pieces[i]
		if p.slot < 0 {
			total += len(p.constant)
			continue
		}
		c := &f.cells[p.slot]
		if c.IsNull() {
			return forebay.Null
		}
		_, size := c.Span()
		total += size
	}
	start := len(f.slab)
	to := f.batch.Extend(total)[:0]
	for i := range pieces {
		if p := &pieces[i]; p.slot < 0 {
			to = append(to, p.constant...)
		} else {
			to = append(to, f.cells[p.slot].Bytes(f.slab)...)
		}
	}
	return forebay.SpanCell(forebay.KindString, start, total)
}
