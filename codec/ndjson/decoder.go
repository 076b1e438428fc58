// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"bytes"
	"time"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/instant"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
)

// decoder implements codec.Decoder.
type decoder struct {
	// layout is nil where records stay bytes.
	layout  *forebay.Layout
	columns []forebay.Column
	names   []string
	// prefixes are the names as they are mostly written, each with the colon behind it.
	prefixes      []jsontext.Prefix
	kinds         []forebay.Kind
	byName        map[string]int
	zone          *time.Location
	rejectUnknown bool
	maxSize       int

	// seen has a bit for each column that the current object has given.
	seen    []uint64
	dates   instant.Cache
	scratch []byte
	// walker is for records that stay bytes.
	walker jsontext.Walker
}

// Begin implements codec.Decoder: it passes over a byte order mark.
func (d *decoder) Begin(head []byte, final bool) (p codec.Preamble, ok bool, err error) {
	p, ok = codec.ByteOrderMark(head, final)
	return p, ok, nil
}

// Decode implements codec.Decoder.
func (d *decoder) Decode(b *forebay.Batch, w *codec.Window) {
	b.SetLayout(d.layout)
	for w.Start < w.End && !codec.BatchDone(b) && (w.Skipping || w.Offset < w.Until) {
		s := b.Slab()
		end, next := w.End, w.End
		if n := bytes.IndexByte(s[w.Start:w.End], '\n'); n >= 0 {
			end = w.Start + n
			next = end + 1
		} else if !w.Final {
			d.wait(b, w)
			return
		}
		if end > w.Start && s[end-1] == '\r' {
			end--
		}
		switch {
		case w.Skipping:
			w.Skipping = false
		case end-w.Start > d.maxSize:
			w.RejectTooLong(b, b.Slab()[w.Start:w.End], d.maxSize)
		default:
			d.line(b, w, end)
		}
		w.Advance(next, 1)
	}
}

// wait is called where the window does not hold the end of the line.
func (d *decoder) wait(b *forebay.Batch, w *codec.Window) {
	switch {
	case w.Skipping:
	case w.End-w.Start > d.maxSize+1:
		w.RejectTooLong(b, b.Slab()[w.Start:w.End], d.maxSize)
		w.Skipping = true
	default:
		return
	}
	w.Advance(w.End, 0)
}

// line appends the record of a line that ends at end, unless it is empty.
func (d *decoder) line(b *forebay.Batch, w *codec.Window, end int) {
	s := b.Slab()
	i := jsontext.Space(s, w.Start, end)
	if i == end {
		return
	}
	if s[i] != '{' {
		d.reject(b, w, end, invalid(i, jsontext.WrongObject))
		return
	}
	record := b.AppendSpan(w.Offset, w.Start, end-w.Start)
	var m *mistake
	if d.layout == nil {
		i, m = d.fields(b, record, span{w.Start, i, end})
	} else {
		i, m = d.object(b, record, i, end)
	}
	if m == nil {
		if i = jsontext.Space(s, i, end); i < end {
			m = invalid(i, jsontext.WrongBehind)
		}
	}
	if m != nil {
		b.RemoveLast()
		d.reject(b, w, end, m)
	}
}

// fields reads the object that opens at i, and notes in the record, which begins at start, where its fields lie: no
// step has to walk it again.
func (d *decoder) fields(b *forebay.Batch, record int, p span) (behind int, m *mistake) {
	fields, behind, why := d.walker.Object(b.FieldRoom(), b.Slab()[p.start:], p.i-p.start, p.end-p.start)
	if behind += p.start; why != "" {
		return behind, invalid(behind, why)
	}
	b.SetFields(record, fields)
	return behind, nil
}

// span is a record from start to end, and its object opens at i.
type span struct{ start, i, end int }

// mistake is what is wrong with a record, at an index of the slab.
type mistake struct {
	at        int
	code, why string
}

func (d *decoder) reject(b *forebay.Batch, w *codec.Window, end int, m *mistake) {
	record := b.Slab()[w.Start:end]
	if m.why == jsontext.WrongUTF8 {
		m.code = codec.CodeInvalidUTF8
	}
	_, column := codec.Place(record, w.Line, m.at-w.Start)
	w.Report(b, codec.Rejected{
		Offset: w.Offset, Line: w.Line, Column: column, Code: m.code, Reason: m.why, Value: record,
	})
}
