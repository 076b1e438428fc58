// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"cmp"
	"errors"
	"math"
	"strings"
	"unsafe"

	"github.com/expr-lang/expr/ast"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/jsonedit"
)

// value is one whose kind is known at run time only, such as that of a JSON field. Closures pass it without an
// allocation; what they do seldom goes through the machine's functions (call), so that both forms agree (X3).
type value struct {
	kind kind
	// n is an int, days, microseconds, 1 for true, or the bits of a float. A value has four words, since the compiler
	// keeps what is larger in memory, where each copy waits for the parts that were stored just before.
	n int64
	// s is a string, bytes, or the JSON text of a list or a map.
	s string
}

type valueFunc func(f *frame) value

// noValue is null.
var noValue = value{kind: kindNil}

func intOf(k kind, n int64) value   { return value{kind: k, n: n} }
func floatOf(v float64) value       { return value{kind: kindFloat, n: int64(math.Float64bits(v))} }
func textOf(k kind, v string) value { return value{kind: k, s: v} }

func truthValue(v truth) value {
	switch v {
	case yes:
		return intOf(kindBool, 1)
	case no:
		return intOf(kindBool, 0)
	default:
		return noValue
	}
}

func (v value) isNull() bool { return v.kind == kindNil }

// float is the value of a float.
func (v value) float() float64 { return math.Float64frombits(uint64(v.n)) }

// number is an int or a float as a float.
func (v value) number() float64 {
	if v.kind == kindInt {
		return float64(v.n)
	}
	return v.float()
}

// values is the operand as a value, whatever its kind; nil where that is not possible.
func (o *operand) values() valueFunc {
	if !o.lowered {
		return nil
	}
	switch k := o.kind; {
	case k == kindAny:
		return o.value
	case k == kindNil:
		return func(*frame) value { return noValue }
	case k == kindBool:
		get := o.truth
		return func(f *frame) value { return truthValue(get(f)) }
	case k.inInt():
		get := o.int
		return func(f *frame) value {
			if n, ok := get(f); ok {
				return intOf(k, n)
			}
			return noValue
		}
	case k == kindFloat:
		get := o.float
		return func(f *frame) value {
			if v, ok := get(f); ok {
				return floatOf(v)
			}
			return noValue
		}
	case k == kindText, k == kindBytes:
		get := o.text
		return func(f *frame) value {
			if v, ok := get(f); ok {
				return textOf(k, v)
			}
			return noValue
		}
	default:
		return nil
	}
}

// box is the value as the machine holds it.
func (v value) box() (any, error) {
	switch v.kind {
	case kindNil:
		return nil, nil
	case kindBool:
		return v.n == 1, nil
	case kindInt:
		return int(v.n), nil
	case kindFloat:
		return v.float(), nil
	case kindText:
		return v.s, nil
	case kindBytes:
		return []byte(v.s), nil
	case kindDate:
		return dateValue(v.n), nil
	case kindInstant:
		return instantValue(v.n), nil
	case kindDuration:
		return durationValue(v.n), nil
	default:
		return parseJSON([]byte(v.s), fieldNumber)
	}
}

// unbox is a machine's value that is neither list nor map nor decimal.
func unbox(boxed any) (value, bool) {
	switch v := boxed.(type) {
	case nil:
		return noValue, true
	case bool:
		return truthValue(truthOf(v)), true
	case float64:
		return floatOf(v), true
	case string:
		return textOf(kindText, v), true
	case []byte:
		return textOf(kindBytes, string(v)), true
	}
	n, k := intValue(boxed)
	return intOf(k, n), k != kindBad
}

// call runs a function of the machine. Its failure is the frame's.
func (f *frame) call(fn dynamicFunc, args ...value) value {
	boxed := make([]any, len(args))
	for i, arg := range args {
		var err error
		if boxed[i], err = arg.box(); err != nil {
			f.fails(err)
			return noValue
		}
	}
	result, err := fn(boxed...)
	if err != nil {
		f.fails(err)
		return noValue
	}
	v, ok := unbox(result)
	if !ok {
		f.refuse(CodeWrongType, "the result is %s", withArticle(typeName(result)))
	}
	return v
}

// strict is call of a function with one argument, whose null gives null.
func (f *frame) strict(fn dynamicFunc, v value) value {
	if v.isNull() {
		return v
	}
	return f.call(fn, v)
}

// fails notes an error as the frame's failure.
func (f *frame) fails(err error) {
	if e, ok := errors.AsType[*RejectError](err); ok {
		if f.fail == nil {
			f.fail = e
		}
		return
	}
	f.refuse(CodeFailed, "%s", err)
}

