// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"testing"

	"github.com/forebay-io/forebay"
)

// expressionCases are results on the fixture's row: null as -, a failure as ! and its code. lowered expressions
// run in both forms.
var expressionCases = []struct {
	expr, want string
	machine    bool // runs in expr-lang's machine only
}{
	// comparisons
	{"i == 7", "true", false},
	{"i != 7", "false", false},
	{"i < 8", "true", false},
	{"i <= 7", "true", false},
	{"i > 7", "false", false},
	{"i >= 7", "true", false},
	{"7 == i", "true", false},
	{"j < i", "true", false},
	{"i == 7.0", "true", false},
	{"i < 7.5", "true", false},
	{"f > i", "false", false},
	{"f == 2.5", "true", false},
	{"big == 9223372036854775807.0", "false", false},
	{"big < 9.3e18", "true", false},
	{"big <= 9223372036854775807", "true", false},
	{"1 < i < 10", "true", false},
	{"1 < i < 3", "false", false},
	{`s == "EWR"`, "true", false},
	{`s != "EWR"`, "false", false},
	{`s < "F"`, "true", false},
	{"s == t", "false", false},
	{"yes == no", "false", false},
	{"yes != no", "true", false},
	{`raw == b"ab"`, "true", false},
	{`d == date("2013-01-31")`, "true", false},
	{`ts > timestamp("2013-01-31T00:00:00Z")`, "true", false},
	{"dec == 12.5", "true", false},
	{"dec > 12", "true", false},
	{"dec < 12.505", "true", false},
	{"12.49 < dec", "true", false},
	{"dec >= i", "true", false},
	{"dec == dec", "true", false},
	{"g == 0.25", "true", false},
	// logic
	{"yes and no", "false", false},
	{"yes && yes", "true", false},
	{"no or yes", "true", false},
	{"no || no", "false", false},
	{"not no", "true", false},
	{"!yes", "false", false},
	{"no and 1 / zero > 0", "false", false},
	{"yes or 1 / zero > 0", "true", false},
	{"yes and 1 / zero > 0", "!division-by-zero", false},
	{"nb and 1 / zero > 0", "!division-by-zero", false},
	// arithmetic
	{"i + 1", "8", false},
	{"i - j", "10", false},
	{"i * j", "-21", false},
	{"i / 2", "3.5", false},
	{"i % 4", "3", false},
	{"j % 2", "-1", false},
	{"2 ** 3", "8", false},
	{"2 ^ 3", "8", false},
	{"-i", "-7", false},
	{"+i", "7", false},
	{"i + f", "9.5", false},
	{"f * 2", "5", false},
	{"-f", "-2.5", false},
	{"1 + 2 * 3", "7", false},
	{"big + 1", "!overflow", false},
	{"big - j", "!overflow", false},
	{"big * 2", "!overflow", false},
	{"-big - 1", "-9223372036854775808", false},
	{"-big - 2", "!overflow", false},
	{"-(-big - 1)", "!overflow", false},
	{"abs(-big - 1)", "!overflow", false},
	{"(-big - 1) % -1", "0", false},
	{"(-big - 1) * -1", "!overflow", false},
	{"big * 1.0", "9223372036854776000", false},
	{"i / zero", "!division-by-zero", false},
	{"i % zero", "!division-by-zero", false},
	{"f / 0.0", "!division-by-zero", false},
	{"1e308 * 10", "!overflow", false},
	{"10 ** 400", "!overflow", false},
	{`s + "-" + t`, "EWR-zurich \u00fc", false},
	{`upper(s + "x") + lower(s) + s`, "EWRXewrEWR", false},
	{"ts - ts == duration(\"0s\")", "true", false},
	{`ts + duration("30m")`, "2013-02-01T00:00:15.500000Z", false},
	{"d + 1", "2013-02-01", false},
	{"d - 31", "2012-12-31", false},
	{`d - date("2013-01-01")`, "30", false},
	{`seconds(ts - timestamp("2013-01-31T23:30:00Z"))`, "15.5", false},
	{`-duration("1s") < duration("1s") * 2`, "true", false},
	{"d + big", "!overflow", false},
	{"d + 5000000000", "!overflow", false},
	{"d - d", "0", false},
	// nil tests, coalesce, conditions
	{"i == nil", "false", false},
	{"ni == nil", "true", false},
	{"nil != ns", "false", false},
	{"nil == nil", "true", false},
	{"ni + 1 == nil", "true", false},
	{"ni ?? 5", "5", false},
	{"ni ?? nf ?? 5", "5", false},
	{"ns ?? s", "EWR", false},
	{"coalesce(ni, nil, j, i)", "-3", false},
	{"coalesce(ni)", "-", false},
	{"ndec ?? dec", "12.50", false},
	{"nts ?? ts", "2013-01-31T23:30:15.500000Z", false},
	{"(ni ?? 2.5) + 1", "3.5", false},
	{"yes ? 1 : 2", "1", false},
	{"no ? 1 : 2.5", "2.5", false},
	{"yes ? 1 : 2.5", "1", false},
	{"nb ? 1 : 2", "2", false},
	{"yes ? nil : 2", "-", false},
	{`i > 5 ? "long" : "short"`, "long", false},
	{"njs == nil", "true", false},
	{"js == nil", "false", false},
	{"if yes { 1 } else { 2 }", "1", false},
	{"nraw ?? raw", "ab", false},
	// in, texts
	{"i in [1, 7]", "true", false},
	{"i in [1, 2]", "false", false},
	{"i not in [1, 2]", "true", false},
	{"i in [1, nil]", "-", false},
	{"i in [7, nil]", "true", false},
	{`s in ["EWR", "JFK"]`, "true", false},
	{"i in [1,2,3,4,5,6,7,8,9,10]", "true", false},
	{"i in [1,2,3,4,5,6,8,9,10,nil]", "-", false},
	{"i in 1..7", "true", false},
	{"i in 8..9", "false", false},
	{"i in 1..big", "true", false},
	{"i in [j, 7.0]", "true", true},
	{"f in [2.5]", "true", true},
	{"dec in [12.5]", "true", true},
	{`d in [date("2013-01-31")]`, "true", true},
	{`"a" in js.tags`, "true", true},
	{`"id" in js`, "true", true},
	{`s contains "W"`, "true", false},
	{`s startsWith "E"`, "true", false},
	{`s endsWith "E"`, "false", false},
	{`s matches "^[A-Z]{3}$"`, "true", false},
	{`s not matches "x"`, "true", false},
	{`s not contains "W"`, "false", false},
	// functions
	{"len(t)", "8", false},
	{"len(raw)", "2", false},
	{"upper(t)", "ZURICH \u00dc", false},
	{"lower(s)", "ewr", false},
	{`trim("  a ")`, "a", false},
	{`trim("--a-", "-")`, "a", false},
	{"abs(j)", "3", false},
	{"abs(-f)", "2.5", false},
	{"min(i, j)", "-3", false},
	{"max(i, j, f)", "7", false},
	{"max(i, 7.5)", "7.5", false},
	{"min(i)", "7", false},
	{"round(f)", "3", false},
	{"floor(f)", "2", false},
	{"ceil(f)", "3", false},
	{"round(i)", "7", false},
	{"int(f)", "2", false},
	{"int(-f)", "-2", false},
	{`int("42")`, "42", false},
	{`int("x")`, "!cast-failed", false},
	{`int("+1")`, "!cast-failed", false},
	{`int("")`, "!cast-failed", false},
	{"int(1e300)", "!overflow", false},
	{"int(dec)", "12", false},
	{"int(yes)", "1", false},
	{"float(i)", "7", false},
	{"float(dec) * 2", "25", false},
	{`float("1.5")`, "1.5", false},
	{`float("x")`, "!cast-failed", false},
	{"string(i)", "7", false},
	{"string(f)", "2.5", false},
	{"string(yes)", "true", false},
	{"string(d)", "2013-01-31", false},
	{"string(ts)", "2013-01-31T23:30:15.500000Z", false},
	{"string(dec)", "12.50", false},
	{"string(raw)", "ab", false},
	{`string(b"\xff")`, "!invalid-utf8", false},
	{`string(duration("90s"))`, "1m30s", false},
	{"string(1.0)", "1", false},
	{"year(ts)", "2013", false},
	{"month(d)", "1", false},
	{"day(ts)", "31", false},
	{"weekday(d)", "4", false},
	{"hour(ts)", "23", false},
	{"minute(ts)", "30", false},
	{"second(ts)", "15", false},
	{`hour(ts, "America/New_York")`, "18", false},
	{`day(ts, "Europe/Berlin")`, "1", false},
	{"date(ts)", "2013-01-31", false},
	{`date(ts, "Europe/Berlin")`, "2013-02-01", false},
	{`timestamp(d, "America/New_York")`, "2013-01-31T05:00:00Z", false},
	{"timestamp(d)", "2013-01-31T00:00:00Z", false},
	{`timestamp("2013-07-01 12:00:00", "Europe/Berlin")`, "2013-07-01T10:00:00Z", false},
	{"date(s)", "!cast-failed", false},
	{"timestamp(s)", "!cast-failed", false},
	{"duration(s)", "!cast-failed", false},
	{`format(ts, "2006/01/02 15h")`, "2013/01/31 23h", false},
	{`format(d, "02.01.2006")`, "31.01.2013", false},
	{`format(ts, "15:04", "America/New_York")`, "18:30", false},
	{"unix(ts)", "1359675015", false},
	{"unixMilli(ts)", "1359675015500", false},
	{"fromUnix(1359675015)", "2013-01-31T23:30:15Z", false},
	{"fromUnixMilli(-1)", "1969-12-31T23:59:59.999000Z", false},
	{"fromUnix(big)", "!overflow", false},
	{"unix(fromUnixMilli(-1))", "-1", false},
	{`year("2013" == "" ? ts : nts)`, "-", false},
	// the machine's own
	{"js ?? njs", `{"id": 7, "tags": ["a", "b"], "n": null, "f": 1.5, "deep": {"x": "y"}}`, false},
	{"js.id == 7 ? js : njs", `{"id": 7, "tags": ["a", "b"], "n": null, "f": 1.5, "deep": {"x": "y"}}`, true},
	{"(let x = js; x.id)", "7", true},
	{"any([js], .id == 7)", "true", true},
	{`json({o: js.deep})`, `{"o":{"x":"y"}}`, true},
	{`string(fromJSON("12345678901234567890"))`, "12345678901234567890", true},
	{`fromJSON("12345678901234567890") > i`, "true", true},
	{`fromJSON("1e999")`, "!overflow", true},
	{`fromJSON("1 2")`, "!cast-failed", true},
	{"js.id", "7", true},
	{"js.id + 1", "8", true},
	{"int(js.id)", "7", true},
	{"js.nope == nil", "true", true},
	{"js.n == nil", "true", true},
	{"js.n.deeper == nil", "true", true},
	{"js.deep.x", "y", true},
	{`js["deep"]["x"]`, "y", true},
	{"js?.deep?.x", "y", true},
	{"js.tags[0]", "a", true},
	{"js.tags[-1]", "b", true},
	{"js.tags[9] == nil", "true", true},
	{"len(js.tags)", "2", true},
	{"js.f > 1", "true", true},
	{`js.id == "x"`, "!wrong-type", true},
	{"js.id.x", "!wrong-type", true},
	{"upper(js.id)", "!wrong-type", true},
	{"upper(js.deep.x)", "Y", true},
	{"string(js.deep)", `{"x":"y"}`, true},
	{"toJSON(js.tags)", `["a","b"]`, true},
	{"json({a: i, b: [d, nil]})", `{"a":7,"b":["2013-01-31",null]}`, true},
	{`fromJSON("[1,2.5]")[1]`, "2.5", true},
	{`fromJSON("{")`, "!cast-failed", true},
	{"js.id > 5 and yes", "true", true},
	{"js.n > 5", "-", true},
	{"js.id and yes", "!wrong-type", true},
	{"not js.id", "!wrong-type", true},
	{"js.id ? 1 : 2", "!wrong-type", true},
	{"-js.id", "-7", true},
	{"abs(js.f)", "1.5", true},
	{"js.id / 2", "3.5", true},
	{"s[0:2]", "EW", true},
	{"t[-1:]", "\u00fc", true},
	{"t[:99]", "zurich \u00fc", true},
	{"js.tags[1:]", `["b"]`, true},
	{"s[2:1]", "", true},
	{`split(s, "W")[1]`, "R", true},
	{`join(js.tags, "+")`, "a+b", true},
	{`replace(s, "W", "--")`, "E--R", true},
	{`repeat("ab", 2)`, "abab", true},
	{`repeat("ab", -1)`, "!expression-failed", true},
	{`trimPrefix(s, "E")`, "WR", true},
	{`trimSuffix(s, "R")`, "EW", true},
	{`hasPrefix(s, "E")`, "true", true},
	{`hasSuffix(s, "E")`, "false", true},
	{`indexOf(t, "\u00fc")`, "7", true},
	{`indexOf(s, "x")`, "-1", true},
	{`lastIndexOf("aXbX", "X")`, "3", true},
	{"toBase64(s)", "RVdS", true},
	{`fromBase64("RVdS")`, "EWR", true},
	{`fromBase64("/w==")`, "!invalid-utf8", true},
	{`fromBase64("?")`, "!expression-failed", true},
	{"first(js.tags)", "a", true},
	{"last(js.tags)", "b", true},
	{"first([]) == nil", "true", true},
	{"take([1, 2, 3], 2)", "[1,2]", true},
	{`get(js, "id")`, "7", true},
	{"get([1, 2], 5) == nil", "true", true},
	{"keys({b: 1, a: 2})", `["a","b"]`, true},
	{"values({b: 1, a: 2})", "[2,1]", true},
	{"reverse([1, 2])", "[2,1]", true},
	{"uniq([1, 1, 2])", "[1,2]", true},
	{"concat([1], [2])", "[1,2]", true},
	{"flatten([[1], [2]])", "[1,2]", true},
	{`sort([2, 1, 3], "desc")`, "[3,2,1]", true},
	{"mean([1, 2])", "1.5", true},
	{"median([1, 5, 2])", "2", true},
	{"bitand(6, 3)", "2", true},
	{"bitor(6, 3)", "7", true},
	{"bitxor(6, 3)", "5", true},
	{"bitshl(1, 4)", "16", true},
	{"bitshr(16, 2)", "4", true},
	{"bitnot(0)", "-1", true},
	{"type(i)", "int", true},
	{"type(nil)", "nil", true},
	{"type(ts)", "timestamp", true},
	{`any(js.tags, # == "a")`, "true", true},
	{`all(js.tags, # == "a")`, "false", true},
	{`none(js.tags, # == "c")`, "true", true},
	{`one(js.tags, # == "a")`, "true", true},
	{"filter([1, nil, 3], # > 1)", "[3]", true},
	{"map([1, nil], # + i)", "[8,null]", true},
	{"find([1, 2, 3], # > 1)", "2", true},
	{"findIndex([1, 2, 3], # > 1)", "1", true},
	{"findLast([1, 2, 3], # < 3)", "2", true},
	{"findLastIndex([1, 2, 3], # < 3)", "1", true},
	{"find([1], # > 1) == nil", "true", true},
	{"count([1, nil, 3], # > 0)", "2", true},
	{"count([true, nil, false])", "1", true},
	{"sum([1, nil, 2])", "3", true},
	{"sum([{p: 1.5}, {p: 2}], .p)", "3.5", true},
	{"sum([big, 1])", "!overflow", true},
	{"sortBy([{n: 2}, {n: 1}], .n)", `[{"n":1},{"n":2}]`, true},
	{"reduce([1, 2, 3], #acc + #, 10)", "16", true},
	{"any([[1], [2]], any(#, # == 2))", "true", true},
	{"let x = i + 1; x * x", "64", true},
	{"let x = ni; x ?? 3", "3", true},
	{"max([1, nil, 3])", "3", true},
	{"min([2.5, 1])", "1", true},
	{"min([]) == nil", "true", true},
	{"js.tags | len()", "2", true},
	{`s | lower() | trimPrefix("e")`, "wr", true},
	{`$env["s"] == "EWR"`, "true", false},
	{"i > 5 and js.id == 7", "true", true},
	{"no and js.id.x > 1", "false", true},
}

