// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	encsv "encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// pieces gives a text in pieces of a size.
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

// read is what a text gives: rows as text with | between cells, null as ~, and rejects.
type read struct {
	Rows    []string
	Rejects []string
	Offsets []int64
}

func start(tb testing.TB, f Format, env codec.Env, texts ...string) (*codec.Decoding, error) {
	tb.Helper()
	env.Samples = func() (codec.Sample, error) {
		if len(texts) == 0 {
			return codec.Sample{}, io.EOF
		}
		text := texts[0]
		texts = texts[1:]
		return codec.Sample{Name: "sample.csv", Reader: strings.NewReader(text)}, nil
	}
	return f.Start(tb.Context(), env)
}

func decode(tb testing.TB, dec *codec.Decoding, text string, size int) read {
	tb.Helper()
	out, err := tryDecode(tb, dec, text, size)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func tryDecode(tb testing.TB, dec *codec.Decoding, text string, size int) (out read, err error) {
	tb.Helper()
	config := codec.StreamConfig{Split: "x", Name: "x.csv", Eager: true, MaxRecord: maxRecord}
	s := codec.NewStream(&pieces{text, size}, dec.NewDecoder(), config)
	if err := s.Begin(tb.Context(), forebay.Position{}); err != nil {
		return out, err
	}
	b := forebay.NewBatch()
	for {
		b.Reset(forebay.Split{ID: "x"}, dec.Schema.Len())
		if err := s.Read(tb.Context(), b); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, err
		}
		for i := range b.Len() {
			out.Rows = append(out.Rows, rowText(b, dec.Schema, i))
			out.Offsets = append(out.Offsets, b.Record(i).Offset)
		}
		for _, r := range b.Rejects() {
			out.Rejects = append(out.Rejects, fmt.Sprintf("%s %s %s %+q", r.Place, r.Code, r.Reason, r.Value))
		}
	}
}

func rowText(b *forebay.Batch, schema *forebay.Schema, i int) string {
	var out []byte
	for k, c := range b.Cells(i) {
		if k > 0 {
			out = append(out, '|')
		}
		if c.IsNull() {
			out = append(out, '~')
		}
		out = forebay.AppendCell(out, schema.Column(k).Type, c, b.Slab())
	}
	return string(out)
}

const maxRecord = 200

// rowTest is a text and the rows and rejects that it gives, however it is cut into pieces (F2).
type rowTest struct {
	name   string
	format Format
	text   string
	rows   []string
	wrong  []string
}