// demand gives an operand whose kind is known at run time only the closure of a kind. A value of another kind is
// a failure; phrase begins its reason, such as "upper takes".
func (o *operand) demand(want kind, phrase string) {
	get := o.value
	wrong := func(f *frame, v value) {
		f.refuse(CodeWrongType, "%s %s, not %s", phrase, withArticle(want.String()), withArticle(v.kind.String()))
	}
	switch {
	case want == kindBool:
		o.truth = func(f *frame) truth {
			switch v := get(f); v.kind {
			case kindBool:
				return truth(v.n)
			case kindNil:
				return unknown
			default:
				wrong(f, v)
				return unknown
			}
		}
	case want.inInt():
		o.int = func(f *frame) (int64, bool) {
			v := get(f)
			if v.kind != want && v.kind != kindNil {
				wrong(f, v)
			}
			return v.n, v.kind == want
		}
	case want == kindFloat:
		o.float = func(f *frame) (float64, bool) {
			v := get(f)
			if !v.kind.number() && v.kind != kindNil {
				wrong(f, v)
			}
			return v.number(), v.kind.number()
		}
	case want == kindText:
		o.text = func(f *frame) (string, bool) {
			v := get(f)
			if v.kind != want && v.kind != kindNil {
				wrong(f, v)
			}
			return v.s, v.kind == want
		}
	}
}

// demandArgument fits an argument whose kind is known at run time only to the kinds that a function takes.
func (c *checker) demandArgument(in *invocation, i int, kinds []kind) {
	o := in.args[i]
	alone := o.value != nil
	for k, other := range in.args {
		// Where another argument is noValue the result is, whatever this one is: the machine knows that order.
		alone = alone && (k == i || other.constant != nil)
	}
	switch {
	case alone && len(kinds) == 1:
		o.demand(kinds[0], in.name+" takes")
	case alone && len(kinds) == 2 && kinds[0] == kindFloat && kinds[1] == kindInt:
		o.demand(kindFloat, in.name+" takes")
	default:
		o.lowered = false
	}
}

// open is the closure of a function's only argument, where its kind is known at run time only.
func (in *invocation) open() valueFunc {
	o := in.args[0]
	if o.kind != kindAny || !o.lowered {
		return nil
	}
	for _, other := range in.args[1:] {
		if other.constant == nil {
			return nil
		}
	}
	return o.value
}

