// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// allTypes is one type of each kind, for tests that walk through all of them.
var allTypes = []Type{
	Bool, Int32, Int64, Float32, Float64, DecimalOf(10, 2), DecimalOf(38, 0), DecimalOf(38, 38), String, Binary, Date,
	Timestamp, JSON,
}

func TestParseCellReadsTextAndPrintsItBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t          Type
		text, back string // back is empty where it is the text
	}{
		{Bool, "true", ""},
		{Bool, "false", ""},
		{Bool, "True", "true"},
		{Bool, "FALSE", "false"},
		{Int32, "0", ""},
		{Int32, "-0", "0"},
		{Int32, "007", "7"},
		{Int32, "2147483647", ""},
		{Int32, "-2147483648", ""},
		{Int64, "9223372036854775807", ""},
		{Int64, "-9223372036854775808", ""},
		{Int64, "999999999999999999", ""},
		{Int64, "0000000000000000000000000000012", "12"},
		{Int64, "-0000000000000000000000000000012", "-12"},
		{Float64, "1.5", ""},
		{Float64, "-0", ""},
		{Float64, "16777217", ""},
		{Float64, "0.1", ""},
		{Float64, ".5", "0.5"},
		{Float64, "5.", "5"},
		{Float64, "9007199254740993", "9007199254740992"},
		{Float64, "1e3", "1000"},
		{Float64, "1E+3", "1000"},
		{Float64, "1e21", "1e+21"},
		{Float64, "123456789012345678901", "123456789012345680000"},
		{Float64, "0.000001", ""},
		{Float64, "0.0000001", "1e-07"},
		{Float64, "1.7976931348623157e308", "1.7976931348623157e+308"},
		{Float64, "5e-324", ""},
		{Float64, "1e-400", "0"},
		{Float64, "NaN", ""},
		{Float64, "Inf", ""},
		{Float64, "+Inf", "Inf"},
		{Float64, "-Inf", ""},
		{Float32, "0.1", ""},
		{Float32, "16777217", "16777216"},
		{Float32, "3.4028235e38", "3.4028235e+38"},
		{Float32, "123456789000", "123456790000"},
		{Float32, "NaN", ""},
		{Float32, "-0.25", ""},
		{DecimalOf(4, 2), "12.5", "12.50"},
		{DecimalOf(4, 2), "-12.50", ""},
		{DecimalOf(4, 2), "99.99", ""},
		{DecimalOf(4, 2), "-0.01", ""},
		{DecimalOf(4, 2), "0012.5000000", "12.50"},
		{DecimalOf(4, 2), "-0", "0.00"},
		{DecimalOf(4, 2), "1.2e1", "12.00"},
		{DecimalOf(4, 2), "1200e-2", "12.00"},
		{DecimalOf(4, 2), "0e999999999999999999", "0.00"},
		{DecimalOf(4, 2), "1" + strings.Repeat("0", 50) + "e-50", "1.00"},
		{DecimalOf(4, 4), ".0001", "0.0001"},
		{DecimalOf(38, 0), "99999999999999999999999999999999999999", ""},
		{DecimalOf(38, 0), "-99999999999999999999999999999999999999", ""},
		{DecimalOf(38, 0), "10000000000000000000000000000000000000", ""},
		{DecimalOf(38, 38), "0.99999999999999999999999999999999999999", ""},
		{DecimalOf(38, 38), "1e-38", "0.00000000000000000000000000000000000001"},
		{DecimalOf(38, 18), "18446744073709551616.000000000000000001", ""},
		{String, "", ""},
		{String, "Grüße, 世界 \x00", ""},
		{Binary, "\xff\x00", ""},
		{JSON, `{"a":[1, 2]}`, ""},
		{JSON, " [1]\n", "[1]"},
		{JSON, "null", ""},
		{Date, "1970-01-01", ""},
		{Date, "2024-02-29", ""},
		{Date, "2000-02-29", ""},
		{Date, "1900-02-28", ""},
		{Date, "0000-01-01", ""},
		{Date, "9999-12-31", ""},
		{Date, "+10000-01-01", ""},
		{Date, "-0001-12-31", ""},
		{Date, "+2013-01-01", "2013-01-01"},
		{Date, "+5881580-07-11", ""},
		{Date, "-5877641-06-23", ""},
		{Timestamp, "2013-01-01T10:00:00Z", ""},
		{Timestamp, "2013-01-01 10:00:00", "2013-01-01T10:00:00Z"},
		{Timestamp, "2013-01-01t10:00:00z", "2013-01-01T10:00:00Z"},
		{Timestamp, "1969-12-31T23:59:59.999999Z", ""},
		{Timestamp, "2013-01-01T10:00:00.5Z", "2013-01-01T10:00:00.500000Z"},
		{Timestamp, "2013-01-01T10:00:00.000000Z", "2013-01-01T10:00:00Z"},
		{Timestamp, "2013-01-01T10:00:00.123456000Z", "2013-01-01T10:00:00.123456Z"},
		{Timestamp, "2013-01-01T10:00:00.25+05:30", "2013-01-01T04:30:00.250000Z"},
		{Timestamp, "2013-01-01T10:00:00-0500", "2013-01-01T15:00:00Z"},
		{Timestamp, "2013-01-01 10:00:00+00", "2013-01-01T10:00:00Z"},
		{Timestamp, "+294247-01-10T04:00:54.775807Z", ""},
		{Timestamp, "-290308-12-21T19:59:05.224192Z", ""},
	} {
		c, slab, err := ParseCell([]byte("before"), tc.t, []byte(tc.text))
		if err != nil {
			t.Errorf("%s %q: %v", tc.t, tc.text, err)
			continue
		}
		want := tc.back
		if want == "" {
			want = tc.text
		}
		if got := string(AppendCell(nil, tc.t, c, slab)); got != want {
			t.Errorf("%s %q prints as %q, want %q", tc.t, tc.text, got, want)
		}
		if c.Kind() != tc.t.Kind {
			t.Errorf("%s %q became a %s", tc.t, tc.text, c.Kind())
		}
		if !bytes.HasPrefix(slab, []byte("before")) {
			t.Errorf("%s %q changed the slab: %q", tc.t, tc.text, slab)
		}
	}
}

