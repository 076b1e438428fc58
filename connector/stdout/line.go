// SPDX-License-Identifier: Apache-2.0

package stdout

import (
	"bytes"

	"github.com/forebay-io/forebay"
)

// appendLine appends record i as a line.
type appendLine func(dst []byte, b *forebay.Batch, i int) []byte

// compileLine fits a format to a layout, which is nil while records are bytes only. The header is the line
// that comes before all others, if there is one.
func compileLine(format string, layout *forebay.Layout) (line appendLine, header []byte) {
	switch {
	case layout == nil, format == FormatRaw:
		return appendValue, nil
	case format == FormatCSV:
		c := &csvLine{layout: layout}
		return c.append, c.header()
	default:
		return compileJSON(layout).append, nil
	}
}

func appendValue(dst []byte, b *forebay.Batch, i int) []byte {
	return append(append(dst, b.Value(i)...), '\n')
}

// jsonLine prints rows as JSON objects.
type jsonLine struct {
	layout *forebay.Layout
	// names are the members' names, each with what separates it from the value before.
	names [][]byte
}

func compileJSON(layout *forebay.Layout) *jsonLine {
	j := &jsonLine{layout: layout, names: make([][]byte, layout.Schema.Len())}
	separator := byte('{')
	for k := range j.names {
		name := []byte(layout.Schema.Column(k).Name)
		quoted := forebay.AppendCellJSON([]byte{separator}, forebay.String,
			forebay.SpanCell(forebay.KindString, 0, len(name)), name)
		j.names[k] = append(quoted, ':')
		separator = ','
	}
	return j
}

func (j *jsonLine) append(dst []byte, b *forebay.Batch, i int) []byte {
	if len(j.names) == 0 {
		return append(dst, "{}\n"...)
	}
	cells, slab := b.Cells(i), b.Slab()
	for k, name := range j.names {
		dst = append(dst, name...)
		dst = forebay.AppendCellJSON(dst, j.layout.Schema.Column(k).Type, cells[j.layout.Slots[k]], slab)
	}
	return append(dst, "}\n"...)
}

// csvLine prints rows as RFC 4180 says; null is empty, an empty string is quoted.
type csvLine struct{ layout *forebay.Layout }

func (c *csvLine) header() []byte {
	var dst []byte
	for k, name := range c.layout.Schema.Names() {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = quoteFrom(append(dst, name...), len(dst))
	}
	return append(dst, '\n')
}

func (c *csvLine) append(dst []byte, b *forebay.Batch, i int) []byte {
	cells, slab := b.Cells(i), b.Slab()
	for k, slot := range c.layout.Slots {
		if k > 0 {
			dst = append(dst, ',')
		}
		cell := cells[slot]
		if cell.IsNull() {
			continue
		}
		start := len(dst)
		dst = forebay.AppendCell(dst, c.layout.Schema.Column(k).Type, cell, slab)
		dst = quoteFrom(dst, start)
	}
	return append(dst, '\n')
}

// quoteFrom quotes the field that starts there if it needs to be.
func quoteFrom(dst []byte, start int) []byte {
	field := dst[start:]
	if len(field) > 0 && !bytes.ContainsAny(field, ",\"\r\n") {
		return dst
	}
	plain := bytes.Clone(field)
	dst = append(dst[:start], '"')
	dst = append(dst, bytes.ReplaceAll(plain, []byte{'"'}, []byte(`""`))...)
	return append(dst, '"')
}