// compareAtRunTime compares operands of which one has a kind that is known at run time only.
func (c *checker) compareAtRunTime(n *ast.BinaryNode, result, l, r *operand) *operand {
	left, right := l.values(), r.values()
	if result.lowered = left != nil && right != nil; !result.lowered {
		return result
	}
	result.truth = lowerValues(n.Operator, left, right)
	if k, ok := r.constant.(string); ok && l.path != nil && !strings.ContainsAny(k, `"\`) {
		result.truth = fieldWithText(n.Operator, l.path, k, result.truth)
	}
	return result
}

// fieldWithText compares a string where it lies in the record, and leaves everything else to otherwise.
func fieldWithText(operator string, path *jsonedit.Path, k string, otherwise boolFunc) boolFunc {
	if operator != "==" && operator != "!=" {
		return otherwise
	}
	wanted := operator == "=="
	return func(f *frame) truth {
		if raw, state := f.record.Find(path); state == jsonedit.Found && raw[0] == '"' {
			if same, decided := jsonedit.HasText(raw, k); decided {
				return truthOf(same == wanted)
			}
		}
		return otherwise(f)
	}
}

func lowerValues(operator string, l, r valueFunc) boolFunc {
	want, fn := operatorOutcomes[operator], dynamicComparison(operator)
	return func(f *frame) truth {
		a, b := l(f), r(f)
		switch {
		case a.kind == kindNil || b.kind == kindNil:
			return unknown
		case a.kind == kindInt && b.kind == kindInt:
			return want.of(cmp.Compare(a.n, b.n))
		case a.kind == kindText && b.kind == kindText:
			return want.of(strings.Compare(a.s, b.s))
		case a.kind.number() && b.kind.number():
			order, ordered := numberOrder(a, b)
			if !ordered {
				return truthOf(want.unordered)
			}
			return want.of(order)
		}
		v := f.call(fn, a, b)
		if v.kind != kindBool {
			return unknown
		}
		return truth(v.n)
	}
}

// numberOrder compares numbers exactly; one that is NaN has no order.
func numberOrder(a, b value) (order int, ordered bool) {
	switch {
	case a.kind == kindInt && b.kind == kindInt:
		return cmp.Compare(a.n, b.n), true
	case a.kind == kindFloat && math.IsNaN(a.float()), b.kind == kindFloat && math.IsNaN(b.float()):
		return 0, false
	case a.kind == kindInt:
		return compareIntFloat(a.n, b.float()), true
	case b.kind == kindInt:
		return -compareIntFloat(b.n, a.float()), true
	default:
		return cmp.Compare(a.float(), b.float()), true
	}
}

// arithmeticAtRunTime is + - * / % ** ^ of operands of which one has a kind that is known at run time only.
func arithmeticAtRunTime(operator string, result, l, r *operand) *operand {
	left, right := l.values(), r.values()
	if result.lowered = left != nil && right != nil; !result.lowered {
		return result
	}
	code, fn := operatorCode(operator), dynamicArithmetic(operator)
	result.value = func(f *frame) value {
		a, b := left(f), right(f)
		if a.kind == kindInt && b.kind == kindInt && code == '+' {
			// The most frequent of all, without the detour.
			if n := a.n + b.n; (n > a.n) == (b.n > 0) {
				return intOf(kindInt, n)
			}
		}
		switch {
		case a.kind == kindNil || b.kind == kindNil:
			return noValue
		case a.kind == kindText && b.kind == kindText && code == '+':
			return textOf(kindText, f.joined(a.s, b.s))
		case a.kind == kindInt && b.kind == kindInt && code != '/' && code != '^':
			n, fail := intOperation(code, a.n, b.n)
			if fail == "" {
				return intOf(kindInt, n)
			}
		case a.kind.number() && b.kind.number() && code != '%':
			v, fail := floatOperation(code, a.number(), b.number())
			if fail == "" {
				return floatOf(v)
			}
		}
		return f.call(fn, a, b)
	}
	get := result.value
	result.float = func(f *frame) (float64, bool) {
		v := get(f)
		return v.float(), v.kind == kindFloat
	}
	return result
}

// joined is a followed by b. Where a was the last to be made, as in a + b + c, it stays where it is.
func (f *frame) joined(a, b string) string {
	start := len(f.scratch) - len(a)
	if start < 0 || len(a) == 0 || unsafe.StringData(a) != &f.scratch[start] {
		start = len(f.scratch)
		f.scratch = append(f.scratch, a...)
	}
	f.scratch = append(f.scratch, b...)
	return f.made(start)
}

// negated is the operand with its sign turned.
func (o *operand) negated() valueFunc {
	get := o.value
	if get == nil {
		return nil
	}
	return func(f *frame) value {
		switch v := get(f); {
		case v.kind == kindNil:
			return v
		case v.kind == kindInt && v.n != math.MinInt64:
			return intOf(kindInt, -v.n)
		case v.kind == kindFloat:
			return floatOf(-v.float())
		default:
			return f.call(dynamicNegate, v)
		}
	}
}

// lowerInValues compiles a list of constants for a value whose kind is known at run time only.
func lowerInValues(result *operand, get valueFunc, items []*operand) {
	absent := no
	texts, ints := map[string]struct{}{}, map[int64]struct{}{}
	var others []value
	for _, item := range items {
		switch v := item.constant.(type) {
		case string:
			texts[v] = struct{}{}
		case int64:
			ints[v] = struct{}{}
			others = append(others, intOf(kindInt, v))
		case float64:
			others = append(others, floatOf(v))
		case bool:
			others = append(others, truthValue(truthOf(v)))
		default:
			if !item.isLiteralNil() {
				return
			}
			absent = unknown
		}
	}
	result.lowered = true
	result.truth = func(f *frame) truth {
		v := get(f)
		found := false
		switch v.kind {
		case kindNil:
			return unknown
		case kindText:
			_, found = texts[v.s]
		case kindInt:
			_, found = ints[v.n]
		default: // no map holds it
		}
		for i := 0; i < len(others) && !found && (v.kind == kindFloat || v.kind == kindInt || v.kind == kindBool); i++ {
			switch other := &others[i]; {
			case v.kind == kindBool:
				found = other.kind == kindBool && other.n == v.n
			case other.kind.number() && (v.kind == kindFloat || other.kind == kindFloat):
				order, ordered := numberOrder(v, *other)
				found = ordered && order == 0
			}
		}
		if found {
			return yes
		}
		return absent
	}
}

// appendValue appends a value as JSON. What no field can hold is a failure.
func (f *frame) appendValue(dst []byte, v value) []byte {
	switch v.kind {
	case kindNil:
		return append(dst, "null"...)
	case kindBool:
		return forebay.AppendCellJSON(dst, forebay.Bool, forebay.BoolCell(v.n == 1), nil)
	case kindInt, kindDate, kindInstant:
		return forebay.AppendCellJSON(dst, columnTypes[v.kind], intCell(v.kind, v.n), nil)
	case kindFloat:
		return forebay.AppendCellJSON(dst, forebay.Float64, forebay.Float64Cell(v.float()), nil)
	case kindText:
		return forebay.AppendJSONString(dst, bytesOf(v.s))
	case kindBytes:
		return forebay.AppendCellJSON(dst, forebay.Binary, forebay.SpanCell(forebay.KindBytes, 0, len(v.s)), bytesOf(v.s))
	case kindList, kindMap:
		return append(dst, v.s...)
	default:
		f.refuse(CodeWrongType, "a field cannot hold a %s", v.kind)
		return dst
	}
}

// appendBoxed appends a machine's value as JSON.
func (f *frame) appendBoxed(dst []byte, boxed any) []byte {
	switch v := boxed.(type) {
	case []any, map[string]any, jsonText, decimalValue:
		out, err := appendJSON(dst, v)
		if err != nil {
			f.fails(err)
			return dst
		}
		return out
	case string:
		if strings.ToValidUTF8(v, "") != v {
			f.refuse(CodeUTF8, "the result is not valid UTF-8")
			return dst
		}
	}
	v, ok := unbox(boxed)
	if !ok {
		f.refuse(CodeWrongType, "a field cannot hold a %s", typeName(boxed))
		return dst
	}
	return f.appendValue(dst, v)
}