func TestParseCellRefusesWrongTextWithItsReason(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		t         Type
		text, why string
	}{
		{Bool, "", "true or false"},
		{Bool, "1", "true or false"},
		{Bool, "tRUE", "true or false"},
		{Int32, "2147483648", "32 bits"},
		{Int32, "-2147483649", "32 bits"},
		{Int64, "9223372036854775808", "64 bits"},
		{Int64, "-9223372036854775809", "64 bits"},
		{Int64, "99999999999999999999", "64 bits"},
		{Int64, "18446744073709551617", "64 bits"},
		{Int64, "99999999999999999999x", "digits only"},
		{Int64, "", "digits only"},
		{Int64, "-", "digits only"},
		{Int64, "--1", "digits only"},
		{Int64, "+1", "digits only"},
		{Int64, " 1", "digits only"},
		{Int64, "1 ", "digits only"},
		{Int64, "1.0", "digits only"},
		{Int64, "1_000", "digits only"},
		{Int64, "NA", "digits only"},
		{Float64, "", "decimal number"},
		{Float64, "-", "decimal number"},
		{Float64, ".", "decimal number"},
		{Float64, "-.", "decimal number"},
		{Float64, "1.2.3", "decimal number"},
		{Float64, "+1", "decimal number"},
		{Float64, "0x10", "decimal number"},
		{Float64, "1_000", "decimal number"},
		{Float64, "inf", "decimal number"},
		{Float64, "nan", "decimal number"},
		{Float64, "Infinity", "decimal number"},
		{Float64, "1e", "decimal number"},
		{Float64, "1e5 ", "decimal number"},
		{Float64, "1e400", "too large"},
		{Float64, "-1e400", "too large"},
		{Float32, "1e39", "too large"},
		{DecimalOf(4, 2), "100", "before the point"},
		{DecimalOf(4, 2), "99.995", "after the point"},
		{DecimalOf(4, 2), "0.001", "after the point"},
		{DecimalOf(4, 2), "1e999999999999999999999", "before the point"},
		{DecimalOf(4, 2), "1e-999999999999999999999", "after the point"},
		{DecimalOf(38, 0), "100000000000000000000000000000000000000", "before the point"},
		{DecimalOf(38, 0), "123456789012345678901234567890123456789", "before the point"},
		{DecimalOf(4, 2), "", "decimal number"},
		{DecimalOf(4, 2), ".", "decimal number"},
		{DecimalOf(4, 2), "+1", "decimal number"},
		{DecimalOf(4, 2), "1e", "decimal number"},
		{DecimalOf(4, 2), "1e+", "decimal number"},
		{DecimalOf(4, 2), "1 ", "decimal number"},
		{DecimalOf(4, 2), "NaN", "decimal number"},
		{String, "a\xffb", "valid UTF-8"},
		{JSON, "", "one JSON value"},
		{JSON, "{} {}", "one JSON value"},
		{JSON, "{", "one JSON value"},
		{JSON, "\"a\xff\"", "one JSON value"},
		{JSON, "NaN", "one JSON value"},
		{Date, "2013-1-1", "2006-01-02"},
		{Date, "2013-13-01", "2006-01-02"},
		{Date, "2013-00-01", "2006-01-02"},
		{Date, "2013-04-31", "2006-01-02"},
		{Date, "2013-04-00", "2006-01-02"},
		{Date, "2013-02-29", "2006-01-02"},
		{Date, "1900-02-29", "2006-01-02"},
		{Date, "201a-02-20", "2006-01-02"},
		{Date, "2a13-02-20", "2006-01-02"},
		{Date, "2013-02-20 ", "2006-01-02"},
		{Date, "2013/02/20", "2006-01-02"},
		{Date, "+201-02-20", "2006-01-02"},
		{Date, "+12345678-02-20", "2006-01-02"},
		{Date, "+5881580-07-12", "too far"},
		{Date, "-5877641-06-22", "too far"},
		{Timestamp, "2013-01-01", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T24:00:00Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:60:00Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:60Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01_10:00:00Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00.Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00,5Z", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00 UTC", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00+24:00", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00+01:60", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00+01:0", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00ZZ", "2006-01-02T15:04:05Z"},
		{Timestamp, "2013-01-01T10:00:00.1234567Z", "beyond them"},
		{Timestamp, "+294247-01-10T04:00:54.775808Z", "too far"},
		{Timestamp, "-290308-12-21T19:59:05.224191Z", "too far"},
		{Timestamp, "+9999999-01-01T00:00:00Z", "too far"},
		{Type{}, "1", "no value"},
	} {
		before := []byte("before")
		c, slab, err := ParseCell(before, tc.t, []byte(tc.text))
		if err == nil || !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%s %q: error %v, want one with %q", tc.t, tc.text, err, tc.why)
		}
		if !c.IsNull() || string(slab) != "before" {
			t.Errorf("%s %q: cell %v, slab %q after an error", tc.t, tc.text, c, slab)
		}
	}
}

