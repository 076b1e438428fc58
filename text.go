// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"
)

// ParseCell reads one value of type t from text and returns the cell and the slab, to which values that lie
// in a slab are appended. A timestamp without a zone is taken as UTC. Text never means null: what does is
// the caller's to know.
//
// What is read, by type; spaces around a value are refused everywhere but in json:
//
//	bool         true, false, also as True, False, TRUE, FALSE
//	int32, int64 decimal digits with an optional minus sign; leading zeros are accepted
//	float32/64   decimal digits with point and exponent, an optional minus sign; NaN, Inf, +Inf, -Inf
//	decimal      as floats, exact: digits beyond the scale other than 0 are refused, nothing is rounded
//	string       valid UTF-8        bytes  as they are        json  one value, valid UTF-8
//	date         2006-01-02; other years than 0000 to 9999 have a sign and four to seven digits
//	timestamp    date, T or space, 15:04:05, a fraction, then Z, +01:00, +0100, +01 or nothing; digits of
//	             the fraction after the sixth must be 0
//
// Errors: a plain error that says what is wrong with the text; the slab is then as it was.
//
// Ownership: text is not kept. It may be a part of slab.
func ParseCell(slab []byte, t Type, text []byte) (Cell, []byte, error) {
	switch t.Kind {
	case KindString, KindBytes, KindJSON:
		from, size, err := checkSpan(t, text)
		if err != nil {
			return Null, slab, err
		}
		start := len(slab)
		return SpanCell(t.Kind, start, size), append(slab, text[from:from+size]...), nil
	default:
		return parseValue(slab, t, text, nil)
	}
}

// ParseCell is the function ParseCell for text that already lies in the batch's slab, at start: strings, bytes
// and json become spans of it without a copy, only decimals are appended. A timestamp without a zone is taken
// as local time of zone; nil means UTC. Of a local time that occurs twice, the earlier is meant; one that never
// occurs is an error.
func (b *Batch) ParseCell(t Type, start, size int, zone *time.Location) (Cell, error) {
	text := b.slab[start : start+size]
	switch t.Kind {
	case KindInt64:
		// The most frequent kind, without the detour.
		if v, why := parseInt(text); why == "" {
			return Int64Cell(v), nil
		}
	case KindString, KindBytes, KindJSON:
		from, size, err := checkSpan(t, text)
		if err != nil {
			return Null, err
		}
		return SpanCell(t.Kind, start+from, size), nil
	case KindDecimal:
		v, err := ParseDecimal(t, text)
		if err != nil {
			return Null, err
		}
		return b.AppendDecimal(v), nil
	default:
	}
	c, _, err := parseValue(nil, t, text, zone)
	return c, err
}

// ParseTime reads a date or a timestamp as (*Batch).ParseCell does, wherever the text lies.
func ParseTime(t Type, text []byte, zone *time.Location) (Cell, error) {
	if t.Kind != KindDate && t.Kind != KindTimestamp {
		return Null, textError(t, text, "only a date or a timestamp is a time")
	}
	c, _, err := parseValue(nil, t, text, zone)
	return c, err
}

// checkSpan says which part of text is the value of a string, bytes or json.
func checkSpan(t Type, text []byte) (from, size int, err error) {
	switch t.Kind {
	case KindString:
		if !isASCII(text) && !utf8.Valid(text) {
			return 0, 0, textError(t, text, "it is not valid UTF-8")
		}
	case KindJSON:
		// The standard library's check lets invalid UTF-8 pass in strings.
		if !json.Valid(text) || !utf8.Valid(text) {
			return 0, 0, textError(t, text, "it must be one JSON value in valid UTF-8")
		}
		from, size = trimJSON(text)
		return from, size, nil
	default:
	}
	return 0, len(text), nil
}

// isASCII reports whether all bytes are below 0x80, which makes them valid UTF-8.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	if len(text) < 8 {
		var all byte
		for _, c := range text {
			all |= c
		}
		return all < utf8.RuneSelf
	}
	// The last eight bytes overlap the ones before them.
	all := binary.LittleEndian.Uint64(text[len(text)-8:])
	for len(text) >= 32 { // four at a time, or the loop costs as much as the loads
		all |= binary.LittleEndian.Uint64(text) | binary.LittleEndian.Uint64(text[8:]) |
			binary.LittleEndian.Uint64(text[16:]) | binary.LittleEndian.Uint64(text[24:])
		text = text[32:]
	}
	for len(text) >= 8 {
		all |= binary.LittleEndian.Uint64(text)
		text = text[8:]
	}
	return all&high == 0
}

