// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"strings"
	"testing"
)

// nullCases are null on every side in turn: each operator and function with a null operand (X1).
var nullCases = []string{
	// operators: columns and the word nil, left and right
	"ni == 1", "1 == ni", "ni == ni", "ni != 1", "1 != ni", "ni < 1", "1 < ni", "ni <= 1", "1 <= ni", "ni > 1", "1 > ni",
	"ni >= 1", "1 >= ni", "nil < 1", "1 < nil", "nil >= nil", "nil > s", "nf == 1", "1 == nf", "nf < i", "i < nf",
	"nf >= nf",
	"ni == f", "f == ni", "ns == s", "s == ns", "ns != \"a\"", "ns < \"a\"", "\"a\" < ns", "nb == yes", "yes != nb",
	"nd == d", "d < nd", "nts == ts", "ts >= nts", "ndec == dec", "dec > ndec", "ndec < 1", "1 < ndec", "ndec == 1.5",
	"nraw == raw", "raw != nraw", "js.n == 1", "1 == js.n", "js.n == js.n", "js.n < 1", "js.nope >= 1", "i < js.n",
	"not nb", "!nb", "not nil", "nb and yes", "yes and nb", "nb && nb", "nil and yes", "yes and nil", "nb or no",
	"no or nb",
	"nb || nb", "nil or no", "no or nil", "js.n and yes", "yes and js.n", "js.n or no", "not js.n",
	"-ni", "+ni", "-nf", "-nil", "-js.n", "ni + 1", "1 + ni", "ni + ni", "nil + 1", "1 + nil", "nil + nil", "nf + 1",
	"1 + nf",
	"ni - 1", "1 - ni", "nil - 1.5", "ni * 2", "2 * ni", "f * nil", "ni / 2", "2 / ni", "nil / 2", "ni / zero", "nf / 0",
	"ni % 2", "2 % ni", "ni % zero", "nil % 2", "ni ** 2", "2 ** ni", "nil ** 2", "2 ^ ni", "js.n + 1", "1 + js.n",
	"js.n - 1",
	"js.n * 2", "js.n / 2", "js.n % 2", "js.n ** 2", "ns + \"a\"", "\"a\" + ns", "s + ns + s", "nil + s", "s + nil",
	"nd + 1", "d + ni", "nd - d", "d - nd", "nd - 1", "nts - ts", "ts - nts", "nts + duration(\"1s\")",
	"duration(ns) + ts", "duration(ns) * 2", "nil + d", "ts - nil", "-duration(ns)",
	"ns contains \"a\"", "s contains ns", "nil contains \"a\"", "ns startsWith \"a\"", "s startsWith ns",
	"ns endsWith \"a\"",
	"s endsWith ns", "ns matches \"a\"", "nil matches \"a\"", "ns not matches \"a\"", "js.n contains \"a\"",
	"s contains js.n",
	"ni in [1, 2]", "nil in [1]", "ni not in [1, 2]", "i in [1, ni]", "i in [1, nil]", "i not in [1, nil]", "ni in []",
	"ns in [\"a\"]", "ni in 1..5", "i in ni..5", "i in 1..ni", "js.n in [1]", "i in js.n", "i in nil", "nf in [1.5]",
	"ni ?? nil", "nil ?? nil", "coalesce(ni, nf, nil)", "nb ? 1 : nil", "yes ? ni : 1", "nil ? 1 : ni",
	// members and slices
	"js.n.x", "js.nope.x[1]", "njs.id", "njs?.id", "js[ns]", "js.tags[ni]", "ns[0:1]", "s[ni:2]", "s[0:ni]",
	"js.n[0:1]", "(nil).x",
	// functions, each argument in turn
	"len(ns)", "len(nraw)", "len(nil)", "len(js.n)", "len(njs)", "upper(ns)", "upper(nil)", "upper(js.n)", "lower(ns)",
	"trim(ns)", "trim(ns, \"a\")", "trim(s, ns)", "trim(nil)", "abs(ni)", "abs(nf)", "abs(nil)", "abs(js.n)",
	"round(nf)", "round(nil)",
	"floor(nf)", "floor(ni)", "ceil(nf)", "ceil(js.n)", "min(ni, 1)", "min(1, ni)",
	"-min(-big - 1, ni)", "abs(min(-big - 1, ni))", "min(nil)", "max(nf, 1)",
	"max(1, 2, nil)",
	"max(js.n, 1)", "max(js.n)", "int(nf)", "int(ns)", "int(ndec)", "int(nb)", "int(nil)", "int(js.n)", "float(ni)",
	"float(ns)",
	"float(ndec)", "float(nil)", "string(ni)", "string(nf)", "string(nb)", "string(nd)", "string(nts)", "string(ndec)",
	"string(nraw)", "string(ns)", "string(nil)", "string(njs)", "string(js.n)", "string(duration(ns))", "year(nts)",
	"year(nd)", "year(nil)",
	"month(nts)", "day(nd)", "weekday(nts)", "hour(nts)", "hour(nts, \"Europe/Berlin\")", "minute(nts)", "second(nts)",
	"date(ns)", "date(nts)", "date(nd)", "date(nil)", "timestamp(ns)", "timestamp(nd)", "timestamp(nts, \"UTC\")",
	"format(nts, \"2006\")", "format(ts, ns)", "format(nd, \"2006\")", "format(nil, \"2006\")", "duration(ns) ?? nil",
	"seconds(nts - ts)",
	"unix(nts)", "unixMilli(nts)", "fromUnix(ni)", "fromUnixMilli(ni)", "unix(nil)",
	// functions of the machine
	"split(ns, \"a\")", "split(s, ns)", "split(s, \"a\", ni)", "join(js.n, \"a\")", "join([s], ns)",
	"replace(ns, \"a\", \"b\")",
	"replace(s, ns, \"b\")", "replace(s, \"a\", ns)", "repeat(ns, 2)", "repeat(s, ni)", "trimPrefix(ns, \"a\")",
	"trimPrefix(s, ns)",
	"trimSuffix(ns, \"a\")", "trimSuffix(s, ns)", "hasPrefix(ns, \"a\")", "hasPrefix(s, ns)", "hasSuffix(ns, \"a\")",
	"hasSuffix(s, ns)",
	"indexOf(ns, \"a\")", "indexOf(s, ns)", "lastIndexOf(ns, \"a\")", "lastIndexOf(s, ns)", "toBase64(ns)",
	"fromBase64(ns)", "toJSON(ni)",
	"fromJSON(ns)", "json(ni)", "json(js.n)", "first(js.n)", "last(nil)", "take(js.n, 1)", "take([1], ni)",
	"get(js.n, \"a\")", "get(js, ns)",
	"keys(js.n)", "values(js.n)", "reverse(js.n)", "uniq(js.n)", "concat(js.n, [1])", "concat([1], nil)",
	"flatten(js.n)", "sort(js.n)",
	"sort([1], ns)", "mean(js.n)", "median(js.n)", "bitand(ni, 1)", "bitand(1, ni)", "bitor(ni, 1)", "bitor(1, ni)",
	"bitxor(ni, 1)",
	"bitxor(1, ni)", "bitshl(ni, 1)", "bitshl(1, ni)", "bitshr(ni, 1)", "bitshr(1, ni)", "bitnot(ni)",
	"all(js.n, # > 1)", "none(js.n, # > 1)", "any(js.n, # > 1)", "one(nil, # > 1)", "filter(js.n, # > 1)",
	"map(js.n, # + 1)",
	"find(js.n, # > 1)", "findIndex(js.n, # > 1)", "findLast(js.n, # > 1)", "findLastIndex(js.n, # > 1)",
	"count(js.n, # > 1)", "count(js.n)",
	"sum(js.n)", "sum(js.n, #)", "sortBy(js.n, #)", "reduce(js.n, #acc + #, 0)", "let x = ni; x + 1",
}

