// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

type pieces struct {
	text string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.text == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}

// read is what a text gives: values, rows as JSON arrays, and rejects.
type read struct {
	Values, Rows, Rejects []string
}

const maxRecord = 300

func start(tb testing.TB, f Format, needsRows bool, text string) (*codec.Decoding, error) {
	tb.Helper()
	given := false
	env := codec.Env{NeedsRows: needsRows, MaxRecord: maxRecord}
	env.Samples = func() (codec.Sample, error) {
		if given {
			return codec.Sample{}, io.EOF
		}
		given = true
		return codec.Sample{Name: "sample", Reader: strings.NewReader(text)}, nil
	}
	return f.Start(tb.Context(), env)
}

func decode(tb testing.TB, dec *codec.Decoding, text string, size int) (out read) {
	tb.Helper()
	config := codec.StreamConfig{Split: "x", Name: "x", Eager: true, MaxRecord: maxRecord}
	s := codec.NewStream(&pieces{text, size}, dec.NewDecoder(), config)
	if err := s.Begin(tb.Context(), forebay.Position{}); err != nil {
		tb.Fatal(err)
	}
	width := 0
	if dec.Schema != nil {
		width = dec.Schema.Len()
	}
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{ID: "x"}, width)
		if err := s.Read(tb.Context(), b); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			tb.Fatal(err)
		}
		for i, value := range b.All() {
			out.Values = append(out.Values, string(value))
			if width == 0 {
				continue
			}
			row := []byte{'['}
			for k, c := range b.Cells(i) {
				if k > 0 {
					row = append(row, ',')
				}
				row = forebay.AppendCellJSON(row, dec.Schema.Column(k).Type, c, b.Slab())
			}
			out.Rows = append(out.Rows, string(append(row, ']')))
		}
		for _, r := range b.Rejects() {
			out.Rejects = append(out.Rejects, fmt.Sprintf("%s %s %s", r.Place, r.Code, r.Reason))
		}
	}
}

var sizes = []int{1 << 20, 1, 3, 8, 64, 301, 500}

func schemaOf(text string) codec.Schema {
	var s codec.Schema
	for column := range strings.SplitSeq(text, ";") {
		name, kind, _ := strings.Cut(column, " ")
		s = append(s, codec.ColumnSpec{Name: name, Type: kind})
	}
	return s
}

