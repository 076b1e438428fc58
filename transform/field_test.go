// SPDX-License-Identifier: Apache-2.0

package transform

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
)

var onJSON = forebay.Shape{JSON: true}

// documents makes a batch of JSON records.
func documents(lines ...string) *forebay.Batch {
	b := forebay.NewBatch()
	b.Reset(forebay.Split{ID: "in.ndjson"}, 0)
	for n, line := range lines {
		b.Append(int64(100+n), []byte(line))
	}
	return b
}

// values are the records as they are now.
func values(b *forebay.Batch) []string {
	var out []string
	for _, value := range b.All() {
		out = append(out, string(value))
	}
	return out
}

const fieldDocument = `{"i":7,"j":-3,"big":9223372036854775807,"huge":12345678901234567890,"zero":0,` +
	`"f":2.5,"minus":-0,` +
	`"s":"EWR","t":"z\u00fcrich","yes":true,"no":false,"nil":null,"list":[1,"a",null],"user":{"name":"Ann","address":` +
	`{"city":"Bern"},"a.b":1,"n":null},"d":"2013-01-31","ts":"2013-01-31T23:30:15.5Z","half":"\ud800","far":1e999,"x y":1}`

func TestExpressionsOnFields(t *testing.T) {
	t.Parallel()
	b := documents(fieldDocument)
	for _, tc := range []struct {
		expr, want string
		machine    bool
	}{
		{expr: "i + 1", want: "8"},
		{expr: "i / 2", want: "3.5"},
		{expr: "i % 4 - j", want: "6"},
		{expr: "-i", want: "-7"},
		{expr: "i == 7.0", want: "true"},
		{expr: "i in [1, 7]", want: "true"},
		{expr: `s in ["a", nil]`, want: "-"},
		{expr: "f in [2.5]", want: "true"},
		{expr: "i in 1..9", want: "true"},
		{expr: "big + 1", want: "!overflow"},
		{expr: "huge > 1e19", want: "true"},
		{expr: "minus == 0", want: "true"},
		{expr: "i / zero", want: "!division-by-zero"},
		{expr: "f * 2 == 5", want: "true"},
		{expr: `s == "EWR"`, want: "true"},
		{expr: `s != "EWR"`, want: "false"},
		{expr: `t == "z\u00fcrich"`, want: "true"},
		{expr: `t != "x"`, want: "true"},
		{expr: `s + "-" + t`, want: "EWR-z\u00fcrich"},
		{expr: `upper(t) startsWith "Z"`, want: "true"},
		{expr: `t contains s`, want: "false", machine: true},
		{expr: `s matches "^E"`, want: "true"},
		{expr: "len(t)", want: "6"},
		{expr: "len(list)", want: "3"},
		{expr: "yes and not no", want: "true"},
		{expr: "yes ? i : s", want: "7"},
		{expr: "nothing ?? s", want: "EWR"},
		{expr: "coalesce(nil, nothing, user.n, i)", want: "7"},
		{expr: "nothing == nil", want: "true"},
		{expr: `$env["nil"] == nil`, want: "true"},
		{expr: "i != nil", want: "true"},
		{expr: "nothing > 1", want: "-"},
		{expr: "nothing.deep.er", want: "-"},
		{expr: "user.name", want: "Ann"},
		{expr: "user?.address?.city", want: "Bern"},
		{expr: `user["a.b"] + 1`, want: "2"},
		{expr: `$env["x y"] + 1`, want: "2"},
		{expr: "user.address", want: `{"city":"Bern"}`},
		{expr: `user.address.city == "Bern" && i > 3`, want: "true"},
		{expr: "list[1]", want: "a", machine: true},
		{expr: "any(list, # == 1)", want: "true", machine: true},
		{expr: "string(list)", want: `[1,"a",null]`},
		{expr: "string(i) + string(f) + string(yes)", want: "72.5true"},
		{expr: `int("7") + int(f) + int(i)`, want: "16"},
		{expr: "float(i) + round(f)", want: "10"},
		{expr: `date(d) + 1`, want: "2013-02-01"},
		{expr: `timestamp(ts) + duration("30m")`, want: "2013-02-01T00:00:15.500000Z"},
		{expr: `year(date(d))`, want: "2013"},
		{expr: "trim(i, nothing)", want: "-", machine: true},
		{expr: "nothing contains i", want: "-", machine: true},
		{expr: "abs(j)", want: "3", machine: true},
		{expr: "max(i, j)", want: "7", machine: true},
		{expr: "type(user)", want: "map", machine: true},
		{expr: "let n = user.name; n + n", want: "AnnAnn", machine: true},
		// what a type cannot do
		{expr: "i.deep", want: "!wrong-type"},
		{expr: "i.deep == nil", want: "!wrong-type"},
		{expr: "s + 1", want: "!wrong-type"},
		{expr: "s > 1", want: "!wrong-type"},
		{expr: "list == list", want: "!wrong-type"},
		{expr: "upper(i)", want: "!wrong-type"},
		{expr: "i and yes", want: "!wrong-type"},
		{expr: "no and i", want: "false"},
		{expr: "not i", want: "!wrong-type"},
		{expr: "i ? 1 : 2", want: "!wrong-type"},
		{expr: "f in 1..2", want: "!wrong-type"},
		{expr: "half", want: "!invalid-utf8"},
		{expr: "half == nil", want: "false"},
		{expr: "far", want: "!overflow"},
		{expr: "far + nil", want: "!overflow"},
		{expr: "i + nil", want: "-"},
		{expr: "far == nil + 1", want: "!overflow"},
		{expr: "far != nil", want: "true"},
		{expr: "int(s)", want: "!cast-failed"},
		{expr: "len(i)", want: "!wrong-type"},
		{expr: `date(i)`, want: "!wrong-type"},
	} {
		closures, machine := bothForms(t, onJSON, tc.expr)
		if got := outcome(machine, b, 0); got != tc.want {
			t.Errorf("%s in the machine gives %s, want %s", tc.expr, got, tc.want)
		}
		if tc.machine != (closures == nil) {
			t.Errorf("%s: machine only is %v", tc.expr, closures == nil)
		}
		if closures == nil {
			continue
		}
		if got := outcome(closures, b, 0); got != tc.want {
			t.Errorf("%s as closures gives %s, want %s", tc.expr, got, tc.want)
		}
	}
}