// nullAnswers are not null although an operand is.
var nullAnswers = map[string]string{
	"nb and no": "false", "no and nb": "false", "nil and no": "false", "nb or yes": "true", "yes or nb": "true",
	"nil or yes":  "true",
	"js.n and no": "false", "js.n or yes": "true", "ni == nil": "true", "nil == ni": "true", "ni != nil": "false",
	"i == nil": "false", "nil != i": "true", "js.n == nil": "true", "js.id != nil": "true", "nil == nil": "true",
	"nil != nil":      "false",
	"(ni + 1) == nil": "true", "ni ?? 1": "1", "coalesce(nil, ni, 2)": "2", "nb ? 1 : 2": "2", "nil ? 1 : 2": "2",
	"js.n ? 1 : 2": "2",
	"type(ni)":     "nil", "i in [7, nil]": "true", "i not in [7, nil]": "false", "i in [7, ni]": "true",
	"any([nil, 2], # > 1)": "true",
	"all([nil, 2], # > 1)": "false", "none([nil], # > 1)": "true", "count([nil, 2], # > 1)": "1", "sum([nil, 2])": "2",
	"max([nil, 2])": "2",
	"json([nil])":   "[null]",
}

func TestNullOperandGivesNullX1(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	check := func(expr, want string) {
		closures, machine := bothForms(t, in, expr)
		if got := outcome(machine, b, 0); got != want {
			t.Errorf("%s: machine gives %s, want %s", expr, got, want)
		}
		if closures == nil {
			return
		}
		if got := outcome(closures, b, 0); got != want {
			t.Errorf("%s: closures give %s, want %s", expr, got, want)
		}
	}
	for _, expr := range nullCases {
		check(expr, "-")
	}
	for expr, want := range nullAnswers {
		check(expr, want)
	}
}