// trimJSON finds the value between the white space that JSON allows around it.
func trimJSON(text []byte) (from, size int) {
	end := len(text)
	for from < end && isJSONSpace(text[from]) {
		from++
	}
	for end > from && isJSONSpace(text[end-1]) {
		end--
	}
	return from, end - from
}

func isJSONSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// parseValue reads the kinds whose values do not stay text.
func parseValue(slab []byte, t Type, text []byte, zone *time.Location) (Cell, []byte, error) {
	var c Cell
	var why string
	switch t.Kind {
	case KindBool:
		c, why = parseBool(text)
	case KindInt32:
		var v int64
		if v, why = parseInt(text); why == "" && v != int64(int32(v)) {
			why = "it does not fit 32 bits"
		}
		c = Int32Cell(int32(v))
	case KindInt64:
		var v int64
		v, why = parseInt(text)
		c = Int64Cell(v)
	case KindFloat32:
		var v float32
		v, why = parseFloat32(text)
		c = Float32Cell(v)
	case KindFloat64:
		var v float64
		v, why = parseFloat64(text)
		c = Float64Cell(v)
	case KindDecimal:
		var v Int128
		if v, why = parseDecimal(t, text); why == "" {
			c = SpanCell(KindDecimal, len(slab), 16)
			slab = v.Append(slab)
		}
	case KindDate:
		var days int64
		if days, why = parseDate(text); why == "" && days != int64(int32(days)) {
			why = "it is too far away"
		}
		c = DateCell(int32(days))
	case KindTimestamp:
		var micros int64
		micros, why = parseTimestamp(text, zone)
		c = TimestampCell(micros)
	default:
		why = "no value can have this type"
	}
	if why != "" {
		return Null, slab, textError(t, text, why)
	}
	return c, slab, nil
}

// textShownMax bounds how much of a refused text its error repeats.
const textShownMax = 64

func textError(t Type, text []byte, why string) error {
	if len(text) > textShownMax {
		return fmt.Errorf("%.*q... (%d bytes) is not a value of type %s: %s", textShownMax, text, len(text), t, why)
	}
	return fmt.Errorf("%q is not a value of type %s: %s", text, t, why)
}

func parseBool(text []byte) (c Cell, why string) {
	switch string(text) {
	case "true", "True", "TRUE":
		return BoolCell(true), ""
	case "false", "False", "FALSE":
		return BoolCell(false), ""
	default:
		return Null, "write true or false"
	}
}

const notAnInteger = "write digits only, with a minus sign if it is negative"

// parseInt reads digits with an optional minus sign.
func parseInt(text []byte) (v int64, why string) {
	digits := text
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) == 0 {
		return 0, notAnInteger
	}
	if len(digits) > digitsInt64Sure {
		return parseLongInt(digits, negative)
	}
	var n uint64
	for _, c := range digits {
		d := c - '0'
		if d > 9 {
			return 0, notAnInteger
		}
		n = n*10 + uint64(d)
	}
	if negative {
		return -int64(n), ""
	}
	return int64(n), ""
}

// digitsInt64Sure is the number of digits that fit an int64 whatever they are.
const digitsInt64Sure = 18

func parseLongInt(digits []byte, negative bool) (v int64, why string) {
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	var n uint64
	overflow := false
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 {
			return 0, notAnInteger
		}
		if n > (limit-d)/10 {
			overflow = true
			continue // a wrong character further on is the better answer
		}
		n = n*10 + d
	}
	if overflow {
		return 0, "it does not fit 64 bits"
	}
	if negative {
		return int64(-n), ""
	}
	return int64(n), ""
}

const notANumber = "write a decimal number such as -12.5 or 1e6, or NaN, Inf, +Inf, -Inf"

// Powers of ten that a float holds exactly.
var (
	exactPowers64 = [shortNumberMax]float64{
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
	}
	exactPowers32 = [...]float32{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}
)

func parseFloat64(text []byte) (v float64, why string) {
	n, places, negative, ok := shortNumber(text)
	if !ok || n >= 1<<53 {
		return parseLongFloat(text, 64)
	}
	// Both are exact, so their quotient is the nearest float.
	if v = float64(n); places > 0 {
		v /= exactPowers64[places]
	}
	if negative {
		v = -v
	}
	return v, ""
}

