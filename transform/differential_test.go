// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

// exprWriter draws expressions of a wanted kind over the columns of randomColumns.
type exprWriter struct {
	t *rapid.T
	// plain leaves out what is not expr-lang's own, and null.
	plain bool
	// fields writes what both a JSON field and a column of the same text can be.
	fields bool
	// small keeps numbers small.
	small bool
}

var randomColumns = []forebay.Column{
	{Name: "i", Type: forebay.Int64},
	{Name: "j", Type: forebay.Int32},
	{Name: "f", Type: forebay.Float64},
	{Name: "g", Type: forebay.Float32},
	{Name: "s", Type: forebay.String},
	{Name: "u", Type: forebay.String},
	{Name: "p", Type: forebay.Bool},
	{Name: "q", Type: forebay.Bool},
	{Name: "d", Type: forebay.Date},
	{Name: "ts", Type: forebay.Timestamp},
	{Name: "dec", Type: forebay.DecimalOf(20, 3)},
	{Name: "dez", Type: forebay.DecimalOf(38, 0)},
}

func (w exprWriter) pick(list ...string) string { return rapid.SampledFrom(list).Draw(w.t, "piece") }

// fill replaces each letter of a pattern: I int, F float, N number, S string, B bool, D date, T timestamp,
// U duration, X decimal.
func (w exprWriter) fill(pattern string, depth int) string {
	var out strings.Builder
	for _, word := range words(pattern) {
		if len(word) == 1 && strings.Contains("IFNSBDTUX", word) {
			word = w.expr(word[0], depth-1)
		}
		out.WriteString(word)
	}
	return out.String()
}

var leaves = map[byte][]string{
	'I': {"i", "j", "0", "1", "-1", "7", "9223372036854775807", "2147483648"},
	'F': {"f", "g", "0.0", "0.5", "-2.5", "1e18"},
	'S': {"s", "u", `""`, `"EWR"`, `"7"`, `"\u00fcb"`}, 'B': {"p", "q", "true", "false"}, 'D': {"d", `date("2013-01-31")`},
	'T': {"ts", `timestamp("2013-01-31T10:00:00Z")`}, 'U': {`duration("90m")`, `duration("-1ms")`}, 'X': {"dec", "dez"},
}

var patterns = map[byte][]string{
	'I': {
		"(I + I)", "(I - I)", "(I * I)", "(I % I)", "(-I)", "(B ? I : I)", "(I ?? I)", "abs(I)", "min(I, I)",
		"max(I, I, I)", "int(N)", "len(S)",
		"coalesce(I, nil, I)", "int(S)", "(D - D)", "year(T)", "day(D)", "unix(T)", "int(X)", "(+I)",
		"hour(T, `Europe/Berlin`)", "int(B)",
	},
	'F': {
		"(F + N)", "(N - F)", "(F * N)", "(N / N)", "(N ** N)", "(-F)", "(B ? F : N)", "(F ?? N)", "abs(F)", "min(F, N)",
		"max(N, F)", "float(N)",
		"round(N)", "floor(F)", "ceil(F)", "float(S)", "seconds(U)", "float(X)",
	},
	'S': {
		"(S + S)", "(S + `-` + S)", "(B ? S : S)", "(S ?? S)", "upper(S)", "lower(S)", "trim(S)", "trim(S, S)",
		"string(I)", "string(F)", "string(B)",
		"string(D)", "string(T)", "string(X)", "string(U)", "format(D, `2006-01`)",
	},
	'B': {
		"(I == I)", "(I != N)", "(N < N)", "(N <= I)", "(F > N)", "(N >= F)", "(S == S)", "(S != S)", "(S < S)",
		"(S >= S)", "(B == B)", "(B != B)",
		"(B and B)", "(B or B)", "(B && B)", "(B || B)", "(not B)", "(!B)", "(B ? B : B)", "(B ?? B)", "(I == nil)",
		"(S != nil)", "(nil == F)",
		"(S contains S)", "(S startsWith S)", "(S endsWith S)", "(S matches `^[A-Z]+$`)", "(I in [1, 7, 0])",
		"(S in [`EWR`, `7`])",
		"(I in [1, nil])", "(I not in [0])", "(I in I..I)", "(D < D)", "(D == D)", "(T >= T)", "(T != T)", "(U < U)",
		"(X == X)", "(X < I)",
		"(I >= X)", "(X > 0.125)", "(I in [1,2,3,4,5,6,7,8,9,0])", "(X != -1.5)", "(N < N < N)", "(nil < I)",
		"(F == nil + 1)",
	},
	'D': {"(D + I)", "(D - I)", "(B ? D : D)", "date(T)", "date(s)", "(D ?? D)"},
	'T': {"(T + U)", "(T - U)", "timestamp(D)", "(B ? T : T)", "fromUnix(I)", "timestamp(s)", "(T ?? T)"},
	'U': {"(T - T)", "(U + U)", "(U * I)", "(-U)", "duration(u)"}, 'X': {"(B ? dec : dec)", "(dec ?? dec)"},
}

