// SPDX-License-Identifier: Apache-2.0

package raw

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
)

// Format reads records as they are. Where a later stage needs rows, they have one column, value, of bytes.
type Format struct {
	Delimiter string `yaml:"delimiter" doc:"the character between two records; \\0 is a zero byte" default:"\\n"`
}

// Info describes the format.
func (f Format) Info() (codec.Info, error) {
	d, err := f.delimiter()
	return codec.Info{
		Name: "raw", Typed: true, Ranges: true,
		Identity: []forebay.Setting{{Name: "delimiter", Value: strconv.QuoteToASCII(string(rune(d)))}},
	}, err
}

func (f Format) delimiter() (byte, error) {
	switch f.Delimiter {
	case "", `\n`:
		return '\n', nil
	case `\0`:
		return 0, nil
	case `\t`:
		return '\t', nil
	}
	if len(f.Delimiter) != 1 || f.Delimiter[0] >= 0x80 {
		return 0, fmt.Errorf("delimiter: %q is not one ASCII character, \\n, \\t or \\0", f.Delimiter)
	}
	return f.Delimiter[0], nil
}

// Start prepares decoding; nothing is learned.
func (f Format) Start(_ context.Context, env codec.Env) (*codec.Decoding, error) {
	d, err := f.delimiter()
	if err != nil {
		return nil, forebay.Errorf("read raw", forebay.ClassMisconfigured, "%w", err)
	}
	maxSize := int(env.MaxRecord)
	if maxSize <= 0 {
		maxSize = int(codec.MaxRecordDefault)
	}
	var layout *forebay.Layout
	out := &codec.Decoding{}
	if env.NeedsRows {
		out.Schema = forebay.MustSchema(forebay.Column{Name: "value", Type: forebay.Binary})
		layout = forebay.NewLayout(out.Schema)
	}
	out.NewDecoder = func() codec.Decoder { return &decoder{delimiter: d, maxSize: maxSize, layout: layout} }
	return out, nil
}

// decoder implements codec.Decoder.
type decoder struct {
	delimiter byte
	maxSize   int
	layout    *forebay.Layout
}

// Begin implements codec.Decoder: nothing precedes the records.
func (d *decoder) Begin([]byte, bool) (codec.Preamble, bool, error) {
	return codec.Preamble{}, true, nil
}

// Decode implements codec.Decoder.
func (d *decoder) Decode(b *forebay.Batch, w *codec.Window) {
	b.SetLayout(d.layout)
	s := b.Slab()
	for w.Start < w.End && !codec.BatchDone(b) && (w.Skipping || w.Offset < w.Until) {
		end, next := w.End, w.End
		if n := bytes.IndexByte(s[w.Start:w.End], d.delimiter); n >= 0 {
			end = w.Start + n
			next = end + 1
		} else if !w.Final {
			d.wait(b, w)
			return
		}
		if d.delimiter == '\n' && end > w.Start && s[end-1] == '\r' {
			end--
		}
		switch {
		case w.Skipping:
			w.Skipping = false
		case end-w.Start > d.maxSize:
			w.RejectTooLong(b, s[w.Start:w.End], d.maxSize)
		default:
			i := b.AppendSpan(w.Offset, w.Start, end-w.Start)
			if d.layout != nil {
				b.Cells(i)[0] = forebay.SpanCell(forebay.KindBytes, w.Start, end-w.Start)
			}
		}
		w.Advance(next, d.lines(s[w.Start:next]))
	}
}

// lines counts the lines of a stretch for places.
func (d *decoder) lines(text []byte) int64 {
	if d.delimiter == '\n' {
		return 1
	}
	return int64(bytes.Count(text, []byte{'\n'}))
}

// wait is called where the window does not hold the end of the record.
func (d *decoder) wait(b *forebay.Batch, w *codec.Window) {
	s := b.Slab()
	switch {
	case w.Skipping:
	case w.End-w.Start > d.maxSize+1:
		w.RejectTooLong(b, s[w.Start:w.End], d.maxSize)
		w.Skipping = true
	default:
		return
	}
	w.Advance(w.End, int64(bytes.Count(s[w.Start:w.End], []byte{'\n'})))
}
