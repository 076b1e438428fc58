// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"cmp"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"github.com/forebay-io/forebay"
)

type fileLocation = file.Location

// comparison checks and compiles ==, !=, <, <=, > and >=. Bools can only be equal or not.
func (c *checker) comparison(n *ast.BinaryNode, l, r *operand) *operand {
	result := &operand{kind: kindBool, slot: -1}
	result.tree = c.machine.call("compare"+n.Operator, dynamicComparison(n.Operator), l.tree, r.tree)
	ordered := n.Operator != "==" && n.Operator != "!="
	if l.kind == kindNil || r.kind == kindNil {
		nulls := (&operand{kind: kindBool, slot: -1}).nulls()
		nulls.lowered, nulls.tree = l.lowered && r.lowered, result.tree
		return c.keepFailures(nulls, l, r)
	}
	result.lowered = l.lowered && r.lowered
	switch {
	case l.kind == kindJSON || r.kind == kindJSON:
		return c.bad(n.Location(), `compare a field of it, such as payload.id == 7`, "json has no comparison")
	case l.kind == kindDecimal || r.kind == kindDecimal:
		return c.compareDecimals(n, result, l, r)
	case ordered && (l.kind == kindBool || r.kind == kindBool):
		return c.incomparable(n, l, r)
	case l.kind == kindAny || r.kind == kindAny:
		return c.compareAtRunTime(n, result, l, r)
	case l.kind == kindInt && r.kind == kindInt, l.kind == r.kind && l.kind.inInt():
		result.truth = lowerInts(n.Operator, l, r)
	case l.kind == kindFloat && r.kind == kindFloat:
		result.truth = lowerFloats(n.Operator, l, r)
	case l.kind.number() && r.kind.number():
		l, r := asFloat(l), asFloat(r)
		if l.kind == r.kind {
			result.truth = lowerFloats(n.Operator, l, r)
		} else {
			result.truth = lowerMixed(n.Operator, l, r)
		}
	case l.kind == kindText && r.kind == kindText, l.kind == kindBytes && r.kind == kindBytes:
		result.truth = lowerTexts(n.Operator, l, r)
	case l.kind == kindBool && r.kind == kindBool && !ordered:
		result.truth = lowerBools(n.Operator, l, r)
	default:
		return c.incomparable(n, l, r)
	}
	return result
}

// keepFailures evaluates the operands of an expression that is always null, as they can fail.
func (c *checker) keepFailures(result, l, r *operand) *operand {
	left, right := l.isNull(), r.isNull()
	result.truth = func(f *frame) truth {
		left(f)
		right(f)
		return unknown
	}
	return result
}

func (c *checker) incomparable(n *ast.BinaryNode, l, r *operand) *operand {
	cure := "convert one of them"
	switch {
	case l.kind == kindBool && r.kind == kindBool:
		cure = "use == or !="
	case l.kind.number() && r.kind == kindText:
		cure = "write the number without quotes, or convert with string(...)"
	case l.kind == kindText && r.kind.number():
		cure = "write the text in quotes, or convert with int(...) or float(...)"
	case l.kind == kindDate && r.kind == kindText:
		cure = `write date("2013-01-31")`
	case l.kind == kindInstant && r.kind == kindText:
		cure = `write timestamp("2013-01-31T10:00:00Z")`
	case l.kind == kindInstant && r.kind == kindDate:
		cure = "write date(...) of the timestamp"
	case l.kind == kindList || r.kind == kindList:
		cure = "use in, or len(...)"
	}
	return c.bad(n.Location(), cure, "%s cannot compare %s with %s", n.Operator, l.article(), r.article())
}

// outcomes says for which results of a comparison an operator is true: less, equal, greater, unordered.
type outcomes struct{ less, equal, greater, unordered bool }

var operatorOutcomes = map[string]outcomes{
	"==": {equal: true}, "!=": {less: true, greater: true, unordered: true},
	"<": {less: true}, "<=": {less: true, equal: true}, ">": {greater: true}, ">=": {greater: true, equal: true},
}

func (o outcomes) of(order int) truth {
	switch {
	case order < 0:
		return truthOf(o.less)
	case order > 0:
		return truthOf(o.greater)
	default:
		return truthOf(o.equal)
	}
}

