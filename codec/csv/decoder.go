// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/instant"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// decoder implements codec.Decoder.
type decoder struct {
	options
	nulls   nullSet
	layout  *forebay.Layout
	maxSize int
	// columns are in the order of the input's fields.
	columns []column
	pattern uint64
	// ends are where the fields of a line without quotes end.
	ends []uint32
	// fields are those of a record with quotes.
	fields  []field
	dates   instant.Cache
	scratch []byte
	// quoteAt is the first quote of the window at or behind the current record.
	quoteAt int
	// insideQuotes belongs to a record that is skipped.
	insideQuotes bool
}

// Decode implements codec.Decoder.
func (d *decoder) Decode(b *forebay.Batch, w *codec.Window) {
	b.SetLayout(d.layout)
	s := b.Slab()
	if w.Skipping && !d.skip(s, w) {
		return
	}
	d.quoteAt = w.Start - 1
	for w.Start < w.End && !codec.BatchDone(b) && w.Offset < w.Until {
		start := w.Start
		end, next := w.End, w.End
		if n := bytes.IndexByte(s[start:w.End], '\n'); n >= 0 {
			end = start + n
			next = end + 1
		} else if !w.Final {
			d.wait(b, w)
			return
		}
		if d.quoteAt < start {
			if d.quoteAt = bytes.IndexByte(s[start:w.End], '"'); d.quoteAt < 0 {
				d.quoteAt = w.End
			} else {
				d.quoteAt += start
			}
		}
		if d.quoteAt < end {
			if !d.quotedRecord(b, w, end, next) {
				d.wait(b, w)
				return
			}
			if w.Skipping {
				return
			}
			s = b.Slab()
			continue
		}
		if end > start && s[end-1] == '\r' {
			end--
		}
		if end-start > d.maxSize {
			w.RejectTooLong(b, s[start:end], d.maxSize)
		} else if end > start {
			d.line(b, w, start, end)
			s = b.Slab()
		}
		w.Advance(next, 1)
	}
}

// line appends the record of a line without quotes.
func (d *decoder) line(b *forebay.Batch, w *codec.Window, start, end int) {
	s := b.Slab()
	n, ascii := d.split(s, start, end)
	if n != len(d.columns) {
		d.fields = d.fields[:0]
		d.wrongCount(b, w, end, n)
		return
	}
	i := b.AppendSpan(w.Offset, start, end-start)
	cells := b.Cells(i)
	from := start
	columns := d.columns
	ends := d.ends[:len(columns)]
	for k := range columns {
		col := &columns[k]
		to := int(ends[k])
		size := to - from
		switch col.way {
		case wayString:
			if d.nulls.maybe(size) && d.nulls.has(s[from:to]) {
				break
			}
			if !ascii && !utf8.Valid(s[from:to]) {
				d.wrongValue(b, w, end, field{column: k, start: from, end: to})
				return
			}
			cells[col.slot] = forebay.SpanCell(forebay.KindString, from, size)
		case wayInt64:
			if uint(size-1) < 8 && from+8 <= len(s) {
				word, minus := swar.Load(s, from), 0
				if byte(word) == '-' && size > 1 {
					minus = 1
				}
				// The sign is taken away and put back without a branch: it is as good as random.
				if v, ok := swar.Digits(word>>uint(8*minus), size-minus); ok {
					sign := -int64(minus)
					cells[col.slot] = forebay.Int64Cell(int64(v) ^ sign - sign)
					break
				}
			}
			if !d.slowCell(b, w, end, field{column: k, start: from, end: to}) {
				return
			}
		case wayTimestamp:
			if micros, ok := d.dates.Parse(s[from:to]); ok {
				cells[col.slot] = forebay.TimestampCell(micros)
				break
			}
			fallthrough
		default:
			if !d.slowCell(b, w, end, field{column: k, start: from, end: to}) {
				return
			}
		}
		from = to + 1
	}
}