// fieldLeaves are those that JSON has no type for.
var fieldLeaves = map[byte][]string{
	'D': {"date(d)", `date("2013-01-31")`}, 'T': {"timestamp(ts)", `timestamp("2013-01-31T10:00:00Z")`},
}

// plainLeaves are so small that no int leaves the range in which expr-lang compares ints and floats exactly.
var plainLeaves = map[byte][]string{'I': {"i", "j", "0", "1", "-1", "7"}, 'F': {"f", "g", "0.0", "0.5", "-2.5"}}

var plainPatterns = map[byte][]string{
	'I': {"(I + I)", "(I - I)", "(I * I)", "(I % I)", "(-I)", "(B ? I : I)", "abs(I)", "len(S)", "int(f)", "(I ?? I)"},
	'F': {
		"(F + N)", "(N - F)", "(F * N)", "(N / N)", "(-F)", "abs(F)", "float(N)", "round(N)", "floor(N)",
		"ceil(N)", "(N ** 2)",
	},
	'S': {"(S + S)", "(B ? S : S)", "upper(S)", "lower(S)", "trim(S)", "trim(S, S)", "string(I)"},
	'B': {
		"(I == I)", "(I != N)", "(N < N)", "(N <= I)", "(F > N)", "(N >= F)", "(S == S)", "(S != S)", "(S < S)",
		"(S >= S)", "(B == B)",
		"(B and B)", "(B or B)", "(not B)", "(B ? B : B)", "(S contains S)", "(S startsWith S)", "(S endsWith S)",
		"(S matches `^[A-Z]+$`)",
		"(I in [1, 7, 0])", "(S in [`EWR`, `7`])", "(I not in [0])", "(I in 0..7)", "(N < N < N)", "(I == nil)", "(S != nil)",
	},
}

func (w exprWriter) expr(kind byte, depth int) string {
	if kind == 'N' {
		kind = w.pick("I", "F")[0]
	}
	if depth <= 0 || rapid.IntRange(0, 4).Draw(w.t, "leaf") == 0 {
		if small := plainLeaves[kind]; (w.plain || w.small) && small != nil {
			return w.pick(small...)
		}
		if texts := fieldLeaves[kind]; w.fields && texts != nil {
			return w.pick(texts...)
		}
		return w.pick(leaves[kind]...)
	}
	from := patterns
	if w.plain {
		from = plainPatterns
	}
	pattern := w.pick(from[kind]...)
	for w.fields && strings.Contains(pattern, "X") {
		pattern = w.pick(from[kind]...)
	}
	return w.fill(pattern, depth)
}

// randomRow draws cells of randomColumns as text.
func randomRow(t *rapid.T, nulls bool) []string {
	draw := func(list ...string) string {
		if nulls && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
			return null
		}
		return rapid.SampledFrom(list).Draw(t, "cell")
	}
	edges := []string{"0", "1", "-1", "7", "42", "-30"}
	floats := []string{"0", "1", "-1.5", "0.1", "7", "100"}
	narrow := []string{"0", "1", "-1", "7"}
	if nulls {
		narrow = append(narrow, "2147483647", "-2147483648")
		edges = append(edges, "9223372036854775807", "-9223372036854775808", "9007199254740993")
		floats = append(floats, "NaN", "Inf", "-Inf", "1e308", "9007199254740992", "9.3e18")
	}
	texts := []string{
		"", "EWR", "JFK", "ewr", " 7 ", "7", "-1.5", "z\u00fcrich", "2013-01-31",
		"2013-01-31T10:00:00Z", "90s",
	}
	return []string{
		draw(edges...), draw(narrow...), draw(floats...), draw("0", "0.5", "-2.25"), draw(texts...), draw(texts...),
		draw("true", "false"), draw("true", "false"), draw("1970-01-01", "2013-01-31", "1969-12-31"),
		draw("1970-01-01T00:00:00Z", "2013-01-31T23:30:15.5Z", "1969-12-31T23:59:59.999999Z"),
		draw("0", "12.500", "-0.125", "7"),
		draw("0", "7", "99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"),
	}
}

