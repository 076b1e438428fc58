// SPDX-License-Identifier: Apache-2.0

package ndjson

import (
	"encoding/base64"
	"fmt"

	"github.com/forebay-io/forebay"
	"github.com/forebay-io/forebay/codec"
	"github.com/forebay-io/forebay/codec/internal/jsontext"
	"github.com/forebay-io/forebay/codec/internal/swar"
)

// object reads the object that opens at i into the cells of a record.
func (d *decoder) object(b *forebay.Batch, record, i, end int) (behind int, m *mistake) {
	// What is appended to the slab while the record is read may move it. The bytes here stay, so s does, too.
	s, cells := b.Slab(), b.Cells(record)
	clear(d.seen)
	i = jsontext.Space(s, i+1, end)
	if i < end && s[i] == '}' {
		return i + 1, nil
	}
	// Objects of one file mostly have the same fields in the same order: the next one is tried first.
	for expected := 0; ; {
		k, name := expected, i
		if k < len(d.prefixes) && d.prefixes[k].At(s, i) {
			i += d.prefixes[k].Size
		} else if k, i, m = d.name(s, i, end); m != nil {
			return i, m
		}
		if i < end && s[i] <= ' ' {
			i = jsontext.Space(s, i, end)
		}
		switch {
		case k >= 0:
			if d.seen[k>>6]>>uint(k&63)&1 != 0 {
				return i, &mistake{name, codec.CodeDuplicate, fmt.Sprintf("field %q is there twice", d.names[k])}
			}
			d.seen[k>>6] |= 1 << uint(k&63)
			if i, m = d.field(b, s, cells, place{k, i, end}); m != nil {
				return i, m
			}
			expected = k + 1
		default:
			var why string
			if i, why = jsontext.ValueEnd(s, i, end, 1); why != "" {
				return i, invalid(i, why)
			}
		}
		if i < end && s[i] <= ' ' {
			i = jsontext.Space(s, i, end)
		}
		switch {
		case i < end && s[i] == ',':
			if i++; i < end && s[i] <= ' ' {
				i = jsontext.Space(s, i, end)
			}
		case i < end && s[i] == '}':
			return i + 1, nil
		default:
			return i, invalid(i, jsontext.Missing(i, end, jsontext.WrongComma))
		}
	}
}

// place is where the value of column k begins, and where it, or its record, ends.
type place struct{ k, i, end int }

func invalid(at int, why string) *mistake {
	return &mistake{at: at, code: codec.CodeInvalidJSON, why: why}
}

// name reads the name that opens at i, and the colon behind it, and finds its column, -1 if the schema has none.
func (d *decoder) name(s []byte, i, end int) (k, behind int, m *mistake) {
	if i >= end || s[i] != '"' {
		return 0, i, invalid(i, jsontext.Missing(i, end, jsontext.WrongName))
	}
	behind, simple, why := jsontext.StringEnd(s, i+1, end)
	if why != "" {
		return 0, behind, invalid(behind, why)
	}
	text := s[i+1 : behind-1]
	if !simple {
		var ok bool
		if d.scratch, ok = jsontext.Unescape(d.scratch[:0], text); !ok {
			return 0, i, invalid(i, wrongHalf)
		}
		text = d.scratch
	}
	k, known := d.byName[string(text)]
	switch {
	case known:
	case d.rejectUnknown:
		return 0, i, &mistake{i, codec.CodeUnknownField, fmt.Sprintf("the schema has no field %q", text)}
	default:
		k = -1
	}
	if behind = jsontext.Space(s, behind, end); behind >= end || s[behind] != ':' {
		return 0, behind, invalid(behind, jsontext.Missing(behind, end, jsontext.WrongColon))
	}
	return k, behind + 1, nil
}

const wrongHalf = "an escape stands for half a character"

// field reads the value at i into column k of a record.
func (d *decoder) field(b *forebay.Batch, s []byte, cells []forebay.Cell, p place) (behind int, m *mistake) {
	k, i, end := p.k, p.i, p.end
	if i >= end {
		return end, invalid(end, jsontext.WrongEnd)
	}
	kind := d.kinds[k]
	switch c := s[i]; {
	case c == 'n' && jsontext.HasWord(s, i, end, "null"):
		return i + len("null"), nil
	case kind == forebay.KindJSON:
		behind, why := jsontext.ValueEnd(s, i, end, 1)
		if why != "" {
			return behind, invalid(behind, why)
		}
		cells[k] = forebay.SpanCell(forebay.KindJSON, i, behind-i)
		return behind, nil
	case c == '"':
		if kind == forebay.KindString {
			if at := jsontext.Closing(s, i+1); at >= 0 && at < end {
				cells[k] = forebay.SpanCell(forebay.KindString, i+1, at-i-1)
				return at + 1, nil
			}
		}
		return d.stringField(b, s, cells, p)
	case kind == forebay.KindInt64 && i+8 <= end:
		word, minus := swar.Load(s, i), 0
		if c == '-' {
			word, minus = word>>8|'0'<<56, 1
		}
		// The last byte may have been shifted out, so a run of eight is left to the slow way.
		n := swar.Run(word)
		if n > 0 && n+minus < 8 && ends(s[i+minus+n]) && (byte(word) != '0' || n == 1) {
			v, _ := swar.Digits(word, n)
			sign := -int64(minus)
			cells[k] = forebay.Int64Cell(int64(v) ^ sign - sign)
			return i + minus + n, nil
		}
		return d.numberField(b, s, cells, p)
	case kind == forebay.KindFloat64 && c-'0' <= 9:
		if v, at := shortDecimal(s, i); at >= 0 && at < end {
			cells[k] = forebay.Float64Cell(v)
			return at, nil
		}
		return d.numberField(b, s, cells, p)
	case c == '-' || c-'0' <= 9:
		return d.numberField(b, s, cells, p)
	case kind == forebay.KindBool && c == 't' && jsontext.HasWord(s, i, end, "true"):
		cells[k] = forebay.BoolCell(true)
		return i + len("true"), nil
	case kind == forebay.KindBool && c == 'f' && jsontext.HasWord(s, i, end, "false"):
		cells[k] = forebay.BoolCell(false)
		return i + len("false"), nil
	default:
		behind, why := jsontext.ValueEnd(s, i, end, 1)
		if why != "" {
			return behind, invalid(behind, why)
		}
		return i, d.wrongKind(k, i, c)
	}
}

