// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// field is where a field's text lies in the slab, without its quotes.
type field struct {
	start, end int
	// column is set once it is made a cell.
	column int
	quoted bool
	// escaped says that the text holds quotes written twice.
	escaped bool
}

// scan is what fields found out about a record.
type scan struct {
	// next is where the record behind starts, and lines how many lines this one has.
	next  int
	lines int64
	// wrong says what is wrong at index at; empty for a good record.
	wrong string
	at    int
	// open says that no line break ends the record before the limit, and unclosed that a quoted field is why.
	open, unclosed bool
}

const (
	quoteInside = `a quote stands inside a field that does not begin with one; quote the whole field and write the ` +
		`quote twice`
	quoteBehind  = `something other than a delimiter follows a closing quote; write quotes inside a quoted field twice`
	quoteOpen    = `a quoted field is not closed before the end of the input`
	quoteOneLine = `a quoted field is not closed on its line; multiline: true allows line breaks in it`
)

// quotedRecord appends the record that starts at the window's start and may have quotes. lineEnd and next
// are where its first line ends and the one behind starts. It reports false if the window ends inside it.
func (d *decoder) quotedRecord(b *forebay.Batch, w *codec.Window, lineEnd, next int) bool {
	s := b.Slab()
	limit, last := w.End, w.Final
	if !d.multiline {
		limit, last = lineEnd, true
	}
	r := d.scanFields(s, w.Start, limit)
	if r.open && !last {
		return false
	}
	if r.unclosed {
		r.wrong = quoteOpen
		if !d.multiline {
			r.wrong = quoteOneLine
		}
	}
	if !d.multiline {
		r.next, r.lines = next, 1
	}
	end := r.next
	if end > w.Start && s[end-1] == '\n' {
		end--
	}
	if end > w.Start && s[end-1] == '\r' {
		end--
	}
	switch {
	case end-w.Start > d.maxSize:
		d.passOver(b, w)
		return true
	case r.wrong != "":
		d.reject(b, w, fault{at: r.at, end: end, code: codec.CodeQuote, reason: r.wrong})
	case len(d.fields) != len(d.columns):
		d.wrongCount(b, w, end, len(d.fields))
	default:
		d.record(b, w, end)
	}
	w.Advance(r.next, r.lines)
	return true
}

// scanFields finds the fields of the record that starts at start. The record is open if the window ends
// without a line break that ends it.
func (d *decoder) scanFields(s []byte, start, limit int) (r scan) {
	d.fields = d.fields[:0]
	for i := start; ; i++ {
		f := field{start: i, end: i}
		var wrong string
		at := i
		if i < limit && s[i] == '"' {
			f, i, wrong = d.quotedField(s, i, limit)
			if f.end < 0 {
				r.open, r.unclosed, r.at, r.next = true, true, at, limit
				r.lines = countLines(s[start:limit])
				return r
			}
			r.lines += countLines(s[f.start:f.end])
			at = i
		} else {
			var quote int
			i, quote = d.plainField(s, i, limit)
			f.end = i
			if quote >= 0 {
				wrong, at = quoteInside, quote
			} else if i > f.start && s[i-1] == '\r' && (i == limit || s[i] == '\n') {
				f.end--
			}
		}
		d.fields = append(d.fields, f)
		if wrong != "" {
			return d.toLineEnd(s, r, limit, scan{wrong: wrong, at: at})
		}
		if i == limit || s[i] == '\n' {
			r.open = i == limit
			r.next = min(i+1, limit)
			r.lines++
			return r
		}
	}
}

// quotedField finds the closing quote of the field that opens at i. It returns the index behind it, or of
// what is wrong there, and a field that ends at -1 if there is none.
func (d *decoder) quotedField(s []byte, i, limit int) (f field, after int, wrong string) {
	f = field{start: i + 1, quoted: true}
	for at := i + 1; ; {
		n := bytes.IndexByte(s[at:limit], '"')
		if n < 0 {
			f.end = -1
			return f, limit, ""
		}
		at += n + 1
		switch {
		case at < limit && s[at] == '"':
			f.escaped = true
			at++
			continue
		case at == limit, s[at] == d.delimiter, s[at] == '\n':
		case s[at] == '\r' && (at+1 == limit || s[at+1] == '\n'):
			f.end = at - 1
			return f, at + 1, ""
		default:
			wrong = quoteBehind
		}
		f.end = at - 1
		return f, at, wrong
	}
}