func TestParseErrorShowsAtMostTheBeginningOfTheText(t *testing.T) {
	t.Parallel()
	_, _, err := ParseCell(nil, Int64, []byte(strings.Repeat("x", 10_000)))
	if err == nil || len(err.Error()) > 250 || !strings.Contains(err.Error(), "10000 bytes") {
		t.Errorf("error is %v", err)
	}
}

func TestBatchParseCellTakesSpansWithoutACopy(t *testing.T) {
	t.Parallel()
	b := NewBatch()
	b.AppendText(`xx abc {"a":1} yy`)
	before := b.Size()
	for _, tc := range []struct {
		t           Type
		start, size int
		want        string
	}{
		{String, 3, 3, "abc"},
		{Binary, 3, 3, "abc"},
		{JSON, 6, 9, `{"a":1}`},
	} {
		c, err := b.ParseCell(tc.t, tc.start, tc.size, nil)
		if err != nil || b.Size() != before || string(c.Bytes(b.Slab())) != tc.want {
			t.Errorf("%s: %q in a slab of %d, error %v", tc.t, c.Bytes(b.Slab()), b.Size(), err)
		}
	}
}

func TestInvalidUTF8IsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	for size := range 40 {
		for at := range size {
			text := bytes.Repeat([]byte("a"), size)
			text[at] = 0x80
			if _, _, err := ParseCell(nil, String, text); err == nil {
				t.Errorf("%q is accepted", text)
			}
			text[at] = 'b'
			if _, _, err := ParseCell(nil, String, text); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func TestTextWithoutAZoneIsLocalTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ zone, text, want string }{
		{"America/New_York", "2013-01-01 05:00:00", "2013-01-01T10:00:00Z"},
		{"America/New_York", "2013-07-01 05:00:00.5", "2013-07-01T09:00:00.500000Z"},
		{"America/New_York", "2013-01-01T05:00:00Z", "2013-01-01T05:00:00Z"},
		{"America/New_York", "2013-01-01T05:00:00+02:00", "2013-01-01T03:00:00Z"},
		{"America/New_York", "2013-03-10 01:59:59", "2013-03-10T06:59:59Z"},
		{"America/New_York", "2013-03-10 02:30:00", ""},
		{"America/New_York", "2013-03-10 03:00:00", "2013-03-10T07:00:00Z"},
		{"America/New_York", "2013-11-03 00:59:59", "2013-11-03T04:59:59Z"},
		{"America/New_York", "2013-11-03 01:30:00", "2013-11-03T05:30:00Z"}, // the first of two
		{"America/New_York", "2013-11-03 02:00:00", "2013-11-03T07:00:00Z"},
		{"Australia/Lord_Howe", "2013-10-06 02:15:00", ""},
		{"Australia/Lord_Howe", "2013-10-06 02:30:00", "2013-10-05T15:30:00Z"},
		{"Pacific/Apia", "2011-12-30 12:00:00", ""},
		{"Pacific/Apia", "2011-12-31 00:00:00", "2011-12-30T10:00:00Z"},
		{"UTC", "2013-01-01 05:00:00", "2013-01-01T05:00:00Z"},
	} {
		zone, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Skipf("this machine has no time zones: install tzdata (%v)", err)
		}
		c, err := ParseTime(Timestamp, []byte(tc.text), zone)
		switch {
		case tc.want == "" && (err == nil || !strings.Contains(err.Error(), tc.zone)):
			t.Errorf("%s in %s: %s, error %v; clocks never show it", tc.text, tc.zone,
				AppendCell(nil, Timestamp, c, nil), err)
		case tc.want != "" && (err != nil || string(AppendCell(nil, Timestamp, c, nil)) != tc.want):
			t.Errorf("%s in %s: %s, error %v, want %s", tc.text, tc.zone, AppendCell(nil, Timestamp, c, nil), err, tc.want)
		}
	}
}

func TestDatesAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64().Draw(t, "micros")
		if rapid.Bool().Draw(t, "near") {
			micros %= 1e17
		}
		at := time.UnixMicro(micros).UTC()
		layout := "2006-01-02T15:04:05.000000Z"
		if micros%microsPerSecond == 0 {
			layout = "2006-01-02T15:04:05Z"
		}
		got := string(AppendCell(nil, Timestamp, TimestampCell(micros), nil))
		if at.Year() >= 0 && at.Year() <= 9999 {
			if want := at.Format(layout); got != want {
				t.Fatalf("%d prints as %s, want %s", micros, got, want)
			}
		}
		c, _, err := ParseCell(nil, Timestamp, []byte(got))
		if err != nil || c.Int() != micros {
			t.Fatalf("%s is read as %d (%v), want %d", got, c.Int(), err, micros)
		}
	})
}

func TestFloatsAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	number := rapid.StringMatching(`-?[0-9]{0,12}(\.[0-9]{0,14})?(e[-+]?[0-9]{1,3})?`)
	rapid.Check(t, func(t *rapid.T) {
		text := number.Draw(t, "text")
		for _, tc := range []struct {
			t    Type
			bits int
		}{{Float64, 64}, {Float32, 32}} {
			want, wantErr := strconv.ParseFloat(text, tc.bits)
			c, _, err := ParseCell(nil, tc.t, []byte(text))
			if (err == nil) != (wantErr == nil) || err == nil && math.Float64bits(c.Float()) != math.Float64bits(want) {
				t.Fatalf("%s %q is read as %v (%v), want %v (%v)", tc.t, text, c.Float(), err, want, wantErr)
			}
		}
	})
}