func TestExpressionsGiveTheirResultInBothForms(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	for _, tc := range expressionCases {
		t.Run(tc.expr, func(t *testing.T) {
			closures, machine := bothForms(t, in, tc.expr)
			if (closures == nil) != tc.machine {
				t.Errorf("runs as closures: %v", closures != nil)
			}
			if got := outcome(machine, b, 0); got != tc.want {
				t.Errorf("machine gives %s, want %s", got, tc.want)
			}
			if closures == nil {
				return
			}
			if got := outcome(closures, b, 0); got != tc.want {
				t.Errorf("closures give %s, want %s", got, tc.want)
			}
		})
	}
}

func TestBareColumnKeepsItsType(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	for _, c := range fixtureColumns {
		p, err := Compile(in, c.name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Type() != c.t {
			t.Errorf("%s has type %s, want %s", c.name, p.Type(), c.t)
		}
		want := b.Row(0).Get(c.name)
		if got, err := p.Eval(b, 0); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", c.name, got, err, want)
		}
	}
}

func TestNowIsNotDeterministic(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	p, err := Compile(in, "now() > ts")
	if err != nil || p.Deterministic() {
		t.Fatalf("deterministic: %v, %v", p.Deterministic(), err)
	}
	if ok, err := p.EvalBool(b, 0); !ok || err != nil {
		t.Error(ok, err)
	}
	step, err := Set(Assignment{"at", "now()"}).Compile(in)
	if err != nil || step.Deterministic {
		t.Error(step.Deterministic, err)
	}
}

