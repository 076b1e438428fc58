// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// typeName is the kind of a machine's value in messages and in type(...).
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case bool:
		return "bool"
	case int:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	case []byte:
		return "bytes"
	case jsonText:
		return "json"
	case dateValue:
		return "date"
	case instantValue:
		return "timestamp"
	case durationValue:
		return "duration"
	case decimalValue:
		return "decimal"
	case []any:
		return "list"
	case map[string]any:
		return "map"
	default:
		return fmt.Sprintf("%T", v)
	}
}

func wrongArgument(who, want string, v any) error {
	return rejectf(CodeWrongType, "%s takes %s, not %s", who, withArticle(want), withArticle(typeName(v)))
}

func textArgument(who string, v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", wrongArgument(who, "string", v)
}

func twoTexts(who string, args []any) (a, b string, err error) {
	if a, err = textArgument(who, args[0]); err != nil {
		return "", "", err
	}
	b, err = textArgument(who, args[1])
	return a, b, err
}

func floatArgument(who string, v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	default:
		return 0, wrongArgument(who, "number", v)
	}
}

// truthArgument is a bool or nil.
func truthArgument(who string, v any) (truth, error) {
	switch v := v.(type) {
	case nil:
		return unknown, nil
	case bool:
		return truthOf(v), nil
	default:
		return no, rejectf(CodeWrongType, "%s takes bools, not %s", who, withArticle(typeName(v)))
	}
}

func isTrue(args ...any) (any, error) {
	v, err := truthArgument("a condition", args[0])
	return v == yes, err
}

func isFalse(args ...any) (any, error) {
	v, err := truthArgument("and", args[0])
	return v == no, err
}

func dynamicNot(args ...any) (any, error) {
	v, err := truthArgument("not", args[0])
	if err != nil || v == unknown {
		return nil, err
	}
	return v == no, nil
}

func dynamicAnd(args ...any) (any, error) {
	a, errA := truthArgument("and", args[0])
	b, errB := truthArgument("and", args[1])
	switch {
	case errA != nil || errB != nil:
		return nil, cmp.Or(errA, errB)
	case a == no || b == no:
		return false, nil
	case a == unknown || b == unknown:
		return nil, nil
	default:
		return true, nil
	}
}

func dynamicOr(args ...any) (any, error) {
	a, errA := truthArgument("or", args[0])
	b, errB := truthArgument("or", args[1])
	switch {
	case errA != nil || errB != nil:
		return nil, cmp.Or(errA, errB)
	case a == yes || b == yes:
		return true, nil
	case a == unknown || b == unknown:
		return nil, nil
	default:
		return false, nil
	}
}

func dynamicIsNil(args ...any) (any, error)    { return args[0] == nil, nil }
func dynamicIsNotNil(args ...any) (any, error) { return args[0] != nil, nil }

func dynamicNegate(args ...any) (any, error) {
	switch v := args[0].(type) {
	case nil:
		return nil, nil
	case int:
		if v == math.MinInt64 {
			return nil, rejectf(CodeOverflow, "-(%d) does not fit 64 bits", v)
		}
		return -v, nil
	case float64:
		return -v, nil
	case durationValue:
		if v == math.MinInt64 {
			return nil, rejectf(CodeOverflow, "-(%d) does not fit 64 bits", v)
		}
		return -v, nil
	default:
		return nil, rejectf(CodeWrongType, "- needs a number, not %s", withArticle(typeName(v)))
	}
}

func dynamicTextTest(operator string, test func(a, b string) bool) dynamicFunc {
	return strictly(func(args ...any) (any, error) {
		a, b, err := twoTexts(operator, args)
		if err != nil {
			return nil, err
		}
		return test(a, b), nil
	})
}

func dynamicMatches(pattern *regexp.Regexp) dynamicFunc {
	return strictly(func(args ...any) (any, error) {
		v, err := textArgument("matches", args[0])
		if err != nil {
			return nil, err
		}
		return pattern.MatchString(v), nil
	})
}

// dynamicComparison is null where an operand is.
func dynamicComparison(operator string) dynamicFunc {
	want := operatorOutcomes[operator]
	ordered := operator != "==" && operator != "!="
	return strictly(func(args ...any) (any, error) {
		order, can := compareValues(args[0], args[1], ordered)
		switch can {
		case notComparable:
			return nil, rejectf(CodeWrongType, "%s cannot compare %s with %s", operator, withArticle(typeName(args[0])),
				withArticle(typeName(args[1])))
		case notOrdered:
			return want.unordered, nil
		default:
			return want.of(order) == yes, nil
		}
	})
}

// comparability says what compareValues found.
type comparability uint8

const (
	notComparable comparability = iota
	notOrdered                  // one is NaN
	comparableBoth
)

