// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/forebay-io/forebay"
)

func (c *checker) buildLen(in *invocation) *operand {
	o := in.args[0]
	if !o.kind.dynamic() && !c.argument(in, 0, kindText, kindBytes) {
		return badOperand(in.at)
	}
	result := c.result(in, kindInt, dynamicLen)
	if open := in.open(); open != nil {
		result.int = func(f *frame) (int64, bool) { return f.lenOf(open(f)) }
		return result
	}
	get, raw := o.text, o.kind == kindBytes
	result.int = func(f *frame) (int64, bool) {
		v, ok := get(f)
		if raw {
			return int64(len(v)), ok
		}
		return int64(utf8.RuneCountInString(v)), ok
	}
	return result
}

func (f *frame) lenOf(v value) (int64, bool) {
	if v.kind == kindText {
		return int64(utf8.RuneCountInString(v.s)), true
	}
	v = f.strict(dynamicLen, v)
	return v.n, v.kind == kindInt
}

// textToText is a function of one text.
func (c *checker) textToText(in *invocation, core func(f *frame, v string) string) *operand {
	if !c.argument(in, 0, kindText) {
		return badOperand(in.at)
	}
	machine := c.machine
	result := c.result(in, kindText, func(args ...any) (any, error) {
		v, err := textArgument(in.name, args[0])
		if err != nil {
			return nil, err
		}
		return core(machine.frame, v), nil
	})
	get := in.args[0].text
	result.text = func(f *frame) (string, bool) {
		v, ok := get(f)
		if !ok {
			return "", false
		}
		return core(f, v), true
	}
	return result
}

func (c *checker) buildUpper(in *invocation) *operand {
	return c.textToText(in, func(f *frame, v string) string { return f.mapped(v, 'a', strings.ToUpper) })
}

func (c *checker) buildLower(in *invocation) *operand {
	return c.textToText(in, func(f *frame, v string) string { return f.mapped(v, 'A', strings.ToLower) })
}

// mapped swaps the case of the 26 letters from first on, without an allocation where v is ASCII.
func (f *frame) mapped(v string, first byte, other func(string) string) string {
	start := len(f.scratch)
	for i := range len(v) {
		b := v[i]
		if b >= utf8.RuneSelf {
			f.scratch = f.scratch[:start]
			return strings.ToValidUTF8(other(v), "\uFFFD")
		}
		if b-first < 26 {
			b ^= 'a' - 'A'
		}
		f.scratch = append(f.scratch, b)
	}
	return f.made(start)
}

func (c *checker) buildTrim(in *invocation) *operand {
	if len(in.args) == 1 {
		return c.textToText(in, func(_ *frame, v string) string { return strings.TrimSpace(v) })
	}
	okText, okSet := c.argument(in, 0, kindText), c.argument(in, 1, kindText)
	if !okText || !okSet {
		return badOperand(in.at)
	}
	result := c.result(in, kindText, func(args ...any) (any, error) {
		v, set, err := twoTexts(in.name, args)
		return strings.Trim(v, set), err
	})
	text, set := in.args[0].text, in.args[1].text
	result.text = func(f *frame) (string, bool) {
		v, characters, ok := both(f, text, set)
		return strings.Trim(v, characters), ok
	}
	return result
}

func (c *checker) buildAbs(in *invocation) *operand {
	if !c.argument(in, 0, kindFloat, kindInt) {
		return badOperand(in.at)
	}
	o := in.args[0]
	result := c.result(in, o.kind, dynamicAbs)
	result.lowered = result.lowered && o.kind != kindAny
	getInt, getFloat := o.int, o.float
	result.int = func(f *frame) (int64, bool) {
		v, ok := getInt(f)
		if ok && v == math.MinInt64 {
			f.refuse(CodeOverflow, "abs(%d) does not fit 64 bits", v)
			return 0, false
		}
		return max(v, -v), ok
	}
	result.float = func(f *frame) (float64, bool) {
		v, ok := getFloat(f)
		return math.Abs(v), ok
	}
	return result.orNil(o)
}

// orNil gives the result of a function of the word nil every closure.
func (o *operand) orNil(argument *operand) *operand {
	if argument.kind == kindNil {
		o.nulls()
		o.lowered = argument.lowered
	}
	return o
}

var roundings = map[string]func(float64) float64{"round": math.Round, "floor": math.Floor, "ceil": math.Ceil}

func (c *checker) buildRound(in *invocation) *operand {
	if !c.argument(in, 0, kindFloat, kindInt) {
		return badOperand(in.at)
	}
	round := roundings[in.name]
	result := c.result(in, kindFloat, func(args ...any) (any, error) {
		v, err := floatArgument(in.name, args[0])
		return round(v), err
	})
	get := in.args[0].toFloat()
	result.float = func(f *frame) (float64, bool) {
		v, ok := get(f)
		return round(v), ok
	}
	return result
}