func parseFloat32(text []byte) (v float32, why string) {
	n, places, negative, ok := shortNumber(text)
	if !ok || n >= 1<<24 || places >= len(exactPowers32) {
		long, why := parseLongFloat(text, 32)
		return float32(long), why
	}
	if v = float32(n); places > 0 {
		v /= exactPowers32[places]
	}
	if negative {
		v = -v
	}
	return v, ""
}

// shortNumberMax is the longest text that shortNumber reads: its digits fit a uint64.
const shortNumberMax = 19

// shortNumber reads a number without an e, up to shortNumberMax bytes: n and how many of its digits stand
// after the point.
func shortNumber(text []byte) (n uint64, places int, negative, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		negative, text = true, text[1:]
	}
	if len(text) == 0 || len(text) > shortNumberMax {
		return 0, 0, false, false
	}
	point := -1
	for i, c := range text {
		d := c - '0'
		if d > 9 {
			if c != '.' || point >= 0 || len(text) == 1 {
				return 0, 0, false, false
			}
			point = i
			continue
		}
		n = n*10 + uint64(d)
	}
	if point >= 0 {
		places = len(text) - point - 1
	}
	return n, places, negative, true
}

func parseLongFloat(text []byte, bits int) (v float64, why string) {
	switch string(text) {
	case "NaN":
		return math.NaN(), ""
	case "Inf", "+Inf":
		return math.Inf(1), ""
	case "-Inf":
		return math.Inf(-1), ""
	}
	// The standard library also reads hexadecimal, underscores, a leading plus and other spellings.
	for i, c := range text {
		digit := c-'0' <= 9 || c == '.' || c == 'e' || c == 'E' || c == '-'
		if !digit && (c != '+' || i == 0) {
			return 0, notANumber
		}
	}
	// A view of text that the call does not keep saves a copy per number.
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), bits)
	switch {
	case err == nil:
		return v, ""
	case math.IsInf(v, 0):
		return 0, "it is too large"
	default:
		return 0, notANumber
	}
}

// AppendCell appends the text form of a cell, which ParseCell reads back: nothing for null, the shortest
// digits that read back as the same float, timestamps as RFC 3339 in UTC with Z and with six digits of a
// second only where they are not all zero, strings, bytes and json as they are.
func AppendCell(dst []byte, t Type, c Cell, slab []byte) []byte {
	switch c.kind {
	case KindBool:
		return strconv.AppendBool(dst, c.Bool())
	case KindInt32, KindInt64:
		return strconv.AppendInt(dst, c.Int(), 10)
	case KindFloat32:
		return appendFloat(dst, c.Float(), 32)
	case KindFloat64:
		return appendFloat(dst, c.Float(), 64)
	case KindDecimal:
		return Int128From(c.Bytes(slab)).AppendText(dst, t.Scale)
	case KindString, KindBytes, KindJSON:
		return append(dst, c.Bytes(slab)...)
	case KindDate:
		return appendDate(dst, c.Int())
	case KindTimestamp:
		return appendTimestamp(dst, c.Int())
	default:
		return dst
	}
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1<<24 && (v != 0 || !math.Signbit(v)):
		return strconv.AppendInt(dst, int64(v), 10)
	case math.IsInf(v, 1):
		return append(dst, "Inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-Inf"...)
	}
	if bits == 64 {
		if out, ok := appendShortFloat(dst, v); ok {
			return out
		}
	}
	if size := math.Abs(v); size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, bits)
}

// appendShortFloat appends a float64 that has at most six digits behind the point and fifteen in all, or reports false.
// No two decimals of up to fifteen digits are the same float, so the one that is found is the shortest.
func appendShortFloat(dst []byte, v float64) (out []byte, ok bool) {
	size := math.Abs(v)
	if !(size < 1e9) || size == 0 {
		return dst, false
	}
	for _, places := range [...]int{3, 6} {
		power := exactPowers64[places]
		n := uint64(size*power + 0.5)
		// Both are exact, so their quotient is the float nearest to the decimal.
		if float64(n)/power != size {
			continue
		}
		for places > 0 && n%10 == 0 {
			n, places = n/10, places-1
		}
		if v < 0 {
			dst = append(dst, '-')
		}
		scale := uint64(exactPowers64[places])
		whole := n / scale
		if dst = strconv.AppendUint(dst, whole, 10); places == 0 {
			return dst, true
		}
		dst = append(dst, ".000000"[:places+1]...)
		for i, rest := len(dst)-1, n-whole*scale; rest > 0; i-- {
			dst[i] = byte('0' + rest%10)
			rest /= 10
		}
		return dst, true
	}
	return dst, false
}