func TestShortFloatsAtTheLimitsOfExactArithmeticAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	texts := []string{"18446744073709551617", "-18446744073709551617", "1844674407370955161.7"}
	for _, limit := range []uint64{1 << 24, 1 << 25, 1 << 53, 1 << 54, 1e7, 1e15} {
		for n := limit - 40; n < limit+40; n++ {
			digits := strconv.FormatUint(n, 10)
			for point := range len(digits) {
				texts = append(texts, digits[:point]+"."+digits[point:], "-."+strings.Repeat("0", point)+digits)
			}
		}
	}
	for _, text := range texts {
		for _, tc := range []struct {
			t    Type
			bits int
		}{{Float64, 64}, {Float32, 32}} {
			want, err := strconv.ParseFloat(text, tc.bits)
			if err != nil {
				t.Fatal(err)
			}
			if c, _, err := ParseCell(nil, tc.t, []byte(text)); err != nil || c.Float() != want {
				t.Errorf("%s %s is read as %v (%v), want %v", tc.t, text, c.Float(), err, want)
			}
		}
	}
}

// TestFloatsAreWrittenInTheFewestDigits: as the standard library does, for short decimals, their neighbours, and any
// bits.
func TestFloatsAreWrittenInTheFewestDigits(t *testing.T) {
	t.Parallel()
	check := func(t interface {
		Fatalf(format string, args ...any)
	}, v float64,
	) {
		for _, v := range []float64{v, -v, math.Nextafter(v, 0), math.Nextafter(v, math.Inf(1))} {
			format := byte('f')
			if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) {
				format = 'e'
			}
			want := strconv.FormatFloat(v, format, -1, 64)
			if math.IsInf(v, 0) || math.IsNaN(v) {
				continue
			}
			if got := string(AppendCell(nil, Float64, Float64Cell(v), nil)); got != want {
				t.Fatalf("%s is written as %s", want, got)
			}
		}
	}
	for _, v := range []float64{
		0, 1e-6, 1e-7, 1.5e-6, 9.999999e-7, 0.1, 0.3, 1 << 24, 1e9, 999999999.999999, 1e15, 2e7, 1e21, 0.0005,
	} {
		check(t, v)
	}
	rapid.Check(t, func(t *rapid.T) {
		n, places := rapid.Int64Range(0, 1e16).Draw(t, "n"), rapid.IntRange(0, 9).Draw(t, "places")
		n >>= rapid.IntRange(0, 50).Draw(t, "shift")
		check(t, float64(n)/math.Pow10(places))
		check(t, math.Float64frombits(rapid.Uint64().Draw(t, "bits")))
	})
}

func TestIntegersAgreeWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{0,21}`).Draw(t, "text")
		want, wantErr := strconv.ParseInt(text, 10, 64)
		c, _, err := ParseCell(nil, Int64, []byte(text))
		if (err == nil) != (wantErr == nil) || err == nil && c.Int() != want {
			t.Fatalf("%q is read as %d (%v), want %d (%v)", text, c.Int(), err, want, wantErr)
		}
	})
}

func TestAppendCellJSONWritesOneValueOnOneLine(t *testing.T) {
	t.Parallel()
	slab := []byte("a\"b\\c\n\r\t\x01é\x7f\xff\x00{\"k\":\n [1,\r\n\"x\\n\"]}")
	text, raw, value := SpanCell(KindString, 0, 12), SpanCell(KindBytes, 12, 2), SpanCell(KindJSON, 14, len(slab)-14)
	decimal := SpanCell(KindDecimal, len(slab), 16)
	slab = Int128Of(-1250).Append(slab)
	for _, tc := range []struct {
		t    Type
		c    Cell
		want string
	}{
		{Int64, Null, `null`},
		{Bool, BoolCell(true), `true`},
		{Int32, Int32Cell(-5), `-5`},
		{Int64, Int64Cell(math.MinInt64), `-9223372036854775808`},
		{Float64, Float64Cell(1.5), `1.5`},
		{Float32, Float32Cell(0.1), `0.1`},
		{Float64, Float64Cell(1e300), `1e+300`},
		{Float64, Float64Cell(math.NaN()), `"NaN"`},
		{Float64, Float64Cell(math.Inf(1)), `"Infinity"`},
		{Float32, Float32Cell(float32(math.Inf(-1))), `"-Infinity"`},
		{DecimalOf(5, 2), decimal, `-12.50`},
		{String, text, `"a\"b\\c\n\r\t\u0001é` + "\x7f\""},
		{Binary, raw, `"/wA="`},
		{Date, DateCell(0), `"1970-01-01"`},
		{Timestamp, TimestampCell(1), `"1970-01-01T00:00:00.000001Z"`},
		{JSON, value, `{"k": [1,"x\n"]}`},
	} {
		got := AppendCellJSON([]byte("x"), tc.t, tc.c, slab)
		if string(got) != "x"+tc.want {
			t.Errorf("%s: %s, want %s", tc.t, got[1:], tc.want)
		}
		if !json.Valid(got[1:]) {
			t.Errorf("%s: %s is not JSON", tc.t, got[1:])
		}
	}
}

func TestAppendJSONStringAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var back string
		if err := json.Unmarshal(AppendJSONString(nil, []byte(text)), &back); err != nil || back != text {
			t.Fatalf("%q comes back as %q (%v)", text, back, err)
		}
	})
	for c := range byte(utf8.RuneSelf) {
		for at := range 20 {
			text, back := strings.Repeat("é", at)+string(rune(c))+strings.Repeat(string(rune(c)), at)+"é", ""
			if err := json.Unmarshal(AppendJSONString(nil, []byte(text)), &back); err != nil || back != text {
				t.Errorf("%q comes back as %q (%v)", text, back, err)
			}
		}
	}
}

func TestAppendCellPrintsNothingForNull(t *testing.T) {
	t.Parallel()
	if got := AppendCell([]byte("x"), Int64, Null, nil); string(got) != "x" {
		t.Errorf("null prints as %q", got)
	}
}

// FuzzParseCell reads any text as each type: what is accepted prints as text that reads back as the same
// value, and as valid JSON.
func FuzzParseCell(f *testing.F) {
	for i, text := range []string{
		"true", "-2147483648", "9223372036854775807", "1.5e3", "-0.1", "12.50", "1" + strings.Repeat("0", 37), "1e-38",
		"text", "\xff", "2013-02-28", "2013-01-01T10:00:00.123456+05:30", `{"a":[1,"\u00e9"]}`,
	} {
		f.Add(uint8(i), []byte(text))
	}
	f.Fuzz(func(t *testing.T, kind uint8, text []byte) {
		typ := allTypes[int(kind)%len(allTypes)]
		c, slab, err := ParseCell(nil, typ, text)
		b := NewBatch()
		b.AppendText("before ")
		in, errIn := b.ParseCell(typ, b.AppendBytes(text), len(text), time.UTC)
		if (err == nil) != (errIn == nil) {
			t.Fatalf("ParseCell says %v, of a batch %v", err, errIn)
		}
		if err != nil {
			if !utf8.ValidString(err.Error()) {
				t.Fatalf("the error is not valid UTF-8: %q", err)
			}
			return
		}
		printed := AppendCell(nil, typ, c, slab)
		if inPrinted := AppendCell(nil, typ, in, b.Slab()); !bytes.Equal(printed, inPrinted) {
			t.Fatalf("ParseCell gives %q, of a batch %q", printed, inPrinted)
		}
		again, slabAgain, err := ParseCell(nil, typ, printed)
		if err != nil {
			t.Fatalf("%q prints as %q, which is refused: %v", text, printed, err)
		}
		if !sameCell(c, slab, again, slabAgain) {
			t.Fatalf("%q prints as %q, which is another value", text, printed)
		}
		if out := AppendCellJSON(nil, typ, c, slab); !json.Valid(out) || bytes.ContainsAny(out, "\n\r") {
			t.Fatalf("%q is written as %q, which is not one line of JSON", text, out)
		}
	})
}

// sameCell compares two cells, each in its slab.
func sameCell(a Cell, slabA []byte, b Cell, slabB []byte) bool {
	if a.kind != b.kind {
		return false
	}
	if a.kind.InSlab() {
		return bytes.Equal(a.Bytes(slabA), b.Bytes(slabB))
	}
	if (a.kind == KindFloat32 || a.kind == KindFloat64) && math.IsNaN(a.Float()) {
		return math.IsNaN(b.Float())
	}
	return a.bits == b.bits
}
