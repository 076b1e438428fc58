// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/forebay-io/forebay"
)

// grid is a small table of text whose columns line up.
type grid struct {
	head []string
	rows [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) write(out io.Writer) error {
	var widths []int
	all := g.rows
	if g.head != nil {
		all = append([][]string{g.head}, all...)
	}
	for _, row := range all {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range all {
		for i, cell := range row {
			text.WriteString(cell)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		text.WriteByte('\n')
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// rowPrinter prints rows in one of the formats of scan.
type rowPrinter interface {
	rows(b *forebay.Batch) error
	end() error
}

func newRowPrinter(format string, out io.Writer, layout *forebay.Layout) (rowPrinter, error) {
	switch format {
	case "csv":
		return newCSVPrinter(out, layout)
	case "ndjson":
		return newJSONPrinter(out, layout), nil
	default:
		return &gridPrinter{out: out, layout: layout}, nil
	}
}

// flushAt is how much text is gathered before it is written.
const flushAt = 64 << 10

// csvPrinter prints RFC 4180 with a header; null is an empty field, and an empty string is quoted.
type csvPrinter struct {
	out    io.Writer
	layout *forebay.Layout
	types  []forebay.Type
	text   []byte
}

func newCSVPrinter(out io.Writer, layout *forebay.Layout) (*csvPrinter, error) {
	p := &csvPrinter{out: out, layout: layout}
	for i, c := range layout.Schema.Columns() {
		if i > 0 {
			p.text = append(p.text, ',')
		}
		p.text = appendQuoted(p.text, []byte(c.Name))
		p.types = append(p.types, c.Type)
	}
	p.text = append(p.text, '\n')
	return p, p.flush()
}

// appendQuoted adds a field, in quotes where it needs them.
func appendQuoted(text, field []byte) []byte {
	if len(field) > 0 && !bytes.ContainsAny(field, "\",\r\n") && field[0] != ' ' && field[len(field)-1] != ' ' {
		return append(text, field...)
	}
	text = append(text, '"')
	for _, c := range field {
		if c == '"' {
			text = append(text, '"')
		}
		text = append(text, c)
	}
	return append(text, '"')
}

func (p *csvPrinter) rows(b *forebay.Batch) error {
	slab := b.Slab()
	for i := range b.Len() {
		cells := b.Cells(i)
		for k, t := range p.types {
			if k > 0 {
				p.text = append(p.text, ',')
			}
			c := cells[p.layout.Slots[k]]
			switch {
			case c.IsNull():
			case t.Kind == forebay.KindString, t.Kind == forebay.KindBytes, t.Kind == forebay.KindJSON:
				p.text = appendQuoted(p.text, c.Bytes(slab))
			default:
				p.text = forebay.AppendCell(p.text, t, c, slab)
			}
		}
		p.text = append(p.text, '\n')
		if len(p.text) >= flushAt {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *csvPrinter) flush() error {
	_, err := p.out.Write(p.text)
	p.text = p.text[:0]
	return err
}

func (p *csvPrinter) end() error { return p.flush() }

// jsonPrinter prints one object per line.
type jsonPrinter struct {
	out    io.Writer
	layout *forebay.Layout
	types  []forebay.Type
	keys   [][]byte
	text   []byte
}

func newJSONPrinter(out io.Writer, layout *forebay.Layout) *jsonPrinter {
	p := &jsonPrinter{out: out, layout: layout}
	for i, c := range layout.Schema.Columns() {
		key := []byte{','}
		if i == 0 {
			key[0] = '{'
		}
		name := []byte(c.Name)
		key = forebay.AppendCellJSON(key, forebay.String, forebay.SpanCell(forebay.KindString, 0, len(name)), name)
		p.keys = append(p.keys, append(key, ':'))
		p.types = append(p.types, c.Type)
	}
	return p
}

func (p *jsonPrinter) rows(b *forebay.Batch) error {
	slab := b.Slab()
	for i := range b.Len() {
		cells := b.Cells(i)
		for k, t := range p.types {
			p.text = append(p.text, p.keys[k]...)
			p.text = forebay.AppendCellJSON(p.text, t, cells[p.layout.Slots[k]], slab)
		}
		p.text = append(p.text, '}', '\n')
		if len(p.text) >= flushAt {
			if err := p.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *jsonPrinter) end() error {
	_, err := p.out.Write(p.text)
	p.text = p.text[:0]
	return err
}

// Limits of a table on a terminal.
const (
	gridRowsMax  = 1000 // so many rows share their widths
	gridCellsMax = 40   // characters of a value
)

// gridPrinter prints columns that line up.
type gridPrinter struct {
	out     io.Writer
	layout  *forebay.Layout
	pending grid
}

func (p *gridPrinter) rows(b *forebay.Batch) error {
	columns := p.layout.Schema.Columns()
	for i := range b.Len() {
		cells := b.Cells(i)
		row := make([]string, len(columns))
		for k, c := range columns {
			row[k] = shownCell(c.Type, cells[p.layout.Slots[k]], b.Slab())
		}
		p.pending.add(row...)
		if len(p.pending.rows) == gridRowsMax {
			if err := p.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// shownCell is a value on one line.
func shownCell(t forebay.Type, c forebay.Cell, slab []byte) string {
	if c.IsNull() {
		return "null"
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(forebay.AppendCell(nil, t, c, slab)))
	if runes := []rune(text); len(runes) > gridCellsMax {
		return string(runes[:gridCellsMax-3]) + "..."
	}
	return text
}

func (p *gridPrinter) end() error {
	if len(p.pending.rows) == 0 && p.pending.head != nil {
		return nil
	}
	p.pending.head = p.layout.Schema.Names()
	err := p.pending.write(p.out)
	p.pending.rows = nil
	if err != nil {
		return fmt.Errorf("print rows: %w", err)
	}
	return nil
}
