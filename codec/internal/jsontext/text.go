// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Unescape appends the characters of a string, whose escapes are known to be well-formed, to dst. It reports
// false if an escape stands for half a character only.
func Unescape(dst, text []byte) ([]byte, bool) {
	for i := 0; i < len(text); {
		c := text[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		switch c = text[i+1]; c {
		case 'u':
			r, _ := hex4(text, i+2, len(text))
			i += 6
			if utf16.IsSurrogate(r) {
				var low rune
				if i+1 < len(text) && text[i] == '\\' && text[i+1] == 'u' {
					low, _ = hex4(text, i+2, len(text))
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					return dst, false
				}
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
			continue
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		}
		dst = append(dst, c)
		i += 2
	}
	return dst, true
}