func TestClosuresAndMachineAgreeX3(t *testing.T) {
	t.Parallel()
	lowered := 0
	rapid.Check(t, func(rt *rapid.T) {
		in, b := rows(t, randomColumns, randomRow(rt, true), randomRow(rt, true), randomRow(rt, true), randomRow(rt, true))
		text := exprWriter{t: rt}.expr(rapid.SampledFrom([]byte("BBIFSDT")).Draw(rt, "kind"), 4)
		if _, problems := checked(in.Layout, text, nil); len(problems) > 0 {
			t.Fatalf("%s is refused: %v", text, joined(problems))
		}
		closures, machine := bothForms(t, in, text)
		if closures == nil {
			t.Fatalf("%s is not compiled to closures", text)
		}
		lowered++
		for i := range b.Len() {
			want := outcome(machine, b, i)
			if got := outcome(closures, b, i); got != want {
				rt.Fatalf("%s for %s: closures give %s, machine %s", text, lines(b)[i], got, want)
			}
		}
	})
	if lowered == 0 {
		t.Error("nothing was compared")
	}
}

// TestClosuresAgreeWithPlainExprLang compares with expr-lang as it comes, where it has an answer of its own: no
// null, no overflow, no division by zero.
func TestClosuresAgreeWithPlainExprLangX3(t *testing.T) {
	t.Parallel()
	compared := 0
	rapid.Check(t, func(rt *rapid.T) {
		line := randomRow(rt, false)
		in, b := rows(t, randomColumns, line)
		text := exprWriter{t: rt, plain: true}.expr(rapid.SampledFrom([]byte("BBIFS")).Draw(rt, "kind"), 3)
		closures, machine := bothForms(t, in, text)
		c, err := closures.Eval(b, 0)
		if err != nil {
			return
		}
		env := map[string]any{}
		for k, column := range randomColumns[:8] {
			if env[column.Name], err = valueOf(b.Cells(0)[k], column.Type, b.Slab()); err != nil {
				t.Fatal(err)
			}
		}
		want, err := expr.Eval(text, env)
		if err != nil {
			rt.Fatalf("%s for %s: %v", text, line, err)
		}
		compared++
		got := plainText(c, closures.Type(), b)
		if got != fmt.Sprint(plainValue(want)) {
			rt.Fatalf("%s for %s: we give %s, expr-lang %v", text, line, got, plainValue(want))
		}
		if other := outcome(machine, b, 0); other != cellText(c, closures.Type(), b) {
			rt.Fatalf("%s for %s: machine gives %s", text, line, other)
		}
	})
	if compared < 10 {
		t.Errorf("only %d results were compared", compared)
	}
}

func plainText(c forebay.Cell, typ forebay.Type, b *forebay.Batch) string {
	if kindOf(typ).number() {
		v := c.Float()
		if kindOf(typ) == kindInt {
			v = float64(c.Int())
		}
		return plainValue(v).(string)
	}
	return string(forebay.AppendCell(nil, typ, c, b.Slab()))
}

func plainValue(v any) any {
	switch v := v.(type) {
	case int:
		return strconv.FormatFloat(float64(v), 'g', 12, 64)
	case float64:
		if v == 0 {
			v = math.Abs(v)
		}
		return strconv.FormatFloat(v, 'g', 12, 64)
	default:
		return v
	}
}

func FuzzCompile(f *testing.F) {
	for _, tc := range expressionCases {
		f.Add(tc.expr)
	}
	in, b := fixture(f)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 200 || strings.Contains(text, "repeat") {
			return
		}
		if p, err := Compile(onJSON, text); err == nil {
			records := documents(fieldDocument)
			want := outcome(p, records, 0)
			_, machine := bothForms(t, onJSON, text)
			if got := outcome(machine, records, 0); p.Deterministic() && got != want {
				t.Fatalf("on JSON %q: machine gives %s, Compile's form %s", text, got, want)
			}
		}
		p, err := Compile(in, text)
		if err != nil {
			for _, e := range allErrors(err) {
				e, ok := errors.AsType[*ExprError](e)
				if !ok || e.Offset < 0 || e.Length < 0 || e.Offset+e.Length > len(text) {
					t.Fatalf("%q: %#v", text, e)
				}
			}
			return
		}
		want := outcome(p, b, 0)
		_, machine := bothForms(t, in, text)
		if got := outcome(machine, b, 0); p.Deterministic() && got != want {
			t.Fatalf("%q: machine gives %s, Compile's form %s", text, got, want)
		}
	})
}

func allErrors(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	return []error{err}
}
