// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Encoding fits the format to rows, which become one object each with every column in its order. Records without
// rows are JSON already and written as they are.
func (f Format) Encoding(layout *forebay.Layout) (*codec.Encoding, error) {
	if _, err := f.options(); err != nil {
		return nil, forebay.Errorf("write ndjson", forebay.ClassMisconfigured, "%w", err)
	}
	if layout == nil {
		return &codec.Encoding{Extension: extension, JSON: true, Append: appendValue}, nil
	}
	return &codec.Encoding{Extension: extension, Append: newEncoder(layout).append}, nil
}

const extension = ".ndjson"

func appendValue(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
	return append(append(dst, b.Value(i)...), '\n'), nil
}

// encoder writes rows as JSON objects.
//
// Concurrency: safe; it is immutable.
type encoder struct {
	columns []member
}

// member is a column and its name as it is written, with what separates it from the value before.
type member struct {
	name []byte
	// start are the first 16 bytes of name, which are mostly all.
	start [nameShort]byte
	typ   forebay.Type
	slot  int
}

const nameShort = 16

func newEncoder(layout *forebay.Layout) *encoder {
	e := &encoder{columns: make([]member, layout.Schema.Len())}
	separator := byte('{')
	for k := range e.columns {
		column := layout.Schema.Column(k)
		quoted := forebay.AppendCellJSON([]byte{separator}, forebay.String,
			forebay.SpanCell(forebay.KindString, 0, len(column.Name)), []byte(column.Name))
		e.columns[k] = member{name: append(quoted, ':'), typ: column.Type, slot: layout.Slots[k]}
		copy(e.columns[k].start[:], e.columns[k].name)
		separator = ','
	}
	return e
}

func (e *encoder) append(dst []byte, b *forebay.Batch, i int) ([]byte, error) {
	if len(e.columns) == 0 {
		return append(dst, "{}\n"...), nil
	}
	cells, slab := b.Cells(i), b.Slab()
	for k := range e.columns {
		c := &e.columns[k]
		if n := len(dst); len(c.name) <= nameShort && n+nameShort <= cap(dst) {
			// A copy of a fixed size needs no call; what is too much is written over.
			*(*[nameShort]byte)(dst[n : n+nameShort]) = c.start
			dst = dst[:n+len(c.name)]
		} else {
			dst = append(dst, c.name...)
		}
		dst = forebay.AppendCellJSON(dst, c.typ, cells[c.slot], slab)
	}
	return append(dst, "}\n"...), nil
}
