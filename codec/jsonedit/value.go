// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"bytes"

	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// IsNull reports whether a value is the word null.
func IsNull(raw []byte) bool { return len(raw) > 0 && raw[0] == 'n' }

// Int is the value of a whole number that fits 64 bits, spelled without fraction, exponent or a zero too many.
func Int(raw []byte) (v int64, ok bool) {
	digits := raw
	negative := len(raw) > 0 && raw[0] == '-'
	if negative {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 19 || digits[0] == '0' && len(raw) > 1 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d)
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	default:
		return 0, false
	}
}

// Whole reports whether a number is spelled with digits only.
func Whole(raw []byte) bool {
	digits := bytes.TrimPrefix(raw, []byte{'-'})
	for _, c := range digits {
		if c-'0' > 9 {
			return false
		}
	}
	return len(digits) > 0
}

// Text is the characters of a string, given with its quotes: a part of raw, or, where it has escapes, appended
// to scratch. It reports false where an escape stands for half a character, or raw is no string.
func Text(raw, scratch []byte) (text, grown []byte, ok bool) {
	if len(raw) < 2 {
		return nil, scratch, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, scratch, true
	}
	if !escapesAreWhole(inner) {
		return nil, scratch, false
	}
	start := len(scratch)
	scratch, ok = jsontext.Unescape(scratch, inner)
	return scratch[start:], scratch, ok
}

// escapesAreWhole says that no escape is cut, so that reading it cannot leave the string.
func escapesAreWhole(inner []byte) bool {
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		i++
		if i >= len(inner) || inner[i] == 'u' && i+4 >= len(inner) {
			return false
		}
	}
	return true
}