func compareValues(a, b any, ordered bool) (int, comparability) {
	switch x := a.(type) {
	case int, float64:
		if y, ok := b.(decimalValue); ok {
			return compareDecimalValues(a, y)
		}
		return compareNumbers(x, b)
	case decimalValue:
		if y, ok := b.(decimalValue); ok {
			return compareScaled(x.unscaled, x.scale, y.unscaled, y.scale), comparableBoth
		}
		order, c := compareDecimalValues(b, x)
		return -order, c
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), comparableBoth
		}
	case []byte:
		if y, ok := b.([]byte); ok {
			return bytes.Compare(x, y), comparableBoth
		}
	case dateValue:
		if y, ok := b.(dateValue); ok {
			return cmp.Compare(x, y), comparableBoth
		}
	case instantValue:
		if y, ok := b.(instantValue); ok {
			return cmp.Compare(x, y), comparableBoth
		}
	case durationValue:
		if y, ok := b.(durationValue); ok {
			return cmp.Compare(x, y), comparableBoth
		}
	case bool:
		if y, ok := b.(bool); ok && !ordered {
			if x == y {
				return 0, comparableBoth
			}
			return 1, comparableBoth
		}
	}
	return 0, notComparable
}

func compareNumbers(a, b any) (int, comparability) {
	switch x := a.(type) {
	case int:
		switch y := b.(type) {
		case int:
			return cmp.Compare(x, y), comparableBoth
		case float64:
			if math.IsNaN(y) {
				return 0, notOrdered
			}
			return compareIntFloat(int64(x), y), comparableBoth
		}
	case float64:
		switch y := b.(type) {
		case int:
			if math.IsNaN(x) {
				return 0, notOrdered
			}
			return -compareIntFloat(int64(y), x), comparableBoth
		case float64:
			if math.IsNaN(x) || math.IsNaN(y) {
				return 0, notOrdered
			}
			return cmp.Compare(x, y), comparableBoth
		}
	}
	return 0, notComparable
}

// compareDecimalValues compares a number with a decimal.
func compareDecimalValues(a any, b decimalValue) (int, comparability) {
	switch x := a.(type) {
	case int:
		return compareScaled(forebay.Int128Of(int64(x)), 0, b.unscaled, b.scale), comparableBoth
	case float64:
		if unscaled, scale, ok := decimalOfFloat(x); ok {
			return compareScaled(unscaled, scale, b.unscaled, b.scale), comparableBoth
		}
	}
	return 0, notComparable
}

// dynamicIn is null for null in anything, and where nothing is equal and the list has a null.
func dynamicIn(args ...any) (any, error) {
	if args[0] == nil || args[1] == nil {
		return nil, nil
	}
	if m, ok := args[1].(map[string]any); ok {
		key, err := textArgument("in", args[0])
		_, found := m[key]
		return found, err
	}
	list, ok := args[1].([]any)
	if !ok {
		return nil, wrongArgument("in", "list", args[1])
	}
	var absent any = false
	for _, item := range list {
		if item == nil {
			absent = nil
			continue
		}
		if order, c := compareValues(args[0], item, false); c == comparableBoth && order == 0 {
			return true, nil
		}
	}
	return absent, nil
}

func dynamicBetween(args ...any) (any, error) {
	for _, arg := range args {
		if arg == nil {
			return nil, nil
		}
		if _, ok := arg.(int); !ok {
			return nil, wrongArgument("in with a range", "int", arg)
		}
	}
	v := args[0].(int)
	return args[1].(int) <= v && v <= args[2].(int), nil
}

// dynamicArithmetic is null where an operand is.
func dynamicArithmetic(operator string) dynamicFunc {
	code := operatorCode(operator)
	return strictly(func(args ...any) (any, error) {
		a, b := args[0], args[1]
		if x, ok := a.(string); ok && code == '+' {
			if y, ok := b.(string); ok {
				return x + y, nil
			}
		}
		i, kindA := intValue(a)
		j, kindB := intValue(b)
		if kindA == kindInt && kindB == kindInt && code != '/' && code != '^' {
			return dynamicInts(operator, i, j, kindInt)
		}
		x, errA := floatArgument(operator, a)
		y, errB := floatArgument(operator, b)
		if errA == nil && errB == nil && code != '%' {
			return dynamicFloats(operator, x, y)
		}
		if k := timeArithmetic(operator, kindA, kindB); k != kindBad {
			return dynamicInts(operator, i, j, k)
		}
		return nil, rejectf(CodeWrongType, "%s cannot take %s and %s", operator, withArticle(typeName(a)),
			withArticle(typeName(b)))
	})
}