// lowerInts compares ints; a column with a constant, the usual case, takes one call.
func lowerInts(operator string, l, r *operand) boolFunc {
	if k, constant := r.constant.(int64); constant && l.slot >= 0 {
		return columnWithInt(operator, l.slot, k)
	}
	return compareFuncs(operator, l.int, r.int)
}

func columnWithInt(operator string, slot int, k int64) boolFunc {
	switch operator {
	case "==":
		return func(f *frame) truth {
			if c := f.cells[slot]; !c.IsNull() {
				return truthOf(c.Int() == k)
			}
			return unknown
		}
	case "!=":
		return func(f *frame) truth {
			if c := f.cells[slot]; !c.IsNull() {
				return truthOf(c.Int() != k)
			}
			return unknown
		}
	case "<=":
		if k == math.MaxInt64 {
			break
		}
		return columnWithInt("<", slot, k+1)
	case ">=":
		if k == math.MinInt64 {
			break
		}
		return columnWithInt(">", slot, k-1)
	case "<":
		return func(f *frame) truth {
			if c := f.cells[slot]; !c.IsNull() {
				return truthOf(c.Int() < k)
			}
			return unknown
		}
	case ">":
		return func(f *frame) truth {
			if c := f.cells[slot]; !c.IsNull() {
				return truthOf(c.Int() > k)
			}
			return unknown
		}
	}
	// Every value is at most the greatest and at least the least.
	return func(f *frame) truth {
		if f.cells[slot].IsNull() {
			return unknown
		}
		return yes
	}
}

func lowerFloats(operator string, l, r *operand) boolFunc {
	return compareFuncs(operator, l.float, r.float)
}

// compareFuncs makes one closure per operator, so that none is looked up for a record.
func compareFuncs[T cmp.Ordered](operator string, l, r func(*frame) (T, bool)) boolFunc {
	switch operator {
	case "==":
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a == b)
		}
	case "!=":
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a != b)
		}
	case "<":
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a < b)
		}
	case "<=":
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a <= b)
		}
	case ">":
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a > b)
		}
	default:
		return func(f *frame) truth {
			a, b, ok := both(f, l, r)
			if !ok {
				return unknown
			}
			return truthOf(a >= b)
		}
	}
}

// both evaluates two operands. X1: where one is null, so is what is made of them.
func both[T any](f *frame, l, r func(*frame) (T, bool)) (a, b T, ok bool) {
	a, okLeft := l(f)
	b, okRight := r(f)
	return a, b, okLeft && okRight
}

// asFloat is an int literal as a float, where a float holds it exactly: comparing the two is then the same, and
// cheaper.
func asFloat(o *operand) *operand {
	const exact = 1 << 53
	if v, ok := o.constant.(int64); ok && v >= -exact && v <= exact {
		return literal(float64(v))
	}
	return o
}

// lowerMixed compares an int with a float exactly.
func lowerMixed(operator string, l, r *operand) boolFunc {
	want := operatorOutcomes[operator]
	if l.kind == kindInt {
		left, right := l.int, r.float
		return func(f *frame) truth {
			a, okLeft := left(f)
			b, okRight := right(f)
			if !okLeft || !okRight {
				return unknown
			}
			return want.ofIntFloat(a, b)
		}
	}
	want.less, want.greater = want.greater, want.less
	left, right := l.float, r.int
	return func(f *frame) truth {
		b, okLeft := left(f)
		a, okRight := right(f)
		if !okLeft || !okRight {
			return unknown
		}
		return want.ofIntFloat(a, b)
	}
}

func (o outcomes) ofIntFloat(a int64, b float64) truth {
	if math.IsNaN(b) {
		return truthOf(o.unordered)
	}
	return o.of(compareIntFloat(a, b))
}

// compareIntFloat compares without rounding the int; b is not NaN.
func compareIntFloat(a int64, b float64) int {
	switch {
	case b >= 1<<63:
		return -1
	case b < -1<<63:
		return 1
	}
	whole := math.Trunc(b)
	if order := cmp.Compare(a, int64(whole)); order != 0 {
		return order
	}
	return cmp.Compare(whole, b)
}

func lowerTexts(operator string, l, r *operand) boolFunc {
	k, constant := r.constant.(string)
	slot := l.slot
	if !constant || slot < 0 || operator != "==" && operator != "!=" {
		return compareFuncs(operator, l.text, r.text)
	}
	wanted := operator == "=="
	return func(f *frame) truth {
		c := f.cells[slot]
		if c.IsNull() {
			return unknown
		}
		return truthOf((string(c.Bytes(f.slab)) == k) == wanted)
	}
}