func checkRows(t *testing.T, tests []rowTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dec, err := start(t, test.format, codec.Env{MaxRecord: maxRecord}, test.text)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1 << 20, 1, 2, 3, 7, 64, 201, 250} {
				got := decode(t, dec, test.text, size)
				if diff := cmp.Diff(test.rows, got.Rows); diff != "" {
					t.Errorf("pieces of %d: rows (-want +got):\n%s", size, diff)
				}
				if diff := cmp.Diff(test.wrong, got.Rejects); diff != "" {
					t.Errorf("pieces of %d: rejects (-want +got):\n%s", size, diff)
				}
			}
		})
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	no := false
	checkRows(t, []rowTest{
		{"plain", Format{}, "a,b\n1,x\n2,y\n", []string{"1|x", "2|y"}, nil},
		{"no line break at the end", Format{}, "a,b\n1,x\n2,y", []string{"1|x", "2|y"}, nil},
		{"carriage returns", Format{}, "a,b\r\n1,x\r\n-2,\"y\"\r\n\"3\",z\r\n", []string{"1|x", "-2|y", "3|z"}, nil},
		{
			"byte order mark and empty lines",
			Format{},
			"\xef\xbb\xbf\n\r\na,b\n\n1,x\n\r\n\n2,y\n\n",
			[]string{"1|x", "2|y"},
			nil,
		},
		{
			"nulls, quoted ones are text",
			Format{},
			"a,b\nNA,NA\n,\"NA\"\n\"\",\"\"\n7,NAN\n",
			[]string{"~|~", "~|NA", "~|", "7|NAN"},
			nil,
		},
		{"nulls of its own", Format{Null: []string{"-9", "none"}}, "a,b\n-9,none\n5,NA\n", []string{"~|~", "5|NA"}, nil},
		{"no nulls", Format{Null: []string{}}, "a,b\n1,\n2,NA\n", []string{"1|", "2|NA"}, nil},
		{
			"quotes, delimiters and line breaks in quotes",
			Format{},
			"a,b\n1,\"x,\"\"y\"\"\"\n2,\"line\nbreak\r\n\"\n3,z\n",
			[]string{"1|x,\"y\"", "2|line\nbreak\r\n", "3|z"},
			nil,
		},
		{"another delimiter", Format{Delimiter: ";"}, "a;b\n1;x,y\n", []string{"1|x,y"}, nil},
		{"tabs", Format{Delimiter: `\t`}, "a\tb\n1\tx,y\n", []string{"1|x,y"}, nil},
		{"no header", Format{Header: &no}, "1,x\n2,y\n", []string{"1|x", "2|y"}, nil},
		{"one column", Format{}, "a\n1\n\"\"\n3\n", []string{"1", "~", "3"}, nil},
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	checkRows(t, []rowTest{
		{
			"integers",
			Format{Schema: codec.Schema{{Name: "a", Type: "int64"}}},
			"a\n0\n-1\n12345678\n-1234567\n-12345678\n123456789\n9223372036854775807\n-9223372036854775808\n007\n",
			[]string{
				"0", "-1", "12345678", "-1234567", "-12345678", "123456789", "9223372036854775807", "-9223372036854775808",
				"7",
			},
			nil,
		},
		{
			"wrong integers",
			Format{Schema: codec.Schema{{Name: "a", Type: "int64"}}},
			"a\n-\n1x\n 1\n+1\n9223372036854775808\n1.5\n2\n",
			[]string{"2"},
			[]string{
				`x.csv:2:1 wrong-type column "a": "-" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative "-"`,
				`x.csv:3:1 wrong-type column "a": "1x" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative "1x"`,
				`x.csv:4:1 wrong-type column "a": " 1" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative " 1"`,
				`x.csv:5:1 wrong-type column "a": "+1" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative "+1"`,
				`x.csv:6:1 wrong-type column "a": "9223372036854775808" is not a value of type int64: it does not fit 64 ` +
					`bits "9223372036854775808"`,
				`x.csv:7:1 wrong-type column "a": "1.5" is not a value of type int64: write digits only, with a minus sign ` +
					`if it is negative "1.5"`,
			},
		},
		{
			"other types",
			Format{Schema: codec.Schema{
				{Name: "a", Type: "timestamp"},
				{Name: "b", Type: "date"},
				{Name: "c", Type: "decimal(10, 2)"},
				{Name: "d", Type: "float64"},
				{Name: "e", Type: "bool"},
				{Name: "f", Type: "json"},
			}},
			"a,b,c,d,e,f\n2013-01-01T10:00:00Z,2013-01-02,1.5,2.5e3,true,7\n" +
				"2013-01-01 23:59:59.5+01:00,1969-12-31,-99999999.99,-0.1,FALSE,\"{\"\"a\"\":[1]}\"\n",
			[]string{
				"2013-01-01T10:00:00Z|2013-01-02|1.50|2500|true|7",
				`2013-01-01T22:59:59.500000Z|1969-12-31|-99999999.99|-0.1|false|{"a":[1]}`,
			},
			nil,
		},
		{
			"a zone",
			Format{Zone: "Europe/Berlin", Schema: codec.Schema{{Name: "a", Type: "timestamp"}}},
			"a\n2013-07-01T12:00:00\n",
			[]string{"2013-07-01T10:00:00Z"},
			nil,
		},
		{
			"wrong times",
			Format{Schema: codec.Schema{{Name: "a", Type: "timestamp"}}},
			"a\n2013-02-29T10:00:00Z\n2013-01-01T24:00:00Z\n2013-01-01T10:00:00Z\n",
			[]string{"2013-01-01T10:00:00Z"},
			[]string{
				`x.csv:2:1 wrong-type column "a": "2013-02-29T10:00:00Z" is not a value of type timestamp: write it as ` +
					`2006-01-02T15:04:05Z "2013-02-29T10:00:00Z"`,
				`x.csv:3:1 wrong-type column "a": "2013-01-01T24:00:00Z" is not a value of type timestamp: write it as ` +
					`2006-01-02T15:04:05Z "2013-01-01T24:00:00Z"`,
			},
		},
	})
}

func TestRejects(t *testing.T) {
	t.Parallel()
	no := false
	long := strings.Repeat("x", maxRecord)
	checkRows(t, []rowTest{
		{
			"wrong numbers of fields",
			Format{},
			"a,b,c\n1,2,3\n1,2\n1,2,3,4,5\n\"x\",2\n1,\"2\",3,4\n5,6,7\n",
			[]string{"1|2|3", "5|6|7"},
			[]string{
				`x.csv:3:4 wrong-field-count the record has 2 fields, expected 3 "1,2"`,
				`x.csv:4:7 wrong-field-count the record has 5 fields, expected 3 "1,2,3,4,5"`,
				`x.csv:5:6 wrong-field-count the record has 2 fields, expected 3 "\"x\",2"`,
				`x.csv:6:9 wrong-field-count the record has 4 fields, expected 3 "1,\"2\",3,4"`,
			},
		},
		{
			"wrong quotes end with their line",
			Format{},
			"a,b\n1,x\"y\n2,\"x\"y\n3,\"a\nb\"c,d\n4,ok\n",
			[]string{"4|ok"},
			[]string{
				`x.csv:2:4 wrong-quote a quote stands inside a field that does not begin with one; quote the whole field and ` +
					`write the quote twice "1,x\"y"`,
				`x.csv:3:6 wrong-quote something other than a delimiter follows a closing quote; write quotes inside a ` +
					`quoted field twice "2,\"x\"y"`,
				`x.csv:5:3 wrong-quote something other than a delimiter follows a closing quote; write quotes inside a ` +
					`quoted field twice "3,\"a\nb\"c,d"`,
			},
		},
		{
			"a quote that is never closed",
			Format{},
			"a,b\n1,x\n2,\"yyy\n3,z\n",
			[]string{"1|x"},
			[]string{`x.csv:3:3 wrong-quote a quoted field is not closed before the end of the input "2,\"yyy\n3,z"`},
		},
		{
			"one line each",
			Format{Multiline: &no},
			"a,b\n1,\"x\"\n2,\"yyy\n3,z\n4,\"q\"\"q\"",
			[]string{"1|x", "3|z", "4|q\"q"},
			[]string{`x.csv:3:3 wrong-quote a quoted field is not closed on its line; multiline: true allows line breaks ` +
				`in it "2,\"yyy"`},
		},
		{
			"lines are counted through quotes",
			Format{Schema: codec.Schema{{Name: "b", Type: "int64"}}},
			"a,b\n\"x\ny\",1\n\"x\n\n\",no\n\n\u00e4\u00f6,no\n",
			[]string{"x\ny|1"},
			[]string{
				`x.csv:6:3 wrong-type column "b": "no" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative "\"x\n\n\",no"`,
				`x.csv:8:4 wrong-type column "b": "no" is not a value of type int64: write digits only, with a minus sign if ` +
					`it is negative "\u00e4\u00f6,no"`,
			},
		},
		{
			"text that is not UTF-8",
			Format{},
			"a,b\n\u00e4,\xff\n\"\xff\",b\n\u00e4,\u00f6\n",
			[]string{"\u00e4|\u00f6"},
			[]string{
				`x.csv:2:3 invalid-utf8 column "b": "\xff" is not a value of type string: it is not valid UTF-8 "\u00e4,\xff"`,
				`x.csv:3:2 invalid-utf8 column "a": "\xff" is not a value of type string: it is not valid UTF-8 "\"\xff\",b"`,
			},
		},
		{
			"records that are too long",
			Format{},
			"a,b\n1," + long[2:] + "\n2," + long + "\n3,\"" + long + "\n" + long + "\"\"\n\"\n4,x\n5,y\"" + long + "\n6,\"z\"\n",
			[]string{"1|" + long[2:], "4|x"},
			[]string{
				`x.csv:3:1 record-too-long the record is longer than 200B (max_record); its first 200B are kept ` +
					`"2,` + long[2:] + `"`,
				`x.csv:4:1 record-too-long the record is longer than 200B (max_record); its first 200B are kept ` +
					`"3,\"` + long[3:] + `"`,
				// The quote is never closed, so the record goes on to the next one.
				`x.csv:8:1 record-too-long the record is longer than 200B (max_record); its first 200B are kept ` +
					`"5,y\"` + long[4:] + `"`,
			},
		},
	})
}

func TestInference(t *testing.T) {
	t.Parallel()
	text := "i,neg,f,b,ts,d,s,zip,big,nul,mix,e,q\n" +
		"1,-5,1.5,true,2013-01-01T10:00:00Z,2013-01-01,x,01234,12345678901234567890,NA,1,1e3,\"1\"\n" +
		"NA,0,2,false,2013-01-01T10:00:00+02:00,2013-01-02,,99999,1,,x,-2.5E-3,NA\n"
	dec, err := start(t, Format{Schema: codec.Schema{{Name: "s", Type: "bytes"}}}, codec.Env{}, text)
	if err != nil {
		t.Fatal(err)
	}
	want := "i int64, neg int64, f float64, b bool, ts timestamp, d date, s bytes, zip string, big string, nul string, " +
		"mix string, e float64, q int64"
	if got := dec.Schema.String(); got != want {
		t.Errorf("schema\n got %s\nwant %s", got, want)
	}
	again, err := start(t, Format{}, codec.Env{Memory: dec.Memory})
	if err != nil || !again.Schema.Equal(dec.Schema) {
		t.Errorf("the remembered schema is %v, %v", again, err)
	}
}

func TestInferenceLooksAtTenThousandRowsOverFiles(t *testing.T) {
	t.Parallel()
	rows := func(n int) string { return "a\n" + strings.Repeat("1\n", n) }
	for _, test := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"one row inside", []string{rows(codec.InferenceRows-1) + "x\n"}, "a string"},
		{"one row behind", []string{rows(codec.InferenceRows) + "x\n"}, "a int64"},
		{"the next file counts", []string{rows(5), "", "a\nx\n"}, "a string"},
	} {
		dec, err := start(t, Format{}, codec.Env{}, test.texts...)
		if err != nil || dec.Schema.String() != test.want {
			t.Errorf("%s: got %v, %v, want %s", test.name, dec, err, test.want)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	no := false
	for _, test := range []struct {
		name   string
		format Format
		text   string
		want   string
	}{
		{"nothing", Format{}, "", "there is no row to learn them from"},
		{"nothing without header", Format{Header: &no}, "\n\n", "there is no row to learn them from"},
		{"the same name twice", Format{}, "a,b,a\n", `column "a" is given twice`},
		{"no name", Format{}, "a,,b\n", "column 2 has no name"},
		{"a type for no column", Format{Schema: codec.Schema{{Name: "z", Type: "int64"}}}, "a\n1\n", `it lacks "z"`},
		{"a header with an open quote", Format{}, "a,\"b\n1,2\n", "not closed"},
		{"a wrong delimiter", Format{Delimiter: "ab"}, "a\n", `"ab" is not one ASCII character`},
		{"a quote as delimiter", Format{Delimiter: `"`}, "a\n", "has a meaning of its own"},
		{"a wrong zone and type", Format{Zone: "Mars", Schema: codec.Schema{{Name: "a", Type: "int"}}}, "a\n", `"Mars" ` +
			`is not a time zone`},
	} {
		_, err := start(t, test.format, codec.Env{}, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) || forebay.ClassOf(err) != forebay.ClassMisconfigured {
			t.Errorf("%s: got %v, class %s", test.name, err, forebay.ClassOf(err))
		}
	}
}

func TestHeaderOfEachFileOrdersItsColumns(t *testing.T) {
	t.Parallel()
	dec, err := start(t, Format{}, codec.Env{}, "a,b\n1,x\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, dec, "b,\"a\"\r\ny,2\r\n", 1); !slices.Equal(got.Rows, []string{"2|y"}) {
		t.Errorf("got %q", got.Rows)
	}
	for _, test := range []struct{ text, want string }{
		{"a,c\n", `it names "c", which the schema does not have, and lacks "b"`},
		{"a\n", `it lacks "b", which the schema has`},
		{"a,b,a\n", `it names "a", which the schema does not have, or twice`},
	} {
		if _, err := tryDecode(t, dec, test.text, 5); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v", test.text, err)
		}
	}
	if got := decode(t, dec, "", 5); got.Rows != nil {
		t.Errorf("an empty file gave %q", got.Rows)
	}
}