// plainField is the index of the delimiter or line break that ends the field at i, and of the first quote
// in it, -1 if there is none.
func (d *decoder) plainField(s []byte, i, limit int) (end, quote int) {
	quote = -1
	for s = s[:limit]; i < len(s); i++ {
		switch c := s[i]; {
		case c == d.delimiter || c == '\n':
			return i, quote
		case c == '"' && quote < 0:
			quote = i
		}
	}
	return i, quote
}

// toLineEnd ends a wrong record with the line that the mistake is on.
func (d *decoder) toLineEnd(s []byte, r scan, limit int, mistake scan) scan {
	r.wrong, r.at = mistake.wrong, mistake.at
	r.lines++
	if n := bytes.IndexByte(s[r.at:limit], '\n'); n >= 0 {
		r.next = r.at + n + 1
		return r
	}
	r.next, r.open = limit, true
	return r
}

func countLines(text []byte) int64 { return int64(bytes.Count(text, []byte{'\n'})) }

// record appends the record whose fields were found; it ends at end.
func (d *decoder) record(b *forebay.Batch, w *codec.Window, end int) {
	i := b.AppendSpan(w.Offset, w.Start, end-w.Start)
	for k := range d.fields {
		f := d.fields[k]
		if f.escaped {
			f = d.unescaped(b, f)
		}
		f.column = k
		col := &d.columns[k]
		text := b.Slab()[f.start:f.end]
		switch col.way {
		case wayInt64:
			if n := len(text); n > 0 && n <= 8 && text[0] != '-' {
				if v, ok := swar.Digits(swar.LoadUpTo(b.Slab(), f.start), n); ok {
					b.Cells(i)[col.slot] = forebay.Int64Cell(int64(v))
					continue
				}
			}
		case wayString:
			if (f.quoted || !d.nulls.maybe(len(text))) && utf8.Valid(text) {
				b.Cells(i)[col.slot] = forebay.SpanCell(forebay.KindString, f.start, len(text))
				continue
			}
		case wayTimestamp:
			if micros, ok := d.dates.Parse(text); ok {
				b.Cells(i)[col.slot] = forebay.TimestampCell(micros)
				continue
			}
		default:
		}
		if !d.slowCell(b, w, end, f) {
			return
		}
	}
}

// unescaped appends the field's text with each quote once to the slab.
func (d *decoder) unescaped(b *forebay.Batch, f field) field {
	text := b.Slab()[f.start:f.end]
	d.scratch = d.scratch[:0]
	for {
		n := bytes.IndexByte(text, '"')
		if n < 0 {
			break
		}
		d.scratch = append(d.scratch, text[:n+1]...)
		text = text[n+2:]
	}
	d.scratch = append(d.scratch, text...)
	start := b.AppendBytes(d.scratch)
	return field{start: start, end: start + len(d.scratch), quoted: true}
}

// wrongValue takes back the record appended last, because a field is no value of its column, and rejects it.
func (d *decoder) wrongValue(b *forebay.Batch, w *codec.Window, end int, f field) {
	col := &d.columns[f.column]
	_, err := d.parse(b, col, f)
	b.RemoveLast()
	code := codec.CodeWrongType
	if col.kind.Kind == forebay.KindString {
		code = codec.CodeInvalidUTF8
	}
	at := f.start
	if f.quoted && at >= end {
		at = d.fields[f.column].start // it was unescaped to behind the record
	}
	d.reject(b, w, fault{at: at, end: end, code: code, reason: fmt.Sprintf("column %q: %v", col.name, err)})
}

// wrongCount rejects the record that ends at end and has another number of fields than there are columns.
func (d *decoder) wrongCount(b *forebay.Batch, w *codec.Window, end, n int) {
	if n > len(d.columns) {
		n = len(d.scanAll(b.Slab(), w.Start, end))
	}
	at := end
	if n > len(d.columns) {
		at = d.fields[len(d.columns)].start
	}
	d.reject(b, w, fault{
		at: at, end: end, code: codec.CodeFieldCount,
		reason: fmt.Sprintf("the record has %s, expected %d", fieldCount(n), len(d.columns)),
	})
}

// scanAll finds all fields of a record, of which the fast way counts one too many at most.
func (d *decoder) scanAll(s []byte, start, end int) []field {
	d.scanFields(s, start, end)
	return d.fields
}

func fieldCount(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}
