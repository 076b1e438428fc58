// SPDX-License-Identifier: Apache-2.0

package jsonedit

import (
	"bytes"

	"github.com/forebay-io/forebay/codec/internal/jsontext"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// field is one field of an object: "name": value. Its places are indices of the object's bytes.
type field struct {
	// word are the first eight bytes of the name.
	word uint64
	// size is that of the name without escapes, or escaped.
	size int32
	// start is at the quote before the name, value at the value's first byte, and end behind its last.
	start, value, end int32
	// name is where the name lies in Record.names, or asWritten.
	name int32
	// edit is the number of the field's entry in Record.edits, from 1; 0 where it has none.
	edit int32
}

const (
	escaped   = -1
	unnamed   = -2 // an escape in the name stands for half a character
	asWritten = -1
)

// cursor walks the fields of an object.
type cursor struct {
	src []byte
	i   int
	// whole says that the object ended where its bytes do.
	whole bool
}

// walk begins at the opening brace, which may have white space before it.
func walk(src []byte) (c cursor, ok bool) {
	i := jsontext.Space(src, 0, len(src))
	if i >= len(src) || src[i] != '{' {
		return c, false
	}
	return cursor{src: src, i: i + 1}, true
}

// all reads the fields from the cursor on and appends them to fields, to the end of the object or to where it is
// not well-formed. It is one loop, as most of the time that an edit takes is spent here.
func (c *cursor) all(fields []field) []field {
	s, i := c.src, c.i
	n := len(fields)
	fields = fields[:cap(fields)]
	for {
		for i < len(s) && s[i] <= ' ' {
			i++
		}
		if i >= len(s) || s[i] != '"' {
			c.whole = i < len(s) && s[i] == '}' && jsontext.Space(s, i+1, len(s)) == len(s)
			return fields[:n]
		}
		// The name: it mostly ends within eight bytes.
		start := i
		i++
		word := swar.LoadUpTo(s, i)
		end, plain := i+8, true
		if m := quoteOrEscape(word); m != 0 {
			short := swar.First(m)
			word &= 1<<uint(8*short) - 1
			end = i + short
		}
		if end < len(s) && s[end] != '"' {
			end, plain = closing(s, end)
		}
		size := int32(end - i)
		if !plain {
			size = escaped
		}
		i = end + 1
		if i < len(s) && s[i] <= ' ' {
			i = jsontext.Space(s, i, len(s))
		}
		if i >= len(s) || s[i] != ':' {
			return fields[:n]
		}
		i++
		if i < len(s) && s[i] <= ' ' {
			i = jsontext.Space(s, i, len(s))
		}
		value := i
		if i = valueEnd(s, i); i < 0 {
			return fields[:n]
		}
		if n == len(fields) {
			fields = append(fields, make([]field, max(n, fieldsMin))...)
		}
		f := &fields[n]
		f.word, f.size, f.name, f.edit = word, size, asWritten, 0
		f.start, f.value, f.end = int32(start), int32(value), int32(i)
		n++
		if i < len(s) && s[i] <= ' ' {
			i = jsontext.Space(s, i, len(s))
		}
		if i < len(s) && s[i] == ',' {
			i++
		} else if i >= len(s) || s[i] != '}' {
			return fields[:n]
		}
	}
}

// fieldsMin is for how many fields there is room at first.
const fieldsMin = 16

var (
	opening   = swar.Repeat('{')
	shutting  = swar.Repeat('}')
	lowerCase = swar.Repeat(0x20)
)

const (
	ones        = 0x0101010101010101
	highs       = 0x8080808080808080
	quotes      = '"' * ones
	backslashes = '\\' * ones
)

// quoteOrEscape sets the highest bit of the first byte of w that is a quote or a backslash; those above it mean
// nothing.
func quoteOrEscape(w uint64) uint64 {
	q, b := w^quotes, w^backslashes
	return ((q-ones)&^q | (b-ones)&^b) & highs
}

// shortText is up to how many bytes a string is searched word by word; a longer one is left to the standard
// library, which is faster there.
const shortText = 16

// closing is the index of the quote that ends the string which i is in, or at least the length of s; plain says
// that there is no escape from i on.
func closing(s []byte, i int) (at int, plain bool) {
	for until := min(i+shortText, len(s)-8); i <= until; i += 8 {
		m := quoteOrEscape(swar.Load(s, i))
		if m == 0 {
			continue
		}
		if i += swar.First(m); s[i] == '"' {
			return i, true
		}
		break
	}
	plain = true
	for quote := -1; i < len(s); {
		if quote < i {
			n := bytes.IndexByte(s[i:], '"')
			if n < 0 {
				break
			}
			quote = i + n
		}
		n := bytes.IndexByte(s[i:quote], '\\')
		if n < 0 {
			return quote, plain
		}
		plain = false
		i += n + 2
	}
	return len(s), false
}

// valueEnd is the index behind the value that begins at i, or -1.
func valueEnd(s []byte, i int) int {
	// J3: every index is compared with the end before it is used.
	if i >= len(s) {
		return -1
	}
	switch s[i] {
	case '"':
		at, _ := closing(s, i+1)
		if at >= len(s) {
			return -1
		}
		return at + 1
	case '{', '[':
		return containerEnd(s, i)
	}
	start := i
	for i < len(s) && (s[i] > ',' && s[i] != '}' && s[i] != ']' || s[i] == '+') {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// containerEnd is the index behind the object or array that opens at i, or -1. Brackets of both kinds differ
// from braces by one bit, so both count alike.
func containerEnd(s []byte, i int) int {
	depth, quoted := 0, false
	for i < len(s) {
		w := swar.LoadUpTo(s, i)
		if swar.Match(w, backslashes) != 0 {
			// An escape, which is rare: up to it byte by byte, and on behind its string.
			if i, depth = escapedEnd(s, i, depth, quoted); depth == 0 || i >= len(s) {
				break
			}
			quoted = false
			continue
		}
		folded := w | lowerCase
		for m := swar.Match(w, quotes) | swar.Match(folded, opening) | swar.Match(folded, shutting); m != 0; m &= m - 1 {
			at := i + swar.First(m)
			c := s[at]
			if c == '"' {
				quoted = !quoted
			} else if !quoted {
				if c |= 0x20; c == '{' {
					depth++
				} else if depth--; depth == 0 {
					return at + 1
				}
			}
		}
		i += 8
	}
	if depth != 0 || i > len(s) {
		return -1
	}
	return i
}

// escapedEnd goes on from i, which is inside a string where quoted is set, to behind the next string, or to behind
// the bracket that closes all: depth is 0 then.
func escapedEnd(s []byte, i, depth int, quoted bool) (behind, left int) {
	for ; i < len(s); i++ {
		if quoted || s[i] == '"' {
			if !quoted {
				i++
			}
			end, _ := closing(s, i)
			return end + 1, depth
		}
		switch s[i] | 0x20 {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1, 0
			}
		}
	}
	return i, depth
}