// FuzzAgainstStandard holds the decoder against encoding/csv, and against itself in small pieces. F4: nothing
// makes it panic.
func FuzzAgainstStandard(f *testing.F) {
	for _, seed := range []string{
		"a,b\nc,d\n", "\"a\",\"b\"\"c\"\n", "a\r\nb\r\n", "\"a\nb\",c\nd,e", "a\"b,c\nd,e\n", "\"a\"b,c\n", "\n\n,\n",
		"\"\"\"\",x\n\"", "\r,\r\n\"\r\n\",\r\n", strings.Repeat("abcdefg,", 20) + "x\n", "\"a\" " +
			",b\n", "\u00e9,\"\xff\"\nb,c\n",
	} {
		f.Add([]byte(seed), byte(2), byte(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, columns, size byte) {
		if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) || len(text) > 4096 {
			return
		}
		n := int(columns%30) + 1
		no := false
		schema := make(codec.Schema, n)
		for i := range schema {
			schema[i] = codec.ColumnSpec{Name: fmt.Sprint("c", i), Type: "bytes"}
		}
		dec, err := start(t, Format{Header: &no, Null: []string{}, Schema: schema}, codec.Env{})
		if err != nil {
			t.Fatal(err)
		}
		whole := decode(t, dec, string(text), 1<<20)
		if diff := cmp.Diff(whole, decode(t, dec, string(text), int(size)+1)); diff != "" {
			t.Errorf("in pieces of %d (-whole +pieces):\n%s", int(size)+1, diff)
		}
		want, same := standard(text, n)
		if !same || len(whole.Rejects) > 0 && len(text) > maxRecord {
			return
		}
		if len(want) != len(whole.Rows)+len(whole.Rejects) {
			t.Fatalf("the standard library reads %d records, this %d and rejects %q", len(want), len(whole.Rows), whole.Rejects)
		}
		i := 0
		for _, fields := range want {
			if len(fields) != n {
				continue
			}
			if got := whole.Rows[i]; got != strings.Join(fields, "|") {
				t.Errorf("record %d: got %q, want %q", i, got, fields)
			}
			i++
		}
	})
}

// standard reads a text with the standard library. It reports false where the two differ on purpose: on
// mistakes, and on line breaks in quotes, which the standard library makes LF.
func standard(text []byte, columns int) (records [][]string, same bool) {
	if bytes.Contains(text, []byte("\r")) && bytes.Contains(text, []byte(`"`)) || len(text) > maxRecord {
		return nil, false
	}
	r := encsv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		return nil, false
	}
	// A carriage return at the end of the input belongs to no line break for the standard library.
	return records, columns > 0 && !bytes.HasSuffix(text, []byte("\r"))
}