func TestEvalBoolIsFalseForNullAndFalse(t *testing.T) {
	t.Parallel()
	in, b := fixture(t)
	for expr, want := range map[string]bool{
		"yes": true, "no": false, "nb": false, "ni > 0": false, "js.id == 7": true, "nil": false,
	} {
		p, err := Compile(in, expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.EvalBool(b, 0); got != want || err != nil {
			t.Errorf("%s: %v, %v", expr, got, err)
		}
	}
	p, _ := Compile(in, "js.id")
	if _, err := p.EvalBool(b, 0); err == nil {
		t.Error("a number is no condition")
	}
}

func TestResultTypeIsTheStaticOne(t *testing.T) {
	t.Parallel()
	in, _ := fixture(t)
	for expr, want := range map[string]forebay.Type{
		"i + 1": forebay.Int64, "j": forebay.Int32, "j + 1": forebay.Int64, "g": forebay.Float32, "i / 2": forebay.Float64,
		"dec": forebay.DecimalOf(10, 2), "ndec ?? dec": forebay.DecimalOf(10, 2), "ts - ts": {}, "js.id": {}, "nil": {},
		`json({a: 1})`: forebay.JSON, "js.id == 7": forebay.Bool, "date(ts)": forebay.Date, "ni ?? 2.5": forebay.Float64,
	} {
		p, err := Compile(in, expr)
		if err != nil {
			t.Fatal(err)
		}
		if p.Type() != want {
			t.Errorf("%s is a %s, want %s", expr, p.Type(), want)
		}
	}
}