// buildExtreme is min and max: of ints an int, else a float.
func (c *checker) buildExtreme(in *invocation) *operand {
	k := kindInt
	for i, o := range in.args {
		switch {
		case o.kind == kindList && len(in.args) == 1:
			k = kindAny
		case !c.argument(in, i, kindFloat, kindInt):
			return badOperand(in.at)
		case o.kind == kindAny:
			k = kindAny
		case o.kind == kindFloat && k == kindInt:
			k = kindFloat
		}
	}
	least := in.name == "min"
	result := c.result(in, k, dynamicExtreme(least))
	// Ints among floats become floats, as the result is one.
	arguments := result.tree.(*ast.CallNode).Arguments
	for i, o := range in.args {
		arguments[i] = c.treeAs(o, result)
	}
	if k == kindInt {
		var gets []intFunc
		for _, o := range in.args {
			gets = append(gets, o.int)
		}
		result.int = func(f *frame) (int64, bool) { return extreme(f, gets, least) }
		return result
	}
	result.lowered = result.lowered && k != kindAny
	var gets []floatFunc
	for _, o := range in.args {
		gets = append(gets, o.toFloat())
	}
	result.float = func(f *frame) (float64, bool) { return extreme(f, gets, least) }
	return result
}

func extreme[T int64 | float64, F ~func(*frame) (T, bool)](f *frame, gets []F, least bool) (T, bool) {
	best, fine := gets[0](f)
	for _, get := range gets[1:] {
		v, ok := get(f)
		fine = fine && ok
		best = better(best, v, least)
	}
	return best, fine
}

// better is the lesser or the greater one; NaN wins, whatever its place.
func better[T int64 | float64](a, b T, least bool) T {
	if least {
		return min(a, b)
	}
	return max(a, b)
}

// buildInt is int(...): of a float its whole part, of a text all of it.
func (c *checker) buildInt(in *invocation) *operand {
	if open := in.open(); open != nil {
		result := c.result(in, kindInt, dynamicInt)
		result.int = func(f *frame) (int64, bool) {
			switch v := open(f); v.kind {
			case kindInt, kindBool:
				return v.n, true
			case kindFloat:
				return f.whole(v.float(), true)
			case kindText:
				return f.parsedInt(v.s, true)
			default:
				v = f.strict(dynamicInt, v)
				return v.n, v.kind == kindInt
			}
		}
		return result
	}
	if !c.argument(in, 0, kindInt, kindFloat, kindText, kindDecimal, kindBool) {
		return badOperand(in.at)
	}
	o := in.args[0]
	result := c.result(in, kindInt, dynamicInt)
	result.int = o.int
	switch o.kind {
	case kindFloat:
		get := o.float
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return f.whole(v, ok)
		}
	case kindText:
		get := o.text
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return f.parsedInt(v, ok)
		}
	case kindDecimal:
		get, scale := o.decimal, o.column.Scale
		result.int = func(f *frame) (int64, bool) {
			v, ok := get(f)
			return f.wholeDecimal(v, scale, ok)
		}
	case kindBool:
		get := o.truth
		result.int = func(f *frame) (int64, bool) {
			v := get(f)
			return int64(v & 1), v != unknown
		}
	default:
	}
	return result
}

func (f *frame) whole(v float64, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	if math.IsNaN(v) || v >= 1<<63 || v < -1<<63 {
		f.refuse(CodeOverflow, "int(%v) does not fit 64 bits", v)
		return 0, false
	}
	return int64(v), true
}

func (f *frame) parsedInt(v string, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || v[0] == '+' {
		f.refuse(CodeCast, "%s is not an int", shown(strings.Clone(v)))
		return 0, false
	}
	return n, true
}

func (f *frame) wholeDecimal(v forebay.Int128, scale uint8, ok bool) (int64, bool) {
	if !ok {
		return 0, false
	}
	start := len(f.scratch)
	f.scratch = v.AppendText(f.scratch, scale)
	text, _, _ := strings.Cut(f.made(start), ".")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f.refuse(CodeOverflow, "int(%s) does not fit 64 bits", strings.Clone(text))
		return 0, false
	}
	return n, true
}