func TestNullIsTestedForEveryFunctionAndOperatorX1(t *testing.T) {
	t.Parallel()
	all := strings.Join(nullCases, "\n") + "\n"
	for expr := range nullAnswers {
		all += expr + "\n"
	}
	var calls []string
	names := append(sortedNames(functions), sortedNames(strictFunctions)...)
	for _, name := range append(names, sortedNames(predicateFunctions)...) {
		if name != "now" { // it has no operand
			calls = append(calls, name+"(")
		}
	}
	operators := strings.Fields("== != < <= > >= and && or || not ! + - * / % ** ^ ?? ? in .. [ . " +
		"contains startsWith endsWith matches")
	for _, piece := range append(calls, operators...) {
		if !strings.Contains(all, piece) {
			t.Errorf("no null is tested for %s", piece)
		}
	}
}

// TestNullInEachColumnAgrees replaces each column of every expression by a null of its type.
func TestNullInEachColumnAgreesX3(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	nullOf := map[string]string{
		"i": "ni", "j": "ni", "big": "ni", "zero": "ni", "f": "nf", "g": "nf", "s": "ns", "t": "ns", "yes": "nb",
		"no": "nb", "d": "nd",
		"ts": "nts", "dec": "ndec", "raw": "nraw", "js": "njs",
	}
	tested := 0
	for _, tc := range expressionCases {
		words := words(tc.expr)
		for k, word := range words {
			replacement, column := nullOf[word]
			if !column || k > 0 && strings.HasSuffix(words[k-1], ".") || k+1 < len(words) && strings.HasPrefix(words[k+1], ":") {
				continue
			}
			words[k] = replacement
			expr := strings.Join(words, "")
			words[k] = word
			if _, problems := checked(in.Layout, expr, nil); len(problems) > 0 {
				continue // a word in quotes, or a let that hides the column
			}
			closures, machine := bothForms(t, in, expr)
			tested++
			want := outcome(machine, b, 0)
			if want == "!"+CodeFailed || want == "!"+CodeWrongType && !strings.Contains(expr, "js.id") {
				t.Errorf("%s: machine gives %s", expr, want)
			}
			if closures != nil && outcome(closures, b, 0) != want {
				t.Errorf("%s: closures give %s, machine %s", expr, outcome(closures, b, 0), want)
			}
		}
	}
	if tested < 150 {
		t.Errorf("only %d expressions were tested", tested)
	}
}

// words parts an expression into identifiers and what stands between them.
func words(expr string) []string {
	var out []string
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }
	for from := 0; from < len(expr); {
		to := from + 1
		for to < len(expr) && letter(expr[to]) == letter(expr[from]) {
			to++
		}
		out = append(out, expr[from:to])
		from = to
	}
	return out
}