// intValue is a value that is an int64 inside, and its kind.
func intValue(v any) (int64, kind) {
	switch v := v.(type) {
	case int:
		return int64(v), kindInt
	case dateValue:
		return int64(v), kindDate
	case instantValue:
		return int64(v), kindInstant
	case durationValue:
		return int64(v), kindDuration
	default:
		return 0, kindBad
	}
}

func dynamicInts(operator string, a, b int64, k kind) (any, error) {
	v, fail := intOperation(operatorCode(operator), a, b)
	if fail != "" {
		return nil, rejectf(fail, intFailure(fail), a, operator, b)
	}
	switch k {
	case kindDate:
		if v != int64(int32(v)) {
			return nil, rejectf(CodeOverflow, "%d days from 1970-01-01 do not fit a date", v)
		}
		return dateValue(v), nil
	case kindInstant:
		return instantValue(v), nil
	case kindDuration:
		return durationValue(v), nil
	default:
		return int(v), nil
	}
}

func dynamicFloats(operator string, a, b float64) (any, error) {
	switch v, fail := floatOperation(operatorCode(operator), a, b); fail {
	case "":
		return v, nil
	case CodeDivision:
		return nil, rejectf(fail, "%v %s %v divides by zero", a, operator, b)
	default:
		return nil, rejectf(fail, "%v %s %v does not fit a float64", a, operator, b)
	}
}

func dynamicLen(args ...any) (any, error) {
	switch v := args[0].(type) {
	case string:
		return utf8.RuneCountInString(v), nil
	case []byte:
		return len(v), nil
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	default:
		return nil, wrongArgument("len", "string or list", v)
	}
}

func dynamicAbs(args ...any) (any, error) {
	switch v := args[0].(type) {
	case int:
		if v == math.MinInt64 {
			return nil, rejectf(CodeOverflow, "abs(%d) does not fit 64 bits", v)
		}
		return max(v, -v), nil
	case float64:
		return math.Abs(v), nil
	default:
		return nil, wrongArgument("abs", "number", v)
	}
}

// dynamicExtreme is min and max of its arguments or of one list, whose nulls do not count.
func dynamicExtreme(least bool) dynamicFunc {
	return func(args ...any) (any, error) {
		if list, ok := args[0].([]any); ok && len(args) == 1 {
			args = args[:0:0]
			for _, item := range list {
				if item != nil {
					args = append(args, item)
				}
			}
		}
		var best any
		for _, arg := range args {
			switch v := arg.(type) {
			case int:
				if w, ok := best.(int); ok || best == nil {
					if best == nil {
						w = v
					}
					best = int(better(int64(w), int64(v), least))
					continue
				}
			case float64:
			default:
				return nil, wrongArgument("min and max", "number", arg)
			}
			v, _ := floatArgument("", arg)
			w, err := floatArgument("", best)
			if err != nil {
				w = v
			}
			best = better(w, v, least)
		}
		return best, nil
	}
}

func dynamicToFloat(args ...any) (any, error) {
	if v, ok := args[0].(int); ok {
		return float64(v), nil
	}
	return args[0], nil
}

func dynamicInt(args ...any) (any, error) {
	f := &frame{}
	var n int64
	switch v := args[0].(type) {
	case int:
		return v, nil
	case bool:
		if v {
			n = 1
		}
	case float64:
		n, _ = f.whole(v, true)
	case string:
		n, _ = f.parsedInt(v, true)
	case decimalValue:
		n, _ = f.wholeDecimal(v.unscaled, v.scale, true)
	default:
		return nil, wrongArgument("int", "number or string", v)
	}
	return int(n), f.failure()
}

func dynamicFloat(args ...any) (any, error) {
	f := &frame{}
	var n float64
	switch v := args[0].(type) {
	case int:
		n = float64(v)
	case float64:
		n = v
	case string:
		n, _ = f.parsedFloat(v, true)
	case decimalValue:
		n, _ = f.decimalFloat(v.unscaled, v.scale, true)
	default:
		return nil, wrongArgument("float", "number or string", v)
	}
	return n, f.failure()
}

// dynamicText is string(...) of a machine's value; lists and maps become JSON.
func (f *frame) dynamicText(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case []byte:
		if !utf8.Valid(v) {
			return nil, rejectf(CodeUTF8, "string(...) of bytes that are not valid UTF-8")
		}
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return f.cellText(forebay.Float64, forebay.Float64Cell(v)), nil
	case decimalValue:
		return string(v.unscaled.AppendText(nil, v.scale)), nil
	case jsonText:
		return string(v), nil
	case []any, map[string]any:
		return jsonOf(v)
	}
	n, k := intValue(value)
	if k == kindBad {
		return nil, wrongArgument("string", "value", value)
	}
	return f.intText(k, n), nil
}

func dynamicType(args ...any) (any, error) { return typeName(args[0]), nil }