func TestExpressionsOnFieldsAreRefusedWhereConstantsTell(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"x == null": `"null" is no value, at character 6 of ` + "`x == null`" +
			`; write nil, or $env["null"] for a field of that name`,
		"x == True":      `"True" is no value`,
		"x > true":       "> cannot compare",
		`upper(7)`:       "upper takes a string, not an int",
		`x + (1 and 2)`:  "each side of and must be a bool, not an int",
		`nosuch(x)`:      `no function is called "nosuch"`,
		`date("x")`:      "",
		`x matches y`:    "the pattern of matches must be a constant",
		`"a".b`:          "a string has no fields",
		`$env`:           "$env alone is not a value",
		`x contains 7`:   "each side of contains must be a string, not an int",
		`x in "abc"`:     "what follows in must be a list",
		`x.y.z(1)`:       "values have no methods",
		`1 + "a" == x.y`: "+ cannot take an int and a string",
	} {
		_, err := Compile(onJSON, expr)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", expr, err, want)
		}
	}
}

// drawnField is a JSON value for a field, of the type that its column has unless wild.
func drawnField(t *rapid.T, k int, wild bool) string {
	draw := func(list ...string) string { return rapid.SampledFrom(list).Draw(t, "field") }
	if rapid.IntRange(0, 3).Draw(t, "null") == 0 {
		return draw("", "null")
	}
	if wild && rapid.IntRange(0, 3).Draw(t, "wild") == 0 {
		return draw("1", "-9223372036854775808", "9223372036854775808", "1e999", "-0", "0.5", `"7"`, `"\ud800"`,
			"true", "[1]", "{}")
	}
	texts := []string{`""`, `"EWR"`, `"J\u0046K"`, `" 7 "`, `"7"`, `"-1.5"`, `"z\u00fcrich"`, `"2013-01-31"`, `"90s"`}
	switch k {
	case 0, 1:
		return draw("0", "1", "-1", "7", "42", "-30")
	case 2, 3:
		return draw("0.0", "1.0", "-1.5", "0.1", "7.0", "100.0", "2e2")
	case 4, 5:
		return draw(texts...)
	case 6, 7:
		return draw("true", "false")
	case 8:
		return draw(`"1970-01-01"`, `"2013-01-31"`, `"x"`)
	default:
		return draw(`"1970-01-01T00:00:00Z"`, `"2013-01-31T23:30:15.5Z"`, `"\u0031969-12-31T23:59:59.999999Z"`)
	}
}

