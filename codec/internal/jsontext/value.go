// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"unicode/utf8"

	"github.com/forebay-io/forebay/codec/internal/swar"
)

// depthMax bounds how deep arrays and objects nest.
const depthMax = 1000

// What can be wrong with a line.
const (
	WrongEnd     = "the line ends inside a value"
	WrongObject  = "expected one JSON object"
	WrongName    = "expected the name of a field in quotes"
	WrongColon   = "expected a colon behind the name of a field"
	WrongComma   = "expected a comma or the end of the object"
	WrongElement = "expected a comma or the end of the array"
	WrongValue   = "expected a value"
	WrongNumber  = "this is not a number as JSON writes it"
	WrongControl = "a control character in a string must be written as an escape"
	WrongEscape  = "this is not an escape of JSON"
	WrongUTF8    = "the string is not valid UTF-8"
	WrongDepth   = "arrays and objects nest too deeply"
	WrongBehind  = "something follows the object"
)

// The functions below look at s[i:end]. They return the index behind what they read, or, with why, the index
// of what is wrong.

func Space(s []byte, i, end int) int {
	for i < end && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// StringEnd reads the rest of a string whose opening quote is before i. behind is the index behind the closing
// quote; simple says that there is neither an escape nor a byte that is not ASCII.
func StringEnd(s []byte, i, end int) (behind int, simple bool, why string) {
	if at := Closing(s, i); at >= 0 && at < end {
		return at + 1, true, ""
	}
	start := i
	simple, ascii := true, true
	for {
		for i+8 <= end {
			m := swar.Special(swar.Load(s, i))
			if m != 0 {
				i += swar.First(m)
				if s[i] == '"' && ascii {
					return i + 1, simple, ""
				}
				break
			}
			i += 8
		}
		for i < end && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
			i++
		}
		if i >= end {
			return end, false, WrongEnd
		}
		switch c := s[i]; {
		case c == '"':
			if !ascii && !utf8.Valid(s[start:i]) {
				return start, false, WrongUTF8
			}
			return i + 1, simple, ""
		case c == '\\':
			simple = false
			n := escapeSize(s, i, end)
			if n == 0 {
				return i, false, WrongEscape
			}
			i += n
		case c < ' ':
			return i, false, WrongControl
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

// NumberEnd reads a number.
func NumberEnd(s []byte, i, end int) (behind int, why string) {
	if i < end && s[i] == '-' {
		i++
	}
	digits := digitsEnd(s, i, end)
	if digits == i || s[i] == '0' && digits > i+1 {
		return i, WrongNumber
	}
	i = digits
	if i < end && s[i] == '.' {
		if digits = digitsEnd(s, i+1, end); digits == i+1 {
			return i, WrongNumber
		}
		i = digits
	}
	if i < end && s[i]|0x20 == 'e' {
		i++
		if i < end && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits = digitsEnd(s, i, end); digits == i {
			return i, WrongNumber
		}
		i = digits
	}
	return i, ""
}

func digitsEnd(s []byte, i, end int) int {
	if i+8 <= len(s) {
		if n := swar.Run(swar.Load(s, i)); n < 8 {
			return min(i+n, end)
		}
	}
	for i < end && s[i]-'0' <= 9 {
		i++
	}
	return i
}

// ValueEnd reads any value that begins at i.
func ValueEnd(s []byte, i, end, depth int) (behind int, why string) {
	if i >= end {
		return end, WrongEnd
	}
	switch c := s[i]; {
	case c == '"':
		behind, _, why = StringEnd(s, i+1, end)
		return behind, why
	case c == '{', c == '[':
		if depth >= depthMax {
			return i, WrongDepth
		}
		if c == '{' {
			return ObjectEnd(s, i, end, depth+1)
		}
		return arrayEnd(s, i, end, depth+1)
	case c == '-' || c-'0' <= 9:
		return NumberEnd(s, i, end)
	case c == 'n' && HasWord(s, i, end, "null"), c == 't' && HasWord(s, i, end, "true"):
		return i + 4, ""
	case c == 'f' && HasWord(s, i, end, "false"):
		return i + 5, ""
	default:
		return i, WrongValue
	}
}

func HasWord(s []byte, i, end int, word string) bool {
	return end-i >= len(word) && string(s[i:i+len(word)]) == word
}

// ObjectEnd reads an object that opens at i.
func ObjectEnd(s []byte, i, end, depth int) (behind int, why string) {
	i = Space(s, i+1, end)
	if i < end && s[i] == '}' {
		return i + 1, ""
	}
	for {
		if i >= end || s[i] != '"' {
			return i, Missing(i, end, WrongName)
		}
		if i, _, why = StringEnd(s, i+1, end); why != "" {
			return i, why
		}
		i = Space(s, i, end)
		if i >= end || s[i] != ':' {
			return i, Missing(i, end, WrongColon)
		}
		if i, why = ValueEnd(s, Space(s, i+1, end), end, depth); why != "" {
			return i, why
		}
		i = Space(s, i, end)
		switch {
		case i < end && s[i] == ',':
			i = Space(s, i+1, end)
		case i < end && s[i] == '}':
			return i + 1, ""
		default:
			return i, Missing(i, end, WrongComma)
		}
	}
}

// arrayEnd reads an array that opens at i.
func arrayEnd(s []byte, i, end, depth int) (behind int, why string) {
	i = Space(s, i+1, end)
	if i < end && s[i] == ']' {
		return i + 1, ""
	}
	for {
		if i, why = ValueEnd(s, i, end, depth); why != "" {
			return i, why
		}
		i = Space(s, i, end)
		switch {
		case i < end && s[i] == ',':
			i = Space(s, i+1, end)
		case i < end && s[i] == ']':
			return i + 1, ""
		default:
			return i, Missing(i, end, WrongElement)
		}
	}
}

// Missing is why, unless the line simply ends.
func Missing(i, end int, why string) string {
	if i >= end {
		return WrongEnd
	}
	return why
}
