// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/base64"
	"math"
)

// AppendCellJSON appends a cell as one JSON value on one line: null for null, numbers for integers, floats
// and decimals, strings for strings, dates and timestamps, base64 strings for bytes. JSON has no number for
// them, so NaN and the infinities become the strings "NaN", "Infinity" and "-Infinity". A json cell comes
// out as it is, without its line breaks.
func AppendCellJSON(dst []byte, t Type, c Cell, slab []byte) []byte {
	switch c.kind {
	case KindNull:
		return append(dst, "null"...)
	case KindString:
		return AppendJSONString(dst, c.Bytes(slab))
	case KindFloat32, KindFloat64:
		return appendFloatJSON(dst, t, c)
	case KindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, c.Bytes(slab))
		return append(dst, '"')
	case KindDate, KindTimestamp:
		dst = append(dst, '"')
		dst = AppendCell(dst, t, c, slab)
		return append(dst, '"')
	case KindJSON:
		return appendOneLine(dst, c.Bytes(slab))
	default:
		return AppendCell(dst, t, c, slab)
	}
}

func appendFloatJSON(dst []byte, t Type, c Cell) []byte {
	switch v := c.Float(); {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	default:
		return AppendCell(dst, t, c, nil)
	}
}

// appendOneLine appends a JSON value without line breaks. They are white space wherever they stand: inside
// strings JSON writes them as escapes.
func appendOneLine(dst, value []byte) []byte {
	from := 0
	for i, c := range value {
		if c == '\n' || c == '\r' {
			dst = append(dst, value[from:i]...)
			from = i + 1
		}
	}
	return append(dst, value[from:]...)
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends text, which must be valid UTF-8, as a JSON string with its quotes. Only what JSON
// forbids is escaped.
func AppendJSONString(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	dst = append(dst, text[from:]...)
	return append(dst, '"')
}