// slowCell parses a field through the root package. It rejects the record and reports false if that fails.
func (d *decoder) slowCell(b *forebay.Batch, w *codec.Window, end int, f field) bool {
	col := &d.columns[f.column]
	c, err := d.parse(b, col, f)
	if err != nil {
		d.wrongValue(b, w, end, f)
		return false
	}
	b.Cells(b.Len() - 1)[col.slot] = c
	return true
}

// split notes where the fields of s[start:end] end, up to as many as there are columns, and returns how many
// there are. It reports whether all of them are ASCII; false may also be about bytes behind.
func (d *decoder) split(s []byte, start, end int) (n int, ascii bool) {
	ends, pattern := d.ends, d.pattern
	var all uint64
	for base := start; base < end; base += 64 {
		var mask uint64
		if base+64 <= len(s) {
			block := s[base : base+64 : base+64]
			w0, w1, w2, w3 := swar.Load(block, 0), swar.Load(block, 8), swar.Load(block, 16), swar.Load(block, 24)
			w4, w5, w6, w7 := swar.Load(block, 32), swar.Load(block, 40), swar.Load(block, 48), swar.Load(block, 56)
			all |= w0 | w1 | w2 | w3 | w4 | w5 | w6 | w7
			mask = swar.Pack(swar.Match(w0, pattern)) | swar.Pack(swar.Match(w1, pattern))<<8 |
				swar.Pack(swar.Match(w2, pattern))<<16 | swar.Pack(swar.Match(w3, pattern))<<24 |
				swar.Pack(swar.Match(w4, pattern))<<32 | swar.Pack(swar.Match(w5, pattern))<<40 |
				swar.Pack(swar.Match(w6, pattern))<<48 | swar.Pack(swar.Match(w7, pattern))<<56
		} else {
			for i := 0; i < end-base; i += 8 {
				word := swar.LoadUpTo(s, base+i)
				all |= word
				mask |= swar.Pack(swar.Match(word, pattern)) << uint(i)
			}
		}
		if rest := end - base; rest < 64 {
			mask &= 1<<uint(rest) - 1
		}
		for mask != 0 && n < len(ends) {
			ends[n] = uint32(base + swar.Index(mask))
			mask &= mask - 1
			n++
		}
	}
	if n < len(ends) {
		ends[n] = uint32(end)
	}
	return n + 1, !swar.HasHigh(all)
}

// wait is called where the window does not hold all of the next record. One that is too long already is
// passed over.
func (d *decoder) wait(b *forebay.Batch, w *codec.Window) {
	if w.End-w.Start > d.maxSize+len("\r\n") {
		d.passOver(b, w)
	}
}

// passOver rejects the record at the window's start as too long and skips it. Where it ends follows from its
// quotes alone. F2: it does not matter whether the window holds all of it.
func (d *decoder) passOver(b *forebay.Batch, w *codec.Window) {
	s := b.Slab()
	w.RejectTooLong(b, s[w.Start:w.End], d.maxSize)
	w.Skipping, d.insideQuotes = true, false
	d.skip(s, w)
}

// skip passes over the rest of a record. It reports whether the record ends in the window.
func (d *decoder) skip(s []byte, w *codec.Window) bool {
	for i := w.Start; i < w.End; i++ {
		switch s[i] {
		case '"':
			d.insideQuotes = !d.insideQuotes
		case '\n':
			if d.insideQuotes && d.multiline {
				continue
			}
			w.Advance(i+1, int64(bytes.Count(s[w.Start:i+1], []byte{'\n'})))
			w.Skipping, d.insideQuotes = false, false
			return true
		}
	}
	w.Advance(w.End, int64(bytes.Count(s[w.Start:w.End], []byte{'\n'})))
	if w.Final {
		w.Skipping = false
	}
	return false
}

// fault is what is wrong with the record at the window's start: where in the slab, and where the record ends.
type fault struct {
	at, end      int
	code, reason string
}

func (d *decoder) reject(b *forebay.Batch, w *codec.Window, f fault) {
	record := b.Slab()[w.Start:f.end]
	line, column := codec.Place(record, w.Line, f.at-w.Start)
	w.Report(b, codec.Rejected{
		Offset: w.Offset, Line: line, Column: column, Code: f.code, Reason: f.reason, Value: record,
	})
}
