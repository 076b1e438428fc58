// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"bytes"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// Walker finds the fields of objects. Those of one input mostly have the same names in the same order: the n-th name is
// first held against the n-th of the object before. Where it is the same, the processor need not wait for its end to be
// found before it goes on.
//
// Concurrency: one goroutine at a time.
type Walker struct {
	names []expected
}

// expected is a name with its quotes, the colon behind it, and the brace or comma before it.
type expected struct {
	Prefix
	// size is that of the name alone, as in its Field.
	size uint32
}

// expectedMax bounds how many names are kept.
const expectedMax = 256

// Prefix is a text that is looked for in one place.
type Prefix struct {
	// text are its bytes, and mask tells which count.
	text, mask [2]uint64
	// Size is that of the text.
	Size int
}

// prefixMax is how long a text may be.
const prefixMax = 16

// NewPrefix makes the prefix of a text. One that is too long, or empty, is found nowhere.
func NewPrefix(text []byte) Prefix {
	size := len(text)
	if size == 0 || size > prefixMax {
		return Prefix{mask: [2]uint64{1<<8 - 1}} // where a name may be there is no zero byte
	}
	return Prefix{
		text: [2]uint64{swar.LoadUpTo(text, 0), swar.LoadUpTo(text, min(8, size))},
		mask: [2]uint64{^uint64(0) >> uint(64-8*min(8, size)), 1<<uint(8*max(0, size-8)) - 1},
		Size: size,
	}
}

// At reports whether the text lies at i. It may leave one undiscovered near the end of s.
func (p *Prefix) At(s []byte, i int) bool {
	return i+prefixMax <= len(s) &&
		(swar.Load(s, i)^p.text[0])&p.mask[0]|(swar.Load(s, i+8)^p.text[1])&p.mask[1] == 0
}

// Object reads an object that opens at s[i], and gives its fields, with places from the beginning of s, in room or in
// more room. Most of the time of a record without rows is spent here: strings go word by word, and what is usual has no
// call.
func (w *Walker) Object(room []forebay.Field, s []byte, i, end int) (fields []forebay.Field, behind int, why string) {
	fields = room[:cap(room)]
	for n := 0; ; n++ {
		// i is at the brace, or behind a value.
		var f forebay.Field
		if n < len(w.names) && w.names[n].At(s, i) {
			e := &w.names[n]
			f.Start, f.Name = uint32(i+1), e.size
			i += e.Size
		} else if f, i, why = w.next(s, i, end, n); why != "" {
			return fields[:0], i, why
		} else if f.Start == 0 {
			return fields[:n], i, ""
		}
		f.Value = uint32(i)
		switch {
		case i >= end:
			return fields[:0], end, WrongEnd
		case s[i] == '"':
			if at := Closing(s, i+1); at >= 0 && at < end {
				i = at + 1
			} else if i, _, why = StringEnd(s, i+1, end); why != "" {
				return fields[:0], i, why
			}
		case s[i]-'0' <= 9:
			if at := shortEnd(s, i); at >= 0 && at < end {
				i = at
			} else if i, why = NumberEnd(s, i, end); why != "" {
				return fields[:0], i, why
			}
		default:
			i = Space(s, i, end)
			f.Value = uint32(i)
			if i, why = ValueEnd(s, i, end, 1); why != "" {
				return fields[:0], i, why
			}
		}
		f.End = uint32(i)
		if n == len(fields) {
			fields = append(fields, f)
			fields = fields[:cap(fields)]
		}
		fields[n] = f
	}
}

// next goes to the value of the n-th field. The field is empty where the object ends instead.
func (w *Walker) next(s []byte, i, end, n int) (f forebay.Field, behind int, why string) {
	i = Space(s, i, end)
	from := i
	if n == 0 || i < end && s[i] == ',' {
		i = Space(s, i+1, end)
	} else if i >= end || s[i] != '}' {
		return f, i, Missing(i, end, WrongComma)
	}
	if i < end && s[i] == '}' && (n == 0 || i == from) {
		return f, i + 1, ""
	}
	if i >= end || s[i] != '"' {
		return f, i, Missing(i, end, WrongName)
	}
	f.Start = uint32(i)
	i, simple, why := StringEnd(s, i+1, end)
	if why != "" {
		return f, i, why
	}
	f.Name = uint32(i) - f.Start - 2
	if !simple && bytes.IndexByte(s[f.Start:i], '\\') >= 0 {
		f.Name = forebay.EscapedName
	}
	if i = Space(s, i, end); i >= end || s[i] != ':' {
		return f, i, Missing(i, end, WrongColon)
	}
	w.expect(n, s[from:i+1], f.Name)
	return f, i + 1, ""
}

// expect keeps the text before a value for the n-th field of the next object.
func (w *Walker) expect(n int, text []byte, size uint32) {
	if n >= expectedMax {
		return
	}
	if n >= len(w.names) {
		w.names = append(w.names, expected{})
	}
	if k := len(text); text[1] != '"' || text[k-2] != '"' {
		text = text[:0:0] // it has spaces in it
	}
	w.names[n] = expected{Prefix: NewPrefix(text), size: size}
}

// Closing is the index of the quote that ends a plain string, which i is in; -1 where something else than ASCII
// characters without escapes comes first, or may.
func Closing(s []byte, i int) int {
	for ; i+8 <= len(s); i += 8 {
		if m := swar.FirstSpecial(swar.Load(s, i)); m != 0 {
			if i += swar.First(m); s[i] == '"' {
				return i
			}
			break
		}
	}
	return -1
}

// shortEnd is the index behind the number at i, which has fewer than eight digits before the point, if it has one, and
// behind it, and is followed by a comma or brace; else -1.
func shortEnd(s []byte, i int) int {
	if i+17 > len(s) {
		return -1
	}
	n := swar.Run(swar.Load(s, i))
	if n == 8 || n > 1 && s[i] == '0' {
		return -1
	}
	i += n
	if s[i] == '.' {
		if n = swar.Run(swar.Load(s, i+1)); n == 0 || n == 8 {
			return -1
		}
		i += n + 1
	}
	if c := s[i]; c != ',' && c != '}' {
		return -1
	}
	return i
}