// shortDecimal reads digits, a point and digits, fewer than eight each, before a comma, brace or space; behind is -1
// where something else is there.
func shortDecimal(s []byte, i int) (v float64, behind int) {
	if i+17 > len(s) {
		return 0, -1
	}
	first := swar.Load(s, i)
	n := swar.Run(first)
	if n == 8 || n > 1 && byte(first) == '0' || s[i+n] != '.' {
		return 0, -1
	}
	second := swar.Load(s, i+n+1)
	places := swar.Run(second)
	if places == 0 || places == 8 || !ends(s[i+n+1+places]) {
		return 0, -1
	}
	whole, _ := swar.Digits(first, n)
	fraction, _ := swar.Digits(second, places)
	// Both are exact, so their quotient is the nearest float.
	power := powers[places]
	return float64(whole*uint64(power)+fraction) / power, i + n + 1 + places
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// ends reports whether a number can end before c.
func ends(c byte) bool { return c == ',' || c == '}' || c == ' ' }

// wrongKind is the mistake of a value that begins with c and cannot be one of column k.
func (d *decoder) wrongKind(k, at int, c byte) *mistake {
	found := "a number"
	switch c {
	case '"':
		found = "a string"
	case '{':
		found = "an object"
	case '[':
		found = "an array"
	case 't', 'f':
		found = "a bool"
	}
	return &mistake{at, codec.CodeWrongType, fmt.Sprintf("column %q: expected a value of type %s, found %s",
		d.columns[k].Name, d.columns[k].Type, found)}
}

func (d *decoder) wrongText(k, at int, err error) *mistake {
	return &mistake{at, codec.CodeWrongType, fmt.Sprintf("column %q: %v", d.columns[k].Name, err)}
}

// numberField reads a number.
func (d *decoder) numberField(b *forebay.Batch, s []byte, cells []forebay.Cell, p place) (behind int, m *mistake) {
	k, i, end := p.k, p.i, p.end
	behind, why := jsontext.NumberEnd(s, i, end)
	if why != "" {
		return behind, invalid(behind, why)
	}
	switch d.kinds[k] {
	case forebay.KindInt32, forebay.KindInt64, forebay.KindFloat32, forebay.KindFloat64, forebay.KindDecimal:
		if err := d.set(b, cells, place{k, i, behind}); err != nil {
			return i, d.wrongText(k, i, err)
		}
		return behind, nil
	default:
		return i, d.wrongKind(k, i, s[i])
	}
}

// set parses text that lies in the slab as the value of a column.
func (d *decoder) set(b *forebay.Batch, cells []forebay.Cell, p place) error {
	c, err := b.ParseCell(d.columns[p.k].Type, p.i, p.end-p.i, d.zone)
	if err == nil {
		cells[p.k] = c
	}
	return err
}

// stringField reads a string whose quote opens at i.
func (d *decoder) stringField(b *forebay.Batch, s []byte, cells []forebay.Cell, p place) (behind int, m *mistake) {
	k, i, end := p.k, p.i, p.end
	behind, simple, why := jsontext.StringEnd(s, i+1, end)
	if why != "" {
		return behind, invalid(behind, why)
	}
	start, until := i+1, behind-1
	if !simple {
		var ok bool
		if d.scratch, ok = jsontext.Unescape(d.scratch[:0], s[start:until]); !ok {
			return i, invalid(i, wrongHalf)
		}
		if len(d.scratch) != until-start {
			start = b.AppendBytes(d.scratch)
			until = start + len(d.scratch)
		}
	}
	var err error
	text := b.Slab()[start:until]
	switch d.kinds[k] {
	case forebay.KindString:
		cells[k] = forebay.SpanCell(forebay.KindString, start, until-start)
	case forebay.KindTimestamp:
		if micros, ok := d.dates.Parse(text); ok {
			cells[k] = forebay.TimestampCell(micros)
			return behind, nil
		}
		err = d.set(b, cells, place{k, start, until})
	case forebay.KindDate, forebay.KindDecimal:
		err = d.set(b, cells, place{k, start, until})
	case forebay.KindBytes:
		d.scratch, err = base64.StdEncoding.AppendDecode(d.scratch[:0], text)
		if err == nil {
			at := b.AppendBytes(d.scratch)
			cells[k] = forebay.SpanCell(forebay.KindBytes, at, len(d.scratch))
		}
	case forebay.KindFloat32, forebay.KindFloat64:
		switch string(text) {
		case "NaN":
			err = d.setText(cells, k, "NaN")
		case "Infinity":
			err = d.setText(cells, k, "Inf")
		case "-Infinity":
			err = d.setText(cells, k, "-Inf")
		default:
			return i, d.wrongKind(k, i, '"')
		}
	default:
		return i, d.wrongKind(k, i, '"')
	}
	if err != nil {
		return i, d.wrongText(k, i, err)
	}
	return behind, nil
}

// setText gives column k a value that needs no slab.
func (d *decoder) setText(cells []forebay.Cell, k int, text string) error {
	c, _, err := forebay.ParseCell(nil, d.columns[k].Type, []byte(text))
	cells[k] = c
	return err
}