func lowerBools(operator string, l, r *operand) boolFunc {
	left, right, wanted := l.truth, r.truth, operator == "=="
	return func(f *frame) truth {
		a, b := left(f), right(f)
		if a == unknown || b == unknown {
			return unknown
		}
		return truthOf((a == b) == wanted)
	}
}

// compareDecimals compares decimals with decimals, ints and float literals as exact numbers.
func (c *checker) compareDecimals(n *ast.BinaryNode, result, l, r *operand) *operand {
	if l.kind == kindAny || r.kind == kindAny {
		result.lowered = false
		return result
	}
	left, leftScale, okLeft := decimalForm(l)
	right, rightScale, okRight := decimalForm(r)
	if !okLeft || !okRight {
		other := r
		if l.kind != kindDecimal {
			other = l
		}
		if other.kind == kindFloat {
			return c.bad(n.Location(), "convert the decimal with float(...)",
				"%s cannot compare a decimal with a float exactly", n.Operator)
		}
		return c.incomparable(n, l, r)
	}
	if !result.lowered {
		return result
	}
	want := operatorOutcomes[n.Operator]
	result.truth = func(f *frame) truth {
		a, b, ok := both(f, left, right)
		if !ok {
			return unknown
		}
		return want.of(compareScaled(a, leftScale, b, rightScale))
	}
	return result
}

// decimalForm is an operand as a decimal of some scale.
func decimalForm(o *operand) (get decimalFunc, scale uint8, ok bool) {
	switch o.kind {
	case kindDecimal:
		return o.decimal, o.column.Scale, true
	case kindInt:
		get := o.int
		return func(f *frame) (forebay.Int128, bool) {
			v, ok := get(f)
			return forebay.Int128Of(v), ok
		}, 0, true
	case kindFloat:
		v, constant := o.constant.(float64)
		if !constant {
			return nil, 0, false
		}
		unscaled, scale, ok := decimalOfFloat(v)
		return func(*frame) (forebay.Int128, bool) { return unscaled, true }, scale, ok
	default:
		return nil, 0, false
	}
}

// decimalOfFloat is the decimal that the shortest text of a float shows: 10.5 is 105 with scale 1.
func decimalOfFloat(v float64) (unscaled forebay.Int128, scale uint8, ok bool) {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	_, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > forebay.DecimalPrecisionMax {
		return forebay.Int128{}, 0, false
	}
	scale = uint8(len(fraction))
	unscaled, err := forebay.ParseDecimal(forebay.DecimalOf(forebay.DecimalPrecisionMax, scale), []byte(text))
	return unscaled, scale, err == nil
}

// compareScaled compares a / 10^aScale with b / 10^bScale.
func compareScaled(a forebay.Int128, aScale uint8, b forebay.Int128, bScale uint8) int {
	switch {
	case aScale == bScale:
		return a.Compare(b)
	case aScale > bScale:
		return -compareScaled(b, bScale, a, aScale)
	}
	for ; aScale < bScale; aScale++ {
		grown, ok := timesTen(a)
		if !ok {
			// It is beyond every number of 128 bits, so its sign decides.
			if a.Hi < 0 {
				return -1
			}
			return 1
		}
		a = grown
	}
	return a.Compare(b)
}

// timesTen multiplies unless the product does not fit.
func timesTen(v forebay.Int128) (forebay.Int128, bool) {
	negative := v.Hi < 0
	hi, lo := uint64(v.Hi), v.Lo
	if negative {
		hi, lo = negated(hi, lo)
	}
	carry, lo := bits.Mul64(lo, 10)
	over, hi := bits.Mul64(hi, 10)
	hi, wrapped := bits.Add64(hi, carry, 0)
	if over != 0 || wrapped != 0 || hi >= 1<<63 {
		return forebay.Int128{}, false
	}
	if negative {
		hi, lo = negated(hi, lo)
	}
	return forebay.Int128{Hi: int64(hi), Lo: lo}, true
}

func negated(hi, lo uint64) (uint64, uint64) {
	lo, borrow := bits.Sub64(0, lo, 0)
	hi, _ = bits.Sub64(0, hi, borrow)
	return hi, lo
}