func TestBytesAreKept(t *testing.T) {
	t.Parallel()
	text := "\xef\xbb\xbf{\"a\": 1.00 }\n\n  {}\r\n \t\r\n{\"a\":{\"b\":[1,null,true,\"\\u00e9\u00e9\"]}} "
	want := []string{"{\"a\": 1.00 }", "  {}", "{\"a\":{\"b\":[1,null,true,\"\\u00e9\u00e9\"]}} "}
	dec, err := start(t, Format{}, false, "")
	if err != nil || dec.Schema != nil || dec.Memory != nil {
		t.Fatal(dec, err)
	}
	for _, size := range sizes {
		if diff := cmp.Diff(read{Values: want}, decode(t, dec, text, size)); diff != "" {
			t.Errorf("pieces of %d (-want +got):\n%s", size, diff)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, schema, line, want string
	}{
		{"in order", "a int64;b string", `{"a":1,"b":"x"}`, `[1,"x"]`},
		{"in any order, with space and unknown fields", "a int64;b string", `{ "z" : [{"a":1}] , "b" : "x" , "a" : -12 ` +
			`}`, `[-12,"x"]`},
		{"missing and null", "a int64;b string;c json", `{"b":null,"c":null}`, `[null,null,null]`},
		{"empty object", "a int64", ` { } `, `[null]`},
		{"integers", "a int64;b int64;c int64;d " +
			"int64", `{"a":1234567,"b":12345678,"c":-9223372036854775808,"d":-0}`, `[1234567,12345678,-9223372036854775808,0]`},
		{"a number at the very end", "a int64", `{"a":-123456}`, `[-123456]`},
		{"int32, floats, bools", "a int32;b float32;c float64;d bool;e " +
			"bool", `{"a":-7,"b":0.5,"c":1e3,"d":true,"e":false}`, `[-7,0.5,1000,true,false]`},
		{"floats without a number", "a float64;b float64;c " +
			"float64", `{"a":"NaN","b":"Infinity","c":"-Infinity"}`, `["NaN","Infinity","-Infinity"]`},
		{"decimals as numbers and strings", "a decimal(6, 2);b decimal(6, 2)", `{"a":12.5,"b":"-0.05"}`, `[12.50,-0.05]`},
		{
			"times", "a timestamp;b timestamp;c date",
			`{"a":"2013-01-01T10:00:00Z","b":"2013-01-01T10:00:00.25+01:00","c":"2013-01-02"}`,
			`["2013-01-01T10:00:00Z","2013-01-01T09:00:00.250000Z","2013-01-02"]`,
		},
		{"bytes", "a bytes", `{"a":"AP8="}`, `["AP8="]`},
		{
			"escapes", "a string;b string", `{"\u0061":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00","b":"x` + "\u00e9" + `"}`,
			`["\"\\/\u0008\u000c\n\r\t` + "\u00e9\U0001f600\",\"x\u00e9\"]",
		},
		{"json keeps its text", "a json;b json", `{"a":{"x":[1.0, "y"]},"b":"s"}`, `[{"x":[1.0, "y"]},"s"]`},
	} {
		dec, err := start(t, Format{Schema: schemaOf(test.schema)}, false, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range sizes {
			got := decode(t, dec, test.line, size)
			if diff := cmp.Diff(read{Values: []string{test.line}, Rows: []string{test.want}}, got); diff != "" {
				t.Errorf("%s, pieces of %d (-want +got):\n%s", test.name, size, diff)
			}
		}
	}
}

func TestRejects(t *testing.T) {
	t.Parallel()
	const schema = "a int64;b string;c bool;t timestamp"
	for _, test := range []struct {
		line, want string
		typed      bool
	}{
		{`{"a":1`, "1:7 invalid-json the line ends inside a value", false},
		{`{"a":1}}`, "1:8 invalid-json something follows the object", false},
		{`[1]`, "1:1 invalid-json expected one JSON object", false},
		{`{"a" 1}`, "1:6 invalid-json expected a colon behind the name of a field", false},
		{`{a:1}`, "1:2 invalid-json expected the name of a field in quotes", false},
		{`{"a":1,}`, "1:8 invalid-json expected the name of a field in quotes", false},
		{`{"a":01}`, "1:6 invalid-json this is not a number as JSON writes it", false},
		{`{"b":"` + "\u00e9" + `\x"}`, "1:8 invalid-json this is not an escape of JSON", false},
		{"{\"b\":\"x\ty\"}", "1:8 invalid-json a control character in a string must be written as an escape", false},
		{"{\"b\":\"x\xff\"}", "1:7 invalid-utf8 the string is not valid UTF-8", false},
		{`{"z":` + strings.Repeat("[", 2000) + `}`, "1:1 record-too-long the record is longer than 300B (max_record); " +
			"its first 300B are kept", false},
		{`{"a":"1"}`, `1:6 wrong-type column "a": expected a value of type int64, found a string`, true},
		{`{"a":1.0}`, `1:6 wrong-type column "a": "1.0" is not a value of type int64: write digits only, with a minus ` +
			`sign if it is negative`, true},
		{`{"a":9223372036854775808}`, `1:6 wrong-type column "a": "9223372036854775808" is not a value of type int64: ` +
			`it does not fit 64 bits`, true},
		{`{"b":1}`, `1:6 wrong-type column "b": expected a value of type string, found a number`, true},
		{`{"b":{}}`, `1:6 wrong-type column "b": expected a value of type string, found an object`, true},
		{`{"c":1}`, `1:6 wrong-type column "c": expected a value of type bool, found a number`, true},
		{`{"a":true}`, `1:6 wrong-type column "a": expected a value of type int64, found a bool`, true},
		{`{"t":"2013-13-01T00:00:00Z"}`, `1:6 wrong-type column "t": "2013-13-01T00:00:00Z" is not a value of type ` +
			`timestamp: write it as 2006-01-02T15:04:05Z`, true},
		{`{"b":"\ud83d"}`, `1:6 invalid-json an escape stands for half a character`, true},
		{`{"a":null,"a":2}`, `1:11 duplicate-field field "a" is there twice`, true},
		{`{"zz":1}`, `1:2 unknown-field the schema has no field "zz"`, true},
	} {
		for _, typed := range []bool{false, true} {
			if test.typed && !typed {
				continue
			}
			f := Format{}
			if typed {
				f = Format{Schema: schemaOf(schema), Unknown: "reject"}
				if strings.Contains(test.line, `"z"`) {
					f.Unknown = ""
				}
			}
			dec, err := start(t, f, false, "")
			if err != nil {
				t.Fatal(err)
			}
			good := `{"a":1}`
			for _, size := range sizes {
				got := decode(t, dec, test.line+"\n"+good, size)
				if !slices.Equal(got.Rejects, []string{"x:" + test.want}) || !slices.Equal(got.Values, []string{good}) {
					t.Errorf("%.40s typed %v, pieces of %d:\n got %q %q\nwant "+
						"%q", test.line, typed, size, got.Rejects, got.Values, test.want)
				}
			}
		}
	}
}

func TestInference(t *testing.T) {
	t.Parallel()
	text := `{"i":1,"f":1,"b":true,"ts":"2013-01-01T10:00:00Z","d":"2013-01-01","s":"1","mix":1,` +
		`"o":{"a":1},"nul":null,"big":123456789012345678901}
not json
{"i":null,"f":2.5,"ts":null,"s":"x","mix":"x","o":[],"late":false}`
	dec, err := start(t, Format{}, true, text)
	if err != nil {
		t.Fatal(err)
	}
	want := "i int64, f float64, b bool, ts timestamp, d date, s string, mix json, o json, nul string, big json, late bool"
	if got := dec.Schema.String(); got != want {
		t.Errorf("schema\n got %s\nwant %s", got, want)
	}
	again, err := Format{}.Start(t.Context(), codec.Env{Memory: dec.Memory})
	if err != nil || !again.Schema.Equal(dec.Schema) {
		t.Errorf("the remembered schema is %v, %v", again, err)
	}
	if _, err := start(t, Format{}, true, "\n[]\n"); forebay.ClassOf(err) != forebay.ClassMisconfigured {
		t.Errorf("no rows: %v", err)
	}
}

// TestNumbersAgreeWithTheStandardLibrary: what is a number, and which one, is the same however short it is.
func TestNumbersAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	dec, err := start(t, Format{Schema: codec.Schema{{Name: "i", Type: "int64"}, {Name: "f", Type: "float64"}}}, true, "")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.StringMatching(`-?[0-9]{0,9}(\.[0-9]{0,9})?(e[-+]?[0-9])?`)
		text, float := number.Draw(rt, "int"), number.Draw(rt, "float")
		space := rapid.SampledFrom([]string{"", " ", "\t"}).Draw(rt, "space")
		line := `{"i":` + text + space + `,"f":` + float + space + `}`
		var want struct {
			I int64
			F float64
		}
		wrong := json.Unmarshal([]byte(line), &want)
		b := forebay.NewBatch()
		b.Reset(forebay.Split{}, dec.Schema.Len())
		s := codec.NewStream(strings.NewReader(line), dec.NewDecoder(), codec.StreamConfig{})
		if err := errors.Join(s.Begin(rt.Context(), forebay.Position{}), s.Read(rt.Context(), b)); err != nil {
			rt.Fatal(err)
		}
		if (b.Len() == 1) != (wrong == nil) {
			rt.Fatalf("%s: rejected %v, the standard library says %v", line, b.Rejects(), wrong)
		}
		if wrong != nil {
			return
		}
		i, f := b.Cells(0)[0].Int(), b.Cells(0)[1].Float()
		if i != want.I || math.Float64bits(f) != math.Float64bits(want.F) {
			rt.Fatalf("%s is read as %d and %v", line, i, f)
		}
	})
}