// fieldNames are columns of randomColumns; d and ts are strings here.
var fieldNames = []string{"i", "j", "f", "g", "s", "u", "p", "q", "d", "ts"}

func drawnDocument(t *rapid.T, wild bool) (text string, fields []string) {
	var parts []string
	for k, name := range fieldNames {
		value := drawnField(t, k, wild)
		fields = append(fields, value)
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}", fields
}

func TestClosuresOnFieldsAndMachineAgreeX3(t *testing.T) {
	t.Parallel()
	lowered := 0
	rapid.Check(t, func(rt *rapid.T) {
		text, _ := drawnDocument(rt, true)
		b := documents(text)
		expr := exprWriter{t: rt, fields: true}.expr(rapid.SampledFrom([]byte("BBIFSDT")).Draw(rt, "kind"), 4)
		if _, problems := checked(nil, expr, nil); len(problems) > 0 {
			return // such as the literal 7 for a text
		}
		closures, machine := bothForms(t, onJSON, expr)
		if closures == nil {
			return
		}
		lowered++
		want := outcome(machine, b, 0)
		if got := outcome(closures, b, 0); got != want {
			rt.Fatalf("%s for %s: closures give %s, machine %s", expr, text, got, want)
		}
	})
	if lowered < 20 {
		t.Errorf("only %d expressions were compiled to closures", lowered)
	}
}

// TestFieldsAgreeWithColumnsX3 holds an expression on JSON against the same one on typed rows of the same values.
// Numbers are small: in a column an int beside a float becomes one, and on JSON it keeps its digits.
func TestFieldsAgreeWithColumnsX3(t *testing.T) {
	t.Parallel()
	columns := append([]forebay.Column(nil), randomColumns[:len(fieldNames)]...)
	for k := range columns {
		switch columns[k].Type.Kind {
		case forebay.KindInt32:
			columns[k].Type = forebay.Int64
		case forebay.KindFloat32:
			columns[k].Type = forebay.Float64
		case forebay.KindDate, forebay.KindTimestamp:
			columns[k].Type = forebay.String
		default: // a field has the same kind
		}
	}
	compared := 0
	rapid.Check(t, func(rt *rapid.T) {
		text, fields := drawnDocument(rt, false)
		row := make([]string, len(fields))
		for k, field := range fields {
			row[k] = null
			if field != "" && field != "null" {
				row[k] = field
				if v, err := parseJSON([]byte(field), fieldNumber); err == nil && field[0] == '"' {
					row[k] = v.(string)
				}
			}
		}
		in, typed := rows(t, columns, row)
		b := documents(text)
		expr := exprWriter{t: rt, fields: true, small: true}.expr(rapid.SampledFrom([]byte("BBIFSDT")).Draw(rt, "kind"), 3)
		onRows, problems := compile(in.Layout, expr, nil)
		if len(problems) > 0 {
			return
		}
		onFields, problems := compile(nil, expr, nil)
		if len(problems) > 0 {
			rt.Fatalf("%s: %v", expr, joined(problems))
		}
		want := outcome(onRows, typed, 0)
		compared++
		if got := outcome(onFields, b, 0); got != want {
			rt.Fatalf("%s for %s: fields give %s, columns %s", expr, text, got, want)
		}
	})
	if compared < 20 {
		t.Errorf("only %d results were compared", compared)
	}
}