func (c *checker) buildFloat(in *invocation) *operand {
	if open := in.open(); open != nil {
		result := c.result(in, kindFloat, dynamicFloat)
		result.float = func(f *frame) (float64, bool) {
			switch v := open(f); v.kind {
			case kindInt, kindFloat:
				return v.number(), true
			case kindText:
				return f.parsedFloat(v.s, true)
			default:
				v = f.strict(dynamicFloat, v)
				return v.float(), v.kind == kindFloat
			}
		}
		return result
	}
	if !c.argument(in, 0, kindFloat, kindInt, kindText, kindDecimal) {
		return badOperand(in.at)
	}
	o := in.args[0]
	result := c.result(in, kindFloat, dynamicFloat)
	switch o.kind {
	case kindText:
		get := o.text
		result.float = func(f *frame) (float64, bool) {
			v, ok := get(f)
			return f.parsedFloat(v, ok)
		}
	case kindDecimal:
		get, scale := o.decimal, o.column.Scale
		result.float = func(f *frame) (float64, bool) {
			v, ok := get(f)
			return f.decimalFloat(v, scale, ok)
		}
	default:
		result.float = o.toFloat()
	}
	return result
}

func (f *frame) parsedFloat(v string, ok bool) (float64, bool) {
	if !ok {
		return 0, false
	}
	c, _, err := forebay.ParseCell(nil, forebay.Float64, []byte(v))
	if err != nil {
		f.refuse(CodeCast, "%s is not a float", shown(strings.Clone(v)))
		return 0, false
	}
	return c.Float(), true
}

func (f *frame) decimalFloat(v forebay.Int128, scale uint8, ok bool) (float64, bool) {
	if !ok {
		return 0, false
	}
	start := len(f.scratch)
	f.scratch = v.AppendText(f.scratch, scale)
	n, _ := strconv.ParseFloat(f.made(start), 64)
	return n, true
}

// buildString is string(...): the text that files and output show.
func (c *checker) buildString(in *invocation) *operand {
	o := in.args[0]
	machine := c.machine
	result := c.result(in, kindText, func(args ...any) (any, error) { return machine.frame.dynamicText(args[0]) })
	open := in.open()
	switch {
	case open != nil:
		result.text = func(f *frame) (string, bool) {
			switch v := open(f); v.kind {
			case kindText:
				return v.s, true
			case kindInt:
				return f.intText(kindInt, v.n), true
			default:
				v = f.strict(func(args ...any) (any, error) { return f.dynamicText(args[0]) }, v)
				return v.s, v.kind == kindText
			}
		}
	case o.kind == kindText, o.kind == kindNil:
		result.text = o.text
	case o.kind == kindBytes:
		get := o.text
		result.text = func(f *frame) (string, bool) {
			v, ok := get(f)
			if ok && !utf8.ValidString(v) {
				f.refuse(CodeUTF8, "string(...) of bytes that are not valid UTF-8")
				return "", false
			}
			return v, ok
		}
	case o.kind == kindBool:
		get := o.truth
		result.text = func(f *frame) (string, bool) {
			v := get(f)
			return strconv.FormatBool(v == yes), v != unknown
		}
	case o.kind == kindFloat:
		get := o.float
		result.text = func(f *frame) (string, bool) {
			v, ok := get(f)
			return f.cellText(forebay.Float64, forebay.Float64Cell(v)), ok
		}
	case o.kind == kindDecimal:
		get, scale := o.decimal, o.column.Scale
		result.text = func(f *frame) (string, bool) {
			v, ok := get(f)
			start := len(f.scratch)
			f.scratch = v.AppendText(f.scratch, scale)
			return f.made(start), ok
		}
	case o.kind.inInt():
		get, k := o.int, o.kind
		result.text = func(f *frame) (string, bool) {
			v, ok := get(f)
			return f.intText(k, v), ok
		}
	}
	return result
}

// intText is the text of a value of a kind in an int64.
func (f *frame) intText(k kind, v int64) string {
	switch k {
	case kindDate:
		return f.cellText(forebay.Date, forebay.DateCell(int32(v)))
	case kindInstant:
		return f.cellText(forebay.Timestamp, forebay.TimestampCell(v))
	case kindDuration:
		return durationText(v)
	default:
		start := len(f.scratch)
		f.scratch = strconv.AppendInt(f.scratch, v, 10)
		return f.made(start)
	}
}

// durationText is as Go prints it, also where nanoseconds would not fit.
func durationText(micros int64) string {
	if micros > math.MaxInt64/1000 || micros < math.MinInt64/1000 {
		return strconv.FormatInt(micros/1_000_000, 10) + "s"
	}
	return (time.Duration(micros) * time.Microsecond).String()
}

func (f *frame) cellText(t forebay.Type, c forebay.Cell) string {
	start := len(f.scratch)
	f.scratch = forebay.AppendCell(f.scratch, t, c, nil)
	return f.made(start)
}