// FuzzValid holds the grammar against encoding/json: the same lines are objects.
func FuzzValid(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a":[1,-0.5e+7,true,false,null,"\ud800\n"],"b":{"c":{}}} `, `{"a":1}{`, `{"a":01}`, `{"":""}`, `{"a":-}`,
		"{\"a\":\"\x7f\u2028\"}", `{"a":1e}`, `{"a":.5}`, "{\"aaaaaaaaaaaaaa\":\"bbbbbbbbbbbbbb\\\"\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if bytes.ContainsAny(line, "\n") || len(line) > maxRecord {
			return
		}
		dec, err := start(t, Format{}, false, "")
		if err != nil {
			t.Fatal(err)
		}
		trimmed := bytes.TrimRight(line, "\r")
		want := json.Valid(trimmed) && bytes.HasPrefix(bytes.TrimLeft(trimmed, " \t\r"), []byte("{"))
		if want && !utf8.Valid(trimmed) || bytes.HasPrefix(line, []byte("\xef\xbb\xbf")) {
			return
		}
		if got := len(decode(t, dec, string(line), 1<<20).Values) == 1; got != want {
			t.Errorf("%q: accepted %v, the standard library says %v", line, got, want)
		}
	})
}

// FuzzRow holds the typed decoder against encoding/json. F4: nothing makes it panic.
func FuzzRow(f *testing.F) {
	for _, seed := range []string{
		`{"i":1,"f":-0.5e7,"s":"x\n","b":true,"j":[1]}`, `{"j":{"i":1},"i":-12345678,"\u0073":"\ud83d\ude00"}`,
		`{"i":null,"i":1}`, `{"i":9223372036854775807}`, `{"s":"` + strings.Repeat("long", 20) + `"}`, `{"f":1e400}`,
		`{"i":12345678`, `{"i":-1234567`,
	} {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, line []byte, size byte) {
		if len(line) > maxRecord {
			return
		}
		dec, err := start(t, Format{Schema: schemaOf("i int64;f float64;s string;b bool;j json")}, false, "")
		if err != nil {
			t.Fatal(err)
		}
		got := decode(t, dec, string(line), 1<<20)
		if diff := cmp.Diff(got, decode(t, dec, string(line), int(size)+1)); diff != "" {
			t.Errorf("in pieces of %d (-whole +pieces):\n%s", int(size)+1, diff)
		}
		if len(got.Rows) != 1 || bytes.Contains(line, []byte("\n")) || bytes.HasPrefix(line, []byte("\xef\xbb\xbf")) {
			return
		}
		var want struct {
			I *int64
			F *float64
			S *string
			B *bool
			J json.RawMessage
		}
		var names map[string]json.RawMessage
		if err := json.Unmarshal(line, &names); err != nil {
			t.Fatalf("%q was accepted, the standard library says %v", line, err)
		}
		for name := range names {
			foreign := strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
			if foreign || name != strings.ToLower(name) {
				return // the standard library also takes names in other cases
			}
		}
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("%q was accepted, the standard library says %v", line, err)
		}
		if want.F != nil && *want.F == 0 && math.Signbit(*want.F) {
			return
		}
		var cells []json.RawMessage
		if err := json.Unmarshal([]byte(got.Rows[0]), &cells); err != nil {
			t.Fatal(err, got.Rows[0])
		}
		expect(t, cells[0], want.I)
		expect(t, cells[2], want.S)
		expect(t, cells[3], want.B)
		if want.F != nil && string(cells[1])[0] != '"' {
			var f float64
			if err := json.Unmarshal(cells[1], &f); err != nil || f != *want.F {
				t.Errorf("float %s, want %v", cells[1], *want.F)
			}
		}
	})
}

func expect[T comparable](t *testing.T, cell json.RawMessage, want *T) {
	t.Helper()
	var got *T
	if err := json.Unmarshal(cell, &got); err != nil {
		t.Fatal(err)
	}
	if (got == nil) != (want == nil) || got != nil && *got != *want {
		t.Errorf("got %s, want %v", cell, want)
	}
}
