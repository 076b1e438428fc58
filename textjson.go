// SPDX-License-Identifier: Apache-2.0

package forebay

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
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
	case KindInt32, KindInt64:
		return strconv.AppendInt(dst, c.Int(), 10)
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
	if isPlain(text) {
		n := len(dst)
		dst = slices.Grow(dst, len(text)+2)[:n+len(text)+2]
		dst[n], dst[len(dst)-1] = '"', '"'
		copy(dst[n+1:], text)
		return dst
	}
	dst = append(dst, '"')
	from := 0
	for i := plainEnd(text, 0); i < len(text); i = plainEnd(text, i+1) {
		dst = append(dst, text[from:i]...)
		from = i + 1
		switch c := text[i]; c {
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

// plainEnd is the index of the first byte from i on that a JSON string cannot hold as it is, or the length of text.
func plainEnd(text []byte, i int) int {
	for i < len(text) && text[i] >= ' ' && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// isPlain reports whether a JSON string can hold text as it is. What is left behind the last whole word is looked at
// together with bytes before it, so that texts of any length take the same way.
func isPlain(text []byte) bool {
	n := len(text)
	switch {
	case n >= 8:
		marks := unplain(binary.LittleEndian.Uint64(text[n-8:]))
		for ; len(text) > 8; text = text[8:] {
			marks |= unplain(binary.LittleEndian.Uint64(text))
		}
		return marks == 0
	case n >= 4:
		head, tail := binary.LittleEndian.Uint32(text), binary.LittleEndian.Uint32(text[n-4:])
		return unplain(uint64(head)|uint64(tail)<<32) == 0
	default:
		return plainEnd(text, 0) == n
	}
}

// unplain marks bytes of w if there is one that a JSON string cannot hold as it is.
func unplain(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	// With its second bit flipped, a quote follows the control characters. A byte that borrows from the next one is such
	// a byte itself.
	return ((w ^ 0x02*ones) - 0x21*ones | ((w ^ '\\'*ones) - ones)) &^ w & highs
}
