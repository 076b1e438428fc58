// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"unicode/utf8"

	"github.com/forebay-io/forebay/codec/internal/swar"
)

// depthMax bounds how deep arrays and objects nest.
const depthMax = 1000

// What can be wrong with a line.
const (
	wrongEnd     = "the line ends inside a value"
	wrongObject  = "expected one JSON object"
	wrongName    = "expected the name of a field in quotes"
	wrongColon   = "expected a colon behind the name of a field"
	wrongComma   = "expected a comma or the end of the object"
	wrongElement = "expected a comma or the end of the array"
	wrongValue   = "expected a value"
	wrongNumber  = "this is not a number as JSON writes it"
	wrongControl = "a control character in a string must be written as an escape"
	wrongEscape  = "this is not an escape of JSON"
	wrongUTF8    = "the string is not valid UTF-8"
	wrongDepth   = "arrays and objects nest too deeply"
	wrongBehind  = "something follows the object"
)

// The functions below look at s[i:end]. They return the index behind what they read, or, with why, the index
// of what is wrong.

func space(s []byte, i, end int) int {
	for i < end && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// stringEnd reads the rest of a string whose opening quote is before i. behind is the index behind the closing
// quote; simple says that there is neither an escape nor a byte that is not ASCII.
func stringEnd(s []byte, i, end int) (behind int, simple bool, why string) {
	start := i
	simple, ascii := true, true
	for {
		for i+8 <= end {
			m := swar.Special(swar.Load(s, i))
			if m != 0 {
				i += swar.First(m)
				break
			}
			i += 8
		}
		for i < end && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
			i++
		}
		if i >= end {
			return end, false, wrongEnd
		}
		switch c := s[i]; {
		case c == '"':
			if !ascii && !utf8.Valid(s[start:i]) {
				return start, false, wrongUTF8
			}
			return i + 1, simple, ""
		case c == '\\':
			simple = false
			n := escapeSize(s, i, end)
			if n == 0 {
				return i, false, wrongEscape
			}
			i += n
		case c < ' ':
			return i, false, wrongControl
		default:
			ascii, simple = false, false
			for i < end && s[i] >= utf8.RuneSelf {
				i++
			}
		}
	}
}

// escapeSize is the size of the escape at i, 0 if it is none.
func escapeSize(s []byte, i, end int) int {
	if i+1 >= end {
		return 0
	}
	switch s[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(s, i+2, end); ok {
			return 6
		}
	}
	return 0
}

func hex4(s []byte, i, end int) (v rune, ok bool) {
	if i+4 > end {
		return 0, false
	}
	for _, c := range s[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// numberEnd reads a number.
func numberEnd(s []byte, i, end int) (behind int, why string) {
	if i < end && s[i] == '-' {
		i++
	}
	digits := digitsEnd(s, i, end)
	if digits == i || s[i] == '0' && digits > i+1 {
		return i, wrongNumber
	}
	i = digits
	if i < end && s[i] == '.' {
		if digits = digitsEnd(s, i+1, end); digits == i+1 {
			return i, wrongNumber
		}
		i = digits
	}
	if i < end && s[i]|0x20 == 'e' {
		i++
		if i < end && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits = digitsEnd(s, i, end); digits == i {
			return i, wrongNumber
		}
		i = digits
	}
	return i, ""
}

func digitsEnd(s []byte, i, end int) int {
	for i < end && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// valueEnd reads any value that begins at i.
func valueEnd(s []byte, i, end, depth int) (behind int, why string) {
	if i >= end {
		return end, wrongEnd
	}
	switch c := s[i]; {
	case c == '"':
		behind, _, why = stringEnd(s, i+1, end)
		return behind, why
	case c == '{', c == '[':
		if depth >= depthMax {
			return i, wrongDepth
		}
		if c == '{' {
			return objectEnd(s, i, end, depth+1)
		}
		return arrayEnd(s, i, end, depth+1)
	case c == '-' || c-'0' <= 9:
		return numberEnd(s, i, end)
	default:
		for _, word := range [...]string{"null", "true", "false"} {
			if hasWord(s, i, end, word) {
				return i + len(word), ""
			}
		}
		return i, wrongValue
	}
}

func hasWord(s []byte, i, end int, word string) bool {
	return end-i >= len(word) && string(s[i:i+len(word)]) == word
}

// objectEnd reads an object that opens at i.
func objectEnd(s []byte, i, end, depth int) (behind int, why string) {
	i = space(s, i+1, end)
	if i < end && s[i] == '}' {
		return i + 1, ""
	}
	for {
		if i >= end || s[i] != '"' {
			return i, missing(i, end, wrongName)
		}
		if i, _, why = stringEnd(s, i+1, end); why != "" {
			return i, why
		}
		i = space(s, i, end)
		if i >= end || s[i] != ':' {
			return i, missing(i, end, wrongColon)
		}
		if i, why = valueEnd(s, space(s, i+1, end), end, depth); why != "" {
			return i, why
		}
		i = space(s, i, end)
		switch {
		case i < end && s[i] == ',':
			i = space(s, i+1, end)
		case i < end && s[i] == '}':
			return i + 1, ""
		default:
			return i, missing(i, end, wrongComma)
		}
	}
}

// arrayEnd reads an array that opens at i.
func arrayEnd(s []byte, i, end, depth int) (behind int, why string) {
	i = space(s, i+1, end)
	if i < end && s[i] == ']' {
		return i + 1, ""
	}
	for {
		if i, why = valueEnd(s, i, end, depth); why != "" {
			return i, why
		}
		i = space(s, i, end)
		switch {
		case i < end && s[i] == ',':
			i = space(s, i+1, end)
		case i < end && s[i] == ']':
			return i + 1, ""
		default:
			return i, missing(i, end, wrongElement)
		}
	}
}

// missing is why, unless the line simply ends.
func missing(i, end int, why string) string {
	if i >= end {
		return wrongEnd
	}
	return why
}
