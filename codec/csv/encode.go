// SPDX-License-Identifier: Apache-2.0

package csv

import (
	"bytes"
	"slices"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Encoding fits the format to rows: what it writes, it reads as the same rows.
//
// Errors: misconfigured without rows.
func (f Format) Encoding(layout *forebay.Layout) (*codec.Encoding, error) {
	o, err := f.options()
	if err == nil && layout == nil {
		return nil, forebay.Errorf("write csv", forebay.ClassMisconfigured,
			"csv needs typed rows, and these records are bytes")
	}
	if err != nil {
		return nil, forebay.Errorf("write csv", forebay.ClassMisconfigured, "%w", err)
	}
	e := &encoder{
		layout: layout, delimiter: o.delimiter, nulls: newNullSet(o.nulls), special: string(o.delimiter) + "\"\r\n",
	}
	e.null, e.refusesNull = nullText(layout, o.nulls)
	out := &codec.Encoding{Extension: ".csv", Append: e.append}
	if o.header {
		out.Header = e.header()
	}
	return out, nil
}

// nullText is how null is written; it is refused where nothing would be read as null again.
func nullText(layout *forebay.Layout, nulls []string) (text string, refused bool) {
	if len(nulls) == 0 {
		return "", true
	}
	// They are in order, so the empty one is the first.
	if len(layout.Slots) != 1 || nulls[0] != "" {
		return nulls[0], false
	}
	// A line without anything would be passed over.
	if len(nulls) > 1 {
		return nulls[1], false
	}
	return `""`, layout.Schema.Column(0).Type == forebay.String
}

const byteOrderMark = "\xef\xbb\xbf"

// encoder writes rows as RFC 4180 says.
//
// Concurrency: safe; it is immutable.
type encoder struct {
	layout    *forebay.Layout
	delimiter byte
	nulls     nullSet
	null      string
	// refusesNull is set where null cannot be told from other values.
	refusesNull bool
	// special are the characters for which a field is quoted.
	special string
}

func (e *encoder) header() []byte {
	var dst []byte
	for k, name := range e.layout.Schema.Names() {
		if k > 0 {
			dst = append(dst, e.delimiter)
		}
		start := len(dst)
		dst = e.quoteFrom(append(dst, name...), start)
	}
	return append(dst, '\n')
}

func (e *encoder) append(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
	cells, slab := b.Cells(i), b.Slab()
	begin := len(dst)
	for k, slot := range e.layout.Slots {
		if k > 0 {
			dst = append(dst, e.delimiter)
		}
		cell := cells[slot]
		if cell.IsNull() && e.refusesNull {
			err := forebay.Errorf("write csv", forebay.ClassRejected, "the column %q is null, and no text means that",
				e.layout.Schema.Column(k).Name)
			err.Code, err.Cure = "null-without-text", "add a text to null: of the format, such as NA"
			return dst[:begin], err
		}
		if cell.IsNull() {
			dst = append(dst, e.null...)
			continue
		}
		start := len(dst)
		dst = forebay.AppendCell(dst, e.layout.Schema.Column(k).Type, cell, slab)
		dst = e.quoteFrom(dst, start)
	}
	return append(dst, '\n'), nil
}

// quoteFrom quotes the field that starts there if it needs to be.
func (e *encoder) quoteFrom(dst []byte, start int) []byte {
	field := dst[start:]
	null := len(field) == 0 || e.nulls.maybe(len(field)) && slices.Contains(e.nulls.texts, string(field))
	// A byte order mark in front of a file would be passed over.
	marked := len(field) > 0 && field[0] == byteOrderMark[0] && bytes.HasPrefix(field, []byte(byteOrderMark))
	if !null && !marked && !bytes.ContainsAny(field, e.special) {
		return dst
	}
	plain := bytes.Clone(field)
	dst = append(dst[:start], '"')
	dst = append(dst, bytes.ReplaceAll(plain, []byte{'"'}, []byte(`""`))...)
	return append(dst, '"')
}
